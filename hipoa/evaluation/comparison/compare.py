"""Compares experiments, groups of hips and cohorts.

Masuda et al. 2024 compare networks and groups of hips by Mann-Whitney U tests. Their values are not
independent (repeats share hips, a patient has two), so these p values are descriptive, as their rows say.
Tests that respect patients are in `hipoa.evaluation.comparison.paired`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.comparison.paired import COLUMNS as DIFFERENCE_COLUMNS
from hipoa.evaluation.comparison.paired import compare_cohorts, compare_constants, compare_experiments
from hipoa.evaluation.graded import GROUPS, Graded, read_graded, split_cohorts
from hipoa.evaluation.metrics.estimates import CLASSES
from hipoa.evaluation.settings import CompareSettings
from hipoa.evaluation.statistics.holm import adjust_rows
from hipoa.evaluation.statistics.intervals import Row

COLUMNS = (
    *("question", "cohort", "a", "b", "n_a", "n_b"),
    *("median_a", "median_b", "u", "p", "p_holm", "stars", "note"),
)

_NOTE = "descriptive: values are not independent"


def run(settings: CompareSettings, *, uncertainty: list[Path], out: Path, differences: Path) -> None:
    """Writes the Mann-Whitney U tests of Masuda et al. 2024, and differences tested by patient.

    Args:
        settings: The primary score.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table of Mann-Whitney U tests to write.
        differences: The table of differences between experiments and between cohorts to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    write_csv(out, COLUMNS, (row for rows in _families(tables) for row in _adjust(rows)))
    write_csv(differences, DIFFERENCE_COLUMNS, _difference_rows(tables, settings.primary_score))


def _difference_rows(tables: Sequence[Graded], primary: str) -> Iterator[Row]:
    cohorts = dict(split_cohorts(tables))
    for of_cohort in cohorts.values():
        yield from compare_experiments(of_cohort, primary)
        yield from compare_constants(of_cohort, primary)
    for cohort in cohorts:
        if cohort != "labelled":
            yield from compare_cohorts(tables, cohort, primary)


def _families(tables: Sequence[Graded]) -> Iterator[list[Row]]:
    """The rows that are adjusted together: each score of the networks, the groups of each cohort."""
    cohorts = dict(split_cohorts(tables))
    for metric in ("ECA", "ONCA"):
        yield compare_networks(cohorts.get("labelled", []), metric)
    for of_cohort in cohorts.values():
        yield [row for table in of_cohort for row in compare_groups(table)]


def compare_networks(tables: Sequence[Graded], metric: str) -> list[Row]:
    """Every pair of experiments by a score per repeat and fold, on their hips of the labelled cohort."""
    scores = CLASSES.pick([metric])
    by_fold = {table.experiment: scores.score(table, table.repeat, table.fold)[metric] for table in tables}
    return [
        {"question": f"network: {metric} per fold", "cohort": "labelled", "a": a, "b": b}
        | rank_test(by_fold[a], by_fold[b])
        for a, b in combinations(by_fold, 2)
    ]


def compare_groups(table: Graded) -> list[Row]:
    """Every pair of groups of one experiment and cohort by their variances, one value per hip and repeat."""
    variance = {group: table.variance[table.group == group] for group in GROUPS}
    return [
        {
            "question": f"uncertainty: {a} vs {b}",
            "cohort": table.cohort[0],
            "a": f"{table.experiment}: {a}",
            "b": f"{table.experiment}: {b}",
            **rank_test(variance[a], variance[b]),
        }
        for a, b in combinations(GROUPS, 2)
    ]


def rank_test(a: np.ndarray, b: np.ndarray) -> Row:
    """The cells of a two-sided Mann-Whitney U test of two samples (n,); no u and p if one is empty."""
    row: Row = {
        "n_a": len(a),
        "n_b": len(b),
        "median_a": format_number(np.median(a)) if len(a) else "",
        "median_b": format_number(np.median(b)) if len(b) else "",
    }
    if not len(a) or not len(b):
        return {**row, "note": "not tested: a group is empty"}
    test = mannwhitneyu(a, b, alternative="two-sided")
    return {**row, "u": float(test.statistic), "p": float(test.pvalue)}


def give_stars(p: float) -> str:
    """One star below 0.05, two below 0.01, three below 0.001, "n.s." for none."""
    return "*" * sum(p < level for level in (0.05, 0.01, 0.001)) or "n.s."


def _adjust(rows: list[Row]) -> list[Row]:
    """Adds p_holm, stars and note to the rows of one family."""
    tested = adjust_rows(rows)
    for row, p_holm in tested:
        row["stars"] = give_stars(p_holm)
        row["note"] = f"{_NOTE}; Holm over {len(tested)} tests"
    return rows
