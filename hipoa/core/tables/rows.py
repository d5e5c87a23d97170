"""The rows of cases.csv and grades.csv, their cohorts and their shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from hipoa.core.files import write_csv
from hipoa.core.identifiers import comparison_key

SIDES = ("L", "R")
COHORTS = ("labelled", "external", "pool")

CONSENSUS = "consensus"
"""The reader of a grade on which several readers settled."""

SIMILAR = "leading zeros, capitals or a trailing .0"
"""Differences between patient ids that may be a spreadsheet's or a typist's."""


@dataclass(frozen=True, slots=True)
class Case:
    """One CT of one patient."""

    case_id: str  # used in file names; letters, digits, dot, dash and underscore
    patient_id: str  # a pseudonym; all hips of a patient stay in one fold
    ct: Path  # a file, or a folder with a DICOM series
    external: bool = False  # the case belongs to the external validation cohort
    labels: Path | None = None  # a label map, or a folder of masks, with the femora
    landmarks: Path | None = None  # a table of hip centres
    series: str = ""  # the number or name of the DICOM series to read, if there are several
    exclude: str = ""  # the hips to leave out: "", "L", "R" or "LR"
    sex: str = ""
    age: str = ""
    scanner: str = ""


@dataclass(frozen=True)
class Reading:
    """One rater's grades of one hip: Crowe 1-4 and Kellgren-Lawrence (KL) 0-4, or None."""

    case_id: str
    side: str
    crowe: int | None
    kl: int | None
    reader: str = ""
    date: str = ""


CASE_COLUMNS = tuple(field.name for field in fields(Case))
GRADE_COLUMNS = tuple(field.name for field in fields(Reading))


def hip_id(case_id: str, side: str) -> str:
    """The name of a hip: one side of one case."""
    return f"{case_id}_{side}"


def assign_cohorts(cases: Sequence[Case], readings: Sequence[Reading]) -> dict[str, list[Case]]:
    """The cases of each cohort: external as marked, labelled if a hip is graded, else pool."""
    graded = {reading.case_id for reading in readings}
    cohorts: dict[str, list[Case]] = {name: [] for name in COHORTS}
    for case in cases:
        name = "external" if case.external else "labelled" if case.case_id in graded else "pool"
        cohorts[name].append(case)
    return cohorts


def find_conflicts(cases: Sequence[Case], readings: Sequence[Reading]) -> list[str]:
    """Patients in both the labelled and the external cohort, also by patient ids that are merely similar."""
    cohorts = assign_cohorts(cases, readings)
    labelled = {comparison_key(case.patient_id): case for case in cohorts["labelled"]}
    conflicts: list[str] = []
    for case in cohorts["external"]:
        other = labelled.get(comparison_key(case.patient_id))
        if other is not None:
            same = other.patient_id == case.patient_id
            conflicts.append(
                f"the patient of case {other.case_id} (labelled) is also the patient of case {case.case_id} "
                f"(external){'' if same else f', or the patient ids differ in {SIMILAR} alone'}"
            )
    return conflicts


def shard_of(case_id: str, shards: int) -> int:
    """The shard of a case, which does not depend on the other cases."""
    return int(hashlib.sha1(case_id.encode(), usedforsecurity=False).hexdigest(), 16) % shards


def write_cases(path: Path, cases: Iterable[Case]) -> None:
    """Writes a cases.csv; paths are relative to its folder."""

    def write(value: object) -> object:
        if isinstance(value, bool):
            return "yes" if value else ""
        return str(value.relative_to(path.parent)) if isinstance(value, Path) else value

    rows = ({name: write(getattr(case, name)) for name in CASE_COLUMNS} for case in cases)
    write_csv(path, CASE_COLUMNS, rows)


def write_grades(path: Path, readings: Iterable[Reading]) -> None:
    """Writes a grades.csv."""
    write_csv(path, GRADE_COLUMNS, (vars(reading) for reading in readings))
