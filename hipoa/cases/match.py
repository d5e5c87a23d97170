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
    """A case as the hospital knows it; texts are empty if unknown.

    Attributes:
        hospital_id: The hospital's patient ID.
        accession: The accession number.
        date: The study date, YYYYMMDD.
        patient_id: The pseudonym; cases that share it are of one person, however its ID is written.
        in_table: It is in the table of cases. A study that was set aside is not, but may be what was graded.
    """

    case_id: str
    hospital_id: str = ""
    accession: str = ""
    date: str = ""
    patient_id: str = ""
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
    rows: dict[Reading, list[int]] = defaultdict(list)
    for reading in readings:
        try:
            case = _choose(lookup.find(reading), reading)
            if not case.in_table:
                raise ValueError(
                    "its CT was set aside, or has several rows of your own in the table of cases"
                )
        except ValueError as error:
            matched.unmatched.append((reading.row, str(error)))
            continue
        found = Reading(
            case.case_id, reading.side, reading.crowe, reading.kl, reading.reader, reading.read_on
        )
        rows[found].append(reading.row)
    _drop_contradictions(rows, matched)
    matched.unmatched = sorted(set(matched.unmatched))
    return matched


def _drop_contradictions(rows: dict[Reading, list[int]], matched: Matched) -> None:
    """Keeps equal readings of a hip once, and none of those that differ: one of them must be wrong."""
    same_hip: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for reading in rows:
        same_hip[reading.case_id, reading.side, reading.reader, reading.date].append(reading)
    for several in same_hip.values():
        if len(several) == 1:
            matched.readings += several
            continue
        numbers = sorted({row for reading in several for row in rows[reading]})
        reason = (
            f"rows {' and '.join(map(str, numbers))} grade one hip of one CT differently "
            "(no reader or reading date tells them apart)"
        )
        matched.unmatched += [(number, reason) for number in numbers]


class _Numbers:
    """Finds cases by a number of the hospital, even if a spreadsheet has removed leading zeros."""

    def __init__(self, pairs: Iterable[tuple[str, Known]], in_sheet: Iterable[str], what: str) -> None:
        self.what = what
        self.cases: dict[str, list[Known]] = defaultdict(list)
        self.spellings: dict[str, set[str]] = defaultdict(set)
        self.in_sheet: dict[str, set[str]] = defaultdict(set)
        for number, case in pairs:
            name = normalise(number)
            if name:
                self.cases[name].append(case)
                self.spellings[comparison_key(name)].add(name)
        for number in in_sheet:
            self.in_sheet[comparison_key(number)].add(number)

    def find(self, number: str) -> list[Known]:
        key = comparison_key(number)
        spellings = self.spellings.get(key, set())
        if not spellings:
            raise ValueError(f"no CT has its {self.what}")
        people = {case.patient_id or name for name in spellings for case in self.cases[name]}
        # No spreadsheet adds leading zeros: a number with them is as the hospital wrote it.
        exact = number in spellings and (len(people) == 1 or number.startswith("0"))
        if not exact and (len(people) > 1 or len(self.in_sheet[key]) > 1):
            raise ValueError(
                f"its {self.what} is like another one but for zeros ahead, capitals or a trailing .0"
            )
        names = sorted(spellings) if len(people) == 1 else [number]
        return [case for name in names for case in self.cases[name]]


class _Lookup:
    """Finds the cases that agree with the numbers of a reading."""

    def __init__(self, readings: Sequence[SheetReading], known: Sequence[Known]) -> None:
        patients = ((number, case) for case in known for number in (case.hospital_id, case.patient_id))
        self.patients = _Numbers(patients, (reading.patient for reading in readings), "patient number")
        accessions = ((case.accession, case) for case in known)
        self.accessions = _Numbers(
            accessions, (reading.accession for reading in readings), "accession number"
        )
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
    if len(cases) == 1 and (reading.case or reading.accession):
        return cases[0]
    if reading.exam == "?" and reading.exam_is_sure:
        raise ValueError("the date of its CT cannot be read, or may be several days: write it as 2020-01-31")
    has_dates = reading.exam not in ("", "?") and all(case.date for case in cases)
    if len(cases) == 1 and not (has_dates and reading.exam_is_sure):
        return cases[0]
    if not has_dates:
        raise ValueError(f"its patient has {len(cases)} CTs, and no date or accession number tells which")
    return _choose_by_date(cases, reading)


def _choose_by_date(cases: Sequence[Known], reading: SheetReading) -> Known:
    days = [_days_between(reading.exam, case.date) for case in cases]
    nearest, *others = sorted(days)
    if nearest == 0 and 0 in others:
        raise ValueError(f"its patient has {days.count(0)} CTs of its date")
    if nearest > 0 and not reading.exam_is_sure:
        raise ValueError(f"its patient has {len(cases)} CTs, none of its date")
    if nearest > NEAR_DAYS:
        raise ValueError(f"its patient has no CT within {NEAR_DAYS} days of its date")
    if nearest > 0 and others and others[0] < CLEAR_DAYS:
        raise ValueError(
            f"its patient has several CTs within {CLEAR_DAYS} days of its date, none of that day"
        )
    return cases[days.index(nearest)]


def _days_between(one: str, other: str) -> float:
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:  # no such day
        return float("inf")
