import datetime
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from hipoa.core.errors import TableError
from hipoa.core.tables.grid import read_grid

_ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0" office:version="1.2">
<office:body><office:spreadsheet>{}</office:spreadsheet></office:body></office:document-content>"""


def write_ods(path, rows, manifest=""):
    """A workbook of one sheet; a cell is its attributes and its shown text."""
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f"<table:table-cell {kind}><text:p>{shown}</text:p></table:table-cell>"
            if kind
            else "<table:covered-table-cell/>"
            for kind, shown in row
        )
        + "</table:table-row>"
        for row in rows
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", f"<manifest>{manifest}</manifest>")
        archive.writestr("content.xml", _ODS.format(f'<table:table table:name="A">{cells}</table:table>'))
    return path


def text(shown):
    return 'office:value-type="string"', shown


def number(value, shown=""):
    return f'office:value-type="float" office:value="{value}"', shown or value


@pytest.fixture
def book(tmp_path):
    """An Excel workbook and its first sheet."""
    made = openpyxl.Workbook()
    return made, made.active, tmp_path / "t.xlsx"


def cells(book):
    made, _, path = book
    made.save(path)
    return read_grid(path).rows


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7.0, "7"),
        (7, "7"),
        (0.1, "0.1"),
        (-2, "-2"),
        (123456789012345, "123456789012345"),
        (True, "TRUE"),
        (datetime.date(2020, 1, 31), "2020-01-31"),
        (datetime.datetime(2020, 1, 31, 13, 5), "2020-01-31 13:05:00"),
        ("007", "007"),
        (" two\nlines ", "two lines"),
        ("#N/A", "#N/A"),
        ("#DIV/0!", "#DIV/0!"),
        ("=1+1", "#FORMULA!"),
    ],
)
def test_a_cell_of_a_workbook_is_read_as_a_person_sees_it(book, value, shown):
    book[1]["B3"] = value
    book[1]["B4"] = "x"
    assert cells(book) == [(3, ["", shown]), (4, ["", "x"])]


def test_a_number_of_more_digits_than_a_workbook_keeps_is_rounded(book):
    book[1]["A1"] = 1234567890123456789
    assert cells(book) == [(1, ["1.23457E+18"])]


def test_zeros_that_a_format_puts_ahead_are_read(book):
    for row, value in enumerate((7, 12345, 7), start=1):
        book[1].cell(row, 1, value).number_format = "000" if row < 3 else "General"
    assert cells(book) == [(1, ["007"]), (2, ["12345"]), (3, ["7"])]


def test_the_first_sheet_that_is_shown_is_read(book):
    made, sheet, path = book
    sheet["A1"] = "hidden"
    sheet.sheet_state = "hidden"
    for name in ("2", "Second # two"):
        made.create_sheet(name)["A1"] = name
    made.save(path)
    assert read_grid(path).rows == [(1, ["2"])]
    assert read_grid(path).kind == "Excel workbook, sheet 1 of 2"
    assert read_grid(path, "2").rows == [(1, ["2"])]
    assert read_grid(path.with_name("t.xlsx#1")).rows == [(1, ["2"])]
    found = read_grid(path, "Second # two")
    assert (found.rows, found.kind) == ([(1, ["Second # two"])], 'Excel workbook, sheet "Second # two"')
    with pytest.raises(
        TableError, match=r"^t.xlsx: it has no sheet of this name or number\. .* from 1 to 2,"
    ):
        read_grid(path.with_name("t.xlsx#3"))


def test_a_file_with_a_number_sign_in_its_name_is_itself(book):
    book[1]["A1"] = "x"
    book[0].save(book[2])
    named = book[2].rename(book[2].with_name("a#1.xlsx"))
    assert read_grid(named).rows == read_grid(named.with_name("a#1.xlsx#1")).rows == [(1, ["x"])]


def test_merged_cells_are_filled_where_asked(book):
    book[1]["A1"], book[1]["A2"], book[1]["B2"] = "m", "x", "y"
    book[1].merge_cells("A1:B1")
    assert cells(book) == [(1, ["m", ""]), (2, ["x", "y"])]
    assert read_grid(book[2], fill_merged=True).rows == [(1, ["m", "m"]), (2, ["x", "y"])]


def test_merged_cells_of_an_opendocument_workbook(tmp_path):
    spans = 'table:number-columns-spanned="2" table:number-rows-spanned="1" office:value-type="string"'
    path = write_ods(
        tmp_path / "t.ods", [[(spans, "m"), ("", ""), text("n")], [text("x"), text("y"), text("z")]]
    )
    assert read_grid(path).rows == [(1, ["m", "", "n"]), (2, ["x", "y", "z"])]
    assert read_grid(path, fill_merged=True).rows[0] == (1, ["m", "m", "n"])


@pytest.mark.parametrize("shown", ["{}", "<text:span>{}</text:span>"])
def test_comments_and_parts_of_a_cell_hide_nothing_of_it(tmp_path, shown):
    error = 'office:value-type="string" office:string-value="" calcext:value-type="error"'
    ruby = (
        "<text:ruby><text:ruby-base>山田</text:ruby-base><text:ruby-text>ヤマダ</text:ruby-text></text:ruby>"
    )
    row = [
        ('office:value-type="float" office:value="12"', shown.format("0012")),
        (error, shown.format("#N/A")),
        ('office:value-type="string"', ruby),
    ]
    path = write_ods(tmp_path / "t.ods", [row])
    assert read_grid(path).rows == [(1, ["0012", "#N/A", "山田"])]
    with zipfile.ZipFile(path) as archive:
        content = archive.read("content.xml").decode()
    commented = content.replace(
        "<text:p>", "<office:annotation><text:p>9</text:p></office:annotation><text:p>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", commented)
    assert read_grid(path).rows == [(1, ["0012", "#N/A", "山田"])]


def test_an_opendocument_workbook_is_read_as_a_person_sees_it(tmp_path):
    error = 'office:value-type="float" office:value="0" calcext:value-type="error"'
    missing = 'office:value-type="string" office:string-value="" calcext:value-type="error"'
    day = 'office:value-type="date" office:date-value="2020-01-31"'
    row = [
        number("7"),
        number("7", "007"),
        number("7.25", "7.3"),
        (error, "#DIV/0!"),
        (missing, "#N/A"),
        (day, "x"),
    ]
    found = read_grid(write_ods(tmp_path / "t.ods", [row]))
    assert found.rows == [(1, ["7", "007", "7.25", "#DIV/0!", "#N/A", "2020-01-31"])]
    assert found.kind == "OpenDocument workbook"


def test_a_workbook_of_another_name_is_read(book):
    book[1]["A1"] = "x"
    book[0].save(book[2])
    path = book[2].rename(book[2].with_suffix(".csv"))
    assert (read_grid(path).rows, read_grid(path).kind) == ([(1, ["x"])], "Excel workbook")
    path.write_text("x,y\n")
    assert read_grid(path.rename(path.with_suffix(".xls"))).kind == "text, no workbook"


@pytest.mark.parametrize("name", ["grades.xls"])
def test_an_old_excel_workbook(name):
    found = read_grid(Path(__file__).parents[1] / "data" / name)
    assert found.rows == [
        (2, ["case_id", "side", "crowe", "kl", "reader", "date"]),
        (3, ["a", "左", "1", "Ⅱ", "佐々木", "2020-01-02"]),
        (4, ["b", "R", "2", "3", "", ""]),
    ]
    assert found.kind == "Excel workbook (.xls)"


@pytest.mark.parametrize(
    "record",
    [
        b"\x05\x02\x08\0\1\0\0\0\x0f\0\x2a\1",
        b"\x06\0\x18\0\1\0\0\0\x0f\0\2\0\x07\0\0\0\xff\xff",
        b"\x06\0\x16\0\1\0\0\0\x0f\0\0\0\0\0\0\0\xff\xff" + bytes(30),
        b"\x1e\x04\x08\0\xa4\0\x03\0\x00000",
    ],
)
def test_what_cannot_be_read_of_an_old_workbook_is_refused(tmp_path, record):
    data = (Path(__file__).parents[1] / "data/grades.xls").read_bytes()
    (tmp_path / "t.xls").write_bytes(data + record)
    with pytest.raises(TableError, match=r"^t.xls: it holds errors .*cannot be read of an .xls\. Open it in"):
        read_grid(tmp_path / "t.xls")


OTHERS = {
    "a PDF": b"%PDF-1.7\n",
    "a web page": b"\n<html><body><table><tr><td>case_id</td></tr></table>",
    "an XML file": b'<?xml version="1.0"?><Workbook>',
    "a DICOM image": bytes(128) + b"DICM",
    "a compressed file": b"\x1f\x8b\x08",
    "a picture": b"\x89PNG\r\n\x1a\n",
    "a text document": b"{\\rtf1 case_id}",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["t.csv", "t.xls"])
def test_what_is_no_table_is_called_what_it_is(tmp_path, kind, name):
    (tmp_path / name).write_bytes(OTHERS[kind])
    with pytest.raises(TableError, match=rf"^{name}: it is {kind}.*, no table\. [A-Z]"):
        read_grid(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.txt"], r"it is a zip archive, no table\. Unpack it"),
        (["word/document.xml"], r"it is a text document \(Word\)\. Open it"),
        (["xl/workbook.bin"], r"it is a binary workbook \(.xlsb\), of which errors cannot be read\. Open it"),
        (["Index/Document.iwa"], r"it is a document of Numbers or Pages\. Open it"),
        (["xl/workbook.xml"], r"the workbook is damaged"),
    ],
)
def test_archives_that_are_no_workbook(tmp_path, names, found):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(TableError, match=f"^t.xlsx: {found}"):
        read_grid(tmp_path / "t.xlsx")


def test_a_workbook_with_a_password(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    )
    with pytest.raises(TableError, match=r"^t.xlsx: it is protected by a password\. Save it without one\."):
        read_grid(tmp_path / "t.xlsx")
    write_ods(tmp_path / "t.ods", [[text("x")]], manifest="<encryption-data/>")
    with pytest.raises(TableError, match=r"^t.ods: it is protected by a password\. Save it without one\."):
        read_grid(tmp_path / "t.ods")


def test_a_damaged_workbook(book):
    book[0].save(book[2])
    data = book[2].read_bytes()
    for part in (data[:40], data[: len(data) // 2]):
        book[2].write_bytes(part)
        with pytest.raises(TableError, match=r"^t.xlsx: the workbook is damaged\. Save it again\."):
            read_grid(book[2])


def test_a_text_has_no_sheets(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    with pytest.raises(
        TableError, match=r"^t.csv: it is a text, which has no sheets\. Leave out what follows the #"
    ):
        read_grid(tmp_path / "t.csv#2")


def test_the_line_that_excel_puts_ahead_of_a_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"sep=;\r\na;b,c\r\n")
    assert read_grid(tmp_path / "t.csv").rows == [(1, ["a", "b,c"])]


def test_a_workbook_without_the_package_that_reads_it(book, monkeypatch):
    book[0].save(book[2])
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(
        TableError, match=r"a workbook needs the package python-calamine\. Install it beside Snake"
    ):
        read_grid(book[2])
