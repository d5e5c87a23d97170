"""Reads cases.csv and grades.csv: many spellings are accepted, all bad rows are listed in one message.

Standard library only: the Snakefile imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hipoa.core.errors import TableError
from hipoa.core.identifiers import (
    comparison_key,
    normalise,
    parse_name,
    parse_reader,
    parse_safe_name,
    parse_series,
)
from hipoa.core.tables.rows import CASE_COLUMNS, GRADE_COLUMNS, SIMILAR, Case, Reading, find_conflicts
from hipoa.core.tables.sheet import CORRECT, Cells, parse_existing, read_sheet
from hipoa.core.tables.words import quote, read_exclusion, read_grade, read_side, read_yes

_SHOWN = 10
_MAKE_CASES = (
    "Name the columns so, or have the table made from a folder of CTs: "
    "python -m hipoa cases FOLDER --out cases.csv."
)
_MAKE_GRADES = (
    "Name the columns so, or have the table made from yours: "
    "python -m hipoa cases FOLDER --out cases.csv --grades SHEET."
)
_ONE_COHORT = (
    "Mark all CTs of a patient as external or none of them; two people need ids that differ in more."
)


@dataclass(frozen=True)
class Tables:
    """The rows of cases.csv and grades.csv, and what the user should look at, a line each."""

    cases: Sequence[Case] = ()
    readings: Sequence[Reading] = ()
    warnings: Sequence[str] = ()


def read_tables(cases: Path, grades: Path | None = None) -> Tables:
    """Reads both tables; the faults of both are listed in one message.

    Raises:
        TableError: As `read_cases` and `read_grades`, and of both together: a reading of an unknown case, a
            patient both labelled and external, under the same patient id or a similar one.
    """
    parsed = [_parse_cases(cases)]
    if grades is not None:
        parsed.append(_parse_grades(grades, parsed[0].case_ids))
    readings = parsed[1].rows if grades is not None else []
    conflicts = find_conflicts(parsed[0].rows, readings)
    if conflicts:
        parsed[-1].do = CORRECT if any(table.faults for table in parsed) else _ONE_COHORT
        parsed[-1].faults += conflicts
    _refuse(parsed)
    return Tables(parsed[0].rows, readings, [line for table in parsed for line in table.warnings])


def read_cases(path: Path) -> list[Case]:
    """Reads cases.csv; paths in it are relative to its own folder.

    Raises:
        TableError: Listing every bad row: a case_id that is missing, repeated (case-insensitively, as some
            file systems do not distinguish case) or no safe file name, a missing patient_id or file, a cell
            that is none of the allowed words.
    """
    table = _parse_cases(path)
    _refuse([table])
    return table.rows


def read_grades(path: Path) -> list[Reading]:
    """Reads grades.csv: one row per reading.

    Raises:
        TableError: Listing every bad row: an unknown side, a grade out of range, no grade at all, two
            readings of one hip by one reader on one date.
    """
    table = _parse_grades(path, None)
    _refuse([table])
    return table.rows


@dataclass
class _Parsed:
    """The good rows of a table, the faults of the others, and all case_ids; None if its header is bad."""

    path: Path
    rows: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    case_ids: set[str] | None = None
    do: str = CORRECT

    def read(
        self, columns: Sequence[str], required: Sequence[str], if_missing: str
    ) -> Iterator[tuple[int, Cells]]:
        try:
            note, rows = read_sheet(self.path, columns, required, if_missing)
        except TableError as error:
            self.faults, self.do = [error.found], error.do
            return
        self.case_ids = set()
        self.warnings += [note] if note else []
        for number, row in rows:
            yield number, Cells(row, self.faults, f"row {number}")


def _refuse(tables: Sequence[_Parsed]) -> None:
    bad = [table for table in tables if table.faults]
    if bad:
        found = "; ".join(bad[0].faults)
        found += "".join(f"; {table.path.name}: {'; '.join(table.faults)}" for table in bad[1:])
        raise TableError(bad[0].path.name, found, bad[0].do if len(bad) == 1 else CORRECT)


def _parse_cases(path: Path) -> _Parsed:
    table = _Parsed(path)
    row_of: dict[str, int] = {}
    first_of_patient: dict[str, Case] = {}
    first_of_ct: dict[str, Case] = {}
    similar: dict[str, str] = {}
    for number, cells in table.read(CASE_COLUMNS, ("case_id", "patient_id", "ct"), _MAKE_CASES):
        before = len(table.faults)
        case = _parse_case(cells, path.parent)
        first = row_of.setdefault(case.case_id.lower(), number)
        if case.case_id and first != number:
            cells.faults.append(
                f"row {number}: case_id {case.case_id} is that of row {first} (capitals do not count)"
            )
        other = first_of_patient.setdefault(comparison_key(case.patient_id), case)
        if other.patient_id != case.patient_id:
            similar.setdefault(case.patient_id, f"rows {row_of[other.case_id.lower()]} and {number}")
        # One patient may have a CT twice, for two series.
        other = first_of_ct.setdefault(_normal_path(case.ct), case) if _has_owner(case) else case
        if other.patient_id != case.patient_id:
            row = row_of[other.case_id.lower()]
            cells.faults.append(f"row {number}: ct is that of row {row}, another patient's")
        if table.case_ids is not None:
            table.case_ids.add(case.case_id)
        if len(table.faults) == before:
            table.rows.append(case)
    table.faults += _check_sexes(table.rows)
    table.warnings += _warn_of_similar_ids(path, list(similar.values()))
    return table


def _parse_case(cells: Cells, folder: Path) -> Case:
    def parse_optional(text: str) -> Path | None:
        return parse_existing(folder, text) if text else None

    return Case(
        case_id=cells.read("case_id", parse_safe_name),
        patient_id=cells.read("patient_id", parse_name),
        ct=cells.read("ct", lambda text: parse_existing(folder, text), Path()),
        external=cells.read("external", read_yes, False),
        labels=cells.read("labels", parse_optional, None),
        landmarks=cells.read("landmarks", parse_optional, None),
        series=cells.read("series", parse_series),
        exclude=cells.read("exclude", read_exclusion),
        sex=cells.row["sex"],
        age=cells.row["age"],
        scanner=cells.row["scanner"],
    )


def _has_owner(case: Case) -> bool:
    return bool(case.patient_id) and case.ct != Path()


def _normal_path(path: Path) -> str:
    text = str(path)
    normal = os.path.normpath(text)
    # The string that the path keeps anyway, if it can be: there may be 100 000.
    return text if normal == text else normal


def _check_sexes(cases: Sequence[Case]) -> list[str]:
    """Where H stands for men (hombre, homem), M stands for women."""
    sexes = {normalise(case.sex).upper() for case in cases}
    if not {"H", "M"} <= sexes or "F" in sexes:
        return []
    return ['in the column sex "M" beside "H" may mean mujer, mulher or male: write F and M']


def _warn_of_similar_ids(path: Path, pairs: Sequence[str]) -> list[str]:
    if not pairs:
        return []
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return [
        f"{path.name}: warning: {', '.join(pairs[:_SHOWN])}{more}: patient ids that differ in {SIMILAR} "
        "alone count as different people. Write one person's ids alike."
    ]


def _parse_grades(path: Path, known: Collection[str] | None) -> _Parsed:
    table = _Parsed(path)
    seen: set[tuple[str | None, ...]] = set()
    for number, cells in table.read(GRADE_COLUMNS, ("case_id", "side", "crowe", "kl"), _MAKE_GRADES):
        before = len(table.faults)
        reading = _parse_reading(cells)
        if reading.case_id and known is not None and reading.case_id not in known:
            cells.faults.append(f"row {number}: case_id {quote(reading.case_id)}is not in the table of cases")
        key = (reading.case_id, reading.side, reading.reader, reading.date)
        if all(key[:2]) and None not in key and key in seen:
            cells.faults.append(
                f"row {number}: {reading.case_id} {reading.side} is there twice by one reader on one date"
            )
        seen.add(key)
        if len(table.faults) == before:
            table.rows.append(reading)
    return table


def _parse_reading(cells: Cells) -> Reading:
    reading = Reading(
        case_id=cells.read("case_id", parse_name),
        side=cells.read("side", read_side),
        crowe=cells.read("crowe", lambda text: read_grade(text, "crowe"), None),
        kl=cells.read("kl", lambda text: read_grade(text, "kl"), None),
        reader=cells.read("reader", parse_reader, None),
        date=cells.row["date"],
    )
    if not normalise(cells.row["crowe"] + cells.row["kl"]):
        cells.faults.append(f"{cells.where}: neither crowe nor kl is filled")
    return reading
