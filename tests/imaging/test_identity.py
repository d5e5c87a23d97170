"""Folders that hold more than one person or one examination: refused, without a word of who it is."""

import numpy as np
import pytest

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.identity import Identity, check_one_exam
from hipoa.imaging.ct.formats import read_volume

HU = np.full((11, 13, 10), -1000, np.int16)
HU[2:-2, 2:-2] = 40
HU[4:7, 4:7] = 900
ID, STUDY, DATE, FRAME = "0010|0020", "0020|000d", "0008|0020", "0020|0052"
SEX, BIRTH = "0010|0040", "0010|0030"
NAME = "0010|0010"
ONE = {ID: "", STUDY: "2.25.11", DATE: "20190304", FRAME: "2.25.21", SEX: "F", BIRTH: "19500607"}
OTHER = {STUDY: "2.25.12", DATE: "20230809", FRAME: "2.25.22"}
SECRETS = ("2.25.", "2019", "2023", "1950", "1961", "P-77", "Doe")


@pytest.fixture
def two(tmp_path, write_stack):
    """Writes two series, number 1 and a shorter number 2, each with its own tags."""

    def write(one, other, *, number=2):
        longer = np.concatenate([HU, HU], 2)
        write_stack(tmp_path / "ct/a", longer, number=1, series="1", tags=one.items())
        write_stack(tmp_path / "ct/b", HU, number=number, series="2", tags=other.items())
        return tmp_path / "ct"

    return write


def refused(folder, message, series=""):
    with pytest.raises(CtError, match=message) as error:
        read_volume(folder, series)
    assert not any(secret in str(error.value) for secret in SECRETS)
    return str(error.value)


@pytest.mark.parametrize("dummy", ["", "ANON", "0000", "12345"])
def test_two_people_under_one_patient_id(two, dummy):
    one = {**ONE, ID: dummy}
    folder = two(one, {**one, **OTHER, SEX: "M", BIRTH: "19610203"})
    refused(folder, "several people: they differ in sex and date of birth. Give each patient a folder")
    refused(folder, "several people", series="2")


@pytest.mark.parametrize(
    ("tags", "word"),
    [({ID: "P-78"}, "patient ID"), ({SEX: "M"}, "sex"), ({BIRTH: "19610203"}, "date of birth")],
)
def test_each_personal_field_alone_tells_two_people(two, tags, word):
    one = {**ONE, ID: "P-77"}
    refused(two(one, {**one, **tags}), f"several people: they differ in {word}")


def test_a_few_slices_of_somebody_else_are_seen(tmp_path, write_stack):
    write_stack(tmp_path / "ct", HU, tags={ID: "P-77"}.items())
    write_stack(tmp_path / "ct/more", HU[..., :3], series="2", tags={ID: "P-78"}.items())
    refused(tmp_path / "ct", "several people: they differ in patient ID")


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "LOCALIZER"},
        {"modality": "PT"},
        {"tags": {"0008|103e": "MonoE 40keV[HU]"}},
        {"tags": {"0008|0016": "1.2.840.10008.5.1.4.1.1.7"}},
    ],
)
def test_what_is_not_read_tells_two_people_too(tmp_path, write_stack, options):
    """The person who was sent for may be the one whose images cannot be used."""
    write_stack(tmp_path / "ct", HU, tags={ID: "P-77"}.items())
    other = {ID: "P-78", **options.pop("tags", {})}
    write_stack(tmp_path / "ct/more", HU, series="2", tags=other.items(), **options)
    refused(tmp_path / "ct", "several people: they differ in patient ID")


@pytest.mark.parametrize("dummy", ["", "UNBEKANNT"])
def test_without_an_id_a_name_tells_two_people(two, dummy):
    one = {**ONE, ID: dummy, SEX: "", BIRTH: "", NAME: "Doe^Jane"}
    refused(two(one, {**one, NAME: "Roe^Ann"}), "several people: they differ in name")


def test_two_studies_of_one_person(two):
    one = {**ONE, ID: "P-77"}
    folder = two(one, {**one, **OTHER})
    refused(folder, "series are of several studies, all of one person. A grade belongs to one of them")
    # What the message advises helps.
    assert read_volume(folder, "2").origin.series == "2"
    assert read_volume(folder / "a").origin.slices == 20


def test_two_studies_of_whom_is_not_known(two):
    one = {**ONE, ID: "ANON", SEX: "", BIRTH: ""}
    folder = two(one, {**one, **OTHER})
    refused(folder, "of several studies, of one person or of several people")
    assert read_volume(folder, "1").origin.slices == 20


def test_one_number_in_two_studies_names_none(two):
    one = {**ONE, ID: "P-77"}
    folder = two(one, {**one, **OTHER}, number=1)
    refused(folder, r"the CT series 1 are of several studies.*Name one of them \(1a, 1b ...\)", "1")
    # What the message advises helps.
    assert read_volume(folder, "1a").origin.slices == 20
    assert read_volume(folder, "1B").origin.slices == 10


def test_another_frame_of_reference_may_be_another_person(two):
    one = {**ONE, ID: "", SEX: "", BIRTH: ""}
    folder = two(one, {**one, FRAME: "2.25.22"})
    refused(folder, "several frames of reference within a study, of one person or of several people")
    assert read_volume(folder, "2").origin.slices == 10


@pytest.mark.parametrize(
    "other",
    [
        {},  # two series of one study
        {ID: " p-77 "},  # blanks and case
        {SEX: "", BIRTH: ""},  # left out in one series
        {STUDY: "2.25.12"},  # two requests, one examination: same day, same frame of reference
        {FRAME: "2.25.22"},  # turned over in between; ID, sex and date of birth say who it is
        {SEX: "O"},
        {NAME: "Roe^Ann"},  # married since: the ID says more
        {ID: "00P-77"},
        {BIRTH: "1950.06.07"},
        {BIRTH: "19500101"},  # hidden but for the year
        {BIRTH: "00000000"},
    ],
)
def test_two_series_of_one_person_are_read(two, other):
    one = {**ONE, ID: "P-77"}
    volume = read_volume(two(one, {**one, **other}))
    assert volume.warnings == ()
    assert (volume.origin.series, volume.origin.slices, volume.origin.step_mm) == ("1", 20, 3.0)
    assert volume.origin.set_aside == "series 2"


def test_a_name_with_more_words_is_the_same(two):
    one = {**ONE, ID: "", NAME: "Doe^Jane"}
    assert read_volume(two(one, {**one, NAME: "DOE^JANE^MARY"})).warnings == ()


@pytest.mark.parametrize("field", [FRAME, STUDY])
def test_what_every_slice_has_of_its_own_is_none(tmp_path, write_slice, field):
    for k in range(10):
        tags = {**ONE, ID: "", SEX: "", BIRTH: "", field: f"2.25.3{k}"}
        write_slice(tmp_path / f"{k}", HU[..., k], (-50, -40, 3.0 * k), tags=tags.items())
    assert read_volume(tmp_path).origin.set_aside == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Identity(study="a", study_date="1"), Identity(study="a", study_date="2"), False),
        (Identity(study="a"), Identity(study="b"), False),
        (Identity(), Identity(), True),
        (Identity(study="a", frame="f"), Identity(study="b", frame="f"), False),  # no date is no same date
        (Identity(study="a", frame="f"), Identity(study="a"), True),
    ],
)
def test_what_makes_one_examination(one, other, same):
    if same:
        check_one_exam([one, other], "ct")
    else:
        with pytest.raises(CtError, match="A grade belongs to one of them"):
            check_one_exam([one, other], "ct")


def test_series_without_numbers_have_letters(two):
    folder = two({ID: "P-77"}, {ID: "P-77"}, number=20231124)
    refused(folder, r"no CT series 3 to use \(it has 1: 20 slices, step 3 mm; a: 10 slices, step 3 mm\)", "3")
    assert read_volume(folder, "A").origin.slices == 10
    assert read_volume(folder, "a").origin.series == "a"


def test_what_lies_beside_is_on_record(tmp_path, write_slice, write_stack):
    write_stack(tmp_path, HU, number=4)
    write_stack(tmp_path / "short", HU[..., :4], series="2", number=5)
    write_stack(tmp_path / "like", HU[..., :8], series="3", number=20231124)
    write_slice(tmp_path / "scout", np.ones((30, 20)), (0, 0, 0), series="4", kind="LOCALIZER")
    (tmp_path / "notes.txt").write_text("text")
    origin = read_volume(tmp_path).origin
    assert origin.series == "4"
    assert origin.set_aside == (
        "series a, 1 files that are no DICOM images, 1 localisers, 4 CT images in shorter series"
    )
