"""The question of a study, and what its patients can show."""

from __future__ import annotations

from typing import Any

from hipoa.evaluation.comparison.precision import (
    ASSUMED,
    ASSUMPTIONS,
    DIFFERENCE,
    HEADINGS,
    Expectation,
    PlannedStudy,
    expect,
)
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """What is expected of so many patients, and on what assumptions."""
    return {
        "expected": list_expected(results),
        "headings_of_expected": HEADINGS,
        "assumptions": ASSUMPTIONS,
        "difference": DIFFERENCE,
        "size": describe_size(results),
    }


def list_expected(results: Results) -> list[Expectation]:
    """Of each cohort that was scored."""
    patients = {
        row["cohort"]: int(row["n_patients"])
        for row in results.scores
        if row["metric"] == "ECA" and row["experiment"] in results.experiments
    }
    settings = PlannedStudy(len(results.experiments), results.config["repeats"], results.primary)
    return list(expect(patients, settings, results.table("differences.csv")))


def describe_size(results: Results) -> str:
    """What the labelled patients can show of the difference of two networks, in a sentence; may be empty."""
    for row in list_expected(results):
        if row.cohort == "labelled" and row.spread == ASSUMED and row.smallest:
            found = f"the smallest {row.of} that {row.n_patients} labelled patients show with a power of 80 %"
            size = "there is none" if row.smallest == "none" else f"is {row.smallest}"
            return f"By assumption, {found}, {size}; one of {DIFFERENCE:g} needs {row.needed} patients."
    return ""
