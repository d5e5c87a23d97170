"""How much is lost from the labelled to the external cohort."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The differences between networks and between cohorts."""
    rows = results.table("differences.csv")
    return {
        "drops": [{**row, "value": row["difference"]} for row in rows if row["question"] == "drop"],
        "pairs": [{**row, "value": row["difference"]} for row in rows if row["question"] == "experiments"],
    }
