"""Reads a sheet of a workbook (.xlsx, .ods, .xls), its cells as a person sees them.

python-calamine loses errors (an #N/A is empty, a #DIV/0! is 0), formulas that were never calculated and zeros
that a format puts ahead (007). In .xlsx and .ods these are written into the XML as text before it is read; an
.xls that contains any is refused.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from xml.etree import ElementTree

from hipoa.core.errors import TableError

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE = "Open it in a spreadsheet program and save it as .xlsx or as CSV UTF-8."
# By a file in a zip archive, or a stream in a file of old Office programs.
_OTHERS = {
    "xl/workbook.bin": "a binary workbook (.xlsb), of which errors cannot be read",
    "word/document.xml": "a text document (Word)",
    "WordDocument": "a text document (Word)",
    "Index/Document.iwa": "a document of Numbers or Pages",
    "ppt/presentation.xml": "a presentation",
    "PowerPoint": "a presentation",
}
_ODS = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"

_XLSX_CELL = re.compile(
    r"<(?P<x>(?:\w+:)?)c\b(?P<attributes>[^>]*?)(?<!/)>(?P<inner>.*?)</(?P=x)c>", re.DOTALL
)
_XLSX_VALUE = re.compile(r"<(?:\w+:)?v(?: [^>]*)?>([^<]+)</")
_XLSX_UNREADABLE = re.compile(
    r'\st="e"|<(?:\w+:)?v\s*/>|<(?:\w+:)?v></|</(?:\w+:)?f></|<(?:\w+:)?f\b[^>]*/></'
)
# Comments of a cell, and pronunciation of names (ruby).
_ODS_ANNOTATION = re.compile(r"<(office:annotation|text:ruby-text)\b.*?</\1>", re.DOTALL)
_ODS_CELL = re.compile(
    r"<table:table-cell\b(?P<attributes>[^>]*?)(?<!/)>"
    r"(?P<inner>\s*<text:p[^>]*>(?:<text:span[^>]*>)?(?P<shown>[^<]*)<)"
)
_XLS_ERROR = rb"[\0\x07\x0f\x17\x1d\x24\x2a]"
# Records of the binary format: a cell with an error, a formula whose result is one, a format of zeros alone.
_XLS_UNREADABLE = re.compile(
    b"|".join(
        [
            rb"\x05\x02\x08\0.{6}" + _XLS_ERROR + rb"\x01",
            rb"\x06\0.{8}\x02." + _XLS_ERROR + rb".{3}\xff\xff",
            *(rb"\x1e\x04%c\0..%c\0\0" % (5 + digits, digits) + b"0" * digits for digits in range(2, 16)),
        ]
    ),
    re.DOTALL,
)
_XLS_TEXT = re.compile(rb"\x06\0(?P<size>.[\0-\x20]).{6}\0.{5}\xff\xff", re.DOTALL)


def read_workbook(
    data: bytes, where: str, sheet: str = "", *, fill_merged: bool = False
) -> tuple[list[list[str]], str]:
    """Reads one sheet of a file called ``where``, chosen as by `hipoa.core.tables.grid.read_grid`.

    Returns:
        All rows from the first, with cells from the first column, as text; the format and sheet in words.

    Raises:
        TableError: It is no workbook that can be read, is protected by a password, or has no such sheet.
    """
    program, data = _prepare(data, where)
    book = _open(data, where)
    name, number, count = _choose(book, where, sheet)
    found = book.get_sheet_by_name(name)
    rows = [[_to_text(value) for value in row] for row in found.to_python(skip_empty_area=False)]
    if fill_merged:
        ranges = found.merged_cell_ranges
        _fill(rows, _find_spans(data, name) if ranges is None else ranges)
    which = f', sheet "{sheet}"' if sheet else f", sheet {number} of {count}" if count > 1 else ""
    return rows, f"{program}{which}"


def _prepare(data: bytes, where: str) -> tuple[str, bytes]:
    """The format in words, and the file with errors and leading zeros as text."""
    if data.startswith(OLE):
        _check_xls(data, where)
        return "Excel workbook (.xls)", data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            _refuse_others((name for name in _OTHERS if name in names), where)
            if "content.xml" in names:
                if b"encryption-data" in archive.read("META-INF/manifest.xml"):
                    raise _protected(where)
                return "OpenDocument workbook", _rewrite(archive, data, ["content.xml"], _restore_ods)
            if "xl/workbook.xml" not in names:
                raise TableError(where, "it is a zip archive, no table", "Unpack it and name the table.")
            sheets = [name for name in names if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name)]
            widths = _find_widths(archive.read("xl/styles.xml")) if "xl/styles.xml" in names else {}
            return "Excel workbook", _rewrite(archive, data, sheets, partial(_restore_xlsx, widths=widths))
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, ElementTree.ParseError):
        raise TableError(where, "the workbook is damaged", "Save it again.") from None


def _refuse_others(found: Iterable[str], where: str) -> None:
    for name in found:
        raise TableError(where, f"it is {_OTHERS[name]}", SAVE)


def _check_xls(data: bytes, where: str) -> None:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise _protected(where)
    _refuse_others((name for name in _OTHERS if name.encode("utf-16-le") in data), where)
    if _XLS_UNREADABLE.search(data) or any(_lacks_text(data, found) for found in _XLS_TEXT.finditer(data)):
        what = "errors (#N/A), formulas that were not calculated, or a format that puts zeros ahead"
        raise TableError(where, f"it holds {what}, which cannot be read of an .xls", SAVE)


def _lacks_text(data: bytes, formula: re.Match[bytes]) -> bool:
    """Whether a formula is not followed by its result, in a record or after a shared formula."""
    end = formula.start() + 4 + int.from_bytes(formula["size"], "little")
    return data[end : end + 2] not in (b"\x07\x02", b"\xbc\x04", b"\x21\x02")


def _protected(where: str) -> TableError:
    return TableError(where, "it is protected by a password", "Save it without one.")


def _rewrite(
    archive: zipfile.ZipFile, data: bytes, names: Iterable[str], change: Callable[[str], str]
) -> bytes:
    """The archive with some of its files changed."""
    texts = {name: archive.read(name).decode("utf-8") for name in names}
    changed = {name: new for name, text in texts.items() if (new := change(text)) != text}
    if not changed:
        return data
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as out:
        for name in archive.namelist():
            out.writestr(name, changed[name] if name in changed else archive.read(name))
    return made.getvalue()


def _find_widths(styles: bytes) -> dict[str, int]:
    """{cell style: digits} of number formats with leading zeros, such as 000."""
    tag = r"<(?:\w+:)?"
    text = styles.decode("utf-8")
    formats = dict(re.findall(tag + r'numFmt\b[^>]*?numFmtId="(\d+)"[^>]*?formatCode="(0{2,})"', text))
    cells = re.search(tag + r"cellXfs\b.*?</(?:\w+:)?cellXfs>", text, re.DOTALL)
    used = re.findall(tag + r'xf\b[^>]*?numFmtId="(\d+)"', cells[0]) if cells else []
    return {str(style): len(formats[number]) for style, number in enumerate(used) if number in formats}


def _restore_xlsx(text: str, widths: dict[str, int]) -> str:
    if not widths and not _XLSX_UNREADABLE.search(text):
        return text

    def restore(cell: re.Match[str]) -> str:
        kind, style = (_attribute(cell["attributes"], name) for name in ("t", "s"))
        found = _XLSX_VALUE.search(cell["inner"])
        value = shown = found[1] if found else ""
        if kind in ("", "n"):
            is_formula = re.search(r"<(?:\w+:)?f\b", cell["inner"])
            shown = "#FORMULA!" if not value and is_formula else value
            shown = shown.zfill(widths.get(style, 0)) if re.fullmatch(r"\d+", shown) else shown
        if kind != "e" and shown == value:
            return cell[0]
        x, attributes = cell["x"], re.sub(r'\st="[^"]*"', "", cell["attributes"])
        return f'<{x}c{attributes} t="str"><{x}v>{shown}</{x}v></{x}c>'

    return _XLSX_CELL.sub(restore, text)


def _restore_ods(text: str) -> str:
    def restore(cell: re.Match[str]) -> str:
        attributes = cell["attributes"]
        is_float = _attribute(attributes, "office:value-type") == "float"
        is_error = _attribute(attributes, "calcext:value-type") == "error"
        if not is_error and not (is_float and re.fullmatch(r"0\d+", cell["shown"])):
            return cell[0]
        left = re.sub(r'\soffice:(?:value|string-value|value-type)="[^"]*"', "", attributes)
        return f'<table:table-cell{left} office:value-type="string">{cell["inner"]}'

    return _ODS_CELL.sub(restore, _ODS_ANNOTATION.sub("", text))


def _attribute(attributes: str, name: str) -> str:
    found = re.search(rf'(?:^|\s){name}="([^"]*)"', attributes)
    return found[1] if found else ""


def _open(data: bytes, where: str) -> Any:
    try:
        import python_calamine
    except ImportError:
        raise TableError(
            where,
            "a workbook needs the package python-calamine",
            'Install it beside Snakemake (pip install python-calamine), or save the table as "CSV UTF-8".',
        ) from None
    try:
        return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    except python_calamine.PasswordError:
        raise _protected(where) from None
    except (python_calamine.CalamineError, OSError, ValueError):
        raise TableError(where, "the workbook is damaged or of an unknown kind", SAVE) from None


def _choose(book: Any, where: str, sheet: str) -> tuple[str, int, int]:
    """Name of the sheet, its number among the visible ones (0 if chosen by name), and their count."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets = [found for found in book.sheets_metadata if found.typ == SheetTypeEnum.WorkSheet]
    shown = [found.name for found in sheets if found.visible == SheetVisibleEnum.Visible]
    wanted = sheet.strip()
    if wanted in {found.name for found in sheets}:
        return wanted, 0, len(shown)
    number = int(wanted) if re.fullmatch(r"[0-9]{1,3}", wanted) else 0 if wanted else 1
    if not 1 <= number <= len(shown):
        what = "no sheet of this name or number" if wanted else "no sheet that is shown"
        raise TableError(
            where, f"it has {what}", f"Write FILE#NUMBER, from 1 to {len(shown)}, or FILE#NAME of a sheet."
        )
    return shown[number - 1], number, len(shown)


def _fill(rows: list[list[str]], ranges: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    for (top, left), (bottom, right) in ranges:
        if top >= len(rows) or left >= len(rows[top]):
            continue
        for row in rows[top : bottom + 1]:
            row[left : right + 1] = [rows[top][left]] * len(row[left : right + 1])


def _find_spans(content: bytes, name: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The merged cells of a sheet of an OpenDocument workbook."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    table = next(found for found in root.iter(f"{{{_ODS}}}table") if found.get(f"{{{_ODS}}}name") == name)
    top = 0
    for row in table.iter(f"{{{_ODS}}}table-row"):
        left = 0
        for cell in row:
            down, right = (_count(cell, f"number-{side}-spanned") for side in ("rows", "columns"))
            if down * right > 1:
                yield (top, left), (top + down - 1, left + right - 1)
            left += _count(cell, "number-columns-repeated")
        top += _count(row, "number-rows-repeated")


def _count(element: ElementTree.Element, name: str) -> int:
    return int(element.get(f"{{{_ODS}}}{name}", "1"))


def _to_text(value: Any) -> str:
    """A cell as a person sees it: 7 for 7.0, no exponent, dates as 2020-01-31."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        # Workbooks keep 15 digits: a longer number is no longer what was typed.
        exact = f"{value:.5E}" if abs(value) >= 1e15 else repr(value)
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else exact
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value)
