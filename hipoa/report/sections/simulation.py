"""Whether it would have paid to choose the hips to read."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The answers, and the comparisons with random."""
    rows = results.table("simulation.csv")
    return {
        "answers": [row for row in rows if row["quantity"] == "answer"],
        "gains": [row for row in rows if row["quantity"] == "gain"],
        "saved": [row for row in rows if row["quantity"].startswith("labels saved")],
    }
