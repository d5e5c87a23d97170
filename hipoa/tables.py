"""cases.csv and grades.csv: read tolerantly, checked strictly, all bad rows in one message.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hipoa.errors import TableError
from hipoa.files import write_csv
from hipoa.sheets import (
    Cells,
    parse_exclusion,
    parse_existing,
    parse_filled,
    parse_grade,
    parse_number,
    parse_optional_path,
    parse_safe_name,
    parse_side,
    parse_yes,
    read_sheet,
    refuse,
)

SIDES = ("L", "R")
COHORTS = ("labelled", "external", "pool")

CASE_COLUMNS = (
    "case_id",
    "patient_id",
    "ct",
    "external",
    "labels",
    "landmarks",
    "series",
    "exclude",
    "sex",
    "age",
    "scanner",
)
GRADE_COLUMNS = ("case_id", "side", "crowe", "kl", "reader", "date")


@dataclass(frozen=True, slots=True)
class Case:
    """One CT of one patient.

    Attributes:
        case_id: Names files and rows; letters, digits, dot, dash and underscore.
        patient_id: A pseudonym; all hips of a patient stay in one fold.
        ct: A file, or a folder with a DICOM series.
        external: The case belongs to the external validation cohort.
        labels: A label map, or a folder of masks, that shows the femora.
        landmarks: A table of hip centres.
        exclude: The hips to leave out: "", "L", "R" or "LR".
        sex: For subgroups; free text.
        age: For subgroups; free text.
        scanner: For subgroups; free text.
        series: Of several DICOM series of CT the number of the one to read.
    """

    case_id: str
    patient_id: str
    ct: Path
    external: bool = False
    labels: Path | None = None
    landmarks: Path | None = None
    exclude: str = ""
    sex: str = ""
    age: str = ""
    scanner: str = ""
    series: int | None = None


@dataclass(frozen=True)
class Reading:
    """What one reader saw at one hip: Crowe 1-4 and Kellgren-Lawrence (KL) 0-4, or None."""

    case_id: str
    side: str
    crowe: int | None
    kl: int | None
    reader: str = ""
    date: str = ""


def hip_id(case_id: str, side: str) -> str:
    """The name of a hip: one side of one case."""
    return f"{case_id}_{side}"


def read_cases(path: Path) -> list[Case]:
    """Reads cases.csv; paths in it are relative to its own folder.

    Raises:
        TableError: Listing every bad row: a case_id that is missing, twice there or no safe file
            name, a missing patient_id or file, a cell that is none of the allowed words. Two names
            that differ in capitals alone are refused: some file systems hold them for one, and a patient
            written in two ways would be two patients.
    """
    cases: list[Case] = []
    faults: list[str] = []
    rows_of: dict[str, int] = {}
    patients: dict[str, tuple[int, str]] = {}
    folder = path.parent
    for number, row in read_sheet(path, CASE_COLUMNS, required=("case_id", "patient_id", "ct")):
        cell = Cells(row, faults, f"row {number}")
        case = Case(
            case_id=cell.read("case_id", parse_safe_name),
            patient_id=cell.read("patient_id", parse_filled),
            ct=cell.read("ct", lambda text: parse_existing(folder, text), Path()),
            external=cell.read("external", parse_yes, False),
            labels=cell.read("labels", lambda text: parse_optional_path(folder, text), None),
            landmarks=cell.read("landmarks", lambda text: parse_optional_path(folder, text), None),
            exclude=cell.read("exclude", parse_exclusion),
            sex=row["sex"],
            age=row["age"],
            scanner=row["scanner"],
            series=cell.read("series", parse_number, None),
        )
        first = rows_of.setdefault(_fold(case.case_id), number)
        if case.case_id and first != number:
            faults.append(
                f"row {number}: case_id {case.case_id} is that of row {first} (capitals do not count)"
            )
        first, patient_id = patients.setdefault(_fold(case.patient_id), (number, case.patient_id))
        if patient_id != case.patient_id:
            faults.append(f"row {number}: patient_id differs from that of row {first} in capitals alone")
        cases.append(case)
    refuse(path, faults)
    return cases


def read_grades(path: Path) -> list[Reading]:
    """Reads grades.csv: one row per reading; Roman numerals are read.

    Raises:
        TableError: Listing every bad row: an unknown side, a grade out of range, no grade at all,
            the same reader's reading of the same hip and date twice.
    """
    readings: list[Reading] = []
    faults: list[str] = []
    seen: set[tuple[str, str, str, str]] = set()
    for number, row in read_sheet(path, GRADE_COLUMNS, required=("case_id", "side", "crowe", "kl")):
        cell = Cells(row, faults, f"row {number}")
        reading = Reading(
            case_id=cell.read("case_id", parse_filled),
            side=cell.read("side", parse_side),
            crowe=cell.read("crowe", lambda text: parse_grade(text, 1), None),
            kl=cell.read("kl", lambda text: parse_grade(text, 0), None),
            reader=row["reader"],
            date=row["date"],
        )
        if not row["crowe"] and not row["kl"]:
            faults.append(f"row {number}: neither crowe nor kl is filled")
        key = (reading.case_id, reading.side, reading.reader, reading.date)
        if all(key[:2]) and key in seen:
            faults.append(
                f"row {number}: {reading.case_id} {reading.side} is there twice by one reader on one date"
            )
        seen.add(key)
        readings.append(reading)
    refuse(path, faults)
    return readings


def assign_cohorts(
    cases: Sequence[Case], readings: Sequence[Reading], where: str = "grades.csv"
) -> dict[str, list[Case]]:
    """Puts each case into its cohort: external as marked, labelled if a hip is graded, else pool.

    Raises:
        TableError: A reading of an unknown case, or a patient who is both labelled and external.
    """
    known = {case.case_id for case in cases}
    faults = [
        f'case_id "{case_id}" is not in the table of cases'
        for case_id in sorted({reading.case_id for reading in readings} - known)
    ]
    graded = {reading.case_id for reading in readings}
    cohorts: dict[str, list[Case]] = {name: [] for name in COHORTS}
    for case in cases:
        name = "external" if case.external else "labelled" if case.case_id in graded else "pool"
        cohorts[name].append(case)
    labelled = {case.patient_id: case.case_id for case in cohorts["labelled"]}
    faults += [
        f"the patient of case {labelled[case.patient_id]} (labelled) is also the patient of case "
        f"{case.case_id} (external)"
        for case in cohorts["external"]
        if case.patient_id in labelled
    ]
    if faults:
        raise TableError(
            where, "; ".join(faults), "A patient belongs to one cohort, a reading to a known case."
        )
    return cohorts


def shard_of(case_id: str, shards: int) -> int:
    """The shard of a case: stable, whatever other cases there are."""
    return int(hashlib.sha1(case_id.encode(), usedforsecurity=False).hexdigest(), 16) % shards


def fingerprint(cases: Iterable[Case], *, look: bool = True) -> str:
    """A hash of rows and files that changes when a case, or one of its files, was replaced.

    Args:
        cases: The cases of a shard.
        look: Take in size and modification time of the files (for a folder their number, their size and
            the newest time); off for file systems on which looking at 100 000 files is slow.
    """
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda case: case.case_id):
        row = [case.case_id, case.patient_id, case.exclude, case.sex, case.age, case.scanner]
        row += [] if case.series is None else [f"series {case.series}"]
        files = (case.ct, case.labels, case.landmarks)
        row += ["" if path is None else path.name for path in files]
        row += [_file_state(path) for path in files if look and path]
        digest.update(("\0".join(row) + "\n").encode())
    return digest.hexdigest()[:16]


def readings_fingerprint(readings: Iterable[Reading], cases: Iterable[Case]) -> str:
    """A hash of the readings of these cases that changes when one of them is another.

    Args:
        readings: Of any cases, in any order.
        cases: The cases of a cohort.
    """
    mine = {case.case_id for case in cases}
    rows = sorted(repr(tuple(vars(reading).values())) for reading in readings if reading.case_id in mine)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Writes a cases.csv whose paths are relative to its own folder."""

    def relative(file: Path | None) -> str:
        return "" if file is None else str(file.relative_to(path.parent))

    write_csv(
        path,
        CASE_COLUMNS,
        (
            {
                **{name: getattr(case, name) for name in CASE_COLUMNS},
                "ct": relative(case.ct),
                "labels": relative(case.labels),
                "landmarks": relative(case.landmarks),
                "external": "yes" if case.external else "",
            }
            for case in cases
        ),
    )


def write_grades(path: Path, readings: Iterable[Reading]) -> None:
    """Writes a grades.csv."""
    write_csv(path, GRADE_COLUMNS, (vars(reading) for reading in readings))


def _fold(name: str) -> str:
    # Not a second copy of every name: there may be 100 000.
    folded = name.lower()
    return name if folded == name else folded


def _file_state(path: Path) -> str:
    state = path.stat()
    if stat.S_ISDIR(state.st_mode):
        states = [file.stat() for file in path.rglob("*") if file.is_file()]
        newest = max((state.st_mtime_ns for state in states), default=0)
        return f"{len(states)} {sum(state.st_size for state in states)} {newest}"
    return f"{state.st_size} {state.st_mtime_ns}"
