"""Which experiment is better, and how far it falls from one cohort to the next: tests that hold.

Patients, not hips or repeats, are what is independent: every difference is resampled by patient, both
experiments on the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations

import numpy as np
from scipy.stats import t as student

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.estimates import CLASSES, NOT_COVERED, RANKED, Family, Row
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import interval_95, two_sided_p
from hipoa.evaluation.statistics.holm import adjust_holm

COLUMNS = (
    *("question", "cohort", "metric", "unit", "a", "b", "value_a", "value_b", "difference", "low", "high"),
    *("p", "p_holm", "test", "n_hips", "n_patients", "note"),
)
COMPARED = ("ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE")
FAMILIES = (CLASSES.pick(COMPARED), RANKED)

PAIRED = "paired bootstrap of patients"
CORRECTED = "corrected resampled t"
UNPAIRED = "bootstrap of patients"
_RESAMPLED_NOTE = (
    "Nadeau and Bengio: the variance over repeat x fold differences times 1/n + 1/(folds - 1), "
    "since the training sets overlap; it takes in the variance of training"
)
_OTHER_DRAWS = 1_000_003
"""Added to the seed of the second cohort, whose draws must not follow the first one's."""


def compare_experiments(tables: Sequence[Graded], cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """Every pair of experiments, on the hips that all of them graded; Holm over the pairs of a score.

    Args:
        tables: The experiments' graded hips of one cohort.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    same = _keep_common([table for table in tables if len(table)])
    for family in FAMILIES:
        values = {table.experiment: family.score(table, table.repeat) for table in same}
        drawn = {table.experiment: family.resample(table, bootstrap) for table in same}
        for metric, (_, unit) in family.scores.items():
            rows = [
                {
                    **_name(same[0], "experiments", cohort, metric, unit, (a, b)),
                    **_subtract(values[a][metric].mean(), values[b][metric].mean()),
                    **_test(drawn[a].get(metric), drawn[b].get(metric), PAIRED),
                }
                for a, b in combinations(values, 2)
            ]
            yield from adjust_rows(rows, NOT_COVERED)


def compare_folds(tables: Sequence[Graded]) -> Iterator[Row]:
    """Every pair of experiments by the corrected resampled t-test, Holm over the pairs of a score.

    Args:
        tables: The experiments' graded hips of the labelled cohort.
    """
    same = _keep_common([table for table in tables if len(table)])
    family = CLASSES.pick(("ECA", "ONCA"))
    by_fold = {table.experiment: _score_folds(table, family) for table in same}
    for metric, (_, unit) in family.scores.items():
        rows = []
        for a, b in combinations(by_fold, 2):
            cells = sorted(by_fold[a].keys() & by_fold[b].keys())
            if cells:
                values = np.array([[by_fold[name][cell][metric] for cell in cells] for name in (a, b)])
                rows.append(
                    {
                        **_name(same[0], "experiments", "labelled", metric, unit, (a, b)),
                        **_subtract(*values.mean(axis=1)),
                        **resampled_t_test(values[0] - values[1], len({fold for _, fold in cells})),
                    }
                )
        yield from adjust_rows(rows, _RESAMPLED_NOTE)


def compare_cohorts(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """How far each score falls from the labelled to another cohort, the patients of each resampled.

    Args:
        table: One experiment's graded hips of all cohorts.
        cohort: The other cohort's name.
        bootstrap: The resampling.
    """
    here, there = table.of_cohort("labelled"), table.of_cohort(cohort)
    if not len(here) or not len(there):
        return
    names = tuple(f"{table.experiment}, {name}" for name in ("labelled", cohort))
    for family in FAMILIES:
        inside, outside = family.score(here, here.repeat), family.score(there, there.repeat)
        drawn = family.resample(here, bootstrap), family.resample(there, bootstrap, _OTHER_DRAWS)
        for metric, (_, unit) in family.scores.items():
            yield {
                **_name(there, "drop", cohort, metric, unit, names),
                **_subtract(inside[metric].mean(), outside[metric].mean()),
                **_test(drawn[0].get(metric), drawn[1].get(metric), UNPAIRED),
                "note": "labelled less this cohort; labelled hips are graded by one fold's model a repeat, "
                f"these by the mean of all; {NOT_COVERED}",
            }


def resampled_t_test(differences: np.ndarray, n_folds: int) -> Row:
    """The corrected resampled t-test of differences per repeat and fold, without p where they are all 0.

    Source: Nadeau and Bengio, Machine Learning 2003, 52, 239-281; for r repeats of k folds Bouckaert and
    Frank, PAKDD 2004: the variance is multiplied by 1/(r k) + 1/(k - 1) in place of 1/(r k).

    Args:
        differences: (n,) score of one experiment less that of the other.
        n_folds: k.
    """
    n = len(differences)
    if n < 2 or n_folds < 2 or not differences.std():
        return {"test": CORRECTED, "p": float("nan")}
    error = np.sqrt(differences.var(ddof=1) * (1 / n + 1 / (n_folds - 1)))
    reach = error * student.ppf(0.975, n - 1)
    mean = differences.mean()
    return {
        "test": CORRECTED,
        "low": format_number(mean - reach),
        "high": format_number(mean + reach),
        "p": float(2 * student.sf(abs(mean / error), n - 1)),
    }


def adjust_rows(rows: Sequence[Row], note: str) -> Iterator[Row]:
    """Adds p_holm and the note; the rows are one family, of which those without p are not tested."""
    tested = [row for row in rows if isinstance(p := row["p"], float) and not np.isnan(p)]
    adjusted = adjust_holm([float(str(row["p"])) for row in tested])
    for row, p_holm in zip(tested, adjusted, strict=True):
        row |= {"p": format_number(float(str(row["p"]))), "p_holm": format_number(p_holm)}
    for row in rows:
        untested = {} if any(row is other for other in tested) else {"p": "", "p_holm": ""}
        yield {**row, **untested, "note": f"{note}; Holm over {len(tested)} tests"}


def _keep_common(tables: Sequence[Graded]) -> list[Graded]:
    """The tables with the hips that stand in all of them."""
    if not tables:
        return []
    common = reduce(np.intersect1d, [table.hip for table in tables])
    return [table.where(np.isin(table.hip, common)) for table in tables]


def _name(table: Graded, question: str, cohort: str, metric: str, unit: str, names: Sequence[str]) -> Row:
    return {
        "question": question,
        "cohort": cohort,
        "metric": metric,
        "unit": unit,
        "a": names[0],
        "b": names[1],
        "n_hips": len(np.unique(table.hip)),
        "n_patients": len(np.unique(table.patient)),
    }


def _subtract(a: float, b: float) -> Row:
    return {"value_a": format_number(a), "value_b": format_number(b), "difference": format_number(a - b)}


def _test(a: np.ndarray | None, b: np.ndarray | None, test: str) -> Row:
    """The interval and p of a difference of (resamples,) drawn scores."""
    drawn = np.zeros(0) if a is None or b is None else a - b
    low, high = interval_95(drawn) or (np.nan, np.nan)
    return {
        "low": format_number(low),
        "high": format_number(high),
        "p": two_sided_p(drawn),
        "test": test,
    }


def _score_folds(table: Graded, family: Family) -> dict[tuple[int, int], dict[str, float]]:
    """(repeat, fold) to the scores; none where several folds' models predict a hip."""
    table = table.where(table.fold >= 0)
    cell, n_cells = number_cells(table.repeat, table.fold)
    scores = family.score(table, table.repeat, table.fold) if n_cells else {}
    first = [int(np.flatnonzero(cell == number)[0]) for number in range(n_cells)]
    return {
        (int(table.repeat[row]), int(table.fold[row])): {name: values[n] for name, values in scores.items()}
        for n, row in enumerate(first)
    }
