"""Which cases the built-in cohort has, and in which shard: known before anything is drawn.

Standard library only: the Snakefile imports this module from a bare Snakemake.

A few patients are there for a rule of the workflow: the first two patients of the pool carry metal, and
in the demo the first two labelled patients come back for a second CT, the third one's second CT lies in
the pool (its hips may be predicted only by models that never saw the patient), and the left hip of the
fourth is ungraded. In the study's population a labelled patient is one CT and two graded hips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hipoa.core.tables.rows import COHORTS, shard_of

# The study's labelled patients are as many as the source's (198 cases, 396 hips); the rest is ours.
POPULATIONS = {
    "demo": {"labelled": 24, "external": 6, "pool": 6},
    "study": {"labelled": 198, "external": 52, "pool": 50},
}


@dataclass(frozen=True)
class PlannedCase:
    """One CT to be made.

    Attributes:
        case_id: Names the CT.
        patient_id: Names the patient, whose anatomy all CTs of the patient share.
        cohort: The cohort of the CT.
        drawn_as: The cohort whose distribution of grades the patient is drawn from.
        number: The patient's number in that cohort, from 1.
        visit: 0, or 1 for a second CT.
        ungraded: The sides without readings: "", "L", "R" or "LR".
        implants: (side, "replacement" or "nail") of every hip with metal.
    """

    case_id: str
    patient_id: str
    cohort: str
    drawn_as: str
    number: int
    visit: int = 0
    ungraded: str = ""
    implants: tuple[tuple[str, str], ...] = ()


_FOLLOWED = (1, 2)
_FOLLOWED_IN_POOL = 3
_UNGRADED_LEFT = 4
_METAL = {1: (("R", "replacement"),), 2: (("L", "nail"),)}


def count_patients(population: str, given: Mapping[str, int | None]) -> dict[str, int]:
    """The patients per cohort of a named population.

    Args:
        population: Its name.
        given: Patients per cohort where the user has the last word, else None.
    """
    named = POPULATIONS[population]
    counts = {cohort: given.get(cohort) for cohort in COHORTS}
    return {cohort: named[cohort] if count is None else count for cohort, count in counts.items()}


def plan_cases(counts: Mapping[str, int], population: str = "demo") -> dict[str, list[PlannedCase]]:
    """The cases of every cohort, in order.

    Args:
        counts: Patients per cohort; a cohort that is not named has none.
        population: Its name.
    """
    special = population == "demo"
    plan: dict[str, list[PlannedCase]] = {cohort: [] for cohort in COHORTS}
    for cohort in COHORTS:
        for number in range(1, counts.get(cohort, 0) + 1):
            for case in _cases_of_patient(cohort, number, special=special, pool=counts.get("pool", 0) > 0):
                plan[case.cohort].append(case)
    return plan


def planned(
    counts: Mapping[str, int], shards: int, population: str = "demo"
) -> dict[str, dict[int, list[str]]]:
    """The case ids of every cohort by shard; a shard without cases is not there.

    Args:
        counts: Patients per cohort.
        shards: Number of shards per cohort.
        population: Its name.
    """
    result: dict[str, dict[int, list[str]]] = {}
    for cohort, cases in plan_cases(counts, population).items():
        shard: dict[int, list[str]] = {}
        for case in cases:
            shard.setdefault(shard_of(case.case_id, shards), []).append(case.case_id)
        result[cohort] = dict(sorted(shard.items()))
    return result


def _cases_of_patient(cohort: str, number: int, *, special: bool, pool: bool) -> list[PlannedCase]:
    patient = f"phantom-{cohort[0]}{number:03d}"
    first = PlannedCase(
        case_id=patient,
        patient_id=patient,
        cohort=cohort,
        drawn_as=cohort,
        number=number,
        ungraded="L" if special and (cohort, number) == ("labelled", _UNGRADED_LEFT) else "",
        implants=_METAL.get(number, ()) if cohort == "pool" else (),
    )
    if not special or cohort != "labelled" or number not in (*_FOLLOWED, _FOLLOWED_IN_POOL):
        return [first]
    later = "labelled" if number in _FOLLOWED else "pool"
    if later == "pool" and not pool:
        return [first]
    return [first, PlannedCase(f"{patient}-2", patient, later, cohort, number, visit=1)]
