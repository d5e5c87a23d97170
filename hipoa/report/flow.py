"""Where every hip of every CT went: nobody is dropped silently, and the numbers add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from hipoa.report.cohort import Hip, split_cohorts


@dataclass(frozen=True)
class Flow:
    """The hips of one cohort, counted.

    ``hips`` is ``excluded + refused + radiographs``; ``radiographs`` is ``graded + off_table + partly +
    ungraded``.

    Attributes:
        cohort: Its name.
        patients: Patients.
        cts: CTs, two hips each.
        hips: Hips.
        excluded: Left out in the table of cases.
        refused: Not usable, each with a reason.
        radiographs: Hips with a radiograph.
        graded: Of these, with a combined class.
        off_table: Graded, but with a pair that is in no class.
        partly: With a Crowe or a KL grade alone.
        ungraded: Without a reading.
        implants: Of the radiographs, those with metal near the hip.
    """

    cohort: str
    patients: int
    cts: int
    hips: int
    excluded: int
    refused: int
    radiographs: int
    graded: int
    off_table: int
    partly: int
    ungraded: int
    implants: int


def count_flow(hips: Iterable[Hip]) -> list[Flow]:
    """Counts the hips of each cohort."""
    return [_count(cohort, members) for cohort, members in split_cohorts(hips).items()]


def total(flows: Sequence[Flow], name: str) -> int:
    """The sum of one count over the cohorts."""
    return sum(getattr(flow, name) for flow in flows)


def _count(cohort: str, hips: Sequence[Hip]) -> Flow:
    shown = [hip for hip in hips if hip.status == "ok"]
    fates = [_fate(hip) for hip in shown]
    counts = {name: fates.count(name) for name in ("graded", "off_table", "partly", "ungraded")}
    return Flow(
        cohort=cohort,
        patients=len({hip.patient_id for hip in hips}),
        cts=len({hip.case_id for hip in hips}),
        hips=len(hips),
        excluded=sum(hip.status == "excluded" for hip in hips),
        refused=sum(hip.status == "refused" for hip in hips),
        radiographs=len(shown),
        implants=sum(hip.implant == "yes" for hip in shown),
        **counts,
    )


def _fate(hip: Hip) -> str:
    if hip.grade:
        return "graded"
    if hip.off_table:
        return "off_table"
    return "partly" if hip.crowe or hip.kl else "ungraded"


COUNTS = tuple(field.name for field in fields(Flow)[1:])
