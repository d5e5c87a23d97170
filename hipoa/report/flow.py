"""Where every hip of every CT went: nobody is dropped silently, and the numbers add up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from hipoa.core.errors import CohortError
from hipoa.report.cohort import Hip, split_cohorts

_STATUSES = ("ok", "excluded", "refused")
_NUMBER = re.compile(r"\d[\d.,]*(?:-\d[\d.,]*)*\d|\d")


@dataclass(frozen=True)
class Flow:
    """The hips of one cohort, counted.

    ``hips`` is ``excluded + refused + radiographs``; ``radiographs`` is ``graded + off_table + partly +
    ungraded``; ``graded`` is ``predicted + unpredicted``.

    Attributes:
        cohort: Its name.
        patients: Patients.
        cts: CTs, two hips each.
        hips: Hips.
        excluded: Left out in the table of cases.
        refused: Not usable, each with a reason.
        radiographs: Hips with a radiograph.
        graded: Of these, with a combined class.
        predicted: Of the graded, those that every experiment predicted: the scores are of these.
        unpredicted: Of the graded, the others.
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
    predicted: int
    unpredicted: int
    off_table: int
    partly: int
    ungraded: int
    implants: int


STEPS = {
    "patients": "patients",
    "cts": "CTs",
    "hips": "hips, two of each CT",
    "excluded": "excluded by the table of cases",
    "refused": "refused",
    "radiographs": "with a radiograph",
    "graded": "graded, with a class",
    "predicted": "predicted by every network, and scored",
    "unpredicted": "not predicted by every network",
    "off_table": "graded, off the class table",
    "partly": "graded in part (Crowe or KL alone)",
    "ungraded": "not graded",
    "implants": "with an implant, counted above as well",
}
"""Count to its words, in the order of the flow."""


def count_flow(hips: Iterable[Hip], predicted: Collection[str]) -> list[Flow]:
    """Counts the hips of each cohort; see `count_hips`."""
    return [count_hips(cohort, members, predicted) for cohort, members in split_cohorts(hips).items()]


def count_hips(name: str, hips: Sequence[Hip], predicted: Collection[str]) -> Flow:
    """Counts hips.

    Args:
        name: Of the cohort.
        hips: Its hips.
        predicted: The graded hips that every experiment predicted.

    Raises:
        CohortError: A hip has a status that is neither ok nor excluded nor refused.
    """
    for hip in hips:
        if hip.status not in _STATUSES:
            raise CohortError(
                hip.hip_id,
                f'status "{hip.status}" is none of {", ".join(_STATUSES)}',
                "Make the table again.",
            )
    shown = [hip for hip in hips if hip.status == "ok"]
    fates = [_fate(hip) for hip in shown]
    counts = {fate: fates.count(fate) for fate in ("graded", "off_table", "partly", "ungraded")}
    scored = sum(hip.hip_id in predicted for hip, fate in zip(shown, fates, strict=True) if fate == "graded")
    return Flow(
        cohort=name,
        patients=len({hip.patient_id for hip in hips}),
        cts=len({hip.case_id for hip in hips}),
        hips=len(hips),
        excluded=sum(hip.status == "excluded" for hip in hips),
        refused=sum(hip.status == "refused" for hip in hips),
        radiographs=len(shown),
        predicted=scored,
        unpredicted=counts["graded"] - scored,
        implants=sum(hip.implant == "yes" for hip in shown),
        **counts,
    )


def _fate(hip: Hip) -> str:
    if hip.grade:
        return "graded"
    if hip.off_table:
        return "off_table"
    return "partly" if hip.crowe or hip.kl else "ungraded"


def count_reasons(hips: Iterable[Hip]) -> list[tuple[str, int]]:
    """Why hips have no radiograph, the most frequent reason first; reasons that differ in numbers are one.

    Returns:
        Reason and hips; a reason of several CTs has an ellipsis for its numbers, where these differ.
    """
    groups: dict[str, list[str]] = {}
    for hip in hips:
        if hip.status != "ok":
            reason = hip.reason or hip.status
            groups.setdefault(_NUMBER.sub("\N{HORIZONTAL ELLIPSIS}", reason), []).append(reason)
    named = [(own[0] if len(set(own)) == 1 else form, len(own)) for form, own in groups.items()]
    return sorted(named, key=lambda item: -item[1])
