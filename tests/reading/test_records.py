"""The log: appended at once, mended by name, never rewritten; and the tables that follow from it."""

import os
import threading

import pytest

from hipoa.core.errors import ConfigError, ReadingError
from hipoa.core.files import read_csv, write_csv, write_json
from hipoa.core.tables.rows import Reading
from hipoa.core.tables.study_tables import read_grades
from hipoa.grading.settings import HipsSettings
from hipoa.reading import readings
from hipoa.reading.log import Log, read_log
from hipoa.reading.records import ReadingIndex, Record
from hipoa.reading.settings import DeriveSettings

from .conftest import Page


def record(number=0, reader="Ann", case="p00000", side="L", crowe=1, kl=2, **more):
    fields = {"id": f"reading-{number}", "kind": "reading", "reader": reader, "hip_id": f"{case}_{side}"}
    fields |= {"time": f"2026-03-{number + 1:02d}T10:00:00.000+00:00", "case_id": case, "side": side}
    return Record.model_validate({**fields, "crowe": crowe, "kl": kl, **more})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history" / "readings.jsonl"


def test_what_was_appended_is_read_back(path):
    log = Log(path)
    for number in range(3):
        log.append(record(number))
    assert read_log(path) == [record(number) for number in range(3)]
    assert path.stat().st_mode & 0o077 == 0


def test_a_torn_last_line_is_set_aside_by_name_and_the_log_goes_on(path):
    log = Log(path)
    log.append(record(0))
    log.close()
    with path.open("ab") as file:
        file.write(b'{"id":"reading-1","kind":"rea')
    assert read_log(path) == [record(0)]
    log = Log(path)
    assert "torn (29 bytes" in log.repaired
    log.append(record(2))
    assert read_log(path) == [record(0), record(2)]
    assert path.with_suffix(".torn").read_bytes() == b'{"id":"reading-1","kind":"rea\n'


def test_a_last_line_that_only_lacks_its_end_is_kept(path):
    log = Log(path)
    log.append(record(0))
    log.close()
    os.truncate(path, path.stat().st_size - 1)
    log = Log(path)
    assert "no reading is lost" in log.repaired
    log.append(record(1))
    assert read_log(path) == [record(0), record(1)]


def test_a_line_that_was_edited_is_named(path):
    log = Log(path)
    log.append(record(0))
    log.close()
    path.write_text(path.read_text().replace('"crowe":1', '"crowe":9'))
    with pytest.raises(ReadingError, match=r"readings.jsonl line 1: it is no reading"):
        Log(path)


def test_two_processes_cannot_write_one_log(path):
    log = Log(path)
    with pytest.raises(ReadingError, match="another page is open on this log"):
        Log(path)
    log.close()
    Log(path)


def test_a_full_disk_leaves_the_log_as_it_was(path, monkeypatch):
    log = Log(path)
    log.append(record(0))
    write = os.write
    calls = []

    def full(file, data):
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ReadingError, match="No space left"):
        log.append(record(1))
    monkeypatch.undo()
    log.append(record(2))
    assert read_log(path) == [record(0), record(2)]


def test_many_threads_lose_no_line_and_write_no_id_twice(path):
    log = Log(path)
    threads = [
        threading.Thread(
            target=lambda start=start: [log.append(record(n % 28, id=f"reading-{n}")) for n in start]
        )
        for start in (range(60), range(30, 90), range(60, 120))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.id for r in read_log(path)) == sorted(f"reading-{n}" for n in range(120))


RULES = [
    ("consensus", "", [("p0", "L", 1, 2, "consensus"), ("p1", "L", 1, 3, "consensus")]),
    ("senior", "Ann", [("p0", "L", 1, 2, "Ann"), ("p1", "L", 1, 4, "Ann"), ("p2", "L", 2, 4, "Ann")]),
    ("latest", "", [("p0", "L", 1, 2, "Bob"), ("p1", "L", 1, 3, "Ann"), ("p2", "L", 3, 4, "Bob")]),
]


@pytest.mark.parametrize(("rule", "senior", "wanted"), RULES)
def test_each_rule_says_which_reading_counts(rule, senior, wanted):
    index = ReadingIndex(
        [
            record(0, "Ann", "p0"),
            record(1, "Ann", "p1", kl=4),
            record(2, "Ann", "p2", crowe=2, kl=4),
            record(3, "Ann", "p3", crowe=None, kl=None, reason="implant"),
            record(4, "Bob", "p0"),
            record(5, "Bob", "p1", kl=2),
            record(6, "Bob", "p2", crowe=3, kl=4),
            record(7, "Bob", "p1", kl=3, kind="consensus"),
            record(8, "Ann", "p1", kl=3, kind="consensus"),
        ]
    )
    rows = readings.derive_grades(index, DeriveSettings(rule=rule, senior=senior))
    assert [(r.case_id, r.side, r.crowe, r.kl, r.reader) for r in rows] == wanted


@pytest.mark.parametrize(
    ("proposals", "wanted"),
    [
        ([("Ann", {})], None),
        ([("Ann", {}), ("Ann", {})], None),
        ([("Ann", {}), ("Bob", {"kl": 4})], None),
        ([("Ann", {}), ("Bob", {})], 3),
        ([("Ann", {"senior": True})], 3),
        ([("Ann", {}), ("Bob", {}), ("Eve", {"kl": 4})], 3),
        ([("Ann", {}), ("Bob", {}), ("Ann", {"kl": 4})], None),
        ([("Ann", {"senior": True}), ("Bob", {"kl": 4}), ("Eve", {"kl": 4})], 4),
    ],
)
def test_a_consensus_needs_two_readers_alike_or_the_senior_one(proposals, wanted):
    index = ReadingIndex(
        record(number, reader, kind="consensus", **{"kl": 3, **more})
        for number, (reader, more) in enumerate(proposals)
    )
    settled = index.consensus().get("p00000_L")
    assert (settled and settled.kl) == wanted


def test_a_hip_that_was_put_off_is_last_until_it_is_read_or_that_is_undone():
    def later(number, case):
        return record(number, case=case, kind="later", crowe=None, kl=None)

    put_off = [later(0, "p0"), later(1, "p1"), later(2, "p0")]
    assert ReadingIndex(put_off).put_off("Ann") == {"p1_L": 1, "p0_L": 2}
    assert ReadingIndex([*put_off, record(3, case="p0")]).put_off("Ann") == {"p1_L": 1}
    undo = record(4, case="p1", kind="undo", undoes="reading-1", crowe=None, kl=None)
    assert ReadingIndex([*put_off, undo]).put_off("Ann") == {"p0_L": 1}
    assert ReadingIndex(put_off).of("Ann") == []


def test_the_rule_every_gives_each_readers_own_reading_once():
    repeat = record(1, "Ann", "p0", kl=4, again=True)
    rows = readings.derive_grades(
        ReadingIndex([record(0, "Ann", "p0"), repeat, record(2, "Bob", "p0", kl=3)]),
        DeriveSettings(rule="every"),
    )
    assert [(r.reader, r.kl, r.date) for r in rows] == [("Ann", 2, "2026-03-01"), ("Bob", 3, "2026-03-03")]


def test_undone_readings_do_not_count():
    undo = record(1, kind="undo", undoes="reading-0", crowe=None, kl=None)
    assert readings.derive_grades(ReadingIndex([record(0), undo]), DeriveSettings()) == []


def test_a_senior_who_read_nothing_is_an_error():
    with pytest.raises(ConfigError, match=r'"Eve" has read nothing. Name one of: Ann'):
        readings.derive_grades(ReadingIndex([record(0)]), DeriveSettings(rule="senior", senior="Eve"))


def test_the_users_own_table_is_kept_and_comes_first(results, tmp_path, capsys):
    reader = Page(results).reader("Ann")
    reader.read(2, 3, comment="=HYPERLINK(1)")
    own = tmp_path / "mine.csv"
    own.write_text("case_id,side,crowe,kl,reader,date\nx1,R,I,3,Eve,2020-01-02\n")
    before = own.read_bytes()
    out, records, kappas = (tmp_path / name for name in ("grades.csv", "records.csv", "kappas.csv"))
    readings.run(DeriveSettings(), study=results, out=out, grades=own, records=records, agreement=kappas)
    assert own.read_bytes() == before
    rows = read_grades(out)
    assert rows[0] == Reading("x1", "R", 1, 3, "Eve", "2020-01-02")
    assert [(r.case_id, r.side, r.crowe, r.kl, r.reader) for r in rows[1:]] == [("p00000", "L", 2, 3, "Ann")]
    # A spreadsheet would run a cell that starts with "=".
    assert ",'=HYPERLINK(1)," in records.read_text()
    told = capsys.readouterr()
    assert "1 rows of your own table and 1 of 1 hips read" in told.out
    assert told.err.splitlines()[:3] == [
        "warning: 2 graded hips will be neither trained on nor scored:",
        "    p00000_L: Crowe II, KL 3 is in no class",
        "    x1_R: not among the hips of the last run",
    ]
    with pytest.raises(ConfigError, match="it is the table to be written"):
        readings.run(DeriveSettings(), study=results, out=out, grades=out)


@pytest.mark.parametrize(
    ("cells", "grade", "reason"),
    [
        ({}, "1,2", None),
        ({}, "1,", "without a KL grade"),
        ({}, "2,3", "Crowe II, KL 3 is in no class"),
        ({"status": "refused", "reason": "cut off."}, "1,2", "refused: cut off"),
        (
            {"status": "excluded", "reason": "implant (replacement)", "implant": "replacement"},
            "1,2",
            "excluded: implant (replacement)",
        ),
    ],
)
def test_a_grade_that_the_next_run_will_not_use_is_named_with_the_reason(
    results, tmp_path, capsys, cells, grade, reason
):
    table = results / "hips/pool.csv"
    rows = [row | (cells if row["hip_id"] == "p00001_R" else {}) for row in read_csv(table)]
    write_csv(table, tuple(rows[0]), rows)
    Page(results).reader("Ann").read(1, 2)
    own = tmp_path / "mine.csv"
    own.write_text(f"case_id,side,crowe,kl\np00001,R,{grade}\n")
    readings.run(DeriveSettings(), study=results, out=tmp_path / "grades.csv", grades=own)
    told = capsys.readouterr().err
    assert ("neither trained on nor scored" in told) == (reason is not None)
    assert (f"    p00001_R: {reason}\n" in told) == (reason is not None)


def test_the_next_run_takes_the_nearest_class_where_the_last_one_did(results, tmp_path, capsys):
    Page(results).reader("Ann").read(2, 3)
    configuration = {"hips": HipsSettings(off_table="nearest").model_dump()}
    write_json(results / "manifest.json", {"configuration": configuration})
    readings.run(DeriveSettings(), study=results, out=tmp_path / "grades.csv")
    assert "neither trained" not in capsys.readouterr().err


def test_hips_without_a_consensus_are_named(results, tmp_path, capsys):
    page = Page(results)
    page.reader("Ann").read(1, 2)
    page.reader("Bob").read(1, 4)
    readings.run(DeriveSettings(), study=results, out=tmp_path / "grades.csv")
    assert read_grades(tmp_path / "grades.csv") == []
    assert "1 hips have no row, since readers differ (first p00000_L)" in capsys.readouterr().err


def test_no_log_is_an_error(results, tmp_path):
    with pytest.raises(ReadingError, match=r"no readings\. Read hips first: python -m hipoa read --study "):
        readings.run(DeriveSettings(), study=results, out=tmp_path / "grades.csv")
