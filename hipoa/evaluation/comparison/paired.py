"""Tests of differences between experiments and between cohorts that respect patients.

Patients, not hips or repeats, are independent: every difference is resampled by patient, both experiments on
the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations

import numpy as np
from scipy.stats import t as student

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import CLASSES, NOT_COVERED, RANKED, ScoreSet
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import Row, interval_cells, two_sided_p
from hipoa.evaluation.statistics.holm import adjust_rows

COLUMNS = (
    *("question", "cohort", "metric", "unit", "a", "b", "value_a", "value_b", "difference", "low", "high"),
    *("p", "p_holm", "test", "n_hips", "n_patients", "note"),
)
COMPARED = ("ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE")
SCORE_SETS = (CLASSES.pick(COMPARED), RANKED)

PAIRED = "paired bootstrap of patients"
CORRECTED = "corrected resampled t"
UNPAIRED = "bootstrap of patients"
_RESAMPLED_NOTE = (
    "Nadeau and Bengio: the variance over repeat x fold differences times 1/n + 1/(folds - 1), "
    "since the training sets overlap; it takes in the variance of training"
)
_OTHER_DRAWS = 1_000_003
"""Seed of the second cohort, whose draws must be independent of the first one's."""


def compare_experiments(tables: Sequence[Graded], bootstrap: BootstrapSettings) -> Iterator[Row]:
    """Every pair of experiments, on the hips of a cohort that all graded; Holm over the pairs of a score."""
    same = _keep_common(tables)
    for scores in SCORE_SETS:
        values = {table.experiment: scores.score(table, table.repeat) for table in same}
        drawn = {table.experiment: scores.resample(table, bootstrap) for table in same}
        for metric, (_, unit) in scores.scores.items():
            rows = [
                {
                    **_name(same[0], "experiments", metric, unit, a, b),
                    **_subtract(values[a][metric].mean(), values[b][metric].mean()),
                    **_test(drawn[a].get(metric), drawn[b].get(metric), PAIRED),
                }
                for a, b in combinations(values, 2)
            ]
            yield from _adjust(rows, NOT_COVERED)


def compare_folds(tables: Sequence[Graded]) -> Iterator[Row]:
    """The same on the labelled cohort by the corrected resampled t-test, Holm over the pairs of a score."""
    same = _keep_common(tables)
    scores = CLASSES.pick(("ECA", "ONCA"))
    by_fold = {table.experiment: _score_folds(table, scores) for table in same}
    for metric, (_, unit) in scores.scores.items():
        rows = []
        for a, b in combinations(by_fold, 2):
            cells = sorted(by_fold[a].keys() & by_fold[b].keys())
            if cells:
                values = np.array([[by_fold[name][cell][metric] for cell in cells] for name in (a, b)])
                rows.append(
                    {
                        **_name(same[0], "experiments", metric, unit, a, b),
                        **_subtract(*values.mean(axis=1)),
                        **resampled_t_test(values[0] - values[1], len({fold for _, fold in cells})),
                    }
                )
        yield from _adjust(rows, _RESAMPLED_NOTE)


def compare_cohorts(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The drop of an experiment's scores from the labelled to another cohort, each resampled by patient."""
    here, there = table.of_cohort("labelled"), table.of_cohort(cohort)
    if not len(here) or not len(there):
        return
    names = (f"{table.experiment}, labelled", f"{table.experiment}, {cohort}")
    for scores in SCORE_SETS:
        inside, outside = scores.score(here, here.repeat), scores.score(there, there.repeat)
        drawn, other = scores.resample(here, bootstrap), scores.resample(there, bootstrap, _OTHER_DRAWS)
        for metric, (_, unit) in scores.scores.items():
            row = {
                **_name(there, "drop", metric, unit, *names),
                **_subtract(inside[metric].mean(), outside[metric].mean()),
                **_test(drawn.get(metric), other.get(metric), UNPAIRED),
                "note": "labelled less this cohort; labelled hips are graded by one fold's model a repeat, "
                f"these by the mean of all; {NOT_COVERED}",
            }
            # Not adjusted, so that it is written here; of one patient there is none.
            p = row["p"]
            yield {**row, "p": format_number(p) if isinstance(p, float) else ""}


def resampled_t_test(differences: np.ndarray, n_folds: int) -> Row:
    """The cells of the corrected resampled t-test of differences (n,); p is NaN where they are all 0.

    Source: Nadeau and Bengio, Machine Learning 2003, 52, 239-281; for r repeats of k folds Bouckaert and
    Frank, PAKDD 2004: the variance is multiplied by 1/(r k) + 1/(k - 1) in place of 1/(r k).
    """
    n = len(differences)
    if n < 2 or n_folds < 2 or not differences.std():
        return {"test": CORRECTED, "p": float("nan")}
    error = np.sqrt(differences.var(ddof=1) * (1 / n + 1 / (n_folds - 1)))
    half_width = error * student.ppf(0.975, n - 1)
    mean = differences.mean()
    return {
        "test": CORRECTED,
        "low": format_number(mean - half_width),
        "high": format_number(mean + half_width),
        "p": float(2 * student.sf(abs(mean / error), n - 1)),
    }


def _adjust(rows: Sequence[Row], note: str) -> Iterator[Row]:
    """Adds p_holm and the note to the rows of one family."""
    n_tests = len(adjust_rows(rows))
    yield from ({**row, "note": f"{note}; Holm over {n_tests} tests"} for row in rows)


def _keep_common(tables: Sequence[Graded]) -> list[Graded]:
    """The tables with the hips that all of them have."""
    common = reduce(np.intersect1d, [table.hip for table in tables]) if tables else ()
    return [table.where(np.isin(table.hip, common)) for table in tables]


def _name(table: Graded, question: str, metric: str, unit: str, a: str, b: str) -> Row:
    keys = {"question": question, "cohort": table.cohort[0], "metric": metric, "unit": unit, "a": a, "b": b}
    return keys | table.counts()


def _subtract(a: float, b: float) -> Row:
    return {"value_a": format_number(a), "value_b": format_number(b), "difference": format_number(a - b)}


def _test(a: np.ndarray | None, b: np.ndarray | None, test: str) -> Row:
    """Interval and p of a difference of (resamples,) drawn scores."""
    drawn = np.zeros(0) if a is None or b is None else a - b
    return {**interval_cells(drawn), "p": two_sided_p(drawn), "test": test}


def _score_folds(table: Graded, scores: ScoreSet) -> dict[tuple[int, int], dict[str, float]]:
    """(repeat, fold) to the scores; none where several folds' models predict a hip."""
    table = table.where(table.fold >= 0)
    if not len(table):
        return {}
    found = scores.score(table, table.repeat, table.fold)
    cells = np.unique(np.column_stack([table.repeat, table.fold]), axis=0).tolist()
    return {
        (repeat, fold): {name: float(values[n]) for name, values in found.items()}
        for n, (repeat, fold) in enumerate(cells)
    }
