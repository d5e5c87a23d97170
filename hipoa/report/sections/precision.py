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
    known = {
        row["cohort"]: int(row["n_patients"])
        for row in results.scores
        if row["metric"] == "ECA" and row["experiment"] in results.experiments
    }
    patients = {cohort: known[cohort] for cohort in ("labelled", "external") if cohort in known}
    settings = PlannedStudy(len(results.experiments), results.config["repeats"], results.primary)
    return list(expect(patients, settings, results.table("differences.csv")))


def describe_size(results: Results) -> str:
    """Which difference of two networks the labelled patients show, in a sentence; empty for one network."""
    for row in list_expected(results):
        if row.cohort == "labelled" and row.spread == ASSUMED and row.smallest:
            size = "no" if row.smallest == "none" else "a"
            of = "" if row.smallest == "none" else f" of {row.smallest}"
            return (
                f"Under assumptions on how grades vary, {row.n_patients} labelled patients show {size} "
                f"{row.of}{of} between two networks with a power of 80 %; one of {DIFFERENCE:g} needs "
                f"{row.needed} patients."
            )
    return ""
