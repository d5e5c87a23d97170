"""Counts of hips by what became of each: every hip is counted once, and the counts add up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from hipoa.core.errors import CohortError
from hipoa.report.cohort import Hip

_STATUSES = ("ok", "excluded", "refused")
_NUMBER = re.compile(r"\d[\d.,]*(?:-\d[\d.,]*)*\d|\d")

STEPS = {
    "patients": "patients",
    "cts": "CTs",
    "hips": "hips, two per CT",
    "excluded": "excluded",
    "listed": "by the table of cases",
    "replacement": "for a replacement of the joint",
    "fixation": "for nails, screws or plates",
    "refused": "refused",
    "radiographs": "with a radiograph",
    "graded": "graded, with a class",
    "predicted": "predicted by every network, and scored",
    "unpredicted": "not predicted by every network",
    "off_table": "graded, pair not in the class table",
    "partly": "graded in part (Crowe or KL only)",
    "ungraded": "not graded",
    "implants": "with an implant, and kept (also counted above)",
}
"""Name of a count to its label, in the order of the flow.

``hips`` is ``excluded + refused + radiographs``; ``excluded`` is ``listed + replacement + fixation``;
``radiographs`` is ``graded + off_table + partly + ungraded``; ``graded`` is ``predicted + unpredicted``.
"""


def count_hips(hips: Sequence[Hip], predicted: Collection[str]) -> dict[str, int]:
    """The counts of `STEPS`.

    Args:
        hips: Of one cohort, or of all.
        predicted: Names of the graded hips that every experiment predicted.

    Raises:
        CohortError: A hip has a status that is neither ok nor excluded nor refused.
    """
    for hip in hips:
        if hip.status not in _STATUSES:
            found = f'status "{hip.status}" is none of {", ".join(_STATUSES)}'
            raise CohortError(hip.hip_id, found, "Make the table again.")
    shown = [hip for hip in hips if hip.status == "ok"]
    statuses = Counter(hip.status for hip in hips)
    statuses.update(hip.implant or "listed" for hip in hips if hip.status == "excluded")
    gradings = Counter(map(find_grading, shown))
    scored = sum(bool(hip.grade) and hip.hip_id in predicted for hip in shown)
    counts = {
        "patients": len({hip.patient_id for hip in hips}),
        "cts": len({hip.case_id for hip in hips}),
        "hips": len(hips),
        "radiographs": len(shown),
        "predicted": scored,
        "unpredicted": gradings["graded"] - scored,
        "implants": sum(bool(hip.implant) for hip in shown),
    }
    return {name: counts.get(name, statuses[name] + gradings[name]) for name in STEPS}


def find_grading(hip: Hip) -> str:
    """Whether a hip is "graded", "off_table", "partly" graded or "ungraded"."""
    if hip.grade:
        return "graded"
    if hip.off_table:
        return "off_table"
    return "partly" if hip.crowe or hip.kl else "ungraded"


def count_reasons(hips: Iterable[Hip]) -> list[tuple[str, int]]:
    """Why hips are not used, the most frequent reason first; reasons that differ in numbers are one.

    Returns:
        Reason and number of hips; where the numbers of a reason differ, it has an ellipsis in their place.
    """
    groups: dict[str, list[str]] = {}
    for hip in hips:
        if hip.status != "ok":
            reason = hip.reason or hip.status
            groups.setdefault(_NUMBER.sub("\N{HORIZONTAL ELLIPSIS}", reason), []).append(reason)
    named = [(own[0] if len(set(own)) == 1 else form, len(own)) for form, own in groups.items()]
    return sorted(named, key=lambda item: -item[1])
