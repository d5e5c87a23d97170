"""How sure the networks are."""

from __future__ import annotations

from typing import Any

from hipoa.evaluation.groups import GROUPS
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The groups of hips and the tests between them."""
    return {"groups": GROUPS, "tests": results.table("compare.csv")}
