"""Comparisons: the source work's, replicated, and beside them those that hold.

The source's are Mann-Whitney U tests of networks and of groups of hips. The values that they compare are
not independent (repeats share hips, a patient has two), so that p describes and proves nothing; the rows
say so. Those that hold are in `hipoa.evaluation.comparison.paired`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.comparison.paired import COLUMNS as DIFFERENCE_COLUMNS
from hipoa.evaluation.comparison.paired import compare_cohorts, compare_experiments, compare_folds
from hipoa.evaluation.graded import Graded, find_cohorts, number_cells, read_graded
from hipoa.evaluation.groups import GROUPS
from hipoa.evaluation.metrics.scores import count_confusions, exact_accuracy, one_neighbour_accuracy
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.holm import adjust_holm

COLUMNS = (
    *("question", "cohort", "a", "b", "n_a", "n_b"),
    *("median_a", "median_b", "u", "p", "p_holm", "stars", "note"),
)

_Row = dict[str, object]
_NOTE = "descriptive: values are not independent"


def run(bootstrap: BootstrapSettings, *, uncertainty: list[Path], out: Path, differences: Path) -> None:
    """Writes the source work's Mann-Whitney U tests, and differences with tests by patient.

    Args:
        bootstrap: The resampling of patients.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table of Mann-Whitney U tests to write.
        differences: The table of differences between experiments and between cohorts to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    write_csv(out, COLUMNS, _rows(tables))
    write_csv(differences, DIFFERENCE_COLUMNS, _difference_rows(tables, bootstrap))


def _difference_rows(tables: list[Graded], bootstrap: BootstrapSettings) -> Iterator[_Row]:
    cohorts = find_cohorts(tables)
    for cohort in cohorts:
        yield from compare_experiments([table.of_cohort(cohort) for table in tables], cohort, bootstrap)
    yield from compare_folds([table.of_cohort("labelled") for table in tables])
    for cohort in (name for name in cohorts if name != "labelled"):
        for table in tables:
            yield from compare_cohorts(table, cohort, bootstrap)


def _rows(tables: list[Graded]) -> Iterator[_Row]:
    labelled = [table.of_cohort("labelled") for table in tables]
    for name, score in (("ECA", exact_accuracy), ("ONCA", one_neighbour_accuracy)):
        yield from _adjust(compare_networks(labelled, name, score))
    for cohort in find_cohorts(tables):
        of_cohort = [table.of_cohort(cohort) for table in tables]
        rows = [row for table in filter(len, of_cohort) for row in compare_groups(table, cohort)]
        yield from _adjust(rows)


def compare_networks(
    tables: Sequence[Graded], name: str, score: Callable[[np.ndarray], np.ndarray]
) -> list[_Row]:
    """Every pair of experiments by their scores per repeat and fold.

    Args:
        tables: The experiments' graded hips of the labelled cohort.
        name: The score's name.
        score: Function of confusion matrices.
    """
    scores = {table.experiment: score_folds(table, score) for table in tables if len(table)}
    return [
        {"question": f"network: {name} per fold", "cohort": "labelled", "a": a, "b": b}
        | rank_test(scores[a], scores[b])
        for a, b in combinations(scores, 2)
    ]


def score_folds(table: Graded, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The score of each repeat and fold, (repeats x folds,)."""
    cell, n_cells = number_cells(table.repeat, table.fold)
    return score(count_confusions(cell, n_cells, table.grade, table.predicted))


def compare_groups(table: Graded, cohort: str) -> list[_Row]:
    """Every pair of groups of hips by their variances, one value per hip and repeat.

    Args:
        table: One experiment's graded hips of one cohort.
        cohort: The cohort's name.
    """
    variance = {group: table.variance[table.group == group] for group in GROUPS}
    return [
        {
            "question": f"uncertainty: {a} vs {b}",
            "cohort": cohort,
            "a": f"{table.experiment}: {a}",
            "b": f"{table.experiment}: {b}",
        }
        | rank_test(variance[a], variance[b])
        for a, b in combinations(GROUPS, 2)
    ]


def rank_test(a: np.ndarray, b: np.ndarray) -> _Row:
    """Two-sided Mann-Whitney U of two samples; without u and p if one is empty.

    Args:
        a: (n_a,) values.
        b: (n_b,) values.
    """
    row: _Row = {
        "n_a": len(a),
        "n_b": len(b),
        "median_a": format_number(np.median(a)) if len(a) else "",
        "median_b": format_number(np.median(b)) if len(b) else "",
    }
    if not len(a) or not len(b):
        return {**row, "note": "not tested: a group is empty"}
    test = mannwhitneyu(a, b, alternative="two-sided")
    return {**row, "u": float(test.statistic), "p": float(test.pvalue), "note": _NOTE}


def give_stars(p: float) -> str:
    """One star below 0.05, two below 0.01, three below 0.001, "n.s." for none."""
    return "*" * sum(p < level for level in (0.05, 0.01, 0.001)) or "n.s."


def _adjust(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Adds p_holm and stars; the rows are one family."""
    tested = [(row, p) for row in rows if isinstance(p := row.get("p"), float)]
    adjusted = adjust_holm([p for _, p in tested])
    for (row, p), p_holm in zip(tested, adjusted, strict=True):
        row["p"] = format_number(p)
        row["p_holm"] = format_number(p_holm)
        row["stars"] = give_stars(p_holm)
        row["note"] = f"{_NOTE}; Holm over {len(tested)} tests"
    yield from rows
