"""Assigns the readings of a spreadsheet to CTs; a reading whose CT is uncertain is not assigned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from hipoa.cases.grade_sheet import SheetReading
from hipoa.core.identifiers import comparison_key, normalise
from hipoa.core.tables.rows import Reading

NEAR_DAYS = 30
"""The date of the CT in the sheet may differ from that of the CT by this, if no CT is of the same day ..."""
CLEAR_DAYS = 90
"""... and every other CT of the patient differs from it by at least this."""


@dataclass(frozen=True)
class Known:
    """A case as the hospital knows it; texts are empty if unknown."""

    case_id: str
    hospital_id: str = ""  # the hospital's patient ID
    accession: str = ""  # the accession number
    date: str = ""  # the study date, YYYYMMDD
    patient_id: str = ""  # the pseudonym; cases that share it are of one person, however its ID is written
    # It is in the table of cases. A study that was set aside is not, but may be what was graded.
    in_table: bool = True


@dataclass
class Matched:
    """The readings whose case is certain; (row number, reason) of the others."""

    readings: list[Reading] = field(default_factory=list)
    unmatched: list[tuple[int, str]] = field(default_factory=list)


def match(readings: Sequence[SheetReading], known: Sequence[Known]) -> Matched:
    """Finds the case of each reading.

    A patient with one CT: that one, unless a column that is certainly the date of the CT has another date.
    With several: the one of the accession number, else the one of the date. Such a date may differ by up to
    `NEAR_DAYS` if every other CT of that patient differs by at least `CLEAR_DAYS`; any other date only counts
    on the very day.
    """
    lookup = _Lookup(readings, known)
    matched = Matched()
    of_hip: dict[tuple[str, ...], dict[Reading, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in readings:
        try:
            case = _choose(lookup.find(one), one)
        except ValueError as error:
            matched.unmatched.append((one.row, str(error)))
            continue
        reading = Reading(case.case_id, one.side, one.crowe, one.kl, one.reader, one.read_on)
        of_hip[reading.case_id, reading.side, reading.reader, reading.date][reading].append(one.row)
    for rows_of in of_hip.values():
        if len(rows_of) == 1:
            matched.readings += rows_of
            continue
        rows = sorted({row for found in rows_of.values() for row in found})
        numbers = " and ".join(map(str, rows))
        why = "grade one hip of one CT differently (no reader or reading date tells them apart)"
        matched.unmatched += [(row, f"rows {numbers} {why}") for row in rows]
    matched.unmatched = sorted(set(matched.unmatched))
    return matched


class _Numbers:
    """Finds cases by a number of the hospital, even if a spreadsheet has removed leading zeros."""

    def __init__(self, pairs: Iterable[tuple[str, Known]], in_sheet: Iterable[str], what: str) -> None:
        self.what = what
        # By what spreadsheets do not change: the cases of each spelling, and the spellings in the sheet.
        self.cases: dict[str, dict[str, list[Known]]] = defaultdict(lambda: defaultdict(list))
        self.in_sheet: dict[str, set[str]] = defaultdict(set)
        for number, case in pairs:
            if name := normalise(number):
                self.cases[comparison_key(name)][name].append(case)
        for number in in_sheet:
            self.in_sheet[comparison_key(number)].add(number)

    def find(self, number: str) -> list[Known]:
        key = comparison_key(number)
        if key not in self.cases:
            raise ValueError(f"no CT has its {self.what}")
        cases = self.cases[key]
        people = {case.patient_id or name for name, found in cases.items() for case in found}
        if len(people) == 1 and (number in cases or len(self.in_sheet[key]) == 1):
            return [case for name in sorted(cases) for case in cases[name]]
        # No spreadsheet adds leading zeros: a number with them is as the hospital wrote it.
        if number in cases and number.startswith("0"):
            return cases[number]
        raise ValueError(
            f"its {self.what} is like another one but for zeros ahead, capitals or a trailing .0"
        )


class _Lookup:
    """Finds the cases that agree with the numbers of a reading."""

    def __init__(self, readings: Sequence[SheetReading], known: Sequence[Known]) -> None:
        patients = ((number, case) for case in known for number in (case.hospital_id, case.patient_id))
        accessions = ((case.accession, case) for case in known)
        self.patients = _Numbers(patients, (one.patient for one in readings), "patient number")
        self.accessions = _Numbers(accessions, (one.accession for one in readings), "accession number")
        self.cases = {case.case_id: case for case in known}

    def find(self, reading: SheetReading) -> list[Known]:
        if reading.case:
            if reading.case not in self.cases:
                raise ValueError("no case has its case_id")
            return [self.cases[reading.case]]
        if not reading.accession:
            return self.patients.find(reading.patient)
        found = self.accessions.find(reading.accession)
        if reading.patient:
            of_patient = self.patients.find(reading.patient)
            found = [case for case in found if case in of_patient]
            if not found:
                raise ValueError("its accession number is of another patient")
        return found


def _choose(cases: Sequence[Known], reading: SheetReading) -> Known:
    """The case of a reading; raises a ValueError with the reason if it is uncertain."""
    is_named = len(cases) == 1 and (reading.case or reading.accession)
    chosen = cases[0] if is_named else _choose_by_date(cases, reading)
    if not chosen.in_table:
        raise ValueError("its CT was set aside, or has several rows of your own in the table of cases")
    return chosen


def _choose_by_date(cases: Sequence[Known], reading: SheetReading) -> Known:
    if reading.exam == "?" and reading.exam_is_sure:
        raise ValueError("the date of its CT cannot be read, or may be several days: write it as 2020-01-31")
    has_dates = reading.exam not in ("", "?") and all(case.date for case in cases)
    if len(cases) == 1 and not (has_dates and reading.exam_is_sure):
        return cases[0]
    if not has_dates:
        raise ValueError(f"its patient has {len(cases)} CTs, and no date or accession number tells which")
    days = [_days_between(reading.exam, case.date) for case in cases]
    nearest, *others = sorted(days)
    if nearest == 0 and 0 in others:
        raise ValueError(f"its patient has {days.count(0)} CTs of its date")
    if nearest > 0:
        _check_near_date(nearest, others, reading.exam_is_sure)
    return cases[days.index(nearest)]


def _check_near_date(nearest: float, others: Sequence[float], exam_is_sure: bool) -> None:
    if not exam_is_sure:
        raise ValueError(f"its patient has {len(others) + 1} CTs, none of its date")
    if nearest > NEAR_DAYS:
        raise ValueError(f"its patient has no CT within {NEAR_DAYS} days of its date")
    if others and others[0] < CLEAR_DAYS:
        raise ValueError(
            f"its patient has several CTs within {CLEAR_DAYS} days of its date, none of that day"
        )


def _days_between(one: str, other: str) -> float:
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:  # no such day
        return float("inf")
