"""cases.csv and grades.csv: read tolerantly, checked strictly, all bad rows in one message.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hipoa.errors import TableError
from hipoa.files import write_csv

SIDES = ("L", "R")
COHORTS = ("labelled", "external", "pool")

CASE_COLUMNS = (
    "case_id",
    "patient_id",
    "ct",
    "external",
    "labels",
    "landmarks",
    "exclude",
    "sex",
    "age",
    "scanner",
)
GRADE_COLUMNS = ("case_id", "side", "crowe", "kl", "reader", "date")

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_YES = {"1", "yes", "y", "true", "x"}
_NO = {"", "0", "no", "n", "false"}
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4}
_SIDE_WORDS = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
_EXCLUDE_WORDS = {"": "", "L": "L", "R": "R", "LR": "LR", "RL": "LR", "BOTH": "LR"}


@dataclass(frozen=True)
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
            name, a missing patient_id or file, a cell that is none of the allowed words.
    """
    cases: list[Case] = []
    faults: list[str] = []
    seen: set[str] = set()
    for number, row in _rows(path, CASE_COLUMNS, required=("case_id", "patient_id", "ct")):
        cell = _Cells(row, faults, f"row {number}")
        case = Case(
            case_id=cell.read("case_id", _safe_name),
            patient_id=cell.read("patient_id", _filled),
            ct=cell.read("ct", lambda text: _existing(path.parent, text), Path()),
            external=cell.read("external", _flag, False),
            labels=cell.read("labels", lambda text: _optional_path(path.parent, text), None),
            landmarks=cell.read("landmarks", lambda text: _optional_path(path.parent, text), None),
            exclude=cell.read("exclude", _excluded),
            sex=row["sex"],
            age=row["age"],
            scanner=row["scanner"],
        )
        if case.case_id and case.case_id in seen:
            faults.append(f'row {number}: case_id "{case.case_id}" is there twice')
        seen.add(case.case_id)
        cases.append(case)
    _refuse(path, faults)
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
    for number, row in _rows(path, GRADE_COLUMNS, required=("case_id", "side", "crowe", "kl")):
        cell = _Cells(row, faults, f"row {number}")
        reading = Reading(
            case_id=cell.read("case_id", _filled),
            side=cell.read("side", _side),
            crowe=cell.read("crowe", lambda text: _grade(text, 1), None),
            kl=cell.read("kl", lambda text: _grade(text, 0), None),
            reader=row["reader"],
            date=row["date"],
        )
        if not row["crowe"] and not row["kl"]:
            faults.append(f"row {number}: neither crowe nor kl is filled")
        key = (reading.case_id, reading.side, reading.reader, reading.date)
        if all(key[:2]) and key in seen:
            faults.append(f"row {number}: {reading.case_id} {reading.side} by this reader is there twice")
        seen.add(key)
        readings.append(reading)
    _refuse(path, faults)
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
        look: Take in size and modification time of the files (for a folder their number and the
            newest time); off for file systems on which looking at 100 000 files is slow.
    """
    digest = hashlib.sha256()
    for case in sorted(cases, key=lambda case: case.case_id):
        row = [case.case_id, case.patient_id, case.exclude, case.sex, case.age, case.scanner]
        for path in (case.ct, case.labels, case.landmarks):
            row.append("" if path is None else _file_state(path) if look else path.name)
        digest.update(("\0".join(row) + "\n").encode())
    return digest.hexdigest()[:16]


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Writes a cases.csv whose paths are relative to its own folder."""

    def relative(file: Path | None) -> str:
        return "" if file is None else str(file.relative_to(path.parent))

    write_csv(
        path,
        CASE_COLUMNS,
        (
            {
                **vars(case),
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


def _rows(path: Path, columns: Sequence[str], required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows as (row number as a spreadsheet shows it, cells), blank rows left out."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TableError(
            path.name, f"the file cannot be read ({error.strerror})", "Name an existing file."
        ) from error
    lines = list(csv.reader(_text(raw).splitlines(), delimiter=_delimiter(_text(raw))))
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    faults = [f'column "{name}" is missing' for name in required if name not in header]
    faults += [
        f'column "{name}" is there twice' for name in sorted({h for h in header if h and header.count(h) > 1})
    ]
    for name in header:
        # A misspelt "external" would otherwise put that cohort into the training.
        close = difflib.get_close_matches(name, columns, n=1, cutoff=0.8)
        if name not in columns and close:
            faults.append(f'column "{name}" looks like "{close[0]}" misspelt')
    _refuse(path, faults)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line):
            cells = dict(zip(header, (cell.strip() for cell in line), strict=False))
            rows.append((number, {name: cells.get(name, "") for name in columns}))
    return rows


def _text(raw: bytes) -> str:
    # What spreadsheets write: UTF-16 with a mark ("Unicode text"), UTF-8 with or without, Windows-1252.
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


@dataclass
class _Cells:
    """Reads the cells of one row and gathers what is wrong with them."""

    row: dict[str, str]
    faults: list[str]
    where: str

    def read(self, column: str, parse: Callable[[str], Any], otherwise: Any = "") -> Any:
        try:
            return parse(self.row[column])
        except ValueError as error:
            self.faults.append(f"{self.where}: {column} {error}")
            return otherwise


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise TableError(path.name, "; ".join(faults), "Mend these and start again.")


def _filled(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _safe_name(text: str) -> str:
    if not _SAFE_NAME.fullmatch(text):
        raise ValueError(f'"{text}" is no safe file name (letters, digits, ".", "_", "-", at most 64)')
    return text


def _existing(folder: Path, text: str) -> Path:
    path = folder / _filled(text)
    if not path.exists():
        raise ValueError(f'"{text}" does not exist')
    return path


def _optional_path(folder: Path, text: str) -> Path | None:
    return _existing(folder, text) if text else None


def _flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError(f'"{text}" is neither yes nor no')
    return text.lower() in _YES


def _excluded(text: str) -> str:
    if text.upper() not in _EXCLUDE_WORDS:
        raise ValueError(f'"{text}" is none of L, R, both')
    return _EXCLUDE_WORDS[text.upper()]


def _side(text: str) -> str:
    if text.upper() not in _SIDE_WORDS:
        raise ValueError(f'"{text}" is neither L nor R (the patient\'s side)')
    return _SIDE_WORDS[text.upper()]


def _grade(text: str, least: int) -> int | None:
    if not text:
        return None
    value = _ROMAN.get(text.upper())
    if value is None and re.fullmatch(r"\d(\.0)?", text):
        value = int(text[0])
    if value is None or not least <= value <= 4:
        raise ValueError(f'"{text}" is not one of {least}-4')
    return value


def _file_state(path: Path) -> str:
    if path.is_dir():
        states = [file.stat() for file in path.rglob("*") if file.is_file()]
        return f"{len(states)} {max((state.st_mtime_ns for state in states), default=0)}"
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
