"""The cells of a table file as text: CSV, Excel and OpenDocument workbooks, recognised by content."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hipoa.core.errors import TableError
from hipoa.core.tables.encoding import decode
from hipoa.core.tables.workbook import OLE, SAVE, ZIP, read_workbook

_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
_OTHER_FORMATS = (
    (rb"%PDF", "a PDF", "Save the table itself as .xlsx or as CSV UTF-8."),
    (rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body|table|meta|div|style)", "a web page", SAVE),
    (rb"\s*<\?xml", "an XML file", SAVE),
    (rb"\{\\rtf", "a text document (RTF)", SAVE),
    (rb".{128}DICM", "a DICOM image", "Name the table."),
    (rb"\x1f\x8b", "a compressed file (gzip)", "Unpack it."),
    (rb"(?:\x5c\x01\0\0|\x01\x5c).{0,400}?n[+i]1\0", "a NIfTI image", "Name the table."),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|II\*\0|MM\0\*", "a picture", "Name the table."),
    (rb"\$FL[23]", "an SPSS file", "Export it from SPSS as .xlsx or as CSV UTF-8."),
    (rb"\x00\x01\x00\x00Standard (?:Jet|ACE) DB", "an Access database", "Export its table as .xlsx."),
    (rb"SQLite format 3", "an SQLite database", "Export its table as CSV UTF-8."),
)


@dataclass(frozen=True)
class Grid:
    """The cells of a table as stripped text."""

    # Row number, as a spreadsheet shows it, and cells of each row with any text.
    rows: list[tuple[int, list[str]]]
    kind: str = ""  # the format in words; "" for a plain CSV in ASCII or UTF-8


def read_grid(path: Path, sheet: str = "", *, fill_merged: bool = False) -> Grid:
    """Reads a CSV or a workbook.

    Args:
        path: The file; FILE#SHEET names one sheet of a workbook, by its name or its number from 1.
        sheet: The sheet; "" for the one that the path names, else the first visible one.
        fill_merged: Repeat the text of merged cells in each of them.

    Raises:
        TableError: It cannot be read, is no table, or has no such sheet.
    """
    path, named = _split_sheet(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TableError(
            path.name, f"the file cannot be read ({error.strerror})", "Name an existing file."
        ) from error
    if data.startswith((ZIP, OLE)):
        rows, kind = read_workbook(data, path.name, sheet or named, fill_merged=fill_merged)
        return Grid(_number(rows), kind)
    for pattern, what, do in _OTHER_FORMATS:
        if re.match(pattern, data[:4096], re.DOTALL | re.IGNORECASE):
            raise TableError(path.name, f"it is {what}, no table", do)
    if sheet or named:
        raise TableError(path.name, "it is a text, which has no sheets", "Leave out what follows the #.")
    return _read_text(data, path)


def _split_sheet(path: Path) -> tuple[Path, str]:
    """The file and the sheet of FILE#SHEET; a file whose name contains a # is itself."""
    file, mark, sheet = path.name.rpartition("#")
    if not mark or not file or path.exists():
        return path, ""
    return path.with_name(file), sheet


def _read_text(data: bytes, path: Path) -> Grid:
    text, encoding = decode(data, path.name)
    declared = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line, which it does not show
    text = text[declared.end() :] if declared else text
    first = text.lstrip("\r\n").replace("\r", "\n").partition("\n")[0]
    delimiter = declared[1] if declared else max(",;\t", key=first.count)
    # Not splitlines(): it breaks rows at form feeds and within quoted cells.
    # Strict, or a quote that is not closed would silently swallow the rows below it.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = _number(lines)
    except csv.Error as error:
        raise TableError(
            path.name,
            f"line {lines.line_num}: {error}",
            "Look for a quote that is not closed, or has text behind it.",
        ) from error
    if encoding not in ("", "UTF-8"):
        return Grid(rows, f"text in {encoding}")
    return Grid(rows, "text, no workbook" if path.suffix.lower() in _WORKBOOKS else "")


def _number(rows: Iterable[list[str]]) -> list[tuple[int, list[str]]]:
    """The rows that hold any text, with their numbers; cells are stripped and hold no line breaks."""
    # A line break within a cell would break the rows of every table that the cell is copied to.
    plain = (
        [(re.sub(r"[\r\n]+", " ", cell) if "\n" in cell or "\r" in cell else cell).strip() for cell in row]
        for row in rows
    )
    return [(number, row) for number, row in enumerate(plain, start=1) if any(row)]
