"""The verdicts of differences.csv, and whether a network is shown to be better than one answer for every hip.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PRIMARY, SECONDARY = "primary", "secondary"
SAME = "not shown to differ"
"""The verdict where p_holm is not below 0.05."""
BETTER = " better"
"""Follows the name of the better one in other verdicts."""
AGAINST_CONSTANT = "constant"
"""The question that sets a network against the best constant prediction."""


def beats_constant(rows: Iterable[Mapping[str, object]], experiment: str) -> bool:
    """Whether a network is shown to be better than the best constant prediction: the one place that decides.

    By the verdict on the primary score of labelled hips, so by its interval and adjusted p and not by its
    value. Too few patients for an interval have no verdict: not shown.

    Args:
        rows: The rows of differences.csv.
        experiment: The network.
    """
    question = (AGAINST_CONSTANT, "labelled", PRIMARY, experiment)
    return any(
        row["verdict"] == f"{experiment}{BETTER}"
        for row in rows
        if (row["question"], row["cohort"], row["role"], row["a"]) == question
    )


def describe_weakness(rows: Iterable[Mapping[str, object]], experiment: str) -> str:
    """In words that a network is not shown to be better than the best constant prediction; "" if it is."""
    if beats_constant(rows, experiment):
        return ""
    return f"{experiment} is not shown to grade better than the same answer for every hip"
