# ruff: noqa: RUF001 - letters of many languages
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.errors import TableError
from hipoa.core.fingerprints import fingerprint, readings_fingerprint
from hipoa.core.tables.rows import Case, Reading, assign_cohorts, shard_of, write_cases, write_grades
from hipoa.core.tables.study_tables import read_grades, read_tables


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ct").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "ct" / f"{name}.nii.gz").write_bytes(name.encode())
    return tmp_path


def cases_of(folder, text, encoding="utf-8"):
    path = folder / "cases.csv"
    path.write_bytes(text.encode(encoding))
    return read_tables(path).cases


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
            *("3", "LR", "f", "60", "S1"),
        )
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [("", ""), ("7", "7"), ("0", "0"), ("012.0", "12"), ("\uff13\uff22", "3b"), ("A", "a"), ("3 b", "3b")],
)
def test_the_name_of_a_series(folder, text, name):
    (case,) = cases_of(folder, f"case_id,patient_id,ct,series\na,P1,ct/a.nii.gz,{text}\n")
    assert case.series == name


@pytest.mark.parametrize("text", ["-1", "AX 3", "1.5", "20231124", "3.b"])
def test_a_series_that_has_no_such_name(folder, text):
    with pytest.raises(
        TableError, match="row 2: series is no name of a series: give its number from 0 to 9999"
    ):
        cases_of(folder, f"case_id,patient_id,ct,series\na,P1,ct/a.nii.gz,{text}\n")


@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r"])
def test_a_line_break_in_a_quoted_cell_breaks_no_row(folder, inside):
    text = f'case_id,patient_id,ct,scanner\na,P1,ct/a.nii.gz,"one{inside}two"\nb,,ct/b.nii.gz,\n'
    with pytest.raises(TableError, match=r"^cases.csv: row 3: patient_id is empty\. Correct"):
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
    with pytest.raises(
        TableError, match=r'^cases.csv: .*column "ct" is missing.*hipoa cases FOLDER --out cases.csv'
    ):
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


@pytest.mark.parametrize("name", ["ext", "Ext.", "extern", "externe", "external_cohort"])
def test_a_column_that_would_move_a_cohort_is_misspelt(folder, name):
    with pytest.raises(TableError, match=rf'column "{name.lower()}" looks like "external" misspelt\.'):
        cases_of(folder, f"case_id,patient_id,ct,{name}\na,P1,ct/a.nii.gz,yes\n")
    assert cases_of(folder, f"case_id,patient_id,ct,external,{name}\na,P1,ct/a.nii.gz,yes,x\n")[0].external


@pytest.mark.parametrize("name", ["excl", "exclusion", "excluded_side"])
def test_a_column_that_would_leave_no_hip_out_is_misspelt(folder, name):
    with pytest.raises(TableError, match=f'column "{name}" looks like "exclude" misspelt'):
        cases_of(folder, f"case_id,patient_id,ct,{name}\na,P1,ct/a.nii.gz,L\n")


@pytest.mark.parametrize("name", ["extent", "extra", "series_description", "age_at_scan"])
def test_a_column_of_the_users_own_is_skipped(folder, name):
    assert len(cases_of(folder, f"case_id,patient_id,ct,{name}\na,P1,ct/a.nii.gz,x\n")) == 1


def test_columns_of_cases_are_not_misspelt_in_the_grades(folder):
    assert len(grades_of(folder, "case_id,side,crowe,kl,excl\na,L,1,1,x\n")) == 1


@pytest.mark.parametrize("column", ["external", "exclude", "series"])
def test_a_name_in_a_wrong_column_is_not_repeated(folder, column):
    with pytest.raises(TableError, match=f"row 2: {column} is n") as caught:
        cases_of(folder, f"case_id,patient_id,ct,{column}\na,P1,ct/a.nii.gz,Jane\n")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("row", ["a,Jane,1,1", "a,L,Jane,1", "a,L,1,Jane", "Jane,L,1,1"])
def test_a_name_in_a_wrong_column_of_the_grades_is_not_repeated(folder, row):
    with pytest.raises(TableError, match=r"row 2: (side|crowe|kl|case_id) is n") as caught:
        read_both(folder, PLAIN, f"case_id,side,crowe,kl\n{row}\n")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "external"),
    [
        *(("1.0", True), ("0.0", False), ("\uff11", True), ("\uff59\uff45\uff53", True)),
        *(("TRUE", True), ("FALSE", False), ("ja", True), ("nein", False), ("○", True), ("はい", True)),
    ],
)
def test_yes_and_no_as_programs_write_them(folder, cell, external):
    (case,) = cases_of(folder, f"case_id,patient_id,ct,external\na,P1,ct/a.nii.gz,{cell}\n")
    assert case.external is external


def test_sides_and_grades_of_full_width_are_read(folder):
    assert grades_of(folder, "case_id,side,crowe,kl\na,\uff2c,\u2162,\uff12\n") == [Reading("a", "L", 3, 2)]
    with pytest.raises(TableError, match="row 2: neither crowe nor kl is filled"):
        grades_of(folder, "case_id,side,crowe,kl\na,L,\u200b,\n")


@pytest.mark.parametrize("cross", ["\xd7", "✗", "-", "maybe"])
def test_a_cross_may_be_a_yes_or_a_no(folder, cross):
    with pytest.raises(TableError, match=r"row 2: external .*is neither yes nor no"):
        cases_of(folder, f"case_id,patient_id,ct,external\na,P1,ct/a.nii.gz,{cross}\n")


LEFT = [
    "L",
    "Ｌ",
    "l",
    "Lt",
    "Lt.",
    "(L)",
    "left",
    "Left hip",
    "links",
    "linke Hüfte",
    "gauche",
    "izquierda",
    "左",
]
LEFT += ["left_hip", "linken", "左边", "左 (L)", "links (li.)"]
LEFT += ["左側", "左股関節", "L側", "왼쪽", "좌측", "左侧", "sinistra"]
RIGHT = [
    "R",
    "Ｒ",
    "Rt",
    "RIGHT",
    "hip R",
    "rechts",
    "rechte Seite",
    "droite",
    "derecha",
    "右",
    "右側",
    "우",
    "dx",
]


@pytest.mark.parametrize(
    ("cell", "side"), [*((word, "L") for word in LEFT), *((word, "R") for word in RIGHT)]
)
def test_sides_in_many_languages(folder, cell, side):
    assert grades_of(folder, f"case_id,side,crowe,kl\na,{cell},1,1\n")[0].side == side


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("D", r'side "D" is neither L nor R \(the patient.s side\): it may mean droite, derecha or destra,'),
        ("I", r'side "I" is neither .*: it may mean izquierda, or the number 1'),
        ("G", r'side "G" is neither .*: it may mean gauche'),
        ("1", r'side "1" is neither L nor R \(the patient.s side\)\. Correct'),
        ("両側", r'side "両側" is both sides: write a row for each'),
        ("L/R", "side is both sides: write a row for each"),
        ("LT RT", "side is neither"),
        ("右 (L)", "side is neither"),
        ("右 D", "side is neither"),
        ("left or right", "side is neither"),
        ("sin", "side is neither"),
    ],
)
def test_what_may_be_either_side_is_refused(folder, cell, what):
    with pytest.raises(TableError, match=f"^grades.csv: row 2: {what}"):
        grades_of(folder, f"case_id,side,crowe,kl\na,{cell},1,1\n")


KL = {
    "２": 2,
    "KL2": 2,
    "KL 2": 2,
    "kl-2": 2,
    "K-L II": 2,
    "K/L: 3": 3,
    "KL: 3.0": 3,
    "Grade II": 2,
    "Gr. 3": 3,
}
KL |= {
    "Ⅱ": 2,
    "Ⅳ": 4,
    "2度": 2,
    "Ⅲ度": 3,
    "②": 2,
    "0": 0,
    "KL0": 0,
    "Kellgren-Lawrence grade 4": 4,
    "grado 1": 1,
}


@pytest.mark.parametrize("cell", KL)
def test_a_grade_of_kl_as_people_write_it(folder, cell):
    assert grades_of(folder, f"case_id,side,crowe,kl\na,L,1,{cell}\n")[0].kl == KL[cell]


@pytest.mark.parametrize("cell", ["1", "I", "Ⅰ", "Crowe 1", "Crowe I", "Type 1", "１型", "1群", "クロウ1"])
def test_a_grade_of_crowe_as_people_write_it(folder, cell):
    assert grades_of(folder, f"case_id,side,crowe,kl\na,L,{cell},0\n")[0].crowe == 1


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ("1,2-3", "kl is not one of 0-4, it could mean several"),
        ("1,II/III", "kl is not one of 0-4, it could mean several"),
        ("1,1 or 2", "kl is not one of 0-4, it could mean several"),
        ("I-II,1", "crowe is not one of 1-4, it could mean several"),
        ("1,2+", 'kl "2\\+" is not one of 0-4'),
        ("1,2.5", 'kl "2.5" is not one of 0-4'),
        ("1,KL5", "kl is not one of 0-4"),
        ("1,22", 'kl "22" is not one of 0-4'),
        ("1,#N/A", 'kl "#N/A" is not one of 0-4'),
        ("1,Crowe 2", "kl is a grade of crowe: columns may have shifted"),
        ("KL2,1", "crowe is a grade of kl: columns may have shifted"),
        ("0,1", 'crowe "0" is not one of 1-4'),
    ],
)
def test_what_may_be_another_grade_is_refused(folder, cells, what):
    with pytest.raises(TableError, match=rf"^grades.csv: row 2: {what}[\s.]"):
        grades_of(folder, f"case_id,side,crowe,kl\na,L,{cells}\n")


def test_headings_of_other_languages(folder):
    text = "症例番号,側,Crowe分類,K-L grade,読影者,備考\na,左,Ⅰ,2,佐々木,x\n"
    assert grades_of(folder, text) == [Reading("a", "L", 1, 2, "佐々木")]
    (folder / "cases.csv").write_text(PLAIN, "utf-8")
    assert read_tables(folder / "cases.csv", folder / "grades.csv").warnings == [
        'grades.csv: column "症例番号" as case_id, "側" as side, "Crowe分類" as crowe, "K-L grade" as kl, '
        '"読影者" as reader; 1 row'
    ]


def test_a_heading_of_its_own_goes_before_others_like_it(folder):
    (case,) = cases_of(folder, "case_id,patient_id,ct,sex,gender\na,P1,ct/a.nii.gz,f,x\n")
    assert case.sex == "f"
    with pytest.raises(TableError, match='column "sex" is there twice'):
        cases_of(folder, "case_id,patient_id,ct,性別,gender\na,P1,ct/a.nii.gz,f,x\n")


def test_headings_are_shown_where_one_is_missing_but_no_rows(folder):
    wide = "Pat.-Nr.,case_id,R Crowe,R KL,Jane Roe 12345678\n" + "1,2,3,4,5\n"
    with pytest.raises(
        TableError,
        match=r'^grades.csv: column "side" is missing; .*; its headings are pat.-nr., case_id, r crowe, '
        r"r kl\. .*hipoa cases FOLDER --out cases.csv --grades SHEET\.$",
    ):
        grades_of(folder, wide)
    with pytest.raises(TableError, match="its first row holds no heading such as case_id") as caught:
        grades_of(folder, "Jane Roe,2,3\n")
    assert "Roe" not in str(caught.value)


def workbook_of(path, text):
    book = openpyxl.Workbook()
    for row in text.splitlines():
        book.active.append([int(cell) if cell.isdecimal() else cell for cell in row.split(",")])
    book.save(path)


def test_tables_in_workbooks(folder):
    workbook_of(folder / "cases.xlsx", PLAIN)
    workbook_of(folder / "grades.xlsx", "case_id,side,crowe,kl\na,左,1,2\n")
    tables = read_tables(folder / "cases.xlsx", folder / "grades.xlsx#1")
    assert tables.cases == cases_of(folder, PLAIN)
    assert tables.readings == [Reading("a", "L", 1, 2)]
    assert tables.warnings == [
        "cases.xlsx: read as Excel workbook; 2 rows",
        'grades.xlsx#1: read as Excel workbook, sheet "1"; 1 row',
    ]


def test_a_plain_table_is_read_without_a_word(folder):
    cases_of(folder, PLAIN)
    assert read_tables(folder / "cases.csv").warnings == []


def test_the_encoding_is_said(folder):
    (folder / "cases.csv").write_bytes((PLAIN + "c,P3,ct/c.nii.gz,はい\n").encode("cp932"))
    assert read_tables(folder / "cases.csv").warnings == [
        "cases.csv: read as text in Shift JIS (CP932); 3 rows"
    ]


@pytest.mark.parametrize("path", ["ct/a.nii.gz", "ct/../ct/./a.nii.gz"])
def test_one_ct_is_of_one_patient(folder, path):
    text = f"case_id,patient_id,ct,series\na,P1,ct/a.nii.gz,1\nb,P2,ct/b.nii.gz,\nc,P1,{path},2\n"
    assert len(cases_of(folder, text)) == 3
    with pytest.raises(
        TableError, match=r"^cases.csv: row 4: ct is that of row 2, another patient's\. Correct"
    ):
        cases_of(folder, text.replace("c,P1", "c,P3"))


def test_a_row_without_a_patient_or_a_ct_owns_none(folder):
    text = "case_id,patient_id,ct\na,,ct/a.nii.gz\nb,P2,ct/a.nii.gz\nc,P3,none\nd,P4,none\n"
    with pytest.raises(TableError) as caught:
        cases_of(folder, text)
    assert "another patient" not in str(caught.value)


def test_a_table_without_rows(folder):
    assert cases_of(folder, "case_id,patient_id,ct\n") == []


def test_a_missing_table(folder):
    with pytest.raises(TableError, match=r"^cases.csv: the file cannot be read \(No such file"):
        read_tables(folder / "cases.csv")
    with pytest.raises(TableError, match=r"^ct: the file cannot be read \(Is a directory"):
        read_tables(folder / "ct")


@pytest.mark.parametrize(
    ("text", "line"), [('a,L,1,2,"Dr X\nb,R,1,3,A\n', 3), ('a,L,1,2,"X\nb,R,1,3,"A\n', 3)]
)
def test_a_quote_that_is_not_closed_swallows_no_rows(tmp_path, text, line):
    path = tmp_path / "grades.csv"
    path.write_text("case_id,side,crowe,kl,reader\n" + text)
    with pytest.raises(TableError, match=rf"grades.csv: line {line}: .* quote that is not closed"):
        read_grades(path)
    path.write_text('case_id,side,crowe,kl,reader\na,L,1,2,"X, ""Y"""\nb,R,1,3,5" nail\n')
    assert [reading.reader for reading in read_grades(path)] == ['X, "Y"', '5" nail']


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
    "c5,P9,ct/a.nii.gz,maybe,": "external is neither yes nor no",
    "c6,P10,ct/a.nii.gz,,worse hip": "exclude is none of L, R, both",
    "ok,P11,ct/a.nii.gz,,": "",
    "OK,P12,ct/a.nii.gz,,": "case_id OK is that of row 13",
    "#N/A,P13,ct/a.nii.gz,,": "case_id is a spreadsheet's error",
    "c8,1.23E+10,ct/a.nii.gz,,": "patient_id is a spreadsheet's error or rounded number",
    "c9,nan,ct/a.nii.gz,,": 'patient_id stands for "missing"',
}


def test_all_bad_rows_of_the_cases_are_in_one_line(folder):
    rows = [row.replace("/a.nii.gz", f"/{number}.nii.gz") for number, row in enumerate(CASE_FAULTS)]
    for number in range(len(rows)):
        (folder / f"ct/{number}.nii.gz").touch()
    with pytest.raises(TableError) as caught:
        cases_of(folder, "case_id,patient_id,ct,external,exclude\n" + "\n".join(rows))
    message = str(caught.value)
    assert "\n" not in message
    faults = message.removeprefix("cases.csv: ").removesuffix(". Correct these and start again.").split("; ")
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
    "g,L,IIII,1,": "crowe is not one of 1-4",
    "h,L,,,": "neither crowe nor kl is filled",
    "i,l,1,,": "",
    "i,L,2,0,": "i L is there twice by one reader on one date",
    "i,L,2,0,other": "",
    "#REF!,L,2,0,": "case_id is a spreadsheet's error",
    "j,L,2,0,#VALUE!": "reader is a spreadsheet's error",
    "j,L,2,0,NaN": 'reader stands for "missing"',
    "j,L,2,0,NA": "",
}


def test_all_bad_rows_of_the_grades_are_in_one_line(folder):
    with pytest.raises(TableError) as caught:
        grades_of(folder, "case_id,side,crowe,kl,reader\n" + "\n".join(GRADE_FAULTS))
    faults = str(caught.value).removeprefix("grades.csv: ").removesuffix(". Correct these and start again.")
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


def read_both(folder, cases, grades):
    (folder / "cases.csv").write_bytes(cases.encode())
    (folder / "grades.csv").write_bytes(grades.encode())
    return read_tables(folder / "cases.csv", folder / "grades.csv")


def test_what_is_wrong_with_both_tables_is_in_one_message(folder):
    cases = PLAIN + "c,P1,ct/c.nii.gz,yes\nd,,ct/none,\n"
    grades = "case_id,side,crowe,kl\na,L,1,1\nz,L,1,1\nd,R,1,1\nb,B,1,1\n"
    with pytest.raises(TableError) as caught:
        read_both(folder, cases, grades)
    assert str(caught.value) == (
        "cases.csv: row 5: patient_id is empty; row 5: ct does not exist (a path is relative to the table's "
        'folder); grades.csv: row 3: case_id "z" is not in the table of cases; row 5: side "B" is neither L '
        "nor R (the patient's side); the patient of case a (labelled) is also the patient of case c "
        "(external). Correct these and start again."
    )


def test_a_table_that_is_none_hides_no_fault_of_the_other(folder):
    with pytest.raises(
        TableError, match=r'^cases.csv: column "ct" is missing; .*; grades.csv: row 2: side "B"'
    ):
        read_both(folder, "case_id,patient_id\na,P1\n", "case_id,side,crowe,kl\nz,B,1,1\n")
    (folder / "cases.csv").unlink()
    with pytest.raises(TableError, match=r"^cases.csv: the file cannot be read .*\. Name an existing file\."):
        read_tables(folder / "cases.csv")


def test_a_known_case_in_other_capitals_is_unknown(folder):
    with pytest.raises(TableError, match='row 2: case_id "A" is not in the table of cases'):
        read_both(folder, PLAIN, "case_id,side,crowe,kl\nA,L,1,1\n")


SPELLINGS = [
    ("ガ13", "カ\u309913"),
    ("P-14", "\uff30\uff0d\uff11\uff14"),
    ("0012", "0012\u200b"),
    ("0012", "\ufeff0012"),
    ("A B", "A  B"),
    ("A B", "A\u3000B\u00a0"),
    ("Müller", "Mu\u0308ller"),
    ("葛1", "葛\U000e01001"),
    ("P-14", "P\u201314"),
    ("P-14", "P\u221214"),
    ("O'Neil", "O\u2019Neil"),
]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_a_person_is_one_however_the_name_is_spelt(folder, one, other):
    table = f"case_id,patient_id,ct,external\na,{one},ct/a.nii.gz,\nb,{other},ct/b.nii.gz,"
    grades = "case_id,side,crowe,kl\na,L,1,1\n"
    tables = read_both(folder, table, grades)
    assert [case.patient_id for case in tables.cases] == [one, one]
    assert tables.warnings == []
    with pytest.raises(TableError, match=r"^grades.csv: the patient of case a \(labelled\) is also .* b \("):
        read_both(folder, table + "yes", grades)


def test_cases_and_readers_are_one_however_they_are_spelt(folder):
    grades = "case_id,side,crowe,kl,reader\n\uff41,L,1,1,\uff25\uff56\uff45\na,L,1,2,Eve\n"
    with pytest.raises(TableError, match="row 3: a L is there twice by one reader on one date"):
        read_both(folder, PLAIN, grades)


ALIKE = [("007", "7"), ("P1", "p1"), ("12", "12.0")]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_look_like_one_ruined_name(folder, one, other):
    """They stay two people, and the run says so; labelled and external at once they are refused."""
    table = f"case_id,patient_id,ct,external\na,{one},ct/a.nii.gz,\nx,,,\nb,{other},ct/b.nii.gz,"
    table = table.replace("x,,,\n", "\n")
    grades = "case_id,side,crowe,kl\na,L,1,1\n"
    tables = read_both(folder, table, grades)
    assert [case.patient_id for case in tables.cases] == [one, other]
    assert tables.warnings == [
        "cases.csv: warning: rows 2 and 4: patient ids that differ in leading zeros, capitals or a trailing "
        ".0 alone count as different people. Write one person's ids alike."
    ]
    with pytest.raises(TableError, match=r"case b \(external\), or the patient ids .* differ in more\.$"):
        read_both(folder, table + "yes", grades)


def test_one_line_warns_of_many_names(folder):
    rows = [f"{name}{n},{zero}{n},{name}{n}" for zero, name in (("", "a"), ("0", "b")) for n in range(1, 31)]
    for row in rows:
        (folder / row.rpartition(",")[2]).touch()
    (warning,) = read_both(
        folder, "case_id,patient_id,ct\n" + "\n".join(rows), "case_id,side,crowe,kl\n"
    ).warnings
    assert "rows 2 and 32, rows 3 and 33, " in warning
    assert "and 20 more" in warning
    assert "\n" not in warning


@pytest.mark.parametrize("names", [("P1", "P10"), ("7", "70"), ("1", "1.00"), ("A7", "A07")])
def test_names_that_differ_in_more_warn_of_nothing(folder, names):
    table = "case_id,patient_id,ct\n" + "".join(
        f"a{n},{name},ct/{'ab'[n]}.nii.gz\n" for n, name in enumerate(names)
    )
    assert read_both(folder, table, "case_id,side,crowe,kl\n").warnings == []


NAMES = [("é.nii.gz", "e\u0301.nii.gz"), ("ガ/é.nii.gz", "カ\u3099/e\u0301.nii.gz")]


@pytest.mark.parametrize("forms", [*NAMES, *(pair[::-1] for pair in NAMES)])
def test_a_path_typed_on_a_mac_is_found(folder, forms):
    stored, typed = forms
    (folder / stored).parent.mkdir(exist_ok=True)
    (folder / stored).touch()
    (case,) = cases_of(folder, f"case_id,patient_id,ct\na,P1,{typed}\n")
    assert case.ct == folder / stored
    (case,) = cases_of(folder, f"case_id,patient_id,ct\na,P1,{folder / typed}\n")
    assert case.ct == folder / stored


def test_of_two_files_the_one_as_typed_is_meant(folder):
    for name in ("é.nii", "e\u0301.nii"):
        (folder / name).touch()
        (case,) = cases_of(folder, f"case_id,patient_id,ct\na,P1,{name}\n")
        assert case.ct.name == name


def test_full_width_is_another_file(folder):
    (folder / "a1.nii").touch()
    with pytest.raises(TableError, match="row 2: ct does not exist"):
        cases_of(folder, "case_id,patient_id,ct\na,P1,\uff41\uff11.nii\n")


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


@pytest.mark.parametrize("place", [0, 50_000, 99_999])
def test_the_fingerprint_notices_other_content_of_equal_size_and_time(folder, place):
    ct = folder / "ct/a.nii.gz"
    content = bytearray(100_000)
    states = []
    for byte in (0, 1):
        content[place] = byte
        ct.write_bytes(content)
        os.utime(ct, ns=(1, 1))
        states.append(fingerprint([Case("a", "P1", ct)]))
    assert states[0] != states[1]


def state_of(ct):
    return fingerprint([Case("a", "P1", ct)])


def write_at_one_time(path, content):
    path.write_bytes(content)
    os.utime(path, ns=(5, 5))


@pytest.mark.parametrize("place", [0, 20_000, 50_001, 65_535])
def test_the_fingerprint_takes_in_all_of_a_small_file(folder, place):
    content = bytearray(65_536)
    write_at_one_time(folder / "a.nii", content)
    state = state_of(folder / "a.nii")
    content[place] = 1
    write_at_one_time(folder / "a.nii", content)
    assert state_of(folder / "a.nii") != state


def make_body(slices=40, rows=256, columns=256):
    """HU of a body that takes a sixth of every slice, in constant air: its left half is denser."""
    hu = np.full((slices, rows, columns), -1000, np.int16)
    third, half = slice(rows // 3, 2 * rows // 3), columns // 2
    hu[2:-2, third, columns // 4 : half] = 40
    hu[2:-2, third, half : 3 * columns // 4] = 60
    return hu


def test_the_fingerprint_notices_a_mirrored_body_in_constant_air(folder):
    states = []
    for hu in (make_body(), make_body()[:, :, ::-1], make_body()[:, :, ::-1] + np.int16(1)):
        write_at_one_time(folder / "a.nii", bytes(352) + hu.tobytes())
        states.append(state_of(folder / "a.nii"))
    assert len(set(states)) == 3


@pytest.mark.parametrize("count", [1, 10, 40])
def test_the_fingerprint_notices_a_mirrored_series(folder, count):
    (folder / "series").mkdir()
    states = []
    for hu in (make_body(count + 4), make_body(count + 4)[:, :, ::-1]):
        for number in range(count):
            write_at_one_time(folder / f"series/{number:03}.dcm", bytes(1000) + hu[number + 2].tobytes())
        states.append(state_of(folder / "series"))
    assert states[0] != states[1]


DATA_FILES = [
    ("p.mhd", "NDims = 3\nElementDataFile = {}\n", "p.raw"),
    ("p.MHD", "NDims = 3\r\nElementDataFile={}\r\n", "other name.raw"),
    ("p.mha", "ElementDataFile = {}\n", "deeper/p.raw"),
    ("p.mhd", "ElementDataFile = LIST\nnone.raw\n{}\n", "p2.raw"),
    ("p.mhd", "ElementDataFile = p%03d.raw 1 2 1\n", "p002.raw"),
    ("p.nhdr", "NRRD0004\ntype: short\ndata file: {}\n", "p.raw"),
    ("p.nhdr", "NRRD0004\nDatafile: LIST 2\n{}\n", "p.raw.gz"),
]


@pytest.mark.parametrize(("header", "text", "name"), DATA_FILES)
def test_the_fingerprint_notices_the_voxels_that_a_header_names(folder, header, text, name):
    (folder / "deeper").mkdir()
    (folder / header).write_text(text.format(name))
    states = [state_of(folder / header)]
    for content, time_ns in ((b"one", 5), (b"two", 5), (b"two", 6)):
        (folder / name).write_bytes(content)
        os.utime(folder / name, ns=(time_ns, time_ns))
        states.append(state_of(folder / header))
    assert len(set(states)) == 4
    (folder / "beside.raw").write_bytes(b"not named")
    assert state_of(folder / header) == states[-1]


@pytest.mark.parametrize(
    "text", ["ElementDataFile = LOCAL\n\0\1", "NRRD0004\n\n\0data file: a\0b", "", "data file:"]
)
def test_a_header_may_name_no_file(folder, text):
    (folder / "p.mha").write_bytes(text.encode())
    assert state_of(folder / "p.mha") == state_of(folder / "p.mha")


def test_the_fingerprint_notices_another_file_of_equal_name_size_and_time(folder):
    cases = []
    for name in ("p00", "p01"):
        (folder / name).mkdir()
        (folder / name / "ct.nii").write_bytes(b"same")
        os.utime(folder / name / "ct.nii", ns=(1, 1))
        cases.append(Case("a", "P1", folder / name / "ct.nii"))
    for look in (True, False):
        assert fingerprint(cases[:1], folder, look=look) != fingerprint(cases[1:], folder, look=look)


def test_the_fingerprint_does_not_look_where_it_must_not(folder):
    assert fingerprint([Case("a", "P1", folder / "gone")], look=False)
    with pytest.raises(FileNotFoundError):
        fingerprint([Case("a", "P1", folder / "gone")])


def test_the_fingerprint_notices_a_renamed_and_a_changed_slice(folder):
    series = folder / "series"
    series.mkdir()
    for name in ("1", "2", "3"):
        (series / name).write_bytes(name.encode())
        os.utime(series / name, ns=(5, 5))
    (series / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(series / "pipe")
    case = [Case("a", "P1", series)]
    states = [fingerprint(case)]
    (series / "2").rename(series / "4")
    states.append(fingerprint(case))
    (series / "1").write_bytes(b"x")
    os.utime(series / "1", ns=(5, 5))
    states.append(fingerprint(case))
    assert len(set(states)) == 3


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
    one = fingerprint(cases_of(folder, PLAIN), folder)
    shutil.copytree(folder, moved)
    assert fingerprint(cases_of(moved, PLAIN), moved) == one


def test_the_fingerprint_does_not_depend_on_the_order_but_on_every_cell(folder):
    cases = cases_of(folder, PLAIN)
    one = fingerprint(cases)
    assert fingerprint(cases[::-1]) == one
    for name in ("patient_id", "exclude", "sex", "age", "scanner"):
        assert fingerprint([replace(cases[0], **{name: "L"}), cases[1]]) != one
    assert fingerprint([replace(cases[0], labels=folder / "ct/c.nii.gz"), cases[1]]) != one
    assert fingerprint([replace(cases[0], series="3"), cases[1]]) != one


def test_the_fingerprint_of_readings():
    cases = [Case("a", "P1", Path("a")), Case("b", "P2", Path("b"))]
    readings = [Reading("a", "L", 1, 0), Reading("b", "L", 2, None), Reading("b", "R", None, 2)]
    one = readings_fingerprint(readings, cases)
    assert readings_fingerprint(readings[::-1], cases[::-1]) == one
    assert readings_fingerprint([*readings, Reading("other", "L", 4, 4)], cases) == one
    assert readings_fingerprint(readings[1:], cases) != one
    assert readings_fingerprint([replace(readings[0], kl=1), *readings[1:]], cases) != one
    assert readings_fingerprint([Reading("b", "L", None, 2), *readings[:1], *readings[2:]], cases) != one


# Signs alone, such as a single ¦, may be the bytes of another encoding: test_encoding.py.
letters = st.characters(categories=["Lu", "Ll"], max_codepoint=0x17F)
cell = st.text(letters | st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
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
    placed = [
        replace(c, ct=folder / f"{c.case_id}.nii", labels=c.labels and folder / c.labels) for c in cases
    ]
    for path in (folder / "a.nii.gz", *(case.ct for case in placed)):
        path.touch()
    write_cases(folder / "cases.csv", placed)
    assert read_tables(folder / "cases.csv").cases == placed


grade_pairs = st.tuples(st.sampled_from([None, 1, 2, 3, 4]), st.sampled_from([None, 0, 1, 2, 3, 4])).filter(
    any
)


readers = st.from_regex(r"[A-Z][a-z]{2,9}( [A-Z][a-z]{2,9})?", fullmatch=True) | st.just("")


@given(st.lists(st.tuples(names, st.sampled_from("LR"), grade_pairs, readers, cell), max_size=5))
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
    packages = "{'numpy', 'pydantic', 'python_calamine'}"
    code = (
        "import sys, hipoa.core.tables.study_tables, hipoa.core.tables.rows, hipoa.core.code_hash; "
        f"print(sorted(set(sys.modules) & {packages}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("sexes", ["HM", "mh"])
def test_m_beside_h_is_no_man(folder, sexes):
    """Hombre and mujer, homem and mulher."""
    text = "case_id,patient_id,ct,sex\na,P1,ct/a.nii.gz,{}\nb,P2,ct/b.nii.gz,{}\n"
    with pytest.raises(
        TableError, match=r'in the column sex "M" beside "H" may mean mujer, .*: write F and M'
    ):
        cases_of(folder, text.format(*sexes))
    assert [case.sex for case in cases_of(folder, text.format("F", "M"))] == ["F", "M"]
    assert [case.sex for case in cases_of(folder, text.format("H", "F"))] == ["H", "F"]
