"""The cases of the built-in cohort and their shards, planned before anything is drawn.

Standard library only: the Snakefile imports this module from a bare Snakemake.

A few patients exercise a rule of the workflow: the first two patients of the pool have implants, and in the
demo the first two labelled patients have a second CT, the third one's second CT lies in the pool (its hips
may be predicted only by models that never saw the patient), and the left hip of the fourth is ungraded. In
the study's population a labelled patient is one CT and two graded hips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hipoa.core.tables.rows import COHORTS, shard_of

# The study has as many labelled patients as Masuda et al. 2024 (198 cases, 396 hips); the rest is our choice.
POPULATIONS = {
    "demo": {"labelled": 24, "external": 6, "pool": 6},
    "study": {"labelled": 198, "external": 52, "pool": 50},
}


@dataclass(frozen=True)
class PlannedCase:
    """One CT to be made."""

    case_id: str
    patient_id: str  # all CTs of a patient show the same anatomy
    cohort: str  # of the CT
    drawn_as: str  # the cohort whose distribution of grades the patient is drawn from
    number: int  # of the patient in that cohort, from 1
    visit: int = 0  # 1 for a second CT
    ungraded: str = ""  # the sides without readings: "", "L", "R" or "LR"
    implants: tuple[tuple[str, str], ...] = ()  # (side, "replacement" or "nail") of every hip with metal


_IMPLANTS = {("pool", 1): (("R", "replacement"),), ("pool", 2): (("L", "nail"),)}
# In the demo only: where a patient's second CT lies, and the sides without readings.
_SECOND_CT = {("labelled", 1): "labelled", ("labelled", 2): "labelled", ("labelled", 3): "pool"}
_UNGRADED = {("labelled", 4): "L"}


def count_patients(population: str, given: Mapping[str, int | None]) -> dict[str, int]:
    """The patients per cohort of a named population, unless the user asks for another number."""
    counts = {cohort: given.get(cohort) for cohort in COHORTS}
    return {name: POPULATIONS[population][name] if n is None else n for name, n in counts.items()}


def plan_cases(counts: Mapping[str, int], population: str = "demo") -> dict[str, list[PlannedCase]]:
    """The cases of every cohort, in order, from the number of patients per cohort."""
    second_ct, ungraded = (_SECOND_CT, _UNGRADED) if population == "demo" else ({}, {})
    plan: dict[str, list[PlannedCase]] = {cohort: [] for cohort in COHORTS}
    for key in ((cohort, number) for cohort in COHORTS for number in range(1, counts.get(cohort, 0) + 1)):
        cohort, number = key
        patient = f"phantom-{cohort[0]}{number:03d}"
        first = PlannedCase(patient, patient, cohort, cohort, number)
        plan[cohort].append(replace(first, ungraded=ungraded.get(key, ""), implants=_IMPLANTS.get(key, ())))
        later = second_ct.get(key, "")
        if counts.get(later, 0) > 0:
            plan[later].append(replace(first, case_id=f"{patient}-2", cohort=later, visit=1))
    return plan


def planned(
    counts: Mapping[str, int], shards: int, population: str = "demo"
) -> dict[str, dict[int, list[str]]]:
    """The case ids of every cohort by shard; shards without cases are left out."""
    result: dict[str, dict[int, list[str]]] = {}
    for cohort, cases in plan_cases(counts, population).items():
        shard: dict[int, list[str]] = {}
        for case in cases:
            shard.setdefault(shard_of(case.case_id, shards), []).append(case.case_id)
        result[cohort] = dict(sorted(shard.items()))
    return result
