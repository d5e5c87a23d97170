"""Accuracies with their unit, the number of hips behind them and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.evaluation.bootstrap import interval_95, resample_patients
from hipoa.evaluation.columns import format_number
from hipoa.evaluation.graded import Graded, find_cohorts, number_cells, read_graded
from hipoa.evaluation.groups import GROUPS
from hipoa.evaluation.readers import pair_readers
from hipoa.evaluation.scores import SCORES, count_confusions, find_best_constant
from hipoa.evaluation.settings import MetricsSettings
from hipoa.files import write_csv

COLUMNS = (
    *("experiment", "cohort", "metric", "value", "unit"),
    *("n_hips", "n_patients", "spread", "spread_unit", "note"),
)
CONSTANT = "constant"
VOTE = "{}, repeats averaged"

_Row = dict[str, object]
_NOT_COVERED = "the interval leaves out the variance of training"
_PREDICTED_BY = {"labelled": "out of fold, by the patient's own fold's model"}


def run(settings: MetricsSettings, *, uncertainty: list[Path], hips: list[Path], out: Path) -> None:
    """Writes the accuracies of every experiment, each with its unit, n and spread.

    A score is the mean over the repeats of the score per repeat. It stands in one row for each of its
    spreads: the 95 % interval, the standard deviation over repeats, and that over repeat x fold scores.

    Args:
        settings: The resampling behind the intervals.
        uncertainty: The tables ``{experiment}.csv``.
        hips: The tables ``{cohort}.csv``, for what several readers called a hip.
        out: The table to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    write_csv(out, COLUMNS, _rows(tables, pair_readers(hips), settings))


def _rows(tables: list[Graded], readers: Graded, settings: MetricsSettings) -> Iterator[_Row]:
    for cohort in find_cohorts(tables):
        of_cohort = [table.of_cohort(cohort) for table in tables]
        for table in filter(len, of_cohort):
            yield from score_experiment(table, cohort, settings)
            yield from average_groups(table, cohort)
        yield from score_constants(of_cohort, cohort, settings)
        yield from score_readers(readers.of_cohort(cohort), cohort, settings)


def score_experiment(table: Graded, cohort: str, settings: MetricsSettings) -> Iterator[_Row]:
    """The rows of all scores of one experiment, and those of its repeats' averaged probabilities.

    Args:
        table: The experiment's graded hips of one cohort, at least one.
        cohort: The cohort's name.
        settings: The resampling.
    """
    n_repeats = len(np.unique(table.repeat))
    how = _PREDICTED_BY.get(cohort, "mean over the models that have not seen the patient")
    over = f"mean over {n_repeats} repeats of the score per repeat" if n_repeats > 1 else "one repeat"
    note = f"{how}; {over}"
    yield from _score_rows(table, cohort, list(SCORES), note, settings)
    if n_repeats > 1:
        note = f"{how}; one prediction per hip, from the probabilities averaged over {n_repeats} repeats"
        for row in _score_rows(average_repeats(table), cohort, ["ECA", "ONCA"], note, settings):
            yield {**row, "metric": VOTE.format(row["metric"])}


def score_constants(tables: list[Graded], cohort: str, settings: MetricsSettings) -> Iterator[_Row]:
    """The rows of the best prediction that is the same for every hip, found on this very cohort.

    Args:
        tables: The experiments' graded hips of one cohort.
        cohort: The cohort's name.
        settings: The resampling.
    """
    table = average_repeats(max(tables, key=len))
    for name in ("ECA", "ONCA"):
        constant = find_best_constant(table.grade, SCORES[name][0])
        guess = replace(table, experiment=CONSTANT, predicted=np.full(len(table), constant))
        note = f"baseline: class {constant} for every hip, the best constant of this cohort"
        yield from _score_rows(guess, cohort, [name], note, settings)


def score_readers(table: Graded, cohort: str, settings: MetricsSettings) -> Iterator[_Row]:
    """The rows of how well readers agree with each other; none where no hip has two readers.

    Args:
        table: The pairs of readers of one cohort.
        cohort: The cohort's name.
        settings: The resampling.
    """
    if len(table):
        # Neither reader is the truth, which balanced accuracy takes one for.
        names = [name for name in SCORES if name != "balanced accuracy"]
        note = "agreement of two readers; every pair of readers of a hip counts"
        for row in _score_rows(table, cohort, names, note, settings):
            yield {**row, "note": str(row["note"]).removesuffix(f"; {_NOT_COVERED}")}


def average_groups(table: Graded, cohort: str) -> Iterator[_Row]:
    """The rows of the mean variance of each group of hips, over hips and repeats.

    Args:
        table: The experiment's graded hips of one cohort.
        cohort: The cohort's name.
    """
    for group in GROUPS:
        members = table.where(table.group == group)
        if len(members):
            deviation = members.variance.std(ddof=1) if len(members) > 1 else np.nan
            yield {
                **_named(members, cohort, f"mean variance, {group}", "squared probability"),
                "value": format_number(members.variance.mean()),
                "spread": format_number(deviation),
                "spread_unit": f"SD over {len(members)} hip x repeat values",
                "note": "a hip may be in another group in another repeat",
            }


def average_repeats(table: Graded) -> Graded:
    """One row per hip: the probabilities averaged over the repeats, and the class that they favour.

    Group and variance are those of the hip's first row; no single fold's model made the prediction.
    """
    _, first, hip = np.unique(table.hip, return_index=True, return_inverse=True)
    total = np.zeros((len(first), table.probability.shape[1]))
    np.add.at(total, hip.reshape(-1), table.probability)
    probability = total / np.bincount(hip.reshape(-1))[:, None]
    one = replace(table.where(first), probability=probability, predicted=probability.argmax(axis=1) + 1)
    nobody = np.full(len(first), -1)
    return replace(one, repeat=np.zeros(len(first), dtype=np.int64), fold=nobody)


def _score_rows(
    table: Graded, cohort: str, names: list[str], note: str, settings: MetricsSettings
) -> Iterator[_Row]:
    scores = {name: SCORES[name][0] for name in names}
    by_repeat = _confusion(table, table.repeat)
    drawn = _draw(table, scores, settings)
    for name, score in scores.items():
        row = _named(table, cohort, name, SCORES[name][1])
        value = score(by_repeat).mean()
        if np.isnan(value):
            yield {**row, "note": f"{note}; not defined where all is one class"}
            continue
        row["value"] = format_number(value)
        yield {**row, **_interval(drawn.get(name)), "note": f"{note}; {_NOT_COVERED}"}
        for spread in (_over_repeats(score(by_repeat)), _over_folds(table, score)):
            if spread:
                yield {**row, **spread, "note": note}


def _named(table: Graded, cohort: str, metric: str, unit: str) -> _Row:
    return {
        "experiment": table.experiment,
        "cohort": cohort,
        "metric": metric,
        "unit": unit,
        "n_hips": len(np.unique(table.hip)),
        "n_patients": len(np.unique(table.patient)),
    }


def _confusion(table: Graded, *keys: np.ndarray) -> np.ndarray:
    """One confusion matrix per combination of the keys, (combinations, 7, 7)."""
    return count_confusions(*number_cells(*keys), table.grade, table.predicted)


def _draw(
    table: Graded, scores: dict[str, Callable[[np.ndarray], np.ndarray]], settings: MetricsSettings
) -> dict[str, np.ndarray]:
    patient, n_patients = number_cells(table.patient)
    if n_patients < 2:
        return {}
    repeat, n_repeats = number_cells(table.repeat)
    cell = patient * n_repeats + repeat
    confusion = count_confusions(cell, n_patients * n_repeats, table.grade, table.predicted)
    confusion = confusion.reshape(n_patients, n_repeats, *confusion.shape[1:])
    return resample_patients(confusion, scores, settings.bootstrap_resamples, settings.bootstrap_seed)


def _interval(drawn: np.ndarray | None) -> _Row:
    interval = None if drawn is None else interval_95(drawn)
    if drawn is None or interval is None:
        return {"spread_unit": "no interval: one patient"}
    low, high = interval
    return {
        "spread": f"{low:.3f}-{high:.3f}",
        "spread_unit": f"95 % interval, patients resampled, B={np.isfinite(drawn).sum()}",
    }


def _over_repeats(scores: np.ndarray) -> _Row:
    if len(scores) < 2:
        return {}
    return {"spread": format_number(scores.std(ddof=1)), "spread_unit": f"SD over {len(scores)} repeats"}


def _over_folds(table: Graded, score: Callable[[np.ndarray], np.ndarray]) -> _Row:
    """The spread that depends on the size of a fold; empty where several folds' models predict a hip."""
    if (table.fold < 0).any():
        return {}
    scores = score(_confusion(table, table.repeat, table.fold))
    scores = scores[np.isfinite(scores)]
    if len(scores) < 2:
        return {}
    unit = f"SD over {len(scores)} repeat x fold scores"
    return {"spread": format_number(scores.std(ddof=1)), "spread_unit": unit}
