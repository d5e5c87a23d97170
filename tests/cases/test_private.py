"""The key of the pseudonyms is its owner's alone, and the same key gives the same names."""

import os

import pytest

from hipoa.cases.private import open_private, read_crosswalk, write_crosswalk
from hipoa.core.errors import ConfigError, TableError
from hipoa.core.identifiers import parse_name, parse_safe_name

ROW = {
    "case_id": "PA-B",
    "patient_id": "PA",
    "hospital_patient_id": "007",
    "issuer": "",
    "accession": "a,b",
} | {
    "study_date": "20200101",
    "status": "in the table",
    "folder": "M\u00fcller\n",
}


def test_names_are_stable_safe_and_of_the_key(tmp_path):
    one, again, other = (open_private(tmp_path / name) for name in ("a", "a", "b"))
    name = one.name_case("7", "1")
    assert name == again.name_case("7", "1") != other.name_case("7", "1")
    assert name.startswith(one.name_patient("7") + "-")
    assert parse_safe_name(name) == name
    assert parse_name(one.name_patient("7")) == one.name_patient("7")
    assert len({one.name_patient(str(n)) for n in range(1000)}) == 1000


def test_all_is_readable_by_its_owner_alone_and_never_in_git(tmp_path):
    private = open_private(tmp_path / "x/private")
    write_crosswalk(private, [ROW])
    assert private.folder.stat().st_mode & 0o077 == 0
    for name in ("key", "crosswalk.csv"):
        assert (private.folder / name).stat().st_mode & 0o777 == 0o600
    assert (private.folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_others_can_read_is_refused_until_they_cannot(tmp_path):
    open_private(tmp_path / "private")
    (tmp_path / "private").chmod(0o750)
    with pytest.raises(ConfigError, match="others than you can read the folder"):
        open_private(tmp_path / "private")
    (tmp_path / "private").chmod(0o700)
    open_private(tmp_path / "private")


def test_results_hold_no_key(tmp_path):
    with pytest.raises(ConfigError, match='lie in "results"'):
        open_private(tmp_path / "results/study/private")


@pytest.mark.parametrize(
    ("text", "found"), [("", "damaged"), ("12ab\n", "damaged"), (None, "its key is gone")]
)
def test_a_lost_or_damaged_key_is_never_made_anew(tmp_path, text, found):
    private = open_private(tmp_path / "private")
    write_crosswalk(private, [ROW])
    (tmp_path / "private/key").write_text(text) if text is not None else (tmp_path / "private/key").unlink()
    with pytest.raises(ConfigError, match=found):
        open_private(tmp_path / "private")


def test_the_crosswalk_grows_and_is_read_as_it_was_written(tmp_path):
    private = open_private(tmp_path / "private")
    write_crosswalk(private, [ROW])
    write_crosswalk(private, [ROW | {"case_id": "PC-D"}, ROW | {"accession": "2"}])
    assert read_crosswalk(private) == {"PA-B": ROW | {"accession": "2"}, "PC-D": ROW | {"case_id": "PC-D"}}
    write_crosswalk(private, [ROW | {"folder": os.fsdecode(b"M\xfcller")}])
    assert read_crosswalk(private)["PA-B"]["folder"] == "M\\udcfcller"
    (private.folder / "crosswalk.csv").write_text("case_id;patient_id\n1;2\n")
    with pytest.raises(TableError, match="another program has changed the file"):
        read_crosswalk(private)
