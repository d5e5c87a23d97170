"""Scores with intervals, as rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.scores import (
    OVER_CLASSES,
    SCORES,
    Score,
    brier_score,
    count_confusions,
    divide,
    exact_accuracy,
    negative_log_likelihood,
    ranked_probability_score,
)
from hipoa.evaluation.predictions import N_GRADES
from hipoa.evaluation.statistics.intervals import Estimate, Row
from hipoa.evaluation.statistics.jackknife import jackknife

TRAINED_ANEW = "95 % interval: new patients, and networks trained on other such patients"
APPROXIMATE = ", which vary it more than patients do, so that it is approximate"
THESE_NETWORKS = "95 % interval: new patients, these networks"
NEW_PATIENTS = "95 % interval: new patients"


@dataclass(frozen=True)
class ScoreSet:
    """Scores computed from the same sums over hips."""

    # Function of a table, (n,) cell numbers and the number of cells to (cells, ...) sums.
    tally: Callable[[Graded, np.ndarray, int], np.ndarray]
    scores: Mapping[str, tuple[Score, str]]  # name to a function of the sums, and its unit

    def pick(self, names: Sequence[str]) -> ScoreSet:
        """Some of the scores."""
        return ScoreSet(self.tally, {name: self.scores[name] for name in names})

    def score(self, table: Graded, *keys: np.ndarray) -> dict[str, np.ndarray]:
        """The scores of each combination of the keys (n,), such as repeats."""
        sums = self.tally(table, *number_cells(*keys))
        return {name: score(sums) for name, (score, _) in self.scores.items()}

    def estimate(self, table: Graded) -> dict[str, Estimate]:
        """The scores of one experiment and cohort, means over the repeats, with what their intervals need."""
        patient, n = number_cells(table.patient)
        repeat, repeats = number_cells(table.repeat)
        sums = self.tally(table, patient * repeats + repeat, n * repeats)
        sums = sums.reshape(n, repeats, *sums.shape[1:])
        fold, smallest = find_folds(table), _count_smallest_class(table)
        return {
            name: Estimate(
                *jackknife(sums, score),
                unit,
                fold,
                smallest=smallest if name in OVER_CLASSES else None,
            )
            for name, (score, unit) in self.scores.items()
        }


def find_folds(table: Graded) -> np.ndarray | None:
    """The fold whose model graded each patient in each repeat (patients, repeats).

    None where several models graded a patient, or only one model all: such a table tells nothing of training.
    """
    patient, n = number_cells(table.patient)
    repeat, repeats = number_cells(table.repeat)
    fold = np.full((n, repeats), -1)
    fold[patient, repeat] = table.fold
    return fold if (fold >= 0).all() and len(np.unique(fold)) > 1 else None


def _count_smallest_class(table: Graded) -> int:
    """The patients of the class that fewest have, of those that occur."""
    pairs = np.unique(np.column_stack([table.grade, number_cells(table.patient)[0]]), axis=0)
    return int(np.unique(pairs[:, 0], return_counts=True)[1].min(initial=len(table)))


def tally_classes(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """(cells, 7, 7) confusion matrices."""
    return count_confusions(cell, n_cells, table.grade, table.predicted)


def tally_values(values: np.ndarray, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Sums of (n, m) values and their count, (cells, m + 1)."""
    columns = [*values.T, np.ones(len(values))]
    return np.stack([np.bincount(cell, column, minlength=n_cells) for column in columns], axis=-1)


def mean_of(column: int) -> Score:
    """The mean of one column of what `tally_values` sums, the last of which is the count."""
    return lambda sums: divide(sums[..., column], sums[..., -1])


def mean_value(name: str, values: np.ndarray, unit: str) -> ScoreSet:
    """One score: the mean of a value of each row (n,)."""
    return ScoreSet(
        lambda _, cell, n_cells: tally_values(values[:, None].astype(np.float64), cell, n_cells),
        {name: (mean_of(0), unit)},
    )


def _tally_probabilities(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    functions = (brier_score, negative_log_likelihood, ranked_probability_score)
    values = np.column_stack([function(table.probability, table.grade) for function in functions])
    return tally_values(values, cell, n_cells)


CLASSES = ScoreSet(tally_classes, SCORES)
OF_PROBABILITIES = ScoreSet(
    _tally_probabilities,
    {
        "Brier score": (mean_of(0), "squared probability"),
        "negative log likelihood": (mean_of(1), "nats"),
        "ranked probability score": (mean_of(2), "squared probability"),
    },
)
RANKED = OF_PROBABILITIES.pick(["ranked probability score"])


def name_cells(table: Graded, metric: str, unit: str) -> Row:
    """The cells that identify a score of one experiment and cohort."""
    keys = {"experiment": table.experiment, "cohort": table.cohort[0], "metric": metric, "unit": unit}
    return keys | table.counts()


def estimate_cells(estimate: Estimate, note: str, *, networks: bool = True) -> Row:
    """The cells of a score with its interval, and a note that says what the interval means.

    ``note`` says how the predictions were made, ``networks`` whether by trained networks.
    """
    interval = estimate.interval()
    meaning = describe_interval(estimate) if networks else NEW_PATIENTS
    return {
        "value": format_number(estimate.value),
        **interval.cells(),
        "note": "; ".join(filter(None, (note, interval.reason or meaning))),
    }


def describe_interval(estimate: Estimate) -> str:
    """What the interval of a score of trained networks, or of a difference of them, allows for."""
    if not estimate.trained_anew:
        return THESE_NETWORKS
    return TRAINED_ANEW + (APPROXIMATE if estimate.training_dominates else "")


def interval_rows(table: Graded, scores: ScoreSet, note: str, *, networks: bool = True) -> Iterator[Row]:
    """A row for each score of one experiment and cohort, with its 95 % interval."""
    for metric, estimate in scores.estimate(table).items():
        cells = estimate_cells(estimate, note, networks=networks)
        yield {**name_cells(table, metric, estimate.unit), **cells}


def score_rows(table: Graded, scores: ScoreSet, note: str, *, networks: bool = True) -> Iterator[Row]:
    """The same with the standard deviation over repeats, and over the scores of each repeat and fold."""
    by_repeat = scores.score(table, table.repeat)
    folds = find_folds(table)
    by_fold = {} if folds is None else scores.score(table, table.repeat, table.fold)
    for row in interval_rows(table, scores, note, networks=networks):
        name = str(row["metric"])
        spreads = {"sd_repeats": by_repeat[name], "sd_folds": by_fold.get(name, np.zeros(0))}
        yield row | {column: _deviation(values) for column, values in spreads.items()}


def _deviation(values: np.ndarray) -> str:
    finite = values[np.isfinite(values)]
    return format_number(finite.std(ddof=1)) if len(finite) > 1 else ""


def recall_rows(table: Graded, note: str) -> Iterator[Row]:
    """The recall of each class that occurs: the share of its hips that are graded as such."""
    for grade in range(1, N_GRADES + 1):
        inside = table.where(table.grade == grade)
        if len(inside):
            recall = ScoreSet(tally_classes, {f"recall, class {grade}": (exact_accuracy, "share")})
            yield from score_rows(inside, recall, note)
