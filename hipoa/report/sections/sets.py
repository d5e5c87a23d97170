"""How much the size of conformal sets says."""

from __future__ import annotations

from hipoa.report.scores import Row


def judge_size(size: Row) -> str:
    """The verdict on a mean size, "" where the sets are small."""
    return size["verdict"]
