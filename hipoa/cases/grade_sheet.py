"""Reads the grades in a spreadsheet with one row per patient, per hip or per reading."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hipoa.cases.columns import KEYS, Column
from hipoa.cases.dates import find_order, parse_date, parse_reading_date
from hipoa.cases.headings import Header, find_header
from hipoa.core.errors import TableError
from hipoa.core.identifiers import normalise, parse_name, parse_reader
from hipoa.core.tables.grid import read_grid
from hipoa.core.tables.words import is_grade, read_grade, read_side

# No natural joint, or not graded. A dash is not among them: it may mean "no arthritis".
_NOT_GRADED = {
    *("N/A", "NA", "N.A.", "THA", "THR", "BHA", "HEMI", "TEP"),
    *("人工関節", "人工股関節", "未評価", "評価不能"),
}
_SUMMARIES = {
    *("total", "sum", "mean", "average", "median", "sd"),
    *("合計", "計", "平均", "平均値", "中央値", "標準偏差"),
}
_NO_NUMBER = "no patient number, but a grade"
_NO_HEADING = (
    "column {} holds grades and has no heading: write one (CSV keeps that of merged cells in the first alone)"
)
_SHOWN = 20


@dataclass(frozen=True)
class SheetReading:
    """One reader's grades of one hip, as a row of the spreadsheet has them."""

    row: int  # the row number as the spreadsheet shows it
    side: str
    crowe: int | None
    kl: int | None
    case: str = ""  # a case_id; at least one of case, accession (number) and patient (ID) is filled
    accession: str = ""
    patient: str = ""
    reader: str = ""
    read_on: str = ""  # the date of the reading, or empty
    exam: str = ""  # the date of the examination as YYYYMMDD, "?" if it cannot be read as one day, or empty
    exam_is_sure: bool = True  # its column is certainly that of the examination date


@dataclass
class GradeSheet:
    """A spreadsheet of grades."""

    path: Path
    kind: str  # the format of the file, in words
    heading_row: int  # the row number of its last heading
    used: Sequence[str]  # the headings that are read, and their interpretation
    ignored: Sequence[str]
    readings: list[SheetReading] = field(default_factory=list)  # one per row, side and reader with a grade
    # Numbers of the rows that name a patient and hold no grade.
    ungraded: list[int] = field(default_factory=list)
    # Numbers of the rows of notes (no patient and no grade) and summaries.
    skipped: list[int] = field(default_factory=list)
    not_gradable: int = 0  # how many cells say in a word that there is nothing to grade
    faults: list[str] = field(default_factory=list)  # what cannot be read, a line each

    def refuse_faults(self) -> None:
        """Refuses the spreadsheet if a cell cannot be read: nobody would notice a missing grade.

        Raises:
            TableError: Listing every such cell.
        """
        if not self.faults:
            return
        more = len(self.faults) - _SHOWN
        found = "; ".join(self.faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        do = "Write what is asked for or empty the cells, and take out rows that are no patient's."
        is_text = not self.kind or self.kind.startswith("text")
        if is_text and any(fault.endswith(_NO_NUMBER) for fault in self.faults):
            do += " CSV keeps no merged cells: name the workbook that it was saved from, or fill in each row."
        raise TableError(self.path.name, found, f"{do} No table of grades was written.")


def read_grade_sheet(path: Path, sheet: str = "") -> GradeSheet:
    """Reads a spreadsheet of grades, or a sheet of it; cells that cannot be read are among its ``faults``.

    Raises:
        TableError: The file cannot be read, or no headings of grades are found.
    """
    grid = read_grid(path, sheet, fill_merged=True)
    header = find_header([cells for _, cells in grid.rows])
    if header.problems:
        raise TableError(
            path.name,
            "; ".join(header.problems[:5]),
            'Write headings such as "patient ID", "R Crowe", "R KL", "L Crowe", "L KL" (of several readers '
            '"R KL (reader A)"), or "patient ID", "side", "Crowe", "KL", and none beside them with Crowe or '
            "KL but a remark or a date. Of a workbook the first sheet is read: --sheet names another.",
        )
    headings, body = grid.rows[: header.end], grid.rows[header.end :]
    found = GradeSheet(path, grid.kind, headings[-1][0], list(map(str, header.used)), header.ignored)
    rows = [_Row(number, cells, header) for number, cells in body]
    orders = {role: find_order(row.text(header.find(role)) for row in rows) for role in ("read_on", "exam")}
    repeated = [cells for _, cells in headings]
    graded: list[_Row] = []
    for row, (number, cells) in zip(rows, body, strict=True):
        if cells in repeated or row.is_note():
            found.skipped.append(number)
        else:
            row.read_into(found, orders)
            graded.append(row)
    found.faults += _find_grades_without_heading(header, [row.cells for row in graded])
    return found


def _find_grades_without_heading(header: Header, rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns without a heading, to the right of the first grade, that hold nothing but grades."""
    first = min(column.at for column in header.grades)
    named = {column.at for column in header.columns if column.heading}
    columns = [set(cells) - {""} for cells in zip_longest(*rows, fillvalue="")]
    return [
        _NO_HEADING.format(at + 1)
        for at, cells in enumerate(columns)
        if at > first and at not in named and cells and all(is_grade(cell, "kl") for cell in cells)
    ]


class _Row:
    """One row below the headings, and its faults."""

    def __init__(self, number: int, cells: Sequence[str], header: Header) -> None:
        self.number, self.header = number, header
        self.cells = [normalise(cell) for cell in cells]
        self.faults: list[str] = []

    def text(self, column: Column | None) -> str:
        return "" if column is None or column.at >= len(self.cells) else self.cells[column.at]

    def is_note(self) -> bool:
        """It summarises others, or holds no grade and names no patient, or is a single merged text."""
        keys = [self.text(self.header.find(key)) for key in KEYS]
        if any(key.casefold() in _SUMMARIES for key in keys):
            return True
        if any(is_grade(self.text(column), column.role) for column in self.header.grades):
            return False
        texts = [cell for cell in self.cells if cell]
        return not any(keys) or (len(texts) > 2 and len(set(texts)) == 1)

    def read_into(self, sheet: GradeSheet, orders: Mapping[str, str]) -> None:
        grades = {column: self._read(column, _parse_grade(column.role)) for column in self.header.grades}
        sheet.not_gradable += sum(_is_not_graded(self.text(column)) for column in grades)
        if any(grade is not None for grade in grades.values()):
            sheet.readings += self._list_readings(grades, self._read_keys_and_dates(orders))
        elif not self.faults:
            sheet.ungraded.append(self.number)
        sheet.faults += self.faults

    def _read(self, column: Column | None, parse: Callable[[str], Any]) -> Any:
        try:
            return None if column is None else parse(self.text(column))
        except ValueError as error:
            self.faults.append(f'row {self.number}, "{column and column.heading}": {error}')
            return None

    def _read_keys_and_dates(self, orders: Mapping[str, str]) -> dict[str, Any]:
        columns = {key: self.header.find(key) for key in KEYS}
        keys = {key: self._read(column, parse_name) for key, column in columns.items() if self.text(column)}
        if not keys:
            self.faults.append(f"row {self.number}: {_NO_NUMBER}")
        read_on = self._read(
            self.header.find("read_on"), lambda text: parse_reading_date(text, orders["read_on"])
        )
        column = self.header.find("exam")
        exam = parse_date(self.text(column), orders["exam"])
        return {
            **keys,
            "read_on": read_on or "",
            # A word, such as "unknown", is no date.
            "exam": exam or ("?" if re.search(r"\d", self.text(column)) else ""),
            "exam_is_sure": column is not None and column.rank < 2,
        }

    def _list_readings(
        self, grades: dict[Column, int | None], common: dict[str, Any]
    ) -> Iterator[SheetReading]:
        """One reading per side and reader; none if the row has a fault."""
        has_sides = any(column.side for column in grades)
        side = "" if has_sides else self._read(self.header.find("side"), read_side)
        reader = self._read(self.header.find("reader"), parse_reader) or ""
        if self.faults:
            return
        hips: dict[tuple[str, str], dict[str, int]] = {}
        for column, grade in grades.items():
            if grade is not None:
                hips.setdefault((column.side or side, column.reader or reader), {})[column.role] = grade
        for (of_side, by), found in hips.items():
            yield SheetReading(self.number, of_side, found.get("crowe"), found.get("kl"), reader=by, **common)


def _parse_grade(index: str) -> Callable[[str], int | None]:
    return lambda text: None if _is_not_graded(text) else read_grade(text, index)


def _is_not_graded(text: str) -> bool:
    return text.upper() in _NOT_GRADED
