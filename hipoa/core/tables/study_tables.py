"""Reads cases.csv and grades.csv: many spellings are accepted, all bad rows are listed in one message."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hipoa.core.identifiers import (
    comparison_key,
    normalise,
    parse_name,
    parse_reader,
    parse_safe_name,
    parse_series,
)
from hipoa.core.tables.rows import CASE_COLUMNS, GRADE_COLUMNS, SIMILAR, Case, Reading, find_conflicts
from hipoa.core.tables.sheet import CORRECT, Row, Sheet, parse_existing, refuse
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
    """Reads cases.csv, whose paths are relative to its own folder, and grades.csv.

    Raises:
        TableError: Listing every bad row: a case_id that is missing, repeated (case-insensitively, as some
            file systems do not distinguish case) or no safe file name, a missing patient_id or file, a cell
            that is none of the allowed words; as `read_grades`; a reading of an unknown case; a patient both
            labelled and external, under the same patient id or a similar one.
    """
    sheets = [_parse_cases(cases)]
    if grades is not None:
        known = {case_id for case_id, _ in sheets[0].rows} if sheets[0].has_header else None
        sheets.append(_parse_grades(grades, known))
    found = [case for _, case in sheets[0].rows if case is not None]
    readings = sheets[1].rows if grades is not None else []
    conflicts = find_conflicts(found, readings)
    if conflicts:
        sheets[-1].do = CORRECT if any(sheet.faults for sheet in sheets) else _ONE_COHORT
        sheets[-1].faults += conflicts
    refuse(sheets)
    return Tables(found, readings, [line for sheet in sheets for line in sheet.warnings])


def read_grades(path: Path) -> list[Reading]:
    """Reads grades.csv: one row per reading.

    Raises:
        TableError: Listing every bad row: an unknown side, a grade out of range, no grade at all, two
            readings of one hip by one reader on one date.
    """
    sheet = _parse_grades(path, None)
    refuse([sheet])
    return sheet.rows


def _parse_cases(path: Path) -> Sheet:
    """The rows are (case_id, case), the case None where it has a fault."""
    sheet = Sheet(path)
    row_of: dict[str, int] = {}
    first_of_patient: dict[str, Case] = {}
    first_of_ct: dict[str, Case] = {}
    similar: dict[str, str] = {}
    for row in sheet.read(CASE_COLUMNS, ("case_id", "patient_id", "ct"), _MAKE_CASES):
        case = _parse_case(row, path.parent)
        first = row_of.setdefault(case.case_id.lower(), row.number)
        if case.case_id and first != row.number:
            row.fail(f"case_id {case.case_id} is that of row {first} (capitals do not count)")
        other = first_of_patient.setdefault(comparison_key(case.patient_id), case)
        if other.patient_id != case.patient_id:
            similar.setdefault(case.patient_id, f"rows {row_of[other.case_id.lower()]} and {row.number}")
        if case.patient_id and case.ct != Path():
            # One patient may have a CT twice, for two series.
            other = first_of_ct.setdefault(_normal_path(case.ct), case)
            if other.patient_id != case.patient_id:
                row.fail(f"ct is that of row {row_of[other.case_id.lower()]}, another patient's")
        sheet.rows.append((case.case_id, None if row.faults else case))
    sexes = {normalise(case.sex).upper() for _, case in sheet.rows if case is not None}
    if {"H", "M"} <= sexes and "F" not in sexes:  # where H stands for men (hombre, homem), M stands for women
        sheet.faults.append('in the column sex "M" beside "H" may mean mujer, mulher or male: write F and M')
    if similar:
        pairs = list(similar.values())
        more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        sheet.warnings.append(
            f"{path.name}: warning: {', '.join(pairs[:_SHOWN])}{more}: patient ids that differ in {SIMILAR} "
            "alone count as different people. Write one person's ids alike."
        )
    return sheet


def _parse_case(row: Row, folder: Path) -> Case:
    def parse_optional(text: str) -> Path | None:
        return parse_existing(folder, text) if text else None

    return Case(
        case_id=row.read("case_id", parse_safe_name),
        patient_id=row.read("patient_id", parse_name),
        ct=row.read("ct", lambda text: parse_existing(folder, text), Path()),
        external=row.read("external", read_yes, False),
        labels=row.read("labels", parse_optional, None),
        landmarks=row.read("landmarks", parse_optional, None),
        series=row.read("series", parse_series),
        exclude=row.read("exclude", read_exclusion),
        sex=row.cells["sex"],
        age=row.cells["age"],
        scanner=row.cells["scanner"],
    )


def _normal_path(path: Path) -> str:
    text = str(path)
    normal = os.path.normpath(text)
    # The string that the path keeps anyway, if it can be: there may be 100 000.
    return text if normal == text else normal


def _parse_grades(path: Path, known: Collection[str] | None) -> Sheet:
    sheet = Sheet(path)
    seen: set[tuple[str | None, ...]] = set()
    for row in sheet.read(GRADE_COLUMNS, ("case_id", "side", "crowe", "kl"), _MAKE_GRADES):
        reading = _parse_reading(row)
        if reading.case_id and known is not None and reading.case_id not in known:
            row.fail(f"case_id {quote(reading.case_id)}is not in the table of cases")
        key = (reading.case_id, reading.side, reading.reader, reading.date)
        if all(key[:2]) and None not in key and key in seen:
            row.fail(f"{reading.case_id} {reading.side} is there twice by one reader on one date")
        seen.add(key)
        if not row.faults:
            sheet.rows.append(reading)
    return sheet


def _parse_reading(row: Row) -> Reading:
    reading = Reading(
        case_id=row.read("case_id", parse_name),
        side=row.read("side", read_side),
        crowe=row.read("crowe", lambda text: read_grade(text, "crowe"), None),
        kl=row.read("kl", lambda text: read_grade(text, "kl"), None),
        reader=row.read("reader", parse_reader, None),
        date=row.cells["date"],
    )
    if not normalise(row.cells["crowe"] + row.cells["kl"]):
        row.fail("neither crowe nor kl is filled")
    return reading
