"""cases.csv and grades.csv: read tolerantly, checked strictly, all bad rows in one message.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hipoa.core.errors import TableError
from hipoa.core.identifiers import (
    normalise,
    parse_name,
    parse_reader,
    parse_safe_name,
    parse_series,
    reduce_likeness,
)
from hipoa.core.tables.cells import (
    MEND,
    Cells,
    parse_exclusion,
    parse_existing,
    parse_grade,
    parse_optional_path,
    parse_side,
    parse_yes,
    quote,
    read_sheet,
)
from hipoa.core.tables.rows import ALIKE, CASE_COLUMNS, GRADE_COLUMNS, Case, Reading, find_conflicts

_SHOWN = 10
_MAKE_CASES = (
    "Name the columns so, or have the table made of a folder of CTs: "
    "python -m hipoa cases FOLDER --out cases.csv."
)
_MAKE_GRADES = (
    "Name the columns so, or have the table made of yours: "
    "python -m hipoa cases FOLDER --out cases.csv --grades SHEET."
)
_ONE_COHORT = (
    "Mark all CTs of a patient as external or none of them; two people need ids that differ in more."
)


@dataclass(frozen=True)
class Tables:
    """Both of the user's tables.

    Attributes:
        cases: The rows of cases.csv.
        readings: The rows of grades.csv.
        warnings: What the user should look at, a line each.
    """

    cases: Sequence[Case] = ()
    readings: Sequence[Reading] = ()
    warnings: Sequence[str] = ()


def read_tables(cases: Path, grades: Path | None = None) -> Tables:
    """Reads both tables; whatever is wrong with either is said in one message.

    Raises:
        TableError: As `read_cases` and `read_grades`, and of both together: a reading of an unknown case, a
            patient who is labelled and external, in one spelling of the name or in two.
    """
    found = _read_cases(cases)
    sheets = [found]
    if grades is not None:
        sheets.append(_read_grades(grades, found.names))
    readings = sheets[1].rows if grades is not None else []
    conflicts = find_conflicts(found.rows, readings)
    if conflicts:
        sheets[-1].do = MEND if any(sheet.faults for sheet in sheets) else _ONE_COHORT
        sheets[-1].faults += conflicts
    _refuse(sheets)
    return Tables(found.rows, readings, [line for sheet in sheets for line in sheet.warnings])


def read_cases(path: Path) -> list[Case]:
    """Reads cases.csv; paths in it are relative to its own folder.

    Raises:
        TableError: Listing every bad row: a case_id that is missing, twice there or no safe file
            name, a missing patient_id or file, a cell that is none of the allowed words. Two case_ids
            that differ in capitals alone are refused: some file systems hold them for one.
    """
    sheet = _read_cases(path)
    _refuse([sheet])
    return sheet.rows


def read_grades(path: Path) -> list[Reading]:
    """Reads grades.csv: one row per reading; Roman numerals are read.

    Raises:
        TableError: Listing every bad row: an unknown side, a grade out of range, no grade at all,
            the same reader's reading of the same hip and date twice.
    """
    sheet = _read_grades(path, None)
    _refuse([sheet])
    return sheet.rows


@dataclass
class _Sheet:
    """A table as it is read: its sound rows, what is wrong with the others, and every name of a case."""

    path: Path
    rows: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    names: set[str] | None = None
    do: str = MEND

    def read(
        self, columns: Sequence[str], required: Sequence[str], otherwise: str
    ) -> Iterator[tuple[int, Cells]]:
        """Its rows with their numbers; none if it is no such table."""
        try:
            note, rows = read_sheet(self.path, columns, required, otherwise)
        except TableError as error:
            self.faults, self.do = [error.found], error.do
            return
        self.names = set()
        self.warnings += [note] if note else []
        for number, row in rows:
            yield number, Cells(row, self.faults, f"row {number}")


def _refuse(sheets: Sequence[_Sheet]) -> None:
    bad = [sheet for sheet in sheets if sheet.faults]
    if bad:
        found = "; ".join(bad[0].faults)
        found += "".join(f"; {sheet.path.name}: {'; '.join(sheet.faults)}" for sheet in bad[1:])
        raise TableError(bad[0].path.name, found, bad[0].do if len(bad) == 1 else MEND)


def _read_cases(path: Path) -> _Sheet:
    sheet, folder = _Sheet(path), path.parent
    rows_of: dict[str, int] = {}
    patients: dict[str, Case] = {}
    alike: dict[str, str] = {}
    owners: dict[str, Case] = {}
    for number, cell in sheet.read(CASE_COLUMNS, ("case_id", "patient_id", "ct"), _MAKE_CASES):
        before = len(sheet.faults)
        case = _parse_case(cell, folder)
        first = rows_of.setdefault(case.case_id.lower(), number)
        if case.case_id and first != number:
            sheet.faults.append(
                f"row {number}: case_id {case.case_id} is that of row {first} (capitals do not count)"
            )
        like = patients.setdefault(reduce_likeness(case.patient_id), case)
        if like.patient_id != case.patient_id:
            alike.setdefault(case.patient_id, f"rows {rows_of[like.case_id.lower()]} and {number}")
        owner = _find_owner(owners, case)
        if owner.patient_id != case.patient_id:
            row = rows_of[owner.case_id.lower()]
            sheet.faults.append(f"row {number}: ct is that of row {row}, another patient's")
        if sheet.names is not None:
            sheet.names.add(case.case_id)
        if len(sheet.faults) == before:
            sheet.rows.append(case)
    sheet.faults += _doubt_sexes(sheet.rows)
    if alike:
        sheet.warnings.append(_warn_of_likeness(path, list(alike.values())))
    return sheet


def _doubt_sexes(cases: Sequence[Case]) -> list[str]:
    """Where H stands for men, M stands for women."""
    sexes = {normalise(case.sex).upper() for case in cases}
    doubted = {"H", "M"} <= sexes and "F" not in sexes
    return (
        ['in the column sex "M" beside "H" may mean mujer, mulher or male: write F and M'] if doubted else []
    )


def _find_owner(owners: dict[str, Case], case: Case) -> Case:
    """The first case that names this CT; one patient may have it twice, for two series."""
    if not case.patient_id or case.ct == Path():
        return case
    path = str(case.ct)
    normal = os.path.normpath(path)
    # The string that the path keeps anyway, where it can be: there may be 100 000.
    return owners.setdefault(path if normal == path else normal, case)


def _parse_case(cell: Cells, folder: Path) -> Case:
    return Case(
        case_id=cell.read("case_id", parse_safe_name),
        patient_id=cell.read("patient_id", parse_name),
        ct=cell.read("ct", lambda text: parse_existing(folder, text), Path()),
        external=cell.read("external", parse_yes, False),
        labels=cell.read("labels", lambda text: parse_optional_path(folder, text), None),
        landmarks=cell.read("landmarks", lambda text: parse_optional_path(folder, text), None),
        exclude=cell.read("exclude", parse_exclusion),
        sex=cell.row["sex"],
        age=cell.row["age"],
        scanner=cell.row["scanner"],
        series=cell.read("series", parse_series),
    )


def _read_grades(path: Path, known: Collection[str] | None) -> _Sheet:
    sheet = _Sheet(path)
    seen: set[tuple[str | None, ...]] = set()
    for number, cell in sheet.read(GRADE_COLUMNS, ("case_id", "side", "crowe", "kl"), _MAKE_GRADES):
        before = len(sheet.faults)
        reading = _parse_reading(cell)
        if reading.case_id and known is not None and reading.case_id not in known:
            sheet.faults.append(f"row {number}: case_id {quote(reading.case_id)}is not in the table of cases")
        key = (reading.case_id, reading.side, reading.reader, reading.date)
        if all(key[:2]) and None not in key and key in seen:
            sheet.faults.append(
                f"row {number}: {reading.case_id} {reading.side} is there twice by one reader on one date"
            )
        seen.add(key)
        if len(sheet.faults) == before:
            sheet.rows.append(reading)
    return sheet


def _parse_reading(cell: Cells) -> Reading:
    reading = Reading(
        case_id=cell.read("case_id", parse_name),
        side=cell.read("side", parse_side),
        crowe=cell.read("crowe", lambda text: parse_grade(text, "crowe"), None),
        kl=cell.read("kl", lambda text: parse_grade(text, "kl"), None),
        reader=cell.read("reader", parse_reader, None),
        date=cell.row["date"],
    )
    if not normalise(cell.row["crowe"] + cell.row["kl"]):
        cell.faults.append(f"{cell.where}: neither crowe nor kl is filled")
    return reading


def _warn_of_likeness(path: Path, pairs: Sequence[str]) -> str:
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return (
        f"{path.name}: warning: {', '.join(pairs[:_SHOWN])}{more}: patient ids that differ in {ALIKE} alone "
        "count as different people. Write one person's ids alike."
    )
