"""Tests of differences between experiments and between cohorts that respect patients and training.

Patients, not hips or repeats, are independent, and networks that learned from other patients would differ
too. One score is the primary one; the others are secondary, adjusted together, and count only where the
primary one differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations
from typing import get_args

import numpy as np
from scipy.stats import t as student

from hipoa.core.columns import format_number
from hipoa.evaluation.comparison.verdicts import AGAINST_CONSTANT, BETTER, PRIMARY, SAME, SECONDARY
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.metrics.estimates import (
    CLASSES,
    RANKED,
    ScoreSet,
    describe_interval,
)
from hipoa.evaluation.metrics.scores import LOWER_IS_BETTER, SCORES, find_best_constant
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.settings import PrimaryScore
from hipoa.evaluation.statistics.holm import adjust_holm
from hipoa.evaluation.statistics.intervals import Estimate, Row, compare_groups

COLUMNS = (
    *("question", "cohort", "metric", "unit", "role", "a", "b", "value_a", "value_b", "difference"),
    *("low", "high", "p", "p_holm", "verdict", "resampled_t_p", "n_hips", "n_patients", "note"),
)
SCORE_SETS = (CLASSES.pick([name for name in get_args(PrimaryScore) if name in CLASSES.scores]), RANKED)

_DROP_NOTE = (
    "labelled less this cohort; a labelled hip is graded by one fold's model in each repeat, a hip of this "
    "cohort by the mean of all folds' models"
)


def compare_experiments(tables: Sequence[Graded], primary: str) -> Iterator[Row]:
    """Every pair of experiments, on the hips and repeats of a cohort that both have.

    On the labelled cohort the test allows for networks trained on other patients; beside it stands the p
    value of the corrected resampled t-test.
    """
    rows = []
    for one, other in combinations(_keep_common(tables), 2):
        repeats = np.intersect1d(one.repeat, other.repeat)
        a, b = (table.where(np.isin(table.repeat, repeats)) for table in (one, other))
        if len(a):
            for scores in SCORE_SETS:
                rows += _compare_pair(a, b, scores)
    yield from adjust(rows, primary)


def _compare_pair(one: Graded, other: Graded, scores: ScoreSet) -> Iterator[Row]:
    by_fold = [_score_folds(table, scores) for table in (one, other)]
    cells = sorted(by_fold[0].keys() & by_fold[1].keys())
    folds = len({fold for _, fold in cells})
    found = scores.estimate(other)
    for metric, a in scores.estimate(one).items():
        values = np.array([[of_cell[cell][metric] for cell in cells] for of_cell in by_fold])
        yield {
            **_name(one, "experiments", metric, a.unit, one.experiment, other.experiment),
            **_compare(a, found[metric]),
            "resampled_t_p": _format_p(resampled_t_test(values[0] - values[1], folds)),
        }


def _compare(one: Estimate, other: Estimate) -> Row:
    """The cells of the difference of two scores of the same patients."""
    return {**_subtract(one, other), **_test(one.minus(other))}


def _test(difference: Estimate) -> Row:
    interval = difference.interval()
    return {
        **interval.cells(),
        "p": difference.p_value(),
        "note": interval.reason or describe_interval(difference),
    }


def compare_constants(tables: Sequence[Graded], primary: str) -> Iterator[Row]:
    """Every experiment in a cohort less the constant prediction that is best for its hips.

    By the primary score, ECA and ONCA. The constant is chosen on the same hips, which favours it a little.
    """
    rows = []
    for table in tables:
        for metric in dict.fromkeys((primary, "ECA", "ONCA")):
            scores = RANKED if metric in RANKED.scores else CLASSES.pick([metric])
            own, other = (scores.estimate(one)[metric] for one in (table, _predict_constant(table, metric)))
            difference = own.minus(other)
            if own.unit == "kappa":
                # That of a constant is 0 by definition: the error of the difference is the network's alone.
                difference = replace(difference, obstacle="")
            names = _name(table, AGAINST_CONSTANT, metric, own.unit, table.experiment, CONSTANT)
            rows.append({**names, **_subtract(own, other), **_test(difference)})
    yield from adjust(rows, primary)


def _predict_constant(table: Graded, metric: str) -> Graded:
    """The same table with the best constant: a class or, of a score of probabilities, the classes' shares."""
    grade = table.grade[table.repeat == table.repeat.min()]
    if metric in RANKED.scores:
        share = np.bincount(grade - 1, minlength=N_GRADES) / len(grade)
        return replace(table, experiment=CONSTANT, probability=np.tile(share, (len(table), 1)))
    score, sign = SCORES[metric][0], -1 if metric in LOWER_IS_BETTER else 1
    best = find_best_constant(grade, lambda confusion: sign * score(confusion))
    return replace(table, experiment=CONSTANT, predicted=np.full(len(table), best))


def compare_cohorts(tables: Sequence[Graded], cohort: str, primary: str) -> Iterator[Row]:
    """The drop of every experiment's scores from the labelled to another cohort, of other patients."""
    rows = []
    for table in tables:
        here, there = table.of_cohort("labelled"), table.of_cohort(cohort)
        names = (f"{table.experiment}, labelled", f"{table.experiment}, {cohort}")
        for scores in SCORE_SETS if len(here) and len(there) else ():
            outside = scores.estimate(there)
            for metric, inside in scores.estimate(here).items():
                interval, p = compare_groups(inside, outside[metric])
                rows.append(
                    {
                        **_name(there, "drop", metric, inside.unit, *names),
                        **_subtract(inside, outside[metric]),
                        **interval.cells(),
                        "p": p,
                        "note": f"{_DROP_NOTE}; {interval.reason or describe_interval(inside)}",
                    }
                )
    yield from adjust(rows, primary)


def adjust(rows: Sequence[Row], primary: str) -> list[Row]:
    """Adds role, p_holm and verdict to the rows of one question and cohort, whose p is a number.

    The p values of the primary score are adjusted among themselves by Holm, those of all other scores
    together; and the adjusted p of a secondary score is at least that of the primary score of the same pair.
    So if no two networks differ, one question about one cohort names a difference, in any score, in 5 % of
    studies (source of such an order of tests: Dmitrienko, Offen, Westfall, Statistics in Medicine 2003, 22,
    2387-2400).
    """
    gate: dict[tuple[object, object], float] = {}
    for role in (PRIMARY, SECONDARY):
        family = [row for row in rows if (row["metric"] == primary) == (role == PRIMARY)]
        least = [gate.get((row["a"], row["b"]), 0.0) for row in family]
        adjusted = np.maximum(_adjust_defined([float(str(row["p"])) for row in family]), least).tolist()
        for row, p in zip(family, adjusted, strict=True):
            if role == PRIMARY:
                gate[row["a"], row["b"]] = p if np.isfinite(p) else 1.0
            verdict = _judge(row, p) if np.isfinite(p) else ""
            row |= {"role": role, "p_holm": _format_p(p), "verdict": verdict}
            row["p"] = _format_p(float(str(row["p"])))
    return list(rows)


def _adjust_defined(p: Sequence[float]) -> np.ndarray:
    """Holm's adjustment of the p values that are not NaN."""
    values = np.array(p, dtype=np.float64)
    known = np.isfinite(values)
    values[known] = adjust_holm(values[known].tolist())
    return values


def _format_p(p: float) -> str:
    """With three digits: more would claim what no p value knows."""
    return f"{p:.3g}" if np.isfinite(p) else ""


def _judge(row: Row, p: float) -> str:
    if p >= 0.05:
        return SAME
    a_is_better = (float(str(row["difference"])) > 0) != (row["metric"] in LOWER_IS_BETTER)
    return f"{row['a'] if a_is_better else row['b']}{BETTER}"


def resampled_t_test(differences: np.ndarray, n_folds: int) -> float:
    """The p of the corrected resampled t-test of differences per repeat and fold (n,); NaN if all are 0.

    Source: Nadeau and Bengio, Machine Learning 2003, 52, 239-281; for r repeats of k folds Bouckaert and
    Frank, PAKDD 2004: the variance is multiplied by 1/(r k) + 1/(k - 1) in place of 1/(r k).
    """
    n = len(differences)
    if n < 2 or n_folds < 2 or not differences.std():
        return float("nan")
    error = np.sqrt(differences.var(ddof=1) * (1 / n + 1 / (n_folds - 1)))
    return float(2 * student.sf(abs(differences.mean() / error), n - 1))


def _keep_common(tables: Sequence[Graded]) -> list[Graded]:
    """The tables with the hips that all of them have."""
    common = reduce(np.intersect1d, [table.hip for table in tables]) if tables else ()
    return [table.where(np.isin(table.hip, common)) for table in tables]


def _name(table: Graded, question: str, metric: str, unit: str, a: str, b: str) -> Row:
    keys = {"question": question, "cohort": table.cohort[0], "metric": metric, "unit": unit, "a": a, "b": b}
    return keys | table.counts()


def _subtract(a: Estimate, b: Estimate) -> Row:
    difference = format_number(a.value - b.value)
    return {"value_a": format_number(a.value), "value_b": format_number(b.value), "difference": difference}


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
