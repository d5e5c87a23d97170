"""Calibration of the predicted probabilities, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.calibration.temperature import scale_crossfitted
from hipoa.evaluation.graded import Graded, find_cohorts, number_cells, read_graded
from hipoa.evaluation.metrics.estimates import (
    NOT_COVERED,
    ScoreSet,
    interval_rows,
    mean_of,
    name_cells,
    tally_values,
)
from hipoa.evaluation.metrics.scores import (
    Score,
    brier_score,
    divide,
    negative_log_likelihood,
    ranked_probability_score,
)
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import Row, interval_cells

COLUMNS = (
    *("experiment", "cohort", "scaling", "metric", "value", "unit", "low", "high"),
    *("n_hips", "n_patients", "note"),
)
RELIABILITY_COLUMNS = (
    *("experiment", "cohort", "scaling", "bin", "from", "to", "n", "confidence", "accuracy", "low", "high"),
    "note",
)
NONE, TEMPERATURE = "none", "temperature"
N_BINS = 10
"""Equally wide bins of confidence, as most published expected calibration errors have."""

_NOTE = f"mean over repeats; {NOT_COVERED}"
_BINNED_NOTE = f"{_NOTE}; never 0 of few hips, even of a perfectly calibrated network"
_BIN_NOTE = "n: hip x repeat values; interval of the accuracy, patients resampled"


def run(bootstrap: BootstrapSettings, *, uncertainty: list[Path], out: Path, reliability: Path) -> None:
    """Writes the calibration of every experiment before and after temperature scaling.

    Args:
        bootstrap: The resampling of patients.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table of scores to write.
        reliability: The table of reliability diagrams to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    scaled = [(table, *scale_crossfitted(table)) for table in tables]
    parts = []
    for cohort in find_cohorts(tables):
        for before, after, temperature in scaled:
            inside = before.cohort == cohort
            if inside.any():
                both = {NONE: before.where(inside), TEMPERATURE: after.where(inside)}
                parts.append((both, temperature[inside]))
    scores = (row for both, fitted in parts for row in _score(both, fitted, bootstrap))
    write_csv(out, COLUMNS, scores)
    bins = (row for both, _ in parts for row in _reliability_rows(both, bootstrap))
    write_csv(reliability, RELIABILITY_COLUMNS, bins)


def _score(
    tables: Mapping[str, Graded], temperature: np.ndarray, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    fitted = "temperature of each repeat fitted on all unseen labelled hips"
    if tables[NONE].cohort[0] == "labelled":
        fitted = "temperature of each fold fitted on the other folds' unseen hips of the same repeat"
    for scaling, table in tables.items():
        how = f"; {fitted}" if scaling == TEMPERATURE else ""
        for scores, note in ((_OF_PROBABILITIES, _NOTE), (_CALIBRATION_ERROR, _BINNED_NOTE)):
            for row in interval_rows(table, scores, f"{note}{how}", bootstrap):
                yield {**row, "scaling": scaling}
    yield {
        **name_cells(tables[NONE], "temperature", "ratio"),
        "scaling": TEMPERATURE,
        "value": format_number(float(temperature.mean())),
        "low": format_number(temperature.min()),
        "high": format_number(temperature.max()),
        "note": f"mean, least and largest of {len(np.unique(temperature))} fits; {fitted}",
    }


def _tally_probabilities(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    functions = (brier_score, negative_log_likelihood, ranked_probability_score)
    values = np.column_stack([function(table.probability, table.grade) for function in functions])
    return tally_values(values, cell, n_cells)


_OF_PROBABILITIES = ScoreSet(
    _tally_probabilities,
    {
        "Brier score": (mean_of(0), "squared probability"),
        "negative log likelihood": (mean_of(1), "nats"),
        "ranked probability score": (mean_of(2), "squared probability"),
    },
)


def tally_bins(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Hips, confidence and hips graded right in each of `N_BINS` equally wide bins of confidence.

    Confidence is the probability of the predicted class; a bin holds its lower end, the last both.

    Returns:
        (cells, bins, 3) sums.
    """
    confidence = table.probability[np.arange(len(table)), table.predicted - 1]
    inside = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)
    right = (table.error == 0).astype(np.float64)
    sums = tally_values(np.column_stack([confidence, right]), cell * N_BINS + inside, n_cells * N_BINS)
    return sums.reshape(n_cells, N_BINS, 3)[..., [2, 0, 1]]


def expected_calibration_error(sums: np.ndarray) -> np.ndarray:
    """Mean over the hips of the distance of confidence and accuracy in their bin.

    Source: Naeini, Cooper, Hauskrecht, AAAI 2015.

    Args:
        sums: (..., bins, 3) from `tally_bins`.
    """
    return divide(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1), sums[..., 0].sum(axis=-1))


_CALIBRATION_ERROR = ScoreSet(
    tally_bins, {"expected calibration error": (expected_calibration_error, "probability")}
)


def _accuracy_in(number: int) -> Score:
    return lambda sums: divide(sums[..., number, 2], sums[..., number, 0])


_ACCURACIES = ScoreSet(tally_bins, {f"{number}": (_accuracy_in(number), "share") for number in range(N_BINS)})


def _reliability_rows(tables: Mapping[str, Graded], bootstrap: BootstrapSettings) -> Iterator[Row]:
    """One row for each bin that holds a hip, all repeats pooled."""
    for scaling, table in tables.items():
        drawn = _ACCURACIES.resample(replace(table, repeat=np.zeros_like(table.repeat)), bootstrap)
        sums = tally_bins(table, *number_cells(table.patient)).sum(axis=0)
        for number, (n, confidence, right) in enumerate(sums):
            if n:
                yield {
                    "experiment": table.experiment,
                    "cohort": table.cohort[0],
                    "scaling": scaling,
                    "bin": number + 1,
                    "n": int(n),
                    "from": format_number(number / N_BINS),
                    "to": format_number((number + 1) / N_BINS),
                    "confidence": format_number(confidence / n),
                    "accuracy": format_number(right / n),
                    **interval_cells(drawn.get(f"{number}")),
                    "note": _BIN_NOTE,
                }
