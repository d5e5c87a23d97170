"""Whether a probability of 0.8 is right in 80 % of the hips."""

from __future__ import annotations

from typing import Any

from hipoa.report.result_rows import find_row
from hipoa.report.results import Results

METRICS = ("expected calibration error", "Brier score", "negative log likelihood")


def gather(results: Results) -> dict[str, Any]:
    """One row per network, cohort and scaling."""
    rows = results.table("calibration.csv")
    keys = dict.fromkeys((row["experiment"], row["cohort"], row["scaling"]) for row in rows)
    return {
        "calibration_metrics": METRICS,
        "calibration": [
            {
                "experiment": experiment,
                "cohort": cohort,
                "scaling": {"none": "as it is"}.get(scaling, scaling),
                "found": [
                    find_row(rows, experiment=experiment, cohort=cohort, scaling=scaling, metric=metric)
                    for metric in METRICS
                ],
            }
            for experiment, cohort, scaling in keys
        ],
    }
