"""Where every patient and hip went."""

from __future__ import annotations

from typing import Any

from hipoa.report.flow import STEPS, count_flow
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The counts of each cohort and of all."""
    return {"flow": [*count_flow(results.hips, results.predicted), results.everything], "steps": STEPS}
