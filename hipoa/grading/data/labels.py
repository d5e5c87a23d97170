"""The grade of a hip from its readings, by the label rule and the class table.

Standard library and pydantic only: the Snakefile checks the tables with it before any job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median_low

from hipoa.core.constants import ROMAN
from hipoa.core.errors import TableError
from hipoa.core.tables.rows import CONSENSUS, Reading
from hipoa.grading.settings import HipsSettings


def grade_hip(hip: str, readings: Sequence[Reading], rule: HipsSettings) -> dict[str, object]:
    """The grade of one hip from its readings.

    Each index is settled on its own, from the readings that have it. Where every reading lies on the
    class table, this is the median (first, latest) of their classes, because the table is ordinal.

    Returns:
        crowe, kl, grade (class 1-7 or None), off_table ("yes" or ""), n_readings, reader_grades (one class
        per named reader, in order of name, without the names; a consensus is no reader).
    """
    if rule.label_rule == "latest":
        readings = _by_date(hip, readings)
    crowe = _settle([r.crowe for r in readings if r.crowe is not None], rule)
    kl = _settle([r.kl for r in readings if r.kl is not None], rule)
    off = crowe is not None and kl is not None and _class_of(crowe, kl, rule) is None
    return {
        "crowe": crowe,
        "kl": kl,
        "grade": None if crowe is None or kl is None else combine(crowe, kl, rule),
        "off_table": "yes" if off else "",
        "n_readings": len(readings),
        "reader_grades": " ".join(map(str, _grades_by_reader(readings, rule))),
    }


def combine(crowe: int, kl: int, rule: HipsSettings) -> int | None:
    """The combined class 1-7 of a pair, None for a pair off the table that is to be left out."""
    found = _class_of(crowe, kl, rule)
    if found is not None or rule.off_table == "leave_out":
        return found
    pairs = rule.class_table
    # min() keeps the first of equals: the milder class.
    return 1 + min(range(len(pairs)), key=lambda i: abs(pairs[i][0] - crowe) + abs(pairs[i][1] - kl))


def find_unused(rows: Iterable[Mapping[str, object]]) -> Iterator[tuple[str, str]]:
    """The hips that a person graded and that are neither trained on nor scored, each with the reason.

    Args:
        rows: Of tables of hips, of `hipoa.grading.data.hips`, as they are written or as they were read.
    """
    for row in rows:
        if str(row["n_readings"] or 0) != "0" and (reason := _explain_unused(row)):
            yield str(row["hip_id"]), reason


def _explain_unused(row: Mapping[str, object]) -> str:
    if row["status"] != "ok":
        return f"{row['status']}: {str(row['reason']).rstrip('.')}"
    lack = find_lack(row)
    if lack == "class":
        return f"Crowe {ROMAN[int(str(row['crowe']))]}, KL {row['kl']} is in no class"
    return {"crowe": "without a Crowe grade", "kl": "without a KL grade", "": ""}[lack]


def find_lack(grade: Mapping[str, object]) -> str:
    """What a graded hip lacks for a combined class: "crowe", "kl", "class" (its pair is in none), or ""."""
    if grade["grade"] not in ("", None):
        return ""
    missing = [index for index in ("crowe", "kl") if grade[index] in ("", None)]
    return missing[0] if missing else "class"


def _class_of(crowe: int, kl: int, rule: HipsSettings) -> int | None:
    pair = (crowe, 1 if kl == 0 and rule.kl0_as_kl1 else kl)
    return rule.class_table.index(pair) + 1 if pair in rule.class_table else None


def _grades_by_reader(readings: Sequence[Reading], rule: HipsSettings) -> list[int]:
    # Of a reader who read the hip again, the first reading: the second one may remember it.
    grades: dict[str, int] = {}
    for reading in readings:
        if reading.reader not in ("", CONSENSUS) and reading.crowe is not None and reading.kl is not None:
            grade = combine(reading.crowe, reading.kl, rule)
            if grade is not None:
                grades.setdefault(reading.reader, grade)
    return [grades[reader] for reader in sorted(grades)]


def _settle(values: Sequence[int], rule: HipsSettings) -> int | None:
    if not values:
        return None
    if rule.label_rule == "median":
        return median_low(values)  # of two middle ones the milder
    return values[0 if rule.label_rule == "first" else -1]


def _by_date(hip: str, readings: Sequence[Reading]) -> Sequence[Reading]:
    if len(readings) > 1 and not all(re.fullmatch(r"\d{4}-\d\d-\d\d", reading.date) for reading in readings):
        raise TableError(
            hip,
            "it has several readings and not every one has a date as YYYY-MM-DD",
            "Fill the column date, or set label_rule to median or first.",
        )
    return sorted(readings, key=lambda reading: reading.date)
