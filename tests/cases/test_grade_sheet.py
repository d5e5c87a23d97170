# ruff: noqa: RUF001 (letters and digits of full width are what is read)
import csv
import re
import stat
from dataclasses import replace

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.cases.cases import run
from hipoa.cases.columns import parse_heading
from hipoa.cases.dates import find_order, parse_date
from hipoa.cases.grade_sheet import SheetReading, read_grade_sheet
from hipoa.cases.grades import make_grades, open_grades
from hipoa.cases.match import Known, match
from hipoa.core.errors import TableError
from hipoa.core.identifiers import parse_name
from hipoa.core.tables.rows import Reading
from hipoa.core.tables.study_tables import read_grades, read_tables


def write_book(path, rows, merged=()):
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    book.save(path)
    return path


def write_plain(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["" if cell is None else cell for cell in row] for row in rows])
    return path


def hips(sheet):
    assert sheet.faults == []
    return [(r.patient or r.case or r.accession, r.side, r.crowe, r.kl, r.reader) for r in sheet.readings]


ONE = [("101", "R", 1, 3, ""), ("101", "L", 2, 4, ""), ("102", "R", 1, 0, ""), ("102", "L", None, 2, "")]
VALUES = [[101, 1, 3, 2, 4], [102, "Ⅰ", "KL0", None, "２"]]


@pytest.mark.parametrize(
    "heading",
    [
        ["Patient ID", "R Crowe", "R KL", "L Crowe", "L KL"],
        ["ID", "Crowe R", "KL R", "Crowe L", "KL L"],
        ["患者ID", "右 Crowe", "右 KL", "左 Crowe", "左 KL"],
        ["カルテ番号", "Crowe(右)", "KL(右)", "Crowe(左)", "KL(左)"],
        ["患者番号", "右側Crowe分類", "KL分類右", "左股関節Crowe", "K-L分類 左側"],
        ["Patient no.", "Rt. Crowe", "Rt. K-L grade", "Lt. Crowe", "Lt. K/L"],
        ["Pat.-Nr.", "Crowe rechts", "Kellgren-Lawrence rechts", "Crowe links", "Kellgren & Lawrence links"],
        ["MRN", "RCrowe", "RKL", "CroweL", "KLL"],
        ["Hospital number", "Right_Crowe_type", "right_kl_(0-4)", "Left_Crowe_type", "left_kl_(0-4)"],
        ["등록번호", "우측 Crowe", "우측 KL", "좌측 Crowe", "좌측 KL"],
        ["No patient", "Crowe droite", "KL droite", "Crowe gauche", "KL gauche"],
        ["NHC", "Crowe der", "KL der", "Crowe izq", "KL izq"],
        ["病案号", "右髋Crowe分型", "右髋KL分级", "左髋Crowe分型", "左髋KL分级"],
    ],
)
def test_one_row_per_patient(tmp_path, heading):
    assert hips(read_grade_sheet(write_book(tmp_path / "g.xlsx", [heading, *VALUES]))) == ONE


@pytest.mark.parametrize("upper", [["ID", "右", None, "左", None], [None, "Rt.", None, "Lt.", None]])
def test_two_rows_of_headings_with_merged_sides(tmp_path, upper):
    lower = ["ID" if upper[0] is None else None, "Crowe", "KL", "Crowe", "KL"]
    rows = [["KL and Crowe of hips"], upper, lower, *VALUES]
    merged = ["A1:E1", "B2:C2", "D2:E2", *(["A2:A3"] if upper[0] else [])]
    assert hips(read_grade_sheet(write_book(tmp_path / "g.xlsx", rows, merged))) == ONE
    assert hips(read_grade_sheet(write_plain(tmp_path / "g.csv", rows))) == ONE


def test_groups_above_and_headings_that_are_numbers(tmp_path):
    rows = [
        ["基本情報", None, "Right hip", None, None, "Left hip", None, None],
        ["ID", "Age", "Crowe", "KL", "90", "Crowe", "KL", "90"],
        [101, 60, 1, 3, 5, 2, 4, 6],
    ]
    sheet = read_grade_sheet(write_book(tmp_path / "g.xlsx", rows, ["A1:B1", "C1:E1", "F1:H1"]))
    assert hips(sheet) == ONE[:2]
    assert sheet.ignored == ["基本情報 Age", "Right hip 90", "Left hip 90"]


@pytest.mark.parametrize("upper", [[None, None, "R", None, "L"], [None, None, "R", None, None]])
def test_sides_that_are_centred_by_hand_are_not_guessed(tmp_path, upper):
    rows = [upper, ["ID", "Crowe", "KL", "Crowe", "KL"], [101, 1, 3, 2, 4]]
    with pytest.raises(TableError, match=r"says no side|say the same"):
        read_grade_sheet(write_book(tmp_path / "g.xlsx", rows))


def test_sides_below_indices(tmp_path):
    rows = [["ID", "Crowe", None, "KL", None], [None, "R", "L", "R", "L"], [101, 1, 2, 3, 4]]
    assert hips(read_grade_sheet(write_book(tmp_path / "g.xlsx", rows, ["B1:C1", "D1:E1"]))) == ONE[:2]


@pytest.mark.parametrize(
    "form", ["{} KL (reader {})", "KL_{}_reader{}", "{} KL Dr. {}", "{} KL 読影者{}", "{} KL {}医師"]
)
def test_readers_in_headings(tmp_path, form):
    heading = [form.format("R", "1"), form.format("R", "2"), form.format("L", "1"), form.format("L", "2")]
    heading = ["ID", *heading]
    sheet = read_grade_sheet(write_book(tmp_path / "g.xlsx", [heading, [101, 1, 2, 3, 4]]))
    expected = [("R", 1, "1"), ("R", 2, "2"), ("L", 3, "1"), ("L", 4, "2")]
    assert [(r.side, r.kl, r.reader) for r in sheet.readings] == expected


@pytest.mark.parametrize("readers", [["読影者A", "読影者B"], ["Reader A", "Reader B"]])
def test_three_rows_of_headings(tmp_path, readers):
    rows = [
        ["ID", readers[0], None, None, None, readers[1], None, None, None],
        [None, "右", None, "左", None, "右", None, "左", None],
        [None, *(["Crowe", "KL"] * 4)],
        [101, 1, 3, 2, 4, 1, 2, 1, 1],
    ]
    expected = [
        *[("101", "R", 1, 3, "A"), ("101", "L", 2, 4, "A")],
        *[("101", "R", 1, 2, "B"), ("101", "L", 1, 1, "B")],
    ]
    merged = ["B1:E1", "F1:I1", "B2:C2", "D2:E2", "F2:G2", "H2:I2", "A1:A3"]
    assert hips(read_grade_sheet(write_book(tmp_path / "g.xlsx", rows, merged))) == expected
    assert hips(read_grade_sheet(write_plain(tmp_path / "g.csv", rows))) == expected


def test_one_row_per_hip_with_merged_numbers_and_notes(tmp_path):
    rows = [
        ["Hips of the clinic, graded twice"],
        [],
        ["患者ID", "側", "Crowe", "KL", "読影者", "読影日", "検査日", "備考"],
        [101, "右", 1, 3, "A", "2024年3月5日", "2023/04/01", "clear"],
        [None, "左", 2, 4, "A", "2024年3月5日", "2023/04/01"],
        [],
        [102, "Rt", "I", "KL 0", "A", "R6.3.5", "2023/04/02"],
        [None, "Lt", None, "2度", "A", "R6.3.5", "2023/04/02"],
        ["※ KL: Kellgren and Lawrence"],
        [None, None, None, "0-4"],
        ["平均", None, 1, 2],
        ["SD", None, 0.5, 1.25],
    ]
    path = write_book(tmp_path / "g.xlsx", rows, ["A1:H1", "A4:A5", "A7:A8"])
    sheet = read_grade_sheet(path)
    assert [hip[:4] for hip in hips(sheet)] == [hip[:4] for hip in ONE]
    assert {(r.reader, r.read_on) for r in sheet.readings} == {("A", "2024-03-05")}
    assert {(r.exam, r.exam_is_sure) for r in sheet.readings} == {("20230401", True), ("20230402", True)}
    assert (sheet.ignored, sheet.ungraded, sheet.skipped) == (["備考"], [9], [10, 11, 12])
    assert sheet.heading_row == 3


def test_the_projects_own_table(tmp_path):
    rows = [["case_id", "side", "crowe", "kl", "reader", "date"], ["a-1", "L", 1, 2, "A", "2024-01-02"]]
    (reading,) = read_grade_sheet(write_plain(tmp_path / "g.csv", rows)).readings
    assert reading == SheetReading(
        2, "L", 1, 2, case="a-1", reader="A", read_on="2024-01-02", exam_is_sure=False
    )


@pytest.mark.parametrize("side", ["患側", "Affected side", "Hip", "Seite", "L/R", "左右"])
def test_a_column_of_sides(tmp_path, side):
    rows = [["MRN", side, "Crowe", "KL", "KL knee"], [101, "R", 1, 3, 4], [101, "左", 2, 4, 4]]
    sheet = read_grade_sheet(write_plain(tmp_path / "g.csv", rows))
    assert (hips(sheet), sheet.ignored) == (ONE[:2], ["KL knee"])


def test_columns_that_are_not_used_are_listed(tmp_path):
    heading = ["No.", "Name", "ID", "R KL", "R KL remark", "L KL", "side", "KL date", "Op. date"]
    sheet = read_grade_sheet(
        write_book(tmp_path / "g.xlsx", [heading, [1, "x", 101, 2, "y", 3, "L", "z", "w"]])
    )
    assert sheet.ignored == ["No.", "Name", "R KL remark", "side", "KL date", "Op. date"]
    assert [(r.side, r.kl) for r in sheet.readings] == [("R", 2), ("L", 3)]


@pytest.mark.parametrize(
    ("heading", "found"),
    [
        (["ID", "R KL", "L KL (2nd)"], r'heading "L KL \(2nd\)" says "2 nd", which may be a reader, a time'),
        (["ID", "R KL (Sato)", "R KL (Mori)"], 'says "Sato", which may be a reader'),
        (["ID", "R KL pre", "R KL post"], 'says "pre", which may be'),
        (["ID", "R KL≥2", "L KL≥2"], 'says "≥ 2", which may be'),
        (["ID", "R KL", "R KL post-op", "L KL"], 'says "post op", which may be'),
        (["ID", "R Crowe %", "L Crowe %"], 'says "%", which may be'),
        (["ID", "R KL", "ΔKL R", "L KL"], 'says "Δ", which may be'),
        (["ID", "KL D", "KL I"], 'says "D", which may be'),
        (["ID", "KL d", "KL g"], 'says "d", which may be'),
        (["ID", "R KL", "R KL", "L KL"], r"2 headings say the same \(R KL\)"),
        (["ID", "R KL", "L KL", "KL"], 'heading "KL" says no side'),
        (["ID", "Crowe", "KL"], "no heading says the side"),
        (["ID", "Op side", "Crowe", "KL"], "no heading says the side"),
        (["ID", "R Crowe/KL", "L Crowe/KL"], "names Crowe and KL at once"),
        (["ID", "左右 KL"], "names both sides|says no side"),
        (["ID", "KL der Hüfte"], "the headings of grades may all mean R, or no side"),
        (["ID", "KL der Hüfte", "Seite"], "the headings of grades may all mean R, or no side"),
        (["ID", "R KL", "side"], "the headings of grades may all mean R, or no side"),
        (["No.", "R KL", "L KL"], "no heading says whose the grades are"),
        (["Name", "R KL", "L KL"], "no heading says whose the grades are"),
        (["患者ID", "カルテ番号", "R KL", "L KL"], r"2 headings say the same \(patient ID\)"),
        (["ID", "R hip", "L hip"], "no heading says Crowe or KL"),
    ],
)
def test_headings_that_may_mean_two_things(tmp_path, heading, found):
    path = write_book(tmp_path / "g.xlsx", [heading, [101, 1, 2, 3, 4][: len(heading)]])
    with pytest.raises(TableError, match=rf"g\.xlsx: .*(?:{found}).*Write headings such as"):
        read_grade_sheet(path)


@pytest.mark.parametrize(
    ("text", "role", "side"),
    [
        ("KL der", "kl", "R"),  # Spanish, sound where another heading is of the left
        ("KL izq", "kl", "L"),
        ("Crowe（左）", "crowe", "L"),
        ("ＫＬ　右", "kl", "R"),
        ("Grade KL hanche gauche", "kl", "L"),
        ("KL left hip", "kl", "L"),
        ("術前 右 KL分類(XP)", "kl", "R"),
        ("L KL (AP radiograph, pre-op)", "kl", "L"),
        ("Accession No.", "accession", ""),
        ("病歴番号", "patient", ""),
        ("Age", "", ""),
        ("Name of patient", "", ""),
    ],
)
def test_a_heading(text, role, side):
    column = parse_heading(text)
    assert (column.role, column.side) == (role, side)


def test_every_cell_that_cannot_be_read_is_listed(tmp_path):
    rows = [
        ["ID", "R Crowe", "R KL", "L Crowe", "L KL"],
        [101, 1, "2-3", 1, 5],
        [102, "-", 2, "?", 2],
        [None, 1, 2, None, None],
        ["#N/A", 1, 2, None, None],
        [105, "THA", "n/a", 1, 2],
    ]
    path = write_book(tmp_path / "g.xlsx", rows)
    sheet = read_grade_sheet(path)
    assert sheet.not_gradable == 2
    assert [(r.row, r.side) for r in sheet.readings] == [(6, "L")]
    with pytest.raises(TableError, match=r"No table of grades was written") as error:
        sheet.refuse_faults()
    for text in (
        'row 2, "R KL": is not one of 0-4, it could mean several',
        'row 2, "L KL": "5" is not one of 0-4',
        'row 3, "R Crowe": "-" is not one of 1-4',
        'row 3, "L Crowe": "?" is not one of 1-4',
        "row 4: no patient number, but a grade",
        'row 5, "ID": is a spreadsheet\'s error',
    ):
        assert text in str(error.value)


@pytest.mark.parametrize(("suffix", "said"), [("csv", True), ("xlsx", False)])
def test_numbers_that_were_merged(tmp_path, suffix, said):
    path = tmp_path / f"g.{suffix}"
    rows = [["ID", "side", "KL"], [101, "R", 1], [None, "L", 2]]
    (write_plain if suffix == "csv" else write_book)(path, rows)
    with pytest.raises(TableError, match="row 3: no patient number, but a grade") as error:
        read_grade_sheet(path).refuse_faults()
    assert ("name the workbook that it was saved from" in str(error.value)) is said


CELLS = st.sampled_from(["", "", "1", "2", "III", "THA", "?", "note"])


@given(rows=st.lists(st.tuples(st.sampled_from(["", "101", "102", "Note"]), *([CELLS] * 4)), max_size=8))
def test_no_row_is_lost(tmp_path_factory, rows):
    heading = ["ID", "R Crowe", "R KL", "L Crowe", "L KL"]
    path = write_plain(tmp_path_factory.mktemp("sheet") / "g.csv", [heading, *rows])
    sheet = read_grade_sheet(path)
    at_fault = {int(re.match(r"row (\d+)", fault)[1]) for fault in sheet.faults}
    read = {reading.row for reading in sheet.readings}
    parts = [at_fault, read, set(sheet.ungraded), set(sheet.skipped)]
    assert sorted(row for part in parts for row in part) == [
        number for number, row in enumerate(rows, start=2) if any(row)
    ]
    graded = {n for n, row in enumerate(rows, start=2) if {"1", "2", "III"} & set(row[1:])}
    assert graded <= at_fault | read
    matched = match(sheet.readings, [Known("a", "101")])
    assert {row for row, _ in matched.unmatched} <= read
    assert len(matched.readings) + len(matched.unmatched) > 0 or not read


SIDES = {"R": ["R", "Rt.", "右", "Right", "rechts"], "L": ["L", "Lt.", "左", "Left", "links"]}
FORMS = ["{side} {index}", "{index} {side}", "{index}({side})", "{side}_{index}", "{index} grade ({side})"]


@given(
    order=st.permutations(
        [("R", "Crowe"), ("R", "KL"), ("L", "Crowe"), ("L", "KL"), ("", "ID"), ("", "Name")]
    ),
    form=st.sampled_from(FORMS),
    spelling=st.integers(0, 4),
    grades=st.tuples(*[st.integers(1, 4)] * 4),
)
def test_no_side_is_swapped(tmp_path_factory, order, form, spelling, grades):
    heading = [form.format(side=SIDES[s][spelling], index=index) if s else index for s, index in order]
    truth = dict(zip([("R", "Crowe"), ("R", "KL"), ("L", "Crowe"), ("L", "KL")], grades, strict=True))
    row = [truth.get(column, "101" if column[1] == "ID" else "N") for column in order]
    sheet = read_grade_sheet(write_plain(tmp_path_factory.mktemp("sheet") / "g.csv", [heading, row]))
    assert {(r.side, r.crowe, r.kl) for r in sheet.readings} == {
        (side, truth[side, "Crowe"], truth[side, "KL"]) for side in "LR"
    }


@pytest.mark.parametrize("second", ["A,B", ","])
def test_grades_without_a_heading_are_not_left_out(tmp_path, second):
    """CSV writes merged headings once: the second reader's grades have none."""
    path = tmp_path / "g.csv"
    path.write_text(f"ID,R KL,,L KL,\n,{second},{second}\n1,1,2,3,4\n2,1,,3,0\n")
    sheet = read_grade_sheet(path)
    assert len(sheet.faults) == 2
    with pytest.raises(TableError, match=r"column 3 holds grades and has no heading: write one .*; column 5"):
        sheet.refuse_faults()
    path.write_text(",ID,R KL,,L KL,\n0,7,1,uncertain,3,5\n1,8,1,2,3,\n")
    assert read_grade_sheet(path).faults == []


def test_a_date_that_may_be_several_days_is_no_missing_one(tmp_path):
    rows = [["ID", "CT date", "R KL", "L KL"], ["1", "4/5/2023", 2], ["2", "202304", 2], ["3", "unknown", 2]]
    sheet = read_grade_sheet(write_plain(tmp_path / "g.csv", rows))
    assert [reading.exam for reading in sheet.readings] == ["?", "?", ""]


def test_a_fault_shows_no_cell_that_may_be_a_name_or_number(tmp_path):
    rows = [
        ["ID", "side", "KL", "reader", "読影日"],
        [123, "MARKER1", 2, "nan", "MARKER2"],
        [4, "L", "MARKER3"],
    ]
    sheet = read_grade_sheet(write_book(tmp_path / "g.xlsx", rows))
    assert len(sheet.faults) == 4
    assert "MARKER" not in "".join(sheet.faults)
    assert "123" not in "".join(sheet.faults)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2023-04-05", "20230405"),
        ("2023/4/5", "20230405"),
        ("20230405", "20230405"),
        ("2023年4月5日", "20230405"),
        ("2023-04-05 00:00:00", "20230405"),
        ("05.04.2023", "20230405"),
        ("令和5年4月5日", "20230405"),
        ("H30.4.5", "20180405"),
        ("2023年4月5日(水)", "20230405"),
        ("2023-04-05T10:30:00", "20230405"),
        ("令和元年5月6日", "20190506"),
        ("4/25/2023", "20230425"),
        ("25/4/2023", "20230425"),
        ("4/4/2023", "20230404"),
        ("05-Apr-2023", "20230405"),
        ("April 5, 2023", "20230405"),
        ("5. März 2023", "20230305"),
        ("4/5/2023", ""),
        ("2023-12", ""),
        ("2023/12", ""),
        ("2023年12月", ""),
        ("202312", ""),
        ("20230405 0930", "20230405"),
        ("2023115", ""),
        ("2023-02-30", ""),
        ("2023-04-05, 2023-05-06", ""),
        ("04.05.23", ""),
        ("spring", ""),
        ("", ""),
    ],
)
def test_dates(text, date):
    assert parse_date(text) == date


@pytest.mark.parametrize(
    ("others", "date"),
    [(["1/31/2023"], "20230405"), (["31/1/2023"], "20230504"), (["1/31/2023", "31/1/2023"], ""), ([], "")],
)
def test_other_dates_of_the_column_tell_day_and_month(others, date):
    assert parse_date("4/5/2023", find_order([*others, "4/5/2023", "31.1.2023"])) == date


def test_a_date_of_the_ct_that_cannot_be_read_is_no_match(tmp_path):
    rows = [
        ["ID", "CT date", "side", "KL"],
        *[["1", "2021", "L", 1], ["2", "4/5/2021", "L", 1], ["3", "unknown", "L", 1], ["4", "", "L", 1]],
    ]
    readings = read_grade_sheet(write_plain(tmp_path / "g.csv", rows)).readings
    assert [one.exam for one in readings] == ["?", "?", "", ""]
    known = [Known(f"c{number}", str(number), date="20210405") for number in range(1, 5)]
    found = match(readings, known)
    assert [one.case_id for one in found.readings] == ["c3", "c4"]
    assert [row for row, reason in found.unmatched if "cannot be read, or may be several days" in reason] == [
        2,
        3,
    ]
    named = [replace(one, accession=f"A{one.patient}") for one in readings]
    known = [replace(one, accession=f"A{one.hospital_id}") for one in known]
    assert len(match(named, known).readings) == 4


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("Side (R/L)", "side"),
        ("側（左・右）", "side"),
        ("側 (Side)", "side"),
        ("Seite [re/li]", "side"),
        ("患者ID (Patient ID)", "patient"),
        ("CT date (dd.mm.yyyy)", "exam"),
        ("撮影日 (YYYY/MM/DD)", "exam"),
        ("Reader (initials)", "reader"),
        ("Side (operation)", ""),
        ("Date (birth)", ""),
        ("Patient ID (mother)", ""),
        ("Patient (name)", ""),
    ],
)
def test_what_stands_in_brackets_behind_a_heading(text, role):
    assert parse_heading(text).role == role


def test_all_columns_that_are_read_are_said(tmp_path):
    rows = [["MRN", "CT date", "KLgrade R", "KL L (Untersucher 2)", "rater"], ["1", "", 1, 2, "A"]]
    assert read_grade_sheet(write_plain(tmp_path / "g.csv", rows)).used == [
        *['"MRN" (patient ID)', '"CT date" (date of the CT)', '"KLgrade R" (KL, right)'],
        *['"KL L (Untersucher 2)" (KL, left, reader 2)', '"rater" (reader)'],
    ]


def asked(patient="", row=2, side="R", kl=2, **other):
    return SheetReading(row, side, None, kl, patient=patient, **other)


@pytest.mark.parametrize(
    ("patient", "ids", "case"),
    [
        ("7", ["7"], "c0"),
        ("7", ["007"], "c0"),
        ("007", ["7"], "c0"),
        ("ab7", ["AB7"], "c0"),
        ("７", ["7"], "c0"),
        ("007", ["007", "7"], "c0"),
        ("7", ["007", "7"], None),
        ("07", ["007", "7"], None),
        ("8", ["7"], None),
    ],
)
def test_patient_numbers(patient, ids, case):
    known = [Known(f"c{at}", number) for at, number in enumerate(ids)]
    matched = match(read_keys([patient]), known)
    assert [reading.case_id for reading in matched.readings] == ([case] if case else [])
    assert len(matched.unmatched) == (0 if case else 1)


def read_keys(patients):
    return [asked(parse_name(patient), row) for row, patient in enumerate(patients, start=2)]


def test_two_spellings_in_the_sheet_are_not_one_patient():
    matched = match(read_keys(["7", "007"]), [Known("a", "7")])
    assert [reading.case_id for reading in matched.readings] == ["a"]
    ((row, reason),) = matched.unmatched
    assert (row, reason) == (
        3,
        "its patient number is like another one but for zeros ahead, capitals or a trailing .0",
    )


def test_numbers_of_one_person_are_one():
    known = [
        Known("a", "007", date="20230101", patient_id="PX"),
        Known("b", "7", date="20240101", patient_id="PX"),
    ]
    rows = [
        asked("7", 2, exam="20230101"),
        asked("007", 3, exam="20240101"),
        asked("PX", 4, "L", exam="20230101"),
    ]
    assert [reading.case_id for reading in match(rows, known).readings] == ["a", "b", "a"]
    others = [Known("a", "007", patient_id="PX"), Known("b", "7", patient_id="PY")]
    assert [row for row, _ in match(rows[:2], others).unmatched] == [2]


ASIDE = Known("b", "7", "A2", "20240101", in_table=False)
TWO = [Known("a", "7", "A1", "20230101"), Known("b", "7", "A2", "20240101")]


@pytest.mark.parametrize(
    ("reading", "known", "case"),
    [
        (asked("7"), TWO[:1], "a"),
        (asked("7", exam="20230101"), TWO, "a"),
        (asked("7", exam="20240101", exam_is_sure=False), TWO, "b"),
        (asked("7", exam="20240120"), TWO, "b"),
        (asked("7", exam="20230120"), TWO[:1], "a"),
        (asked("7", exam="20290120", exam_is_sure=False), TWO[:1], "a"),
        (asked("7", exam="20290120"), [Known("a", "7")], "a"),
        (asked("7", exam="?", exam_is_sure=False), TWO[:1], "a"),
        (asked("7", exam="?", accession="A2"), TWO, "b"),
        (asked(accession="A2"), TWO, "b"),
        (asked("7", accession="A2", exam="20010101"), TWO, "b"),
        (asked(case="b"), TWO, "b"),
        (asked("7"), TWO, "2 CTs, and no date or accession number tells which"),
        (asked("7", exam="20240102", exam_is_sure=False), TWO, "2 CTs, none of its date"),
        (asked("7", exam="?"), TWO[:1], "or may be several days: write it as 2020-01-31"),
        (asked("7", exam="?", exam_is_sure=False), TWO, "2 CTs, and no date or accession"),
        (asked("7", exam="20240301"), TWO, "no CT within 30 days of its date"),
        (asked("7", exam="20290120"), TWO[:1], "no CT within 30 days of its date"),
        (
            asked("7", exam="20240110"),
            [*TWO, Known("c", "7", "", "20240301")],
            "several CTs within 90 days",
        ),
        (asked("7", exam="20240101"), [*TWO, Known("c", "7", "", "20240101")], "2 CTs of its date"),
        (asked("7", exam="20240101"), [*TWO, Known("c", "7")], "3 CTs, and no date or accession"),
        (asked("7", exam="20240199"), TWO, "no CT within 30 days"),
        (asked("8", accession="A2"), [*TWO, Known("c", "8")], "accession number is of another patient"),
        (asked(accession="A3"), TWO, "no CT has its accession number"),
        (asked(case="c"), TWO, "no case has its case_id"),
        (asked("7", exam="20240101"), [TWO[0], ASIDE], "its CT was set aside, or"),
        (asked("7", exam="20230101"), [TWO[0], ASIDE], "a"),
        (asked("7"), [TWO[0], ASIDE], "2 CTs, and no date or accession number tells which"),
    ],
)
def test_which_ct(reading, known, case):
    matched = match([reading], known)
    if matched.readings:
        assert [found.case_id for found in matched.readings] == [case]
    else:
        ((row, reason),) = matched.unmatched
        assert (row, case in reason) == (2, True), reason


def test_rows_that_contradict_each_other_are_not_written():
    rows = [asked("7", 2), asked("7", 3, kl=3), asked("7", 4, side="L"), asked("7", 5, side="L")]
    matched = match(rows, TWO[:1])
    assert matched.readings == [Reading("a", "L", None, 2)]
    assert [row for row, _ in matched.unmatched] == [2, 3]
    assert "rows 2 and 3 grade one hip of one CT differently" in matched.unmatched[0][1]
    assert len(match([rows[0], asked("7", 3, kl=3, reader="B")], TWO[:1]).readings) == 2


def grades_of(path, known, out):
    return make_grades(open_grades(path, out), known, out)


HEADING = ["患者ID", "氏名", "R Crowe", "R KL", "L Crowe", "L KL"]
SHEET = [HEADING, [7001, "NAME1", 1, 2, 1, 3], [7002, "NAME2", 1, 0, 2, 4], [7999, "NAME3", 1, 1, 1, 1]]
KNOWN = [Known("a", "0007001"), Known("b", "0007002"), Known("c", "0007003")]


def test_a_table_of_grades_is_made(tmp_path):
    out = tmp_path / "grades.csv"
    said = "\n".join(grades_of(write_book(tmp_path / "g.xlsx", SHEET), KNOWN, out))
    (tmp_path / "ct.nii").touch()
    rows = [
        ["case_id", "patient_id", "ct"],
        ["a", "PA", "ct.nii"],
        ["b", "PB", "ct.nii"],
        ["c", "PC", "ct.nii"],
    ]
    rows[2][2], rows[3][2] = "2.nii", "3.nii"
    (tmp_path / "2.nii").touch()
    (tmp_path / "3.nii").touch()
    tables = read_tables(write_plain(tmp_path / "cases.csv", rows), out)
    assert tables.readings == [
        *[Reading("a", "R", 1, 2), Reading("a", "L", 1, 3)],
        *[Reading("b", "R", 1, 0), Reading("b", "L", 2, 4)],
    ]
    beside = tmp_path / "grades_unmatched.csv"
    assert beside.read_text() == "row,reason\n4,no CT has its patient number\n"
    assert stat.S_IMODE(beside.stat().st_mode) == 0o600
    assert '"R KL" (KL, right)' in said
    assert 'not used: "氏名"' in said
    assert "4 readings of 2 CTs; 1 CTs have no grade and form the pool" in said
    assert "1 rows have no sure CT and are not in it: see grades_unmatched.csv" in said
    everything = said + out.read_text() + beside.read_text()
    assert not any(secret in everything for secret in ("NAME", "7001", "7999"))


def test_rows_of_the_user_stay(tmp_path):
    out = tmp_path / "grades.csv"
    out.write_text("case_id;mine;side;crowe;kl;\na;seen twice;R;1;4;\nz;;L;;1;x\n")
    said = grades_of(write_book(tmp_path / "g.xlsx", SHEET), KNOWN, out)
    readings = read_grades(out)
    assert readings[:2] == [Reading("a", "R", 1, 4), Reading("z", "L", None, 1)]
    assert len(readings) == 5
    assert out.read_text().startswith("case_id,mine,side,crowe,kl,column 6,reader,date\na,seen twice,R,1,4,,")
    assert any("1 of them have other grades than the spreadsheet" in line for line in said)
    assert any("2 rows were there" in line for line in said)
    more = write_plain(tmp_path / "more.csv", [HEADING, ["7003", "", 1, 1, 1, 1]])
    assert any("2 readings of 1 CTs; 0 CTs have no grade" in line for line in grades_of(more, KNOWN, out))
    before = out.read_bytes()
    grades_of(tmp_path / "g.xlsx", KNOWN, out)
    assert out.read_bytes() == before


def test_nothing_is_written_of_a_sheet_at_fault_or_of_other_patients(tmp_path):
    out = tmp_path / "grades.csv"
    wrong = [*SHEET, [7003, "NAME4", 1, 7, 1, 1]]
    with pytest.raises(TableError, match=r'row 5, "R KL": "7" is not one of 0-4'):
        grades_of(write_book(tmp_path / "g.xlsx", wrong), KNOWN, out)
    with pytest.raises(
        TableError, match=r"none of 3 rows with grades belongs to a CT \(row 2: no CT has its"
    ):
        grades_of(write_book(tmp_path / "g.xlsx", SHEET), [Known("a", "1")], out)
    with pytest.raises(TableError, match=r"no row below the headings \(row 1\) holds a grade"):
        grades_of(write_book(tmp_path / "g.xlsx", [HEADING, [7001]]), KNOWN, out)
    assert not out.exists()


def test_from_an_export_and_a_spreadsheet_to_both_tables(tmp_path, write_series, capsys):
    export, out = tmp_path / "export", tmp_path / "cases.csv"
    write_series(export / "one", patient="0012345", study="1", AccessionNumber="ACC1")
    write_series(export / "two", patient="0012345", study="2", StudyDate="20230101", AccessionNumber="ACC2")
    write_series(export / "other", patient="777", study="3")
    write_series(export / "few", patient="888", study="4", count=3)
    rows = [
        ["患者ID", "氏名", "検査日", "右", None, "左", None],
        [None, None, None, "Crowe", "KL", "Crowe", "KL"],
        [12345, "NAME1", "2021年4月5日", "Ⅰ", 2, 1, 3],
        [12345, "NAME1", "2023/1/3", 1, 3, 1, 4],
        [777, "NAME2", None, 2, 4, None, None],
        [888, "NAME3", None, 1, 1, 1, 1],
        [999, "NAME4", None, 1, 1, 1, 1],
    ]
    sheet = write_book(tmp_path / "g.xlsx", rows, ["D1:E1", "F1:G1"])
    run(export, out=out, grades=sheet, processes=1)
    said = capsys.readouterr()
    tables = read_tables(out, tmp_path / "grades.csv")
    graded = {
        (case.ct.name, r.side, r.crowe, r.kl)
        for r in tables.readings
        for case in tables.cases
        if case.case_id == r.case_id
    }
    assert graded == {
        *[
            ("one", "R", 1, 2),
            ("one", "L", 1, 3),
            ("two", "R", 1, 3),
            ("two", "L", 1, 4),
            ("other", "R", 2, 4),
        ]
    }
    unmatched = (tmp_path / "grades_unmatched.csv").read_text()
    assert unmatched.splitlines()[1:] == [
        '6,"its CT was set aside, or has several rows of your own in the table of cases"',
        "7,no CT has its patient number",
    ]
    everything = said.out + said.err + unmatched + (tmp_path / "grades.csv").read_text()
    assert not any(
        secret in everything for secret in ("NAME", "12345", "777", "888", "999", "ACC", "2021", "2023")
    )


def test_the_grade_of_a_ct_that_the_user_named_himself(tmp_path, write_series):
    write_series(tmp_path / "export" / "one", patient="7")
    out = write_plain(tmp_path / "cases.csv", [["case_id", "patient_id", "ct"], ["mine", "PM", "export/one"]])
    sheet = write_plain(tmp_path / "g.csv", [["ID", "R KL", "L KL"], ["7", 1, 2]])
    run(tmp_path / "export", out=out, grades=sheet, processes=1)
    assert read_tables(out, tmp_path / "grades.csv").readings == [
        Reading("mine", "R", None, 1),
        Reading("mine", "L", None, 2),
    ]
