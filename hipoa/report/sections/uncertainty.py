"""How sure the networks are."""

from __future__ import annotations

from typing import Any

from hipoa.evaluation.graded import GROUPS
from hipoa.report.result_rows import find_row
from hipoa.report.results import Results

_DETECTED = (
    ("error >= 1", "AUROC"),
    ("error >= 2", "AUROC"),
    ("error >= 1", "AURC"),
    ("error >= 1", "AUGRC"),
    ("error >= 1", "risk at 80 % coverage"),
)


def gather(results: Results) -> dict[str, Any]:
    """The groups of hips and the tests between them, and what each measure finds."""
    return {
        "groups": GROUPS,
        "tests": results.table("compare.csv"),
        "detected": _DETECTED,
        "detection": tabulate_detection(results.table("detection.csv")),
    }


def tabulate_detection(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One row per network and measure of the labelled cohort, each repeat by itself."""
    own = [row for row in rows if (row["cohort"], row["prediction"]) == ("labelled", "per repeat")]
    keys = dict.fromkeys((row["experiment"], row["measure"]) for row in own)
    return [
        {
            "experiment": experiment,
            "measure": measure,
            "found": [
                find_row(own, experiment=experiment, measure=measure, event=event, metric=metric)
                for event, metric in _DETECTED
            ],
        }
        for experiment, measure in keys
    ]
