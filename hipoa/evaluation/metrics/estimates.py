"""Scores with bootstrap intervals and spreads, as rows of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.scores import (
    RECALLS,
    SCORES,
    Score,
    brier_score,
    count_confusions,
    divide,
    negative_log_likelihood,
    ranked_probability_score,
)
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import Row, interval_95, interval_cells, resample_patients

NOT_COVERED = "the interval leaves out the variance of training"


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

    def resample(self, table: Graded, bootstrap: BootstrapSettings, seed: int = 0) -> dict[str, np.ndarray]:
        """The scores of cohorts drawn from the patients, name to (resamples,); none of one patient.

        Another ``seed`` gives draws that are independent of the others.
        """
        patient, n_patients = number_cells(table.patient)
        if n_patients < 2:
            return {}
        repeat, n_repeats = number_cells(table.repeat)
        sums = self.tally(table, patient * n_repeats + repeat, n_patients * n_repeats)
        return resample_patients(
            sums.reshape(n_patients, n_repeats, *sums.shape[1:]),
            {name: score for name, (score, _) in self.scores.items()},
            bootstrap.bootstrap_resamples,
            seed,
        )


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


def _tally_probabilities(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    functions = (brier_score, negative_log_likelihood, ranked_probability_score)
    values = np.column_stack([function(table.probability, table.grade) for function in functions])
    return tally_values(values, cell, n_cells)


CLASSES = ScoreSet(tally_classes, SCORES | RECALLS)
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


def score_rows(table: Graded, scores: ScoreSet, note: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """A row for each spread of each score: the 95 % interval, over repeats, over repeats and folds.

    ``table`` holds one experiment and cohort, ``note`` says how the predictions were made.
    """
    by_repeat = scores.score(table, table.repeat)
    # Where several folds' models predict a hip, there is no score of one fold.
    by_fold = {} if (table.fold < 0).any() else scores.score(table, table.repeat, table.fold)
    drawn = scores.resample(table, bootstrap)
    for name, (_, unit) in scores.scores.items():
        row = spread_row(name_cells(table, name, unit), by_repeat[name], drawn.get(name), note)
        yield row
        spreads = {"repeats": by_repeat[name], "repeat x fold scores": by_fold.get(name, np.zeros(0))}
        for over, values in spreads.items() if row["value"] else ():
            finite = values[np.isfinite(values)]
            if len(finite) > 1:
                spread = format_number(finite.std(ddof=1))
                yield {**row, "spread": spread, "spread_unit": f"SD over {len(finite)} {over}", "note": note}


def spread_row(cells: Row, by_repeat: np.ndarray, drawn: np.ndarray | None, note: str) -> Row:
    """The row of a score (repeats,) with the 95 % interval of (resamples,) drawn scores, if there are any."""
    row = {**cells, "value": format_number(by_repeat.mean())}
    if not row["value"]:
        return {**row, "note": f"{note}; not defined on these hips"}
    row["note"] = f"{note}; {NOT_COVERED}"
    interval = None if drawn is None else interval_95(drawn)
    if drawn is None or interval is None:
        return {**row, "spread_unit": "no interval: one patient"}
    unit = f"95 % interval, patients resampled, B={np.isfinite(drawn).sum()}"
    return {**row, "spread": "{:.3f}-{:.3f}".format(*interval), "spread_unit": unit}


def interval_rows(table: Graded, scores: ScoreSet, note: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """A row for each score of one experiment and cohort, with cells for the ends of its 95 % interval."""
    values, drawn = scores.score(table, table.repeat), scores.resample(table, bootstrap)
    for metric, (_, unit) in scores.scores.items():
        value = format_number(values[metric].mean())
        interval = interval_cells(drawn.get(metric))
        yield {**name_cells(table, metric, unit), "value": value, **interval, "note": note}
