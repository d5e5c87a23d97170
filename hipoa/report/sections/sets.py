"""How much the size of conformal sets says."""

from __future__ import annotations

from hipoa.evaluation.predictions import N_GRADES
from hipoa.report.scores import Row

HALF = N_GRADES / 2
"""Classes; sets of more leave more open than they settle."""


def judge_size(size: Row) -> str:
    """What a mean size with its 95 % interval lets one say of the sets, "" where they are small."""
    if float(size["value"]) == N_GRADES:
        return "uninformative: every set is of all classes"
    interval = size["low"] and size["high"]
    low, high = (float(size[end] if interval else size["value"]) for end in ("low", "high"))
    if low > HALF:
        return f"uninformative: more than half of the classes{'' if interval else ' in these hips'}"
    return "perhaps uninformative: the interval reaches half of the classes" if high >= HALF else ""
