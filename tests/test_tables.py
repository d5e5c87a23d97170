import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.errors import TableError
from hipoa.tables import (
    Case,
    Reading,
    assign_cohorts,
    fingerprint,
    read_cases,
    read_grades,
    readings_fingerprint,
    shard_of,
    write_cases,
    write_grades,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ct").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "ct" / f"{name}.nii.gz").write_bytes(name.encode())
    return tmp_path


def cases_of(folder, text, encoding="utf-8"):
    path = folder / "cases.csv"
    path.write_bytes(text.encode(encoding))
    return read_cases(path)


def grades_of(folder, text):
    path = folder / "grades.csv"
    path.write_bytes(text.encode())
    return read_grades(path)


PLAIN = "case_id,patient_id,ct,external\na,P1,ct/a.nii.gz,\nb,P2,ct/b.nii.gz,yes\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN, "utf-8-sig"),
        (PLAIN, "utf-16"),
        (PLAIN.replace("\n", "\r\n"), "utf-8"),
        (PLAIN.replace("\n", "\r"), "utf-8"),
        (PLAIN.rstrip("\n"), "utf-8"),
        (PLAIN.replace(",", ";"), "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-16"),
        (PLAIN.replace(",", " , "), "utf-8"),
        (PLAIN.replace("\n", "\n\n,,,\n"), "utf-8"),
        ("\n\n" + PLAIN, "utf-8"),
        (PLAIN.replace("case_id", "Case_ID").replace("yes", "X"), "utf-8"),
        (PLAIN.replace("P1", '"P1"').replace("external", '"external"'), "utf-8"),
    ],
)
def test_what_spreadsheets_write_is_read(folder, text, encoding):
    first, second = cases_of(folder, text, encoding)
    assert first == Case("a", "P1", folder / "ct/a.nii.gz")
    assert second == Case("b", "P2", folder / "ct/b.nii.gz", external=True)


def test_every_column_of_a_case(folder):
    text = (
        "scanner,age,sex,exclude,series,landmarks,labels,external,ct,patient_id,case_id,remark\n"
        "S1,60,f,both,3,ct/b.nii.gz,ct/c.nii.gz,no,ct/a.nii.gz,P1,a,unknown columns are skipped\n"
    )
    ct = folder / "ct"
    assert cases_of(folder, text) == [
        Case(
            *("a", "P1", ct / "a.nii.gz", False, ct / "c.nii.gz", ct / "b.nii.gz"),
            *("LR", "f", "60", "S1", 3),
        )
    ]


@pytest.mark.parametrize(("text", "number"), [("", None), ("7", 7), ("0", 0), ("12.0", 12)])
def test_the_number_of_a_series(folder, text, number):
    (case,) = cases_of(folder, f"case_id,patient_id,ct,series\na,P1,ct/a.nii.gz,{text}\n")
    assert case.series == number


@pytest.mark.parametrize("text", ["-1", "AX 3", "1.5", "20231124"])
def test_a_series_that_is_no_number(folder, text):
    with pytest.raises(TableError, match=f'row 2: series "{text}" is no number from 0 to 9999'):
        cases_of(folder, f"case_id,patient_id,ct,series\na,P1,ct/a.nii.gz,{text}\n")


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r"])
def test_a_line_break_in_a_quoted_cell_breaks_no_row(folder, inside):
    text = f'case_id,patient_id,ct,scanner\na,P1,ct/a.nii.gz,"one{inside}two"\nb,,ct/b.nii.gz,\n'
    with pytest.raises(TableError, match=r"^cases.csv: row 3: patient_id is empty\. Mend"):
        cases_of(folder, text)
    assert cases_of(folder, text.replace("b,,", "b,P2,"))[0].scanner == "one two"


@pytest.mark.parametrize("inside", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028"])
def test_a_control_character_breaks_no_row(folder, inside):
    text = f"case_id,patient_id,ct,scanner\na,P1,ct/a.nii.gz,one{inside}two\nb,P2,ct/b.nii.gz,\n"
    assert [case.scanner for case in cases_of(folder, text)] == [f"one{inside}two", ""]


def test_windows_letters_are_read(folder):
    text = "case_id,patient_id,ct,scanner\na,P1,ct/a.nii.gz,Größe\n"
    assert cases_of(folder, text, "cp1252")[0].scanner == "Größe"


@pytest.mark.parametrize("text", ["", "\n\n", "case_id,patient_id\na,P1\n"])
def test_missing_columns(folder, text):
    with pytest.raises(TableError, match=r'^cases.csv: .*column "ct" is missing\. Mend'):
        cases_of(folder, text)


def test_misspelt_and_repeated_columns(folder):
    with pytest.raises(
        TableError,
        match=r'^cases.csv: column "ct" is there twice; column "externl" looks like "external" misspelt\. ',
    ):
        cases_of(folder, "case_id,patient_id,ct,ct,externl\na,P1,ct/a.nii.gz,,yes\n")


def test_a_column_beside_the_right_one_is_not_misspelt(folder):
    text = "case_id,patient_id,patient,ct\na,P1,x,ct/a.nii.gz\n"
    assert cases_of(folder, text)[0].patient_id == "P1"


def test_a_table_without_rows(folder):
    assert cases_of(folder, "case_id,patient_id,ct\n") == []


def test_a_missing_table(folder):
    with pytest.raises(TableError, match=r"^cases.csv: the file cannot be read \(No such file"):
        read_cases(folder / "cases.csv")
    with pytest.raises(TableError, match=r"^ct: the file cannot be read \(Is a directory"):
        read_cases(folder / "ct")


def test_a_quote_that_is_not_closed(folder):
    text = 'case_id,patient_id,ct\na,"P1,' + "x" * 140_000
    with pytest.raises(TableError, match=r"cases.csv: line 2: field larger .* quote that is not closed"):
        cases_of(folder, text)


def test_a_row_that_is_too_long(folder):
    text = "case_id,patient_id,ct,scanner\na,P1,ct/a.nii.gz,one,two\nb,P2,ct/b.nii.gz,one,,\n"
    with pytest.raises(TableError, match=r"^cases.csv: row 2: there are more cells than columns\. "):
        cases_of(folder, text)


CASE_FAULTS = {
    ",P1,ct/a.nii.gz,,": "case_id is empty",
    "../x,P2,ct/a.nii.gz,,": "case_id is no safe file name",
    ".x,P3,ct/a.nii.gz,,": "case_id is no safe file name",
    "a b,P4,ct/a.nii.gz,,": "case_id is no safe file name",
    f"{'y' * 65},P5,ct/a.nii.gz,,": "case_id is no safe file name",
    "c1,,ct/a.nii.gz,,": "patient_id is empty",
    "c2,P6,,,": "ct is empty",
    "c3,P7,ct/none.nii.gz,,": "ct does not exist",
    f"c4,P8,{'z' * 5000},,": "ct does not exist",
    "c5,P9,ct/a.nii.gz,maybe,": 'external "maybe" is neither yes nor no',
    "c6,P10,ct/a.nii.gz,,left hip": 'exclude "left hip" is none of L, R, both',
    "ok,P11,ct/a.nii.gz,,": "",
    "OK,P12,ct/a.nii.gz,,": "case_id OK is that of row 13",
    "c7,p6,ct/a.nii.gz,,": "patient_id differs from that of row 8 in capitals alone",
}


def test_all_bad_rows_of_the_cases_are_in_one_line(folder):
    with pytest.raises(TableError) as caught:
        cases_of(folder, "case_id,patient_id,ct,external,exclude\n" + "\n".join(CASE_FAULTS))
    message = str(caught.value)
    assert "\n" not in message
    faults = message.removeprefix("cases.csv: ").removesuffix(". Mend these and start again.").split("; ")
    expected = [(row, text) for row, text in enumerate(CASE_FAULTS.values(), start=2) if text]
    assert len(faults) == len(expected)
    for fault, (row, text) in zip(faults, expected, strict=True):
        assert fault.startswith(f"row {row}: {text}")


def test_a_bad_name_or_path_is_not_repeated(folder):
    with pytest.raises(TableError) as caught:
        cases_of(folder, "case_id,patient_id,ct\nJane Roe,P1,ct/Jane Roe\n")
    assert "Jane" not in str(caught.value)


def test_labels_and_landmarks_must_exist(folder):
    text = "case_id,patient_id,ct,labels,landmarks\na,P1,ct/a.nii.gz,none,ct/none.csv\n"
    with pytest.raises(TableError, match=r"row 2: labels does not exist .*; row 2: landmarks does not exist"):
        cases_of(folder, text)


@pytest.mark.parametrize(
    ("cell", "grade"),
    [("1", 1), ("4", 4), ("2.0", 2), ("III", 3), ("iv", 4), (" ii ", 2), ("", None)],
)
def test_grades_in_arabic_and_roman(folder, cell, grade):
    reading = grades_of(folder, f"case_id,side,crowe,kl,reader\na,left,{cell},0,r1\n")[0]
    assert reading == Reading("a", "L", grade, 0, "r1")


GRADE_FAULTS = {
    ",L,1,1,": "case_id is empty",
    "a,B,1,1,": 'side "B" is neither L nor R',
    "a,,1,1,": 'side "" is neither L nor R',
    "b,L,0,1,": 'crowe "0" is not one of 1-4',
    "c,L,5,1,": 'crowe "5" is not one of 1-4',
    "d,L,1,5,": 'kl "5" is not one of 0-4',
    "e,L,2.5,1,": 'crowe "2.5" is not one of 1-4',
    "f,L,-1,1,": 'crowe "-1" is not one of 1-4',
    "g,L,IIII,1,": 'crowe "IIII" is not one of 1-4',
    "h,L,,,": "neither crowe nor kl is filled",
    "i,l,1,,": "",
    "i,L,2,0,": "i L is there twice by one reader on one date",
    "i,L,2,0,other": "",
}


def test_all_bad_rows_of_the_grades_are_in_one_line(folder):
    with pytest.raises(TableError) as caught:
        grades_of(folder, "case_id,side,crowe,kl,reader\n" + "\n".join(GRADE_FAULTS))
    faults = str(caught.value).removeprefix("grades.csv: ").removesuffix(". Mend these and start again.")
    expected = [f"row {row}: {text}" for row, text in enumerate(GRADE_FAULTS.values(), start=2) if text]
    assert len(faults.split("; ")) == len(expected)
    for fault, text in zip(faults.split("; "), expected, strict=True):
        assert fault.startswith(text)


def test_cohorts():
    cases = [
        Case("a", "P1", Path("a")),
        Case("b", "P2", Path("b"), external=True),
        Case("c", "P1", Path("c")),
        Case("d", "P2", Path("d")),
    ]
    cohorts = assign_cohorts(cases, [Reading("a", "L", 1, 0), Reading("b", "R", 1, 0)])
    names = {cohort: [case.case_id for case in members] for cohort, members in cohorts.items()}
    assert names == {"labelled": ["a"], "external": ["b"], "pool": ["c", "d"]}


def test_a_patient_in_two_cohorts_and_a_reading_without_a_case():
    cases = [Case("a", "P1", Path("a")), Case("b", "P1", Path("b"), external=True)]
    readings = [Reading("a", "L", 1, 0), Reading("z", "L", 1, 0)]
    with pytest.raises(
        TableError,
        match=r'^grades.csv: case_id "z" is not in the table of cases; '
        r"the patient of case a \(labelled\) is also the patient of case b \(external\)\. ",
    ):
        assign_cohorts(cases, readings)


@given(st.text(max_size=20), st.integers(1, 50))
def test_a_shard_is_one_of_them(case_id, shards):
    assert 0 <= shard_of(case_id, shards) < shards


def test_the_shard_of_a_case_is_the_same_on_every_machine():
    assert [shard_of(f"case{k}", 4) for k in range(6)] == [0, 3, 2, 3, 0, 0]


def test_the_fingerprint_notices_a_replaced_file(folder):
    cases = cases_of(folder, PLAIN)
    state, row = fingerprint(cases), fingerprint(cases, look=False)
    (folder / "ct/a.nii.gz").write_bytes(b"longer")
    assert fingerprint(cases) != state
    assert fingerprint(cases, look=False) == row


def test_the_fingerprint_notices_a_newer_file_of_equal_size(folder):
    cases = cases_of(folder, PLAIN)
    state = fingerprint(cases)
    os.utime(folder / "ct/a.nii.gz", ns=(1, 1))
    assert fingerprint(cases) != state


def test_the_fingerprint_notices_slices_of_a_folder(folder):
    series = folder / "ct" / "series" / "deeper"
    series.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        (series / name).write_bytes(b"slice")
        os.utime(series / name, ns=(5, 5))
    case = [Case("a", "P1", folder / "ct" / "series")]
    states = [fingerprint(case)]
    (series / "3.dcm").write_bytes(b"slice")
    os.utime(series / "3.dcm", ns=(5, 5))
    states.append(fingerprint(case))
    (series / "3.dcm").write_bytes(b"longer")
    os.utime(series / "3.dcm", ns=(5, 5))
    states.append(fingerprint(case))
    os.utime(series / "3.dcm", ns=(6, 6))
    states.append(fingerprint(case))
    assert len(set(states)) == 4


def test_the_fingerprint_of_a_moved_study_is_the_same(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "study"
    one = fingerprint(cases_of(folder, PLAIN))
    shutil.copytree(folder, moved)
    assert fingerprint(cases_of(moved, PLAIN)) == one


def test_the_fingerprint_does_not_depend_on_the_order_but_on_every_cell(folder):
    cases = cases_of(folder, PLAIN)
    one = fingerprint(cases)
    assert fingerprint(cases[::-1]) == one
    for name in ("patient_id", "exclude", "sex", "age", "scanner"):
        assert fingerprint([replace(cases[0], **{name: "L"}), cases[1]]) != one
    assert fingerprint([replace(cases[0], labels=folder / "ct/c.nii.gz"), cases[1]]) != one
    assert fingerprint([replace(cases[0], series=3), cases[1]]) != one


def test_the_fingerprint_of_readings():
    cases = [Case("a", "P1", Path("a")), Case("b", "P2", Path("b"))]
    readings = [Reading("a", "L", 1, 0), Reading("b", "L", 2, None), Reading("b", "R", None, 2)]
    one = readings_fingerprint(readings, cases)
    assert readings_fingerprint(readings[::-1], cases[::-1]) == one
    assert readings_fingerprint([*readings, Reading("other", "L", 4, 4)], cases) == one
    assert readings_fingerprint(readings[1:], cases) != one
    assert readings_fingerprint([replace(readings[0], kl=1), *readings[1:]], cases) != one
    assert readings_fingerprint([Reading("b", "L", None, 2), *readings[:1], *readings[2:]], cases) != one


cell = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], max_codepoint=0x2FF), max_size=12
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(
    st.lists(
        st.builds(
            Case,
            case_id=names,
            patient_id=names,
            ct=st.just(Path("a.nii.gz")),
            external=st.booleans(),
            labels=st.sampled_from([None, Path("a.nii.gz")]),
            exclude=st.sampled_from(["", "L", "R", "LR"]),
            sex=cell,
            age=cell,
            scanner=cell,
        ),
        max_size=5,
        unique_by=(lambda case: case.case_id.lower(), lambda case: case.patient_id.lower()),
    )
)
@settings(deadline=None, max_examples=60)
def test_cases_are_read_as_they_were_written(tmp_path_factory, cases):
    folder = tmp_path_factory.getbasetemp() / "round"
    folder.mkdir(exist_ok=True)
    (folder / "a.nii.gz").touch()
    placed = [replace(c, ct=folder / c.ct, labels=c.labels and folder / c.labels) for c in cases]
    write_cases(folder / "cases.csv", placed)
    assert read_cases(folder / "cases.csv") == placed


grade_pairs = st.tuples(st.sampled_from([None, 1, 2, 3, 4]), st.sampled_from([None, 0, 1, 2, 3, 4])).filter(
    any
)


@given(st.lists(st.tuples(names, st.sampled_from("LR"), grade_pairs, cell, cell), max_size=5))
@settings(deadline=None, max_examples=60)
def test_grades_are_read_as_they_were_written(tmp_path_factory, rows):
    readings = {
        (case, side, reader, date): Reading(case, side, *pair, reader, date)
        for case, side, pair, reader, date in rows
    }
    path = tmp_path_factory.getbasetemp() / "grades.csv"
    write_grades(path, readings.values())
    assert read_grades(path) == list(readings.values())


def test_a_bare_snakemake_can_import_the_tables_and_hashes():
    code = (
        "import sys, hipoa.tables, hipoa.provenance; print(sorted(set(sys.modules) & {'numpy', 'pydantic'}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
