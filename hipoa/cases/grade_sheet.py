"""The grades in a spreadsheet as surgeons keep it: a row per patient, per hip or per reading."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hipoa.cases.columns import KEYS, Column
from hipoa.cases.dates import find_order, parse_date, parse_reading_date
from hipoa.cases.headings import Heading, find_heading
from hipoa.core.errors import TableError
from hipoa.core.identifiers import normalise, parse_name, parse_reader
from hipoa.core.tables.cells import quote
from hipoa.core.tables.grid import read_grid
from hipoa.core.tables.words import read_grade, read_side

_LEAST = {"crowe": 1, "kl": 0}
# What surgeons write where there is no natural joint, or nothing was graded. A dash may mean "no arthritis".
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
    """What one reader saw at one hip, as a row of the spreadsheet says it.

    Attributes:
        row: Its number as the spreadsheet shows it.
        side: The patient's: "L" or "R".
        crowe: 1-4, or None.
        kl: 0-4, or None.
        case: A case_id, accession: an accession number, patient: a patient ID; at least one is filled.
        reader: A name, or empty.
        read_on: The date of the reading, or empty.
        exam: The date of the examination as YYYYMMDD, "?" where it is not one day for sure, or empty.
        exam_is_sure: Its column says that it is the examination's; else it may be another date.
    """

    row: int
    side: str
    crowe: int | None
    kl: int | None
    case: str = ""
    accession: str = ""
    patient: str = ""
    reader: str = ""
    read_on: str = ""
    exam: str = ""
    exam_is_sure: bool = True


@dataclass
class GradeSheet:
    """A spreadsheet of grades.

    Attributes:
        kind: What kind of file it was taken for.
        heading_row: The row number of its last heading.
        used: The headings that are read and what they were taken for.
        ignored: The headings of columns that are not used.
        readings: One per row, side and reader with a grade.
        ungraded: Numbers of the rows that name a patient and hold no grade.
        passed_over: Numbers of the rows below the headings that name no patient and hold no grade, or sum up
            others.
        replaced: How many cells say in a word that there is nothing to grade.
        faults: What cannot be read, a line each.
    """

    kind: str = ""
    heading_row: int = 0
    used: Sequence[str] = ()
    ignored: Sequence[str] = ()
    readings: list[SheetReading] = field(default_factory=list)
    ungraded: list[int] = field(default_factory=list)
    passed_over: list[int] = field(default_factory=list)
    replaced: int = 0
    faults: list[str] = field(default_factory=list)


def read_grade_sheet(path: Path, sheet: str = "") -> GradeSheet:
    """Reads a spreadsheet of grades whatever its form.

    Args:
        path: CSV, or a workbook.
        sheet: The name or number of a workbook's sheet, if it is not the first that is shown.

    Returns:
        What was read; the cells that could not be read are its ``faults``, for the caller to `refuse`.

    Raises:
        TableError: The file cannot be read, or no headings of grades are found.
    """
    grid = read_grid(path, sheet, fill_merged=True)
    heading = find_heading([cells for _, cells in grid.rows])
    if heading.problems:
        raise TableError(
            path.name,
            "; ".join(heading.problems[:5]),
            'Write headings such as "patient ID", "R Crowe", "R KL", "L Crowe", "L KL" (of several readers '
            '"R KL (reader A)"), or "patient ID", "side", "Crowe", "KL", and none beside them with Crowe or '
            "KL but a remark or a date. Of a workbook the first sheet is read: --sheet names another.",
        )
    last, used = grid.rows[heading.end - 1][0], list(map(str, heading.used))
    found = GradeSheet(grid.kind, last, used, heading.ignored)
    headings = [cells for _, cells in grid.rows[: heading.end]]
    unnamed: dict[int, set[str]] = defaultdict(set)
    body = [_Row(number, cells, heading) for number, cells in grid.rows[heading.end :]]
    orders = {role: find_order(row.cell(heading.find(role)) for row in body) for role in ("read_on", "exam")}
    for row, (number, cells) in zip(body, grid.rows[heading.end :], strict=True):
        if cells in headings or row.is_note():
            found.passed_over.append(number)
            continue
        row.read_into(found, orders)
        for at, cell in row.list_unnamed():
            unnamed[at].add(cell)
    found.faults += [_NO_HEADING.format(at + 1) for at in sorted(unnamed) if _is_graded(unnamed[at])]
    return found


def _is_graded(cells: Iterable[str]) -> bool:
    return all(_is_grade(cell, "kl") for cell in cells)


def refuse_faults(path: Path, sheet: GradeSheet) -> None:
    """Refuses a spreadsheet in which something cannot be read, for a grade left out would not be noticed.

    Raises:
        TableError: Listing every such cell.
    """
    if not sheet.faults:
        return
    more = len(sheet.faults) - _SHOWN
    found = "; ".join(sheet.faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
    do = "Write what is asked for or empty the cells, and take out rows that are no patient's."
    is_text = not sheet.kind or sheet.kind.startswith("text")
    if is_text and any(fault.endswith(_NO_NUMBER) for fault in sheet.faults):
        do += " CSV keeps no merged cells: name the workbook that it was saved from, or fill in each row."
    raise TableError(path.name, found, f"{do} No table of grades was written.")


class _Row:
    """One row of the table's body."""

    def __init__(self, number: int, cells: Sequence[str], heading: Heading) -> None:
        self.number, self.heading = number, heading
        self.cells = [normalise(cell) for cell in cells]

    def cell(self, column: Column | None) -> str:
        return "" if column is None or column.at >= len(self.cells) else self.cells[column.at]

    def list_unnamed(self) -> list[tuple[int, str]]:
        """Cells behind the first grade whose column has no heading: (its place from 0, text)."""
        named = {column.at for column in self.heading.columns if column.heading}
        first = min(column.at for column in self.heading.grades)
        return [(at, cell) for at, cell in enumerate(self.cells) if cell and at > first and at not in named]

    def is_note(self) -> bool:
        """It sums up others, or no cell is a grade and no patient is named, or it is one text merged."""
        keys = [self.cell(self.heading.find(key)) for key in KEYS]
        if any(key.casefold() in _SUMMARIES for key in keys):
            return True
        if any(_is_grade(self.cell(column), column.role) for column in self.heading.grades):
            return False
        texts = [cell for cell in self.cells if cell]
        return not any(keys) or (len(texts) > 2 and len(set(texts)) == 1)

    def read_into(self, sheet: GradeSheet, orders: Mapping[str, str]) -> None:
        faults: list[str] = []
        grades = {column: self._read_grade(column, faults) for column in self.heading.grades}
        sheet.replaced += sum(_says_not_graded(self.cell(column)) for column in grades)
        if any(grade is not None for grade in grades.values()):
            sheet.readings += self._gather(grades, self._read_common(orders, faults), faults)
        elif not faults:
            sheet.ungraded.append(self.number)
        sheet.faults += faults

    def _read_grade(self, column: Column, faults: list[str]) -> int | None:
        text = self.cell(column)
        if not text or _says_not_graded(text):
            return None
        least = _LEAST[column.role]
        return self._try(column, lambda: read_grade(text, least, 4, column.role), faults, quote(text))

    def _read_common(self, orders: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
        """What all readings of the row share."""
        found = {
            key: self._find_cell(key, parse_name, faults) for key in KEYS if self.cell(self.heading.find(key))
        }
        if not found:
            faults.append(f"row {self.number}: {_NO_NUMBER}")
        column = self.heading.find("exam")
        exam = parse_date(self.cell(column), orders["exam"])
        return {
            **found,
            "read_on": self._find_cell(
                "read_on", lambda text: parse_reading_date(text, orders["read_on"]), faults
            ),
            # A word, as "unknown", is no date.
            "exam": exam or ("?" if re.search(r"\d", self.cell(column)) else ""),
            "exam_is_sure": column is not None and column.rank < 2,
        }

    def _gather(
        self, grades: dict[Column, int | None], common: dict[str, Any], faults: list[str]
    ) -> Iterator[SheetReading]:
        """One reading per side and reader; none of a row that is at fault."""
        side = "" if any(column.side for column in grades) else self._find_cell("side", read_side, faults)
        reader = self._find_cell("reader", parse_reader, faults)
        if faults:
            return
        hips: dict[tuple[str, str], dict[str, int]] = {}
        for column, grade in grades.items():
            if grade is not None:
                hips.setdefault((column.side or side, column.reader or reader), {})[column.role] = grade
        for (of_side, by), both in hips.items():
            yield SheetReading(self.number, of_side, both.get("crowe"), both.get("kl"), reader=by, **common)

    def _find_cell(self, role: str, parse: Any, faults: list[str]) -> str:
        column = self.heading.find(role)
        return "" if column is None else self._try(column, lambda: parse(self.cell(column)), faults) or ""

    def _try(self, column: Column, parse: Any, faults: list[str], shown: str = "") -> Any:
        try:
            return parse()
        except ValueError as error:
            faults.append(f'row {self.number}, "{column.heading}": {shown}{error}')
            return None


def _says_not_graded(text: str) -> bool:
    return text.upper() in _NOT_GRADED


def _is_grade(text: str, index: str) -> bool:
    try:
        read_grade(text, _LEAST[index], 4)
    except ValueError:
        return False
    return bool(text)
