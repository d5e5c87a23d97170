"""Whose CT a row of a spreadsheet of grades belongs to: surely, or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from hipoa.cases.grade_sheet import SheetReading
from hipoa.core.identifiers import normalise, reduce_likeness
from hipoa.core.tables.rows import Reading

NEAR_DAYS = 30
"""So far a CT may be from the date in the sheet that names its examination."""
CLEAR_DAYS = 90
"""So far every other CT of that patient must be from it, where no CT is of that very day."""


@dataclass(frozen=True)
class Known:
    """What a hospital calls a case; held in memory alone.

    Attributes:
        case_id: Of the table of cases.
        hospital_id: The hospital's number of the patient, or empty.
        accession: Number of the examination, or empty.
        date: Of the study, YYYYMMDD, or empty.
        patient_id: The patient's pseudonym, or empty: cases that share it are of one person, however the
            hospital's number is written.
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
    """What became of the readings of a spreadsheet.

    Attributes:
        readings: Those whose case is sure.
        unmatched: (row number, reason) of the others.
        ungraded: The cases without a reading.
    """

    readings: list[Reading] = field(default_factory=list)
    unmatched: list[tuple[int, str]] = field(default_factory=list)
    ungraded: list[str] = field(default_factory=list)


def match(readings: Sequence[SheetReading], known: Sequence[Known]) -> Matched:
    """Finds the case of each reading.

    A patient with one CT: that one, unless a column that is surely the date of the CT says another date. With
    several: the one of the accession number, else the one of the date. A date that is surely an examination's
    may be up to `NEAR_DAYS` off where every other CT of that patient is at least `CLEAR_DAYS` off; any other
    date only counts on the very day.
    """
    book = _Book(readings, known)
    matched = Matched()
    rows: dict[Reading, list[int]] = defaultdict(list)
    for reading in readings:
        try:
            case = _choose(book.find(reading), reading)
            if not case.in_table:
                raise ValueError(
                    "its CT was set aside, or has several rows of your own in the table of cases"
                )
        except ValueError as error:
            matched.unmatched.append((reading.row, str(error)))
            continue
        rows[_to_reading(reading, case)].append(reading.row)
    _settle(rows, matched)
    matched.unmatched = sorted(set(matched.unmatched))
    graded = {reading.case_id for reading in matched.readings}
    matched.ungraded = [case.case_id for case in known if case.in_table and case.case_id not in graded]
    return matched


def _to_reading(reading: SheetReading, case: Known) -> Reading:
    return Reading(case.case_id, reading.side, reading.crowe, reading.kl, reading.reader, reading.read_on)


def _settle(rows: dict[Reading, list[int]], matched: Matched) -> None:
    """Keeps a reading that is there twice once, and none of those that differ where one must be wrong."""
    same_hip: dict[tuple[str, ...], list[Reading]] = defaultdict(list)
    for reading in rows:
        same_hip[reading.case_id, reading.side, reading.reader, reading.date].append(reading)
    for several in same_hip.values():
        if len(several) == 1:
            matched.readings += several
            continue
        numbers = sorted({row for reading in several for row in rows[reading]})
        shown = " and ".join(map(str, numbers))
        reason = (
            f"rows {shown} grade one hip of one CT differently (no reader or reading date tells them apart)"
        )
        matched.unmatched += [(number, reason) for number in numbers]


class _Numbers:
    """Finds cases by a number as a hospital writes it, also where a spreadsheet took zeros from it."""

    def __init__(self, pairs: Iterable[tuple[str, Known]], asked: Iterable[str]) -> None:
        self.cases: dict[str, list[Known]] = defaultdict(list)
        self.spellings: dict[str, set[str]] = defaultdict(set)
        self.asked: dict[str, set[str]] = defaultdict(set)
        for number, case in pairs:
            name = normalise(number)
            if name:
                self.cases[name].append(case)
                self.spellings[reduce_likeness(name)].add(name)
        for number in asked:
            self.asked[reduce_likeness(number)].add(number)

    def find(self, number: str, what: str) -> list[Known]:
        """All cases of a number.

        Raises:
            ValueError: There is none, or the number may be one of two.
        """
        like = reduce_likeness(number)
        spelt, asked = self.spellings.get(like, set()), self.asked[like]
        if not spelt:
            raise ValueError(f"no CT has its {what}")
        people = {case.patient_id or name for name in spelt for case in self.cases[name]}
        # No spreadsheet puts zeros before a number: with them it is what it says.
        exact = number in spelt and (len(people) == 1 or number.startswith("0"))
        if not exact and (len(people) > 1 or len(asked) > 1):
            raise ValueError(f"its {what} is like another one but for zeros ahead, capitals or a trailing .0")
        names = sorted(spelt) if len(people) == 1 else [number]
        return [case for name in names for case in self.cases[name]]


class _Book:
    """The cases by each kind of number."""

    def __init__(self, readings: Sequence[SheetReading], known: Sequence[Known]) -> None:
        numbers = ((number, case) for case in known for number in (case.hospital_id, case.patient_id))
        self.patients = _Numbers(numbers, (reading.patient for reading in readings))
        self.accessions = _Numbers(
            ((case.accession, case) for case in known), (r.accession for r in readings)
        )
        self.cases = {case.case_id: case for case in known}

    def find(self, reading: SheetReading) -> list[Known]:
        """The cases that a reading's numbers allow.

        Raises:
            ValueError: There is none, or the numbers contradict each other.
        """
        if reading.case:
            if reading.case not in self.cases:
                raise ValueError("no case has its case_id")
            return [self.cases[reading.case]]
        if not reading.accession:
            return self.patients.find(reading.patient, "patient number")
        found = self.accessions.find(reading.accession, "accession number")
        if reading.patient:
            of_patient = self.patients.find(reading.patient, "patient number")
            found = [case for case in found if case in of_patient]
            if not found:
                raise ValueError("its accession number is of another patient")
        return found


def _choose(cases: Sequence[Known], reading: SheetReading) -> Known:
    """The case of a reading.

    Raises:
        ValueError: It is not sure.
    """
    is_named = bool(reading.case or reading.accession)
    if len(cases) == 1 and is_named:
        return cases[0]
    says_date = _says_date(cases, reading)
    if len(cases) == 1 and not (says_date and reading.exam_is_sure):
        return cases[0]
    if not says_date:
        raise ValueError(f"its patient has {len(cases)} CTs, and no date or accession number tells which")
    return _choose_by_date(cases, reading)


def _choose_by_date(cases: Sequence[Known], reading: SheetReading) -> Known:
    days = sorted(
        ((_days_between(reading.exam, case.date), case) for case in cases), key=lambda pair: pair[0]
    )
    (nearest, case), others = days[0], [far for far, _ in days[1:]]
    if nearest == 0 and 0 not in others:
        return case
    if nearest == 0:
        raise ValueError(f"its patient has {others.count(0) + 1} CTs of its date")
    if not reading.exam_is_sure:
        raise ValueError(f"its patient has {len(cases)} CTs, none of its date")
    if nearest > NEAR_DAYS:
        raise ValueError(f"its patient has no CT within {NEAR_DAYS} days of its date")
    if others and others[0] < CLEAR_DAYS:
        raise ValueError(
            f"its patient has several CTs within {CLEAR_DAYS} days of its date, none of that day"
        )
    return case


def _says_date(cases: Sequence[Known], reading: SheetReading) -> bool:
    if reading.exam == "?" and reading.exam_is_sure:
        raise ValueError("the date of its CT cannot be read, or may be several days: write it as 2020-01-31")
    return reading.exam not in ("", "?") and all(case.date for case in cases)


def _days_between(one: str, other: str) -> float:
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:  # no such day
        return float("inf")
