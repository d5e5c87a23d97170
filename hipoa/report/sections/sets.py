"""Sets of neighbouring classes that hold the true one as often as they promise."""

from __future__ import annotations

from typing import Any

from hipoa.report.result_rows import find_row
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """One row per network, cohort and level, and the coverage of the class that is covered least."""
    rows = results.table("conformal.csv")
    keys = dict.fromkeys((row["experiment"], row["cohort"], row["level"]) for row in rows)
    return {"sets": [_summarise(rows, *key) for key in keys]}


def _summarise(rows: list[dict[str, str]], experiment: str, cohort: str, level: str) -> dict[str, Any]:
    own = [
        row for row in rows if (row["experiment"], row["cohort"], row["level"]) == (experiment, cohort, level)
    ]
    of_classes = [row for row in own if row["metric"] == "coverage" and row["hips"] != "all" and row["value"]]
    return {
        "experiment": experiment,
        "cohort": cohort,
        "level": f"{100 * float(level):g} %",
        "coverage": find_row(own, metric="coverage", hips="all"),
        "size": find_row(own, metric="mean size", hips="all"),
        "single": find_row(own, metric="sets of one class", hips="all"),
        "worst": min(of_classes, key=lambda row: float(row["value"]), default=None),
    }
