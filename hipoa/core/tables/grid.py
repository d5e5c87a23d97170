"""The cells of a table as text, whatever program wrote it: CSV, Excel and OpenDocument workbooks.

Standard library only, but for python-calamine, which a workbook alone needs: the Snakefile imports this
module from a bare Snakemake.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hipoa.core.errors import TableError
from hipoa.core.tables.encoding import recognise
from hipoa.core.tables.workbook import OLE, SAVE, ZIP, read_workbook

_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
_OTHERS = (
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
    """The cells of a table.

    Attributes:
        rows: (row number as a spreadsheet shows it, its cells as text without blanks about them); rows
            without any text are left out.
        kind: What the file was taken for, in words; "" for a plain CSV in ASCII or UTF-8.
    """

    rows: list[tuple[int, list[str]]]
    kind: str = ""


def read_grid(path: Path, sheet: str = "", *, fill_merged: bool = False) -> Grid:
    """Reads a table from a CSV or a workbook; what it is shows its content, not its name.

    Args:
        path: The file; FILE#SHEET names one sheet of a workbook, by its name or its number from 1.
        sheet: The sheet; "" for the one that the path names, else the first that is shown.
        fill_merged: Repeat the text of merged cells in each of them.

    Raises:
        TableError: It cannot be read, is no table, or has no such sheet.
    """
    path, named = split_sheet(path)
    data = _read(path)
    if data.startswith((ZIP, OLE)):
        found = read_workbook(data, path.name, sheet or named, fill_merged=fill_merged)
        return Grid(_number(enumerate(found.rows, start=1)), found.kind)
    _refuse_others(data, path.name)
    if sheet or named:
        raise TableError(path.name, "it is a text, which has no sheets", "Leave out what follows the #.")
    return _from_text(data, path)


def split_sheet(path: Path) -> tuple[Path, str]:
    """The file and the sheet of FILE#SHEET; a file that has a # in its name is itself."""
    file, mark, sheet = path.name.rpartition("#")
    if not mark or not file or path.exists():
        return path, ""
    return path.with_name(file), sheet


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TableError(
            path.name, f"the file cannot be read ({error.strerror})", "Name an existing file."
        ) from error


def _refuse_others(data: bytes, where: str) -> None:
    head = data[:4096]
    for pattern, what, do in _OTHERS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            raise TableError(where, f"it is {what}, no table", do)


def _from_text(data: bytes, path: Path) -> Grid:
    text, encoding = recognise(data, path.name)
    stated = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line, which it does not show
    text = text[stated.end() :] if stated else text
    # Not splitlines(): it breaks rows at form feeds and within quoted cells.
    # Strict, or a quote that is not closed would swallow the rows below it without a word.
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=stated[1] if stated else _find_delimiter(text),
        strict=True,
    )
    try:
        rows = _number(enumerate(lines, start=1))
    except csv.Error as error:
        raise TableError(
            path.name,
            f"line {lines.line_num}: {error}",
            "Look for a quote that is not closed, or has text behind it.",
        ) from error
    kind = f"text in {encoding}" if encoding not in ("", "UTF-8") else ""
    return Grid(rows, kind or ("text, no workbook" if path.suffix.lower() in _WORKBOOKS else ""))


def _number(rows: Iterable[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows that hold any text, and what blanks and line breaks are about and in their cells taken out."""
    plain = ((number, [_plain(cell) for cell in row]) for number, row in rows)
    return [(number, row) for number, row in plain if any(row)]


def _plain(cell: str) -> str:
    # A line break within a cell would break the rows of every table that the cell is copied to.
    return (re.sub(r"[\r\n]+", " ", cell) if "\n" in cell or "\r" in cell else cell).strip()


def _find_delimiter(text: str) -> str:
    first = text.lstrip("\r\n").replace("\r", "\n").partition("\n")[0]
    return max(",;\t", key=first.count)
