"""The rows of cases.csv and grades.csv, their cohorts and their shards.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hipoa.core.files import write_csv
from hipoa.core.identifiers import reduce_likeness

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

ALIKE = "leading zeros, capitals or a trailing .0"
"""What may be all that patient ids of one person differ in."""


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
        series: Of several DICOM series of CT the number, or name, of the one to read.
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
    series: str = ""


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


def assign_cohorts(cases: Sequence[Case], readings: Sequence[Reading]) -> dict[str, list[Case]]:
    """Puts each case into its cohort: external as marked, labelled if a hip is graded, else pool."""
    graded = {reading.case_id for reading in readings}
    cohorts: dict[str, list[Case]] = {name: [] for name in COHORTS}
    for case in cases:
        name = "external" if case.external else "labelled" if case.case_id in graded else "pool"
        cohorts[name].append(case)
    return cohorts


def find_conflicts(cases: Sequence[Case], readings: Sequence[Reading]) -> list[str]:
    """Patients who are labelled and external, also if two names of theirs look like one ruined name."""
    cohorts = assign_cohorts(cases, readings)
    labelled = {reduce_likeness(case.patient_id): case for case in cohorts["labelled"]}
    conflicts: list[str] = []
    for case in cohorts["external"]:
        other = labelled.get(reduce_likeness(case.patient_id))
        if other is not None:
            same = other.patient_id == case.patient_id
            conflicts.append(
                f"the patient of case {other.case_id} (labelled) is also the patient of case {case.case_id} "
                f"(external){'' if same else f', or the patient ids differ in {ALIKE} alone'}"
            )
    return conflicts


def shard_of(case_id: str, shards: int) -> int:
    """The shard of a case: stable, whatever other cases there are."""
    return int(hashlib.sha1(case_id.encode(), usedforsecurity=False).hexdigest(), 16) % shards


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
