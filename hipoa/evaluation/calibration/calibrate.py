"""Calibration: whether a network that says 80 % is right in 80 of 100 hips, before and after scaling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.calibration.temperature import scale_crossfitted
from hipoa.evaluation.graded import Graded, find_cohorts, number_cells, read_graded
from hipoa.evaluation.metrics.estimates import (
    NOT_COVERED,
    Family,
    Row,
    Score,
    mean_of,
    name_cells,
    tally_values,
)
from hipoa.evaluation.metrics.probability_scores import (
    brier_score,
    negative_log_likelihood,
    ranked_probability_score,
)
from hipoa.evaluation.metrics.scores import divide
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import interval_95, resample_patients

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

_SCALED = {
    "labelled": "temperature of each fold fitted on the other folds' unseen hips of the same repeat",
}
_SCALED_ELSEWHERE = "temperature of each repeat fitted on all unseen labelled hips"
_BINNED_NOTE = "never 0 of few hips, even of a perfectly calibrated network"


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
    cohorts = find_cohorts(tables)
    pairs = [
        (cohort, {NONE: plain.of_cohort(cohort), TEMPERATURE: after.of_cohort(cohort)},
         temperature[plain.cohort == cohort])
        for cohort in cohorts for plain, after, temperature in scaled
    ]  # fmt: skip
    pairs = [pair for pair in pairs if len(pair[2])]
    write_csv(out, COLUMNS, (row for pair in pairs for row in _score(*pair, bootstrap)))
    bins = (row for cohort, both, _ in pairs for row in _bin(cohort, both, bootstrap))
    write_csv(reliability, RELIABILITY_COLUMNS, bins)


def _score(
    cohort: str, tables: dict[str, Graded], temperature: np.ndarray, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    fitted = _SCALED.get(cohort, _SCALED_ELSEWHERE)
    for scaling, table in tables.items():
        for row in score_calibration(table, cohort, N_BINS, bootstrap):
            how = f"; {fitted}" if scaling == TEMPERATURE else ""
            yield {**row, "scaling": scaling, "note": f"{row['note']}{how}"}
    yield {
        **name_cells(tables[NONE], cohort, "temperature", "ratio"),
        "scaling": TEMPERATURE,
        "value": format_number(float(temperature.mean())),
        "low": format_number(temperature.min()),
        "high": format_number(temperature.max()),
        "note": f"mean, least and largest of {len(np.unique(temperature))} fits; {fitted}",
    }


def score_calibration(table: Graded, cohort: str, n_bins: int, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of the scores of the probabilities.

    Args:
        table: One experiment's graded hips of one cohort.
        cohort: The cohort's name.
        n_bins: Of the expected calibration error.
        bootstrap: The resampling.
    """
    for family in (_PROPER, _bin_family(n_bins)):
        values, drawn = family.score(table, table.repeat), family.resample(table, bootstrap)
        for metric, (_, unit) in family.scores.items():
            low, high = interval_95(drawn.get(metric, np.zeros(0))) or (np.nan, np.nan)
            binned = f"; {_BINNED_NOTE}" if metric == EXPECTED_CALIBRATION_ERROR else ""
            yield {
                **name_cells(table, cohort, metric, unit),
                "value": format_number(values[metric].mean()),
                "low": format_number(low),
                "high": format_number(high),
                "note": f"mean over repeats; {NOT_COVERED}{binned}",
            }


def _tally_proper(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    functions = (brier_score, negative_log_likelihood, ranked_probability_score)
    values = np.column_stack([function(table.probability, table.grade) for function in functions])
    return tally_values(values, cell, n_cells)


_PROPER = Family(
    _tally_proper,
    {
        "Brier score": (mean_of(0), "squared probability"),
        "negative log likelihood": (mean_of(1), "nats"),
        "ranked probability score": (mean_of(2), "squared probability"),
    },
)
EXPECTED_CALIBRATION_ERROR = "expected calibration error"


def _bin_family(n_bins: int) -> Family:
    return Family(
        lambda table, cell, n_cells: tally_bins(table, cell, n_cells, n_bins),
        {EXPECTED_CALIBRATION_ERROR: (expected_calibration_error, "probability")},
    )


def tally_bins(table: Graded, cell: np.ndarray, n_cells: int, n_bins: int) -> np.ndarray:
    """Hips, confidence and hips graded right in each of equally wide bins of confidence.

    Confidence is the probability of the predicted class; a bin holds its lower end, the last both.

    Returns:
        (cells, bins, 3) sums.
    """
    confidence = table.probability[np.arange(len(table)), table.predicted - 1]
    inside = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    right = (table.grade == table.predicted).astype(np.float64)
    sums = tally_values(np.column_stack([confidence, right]), cell * n_bins + inside, n_cells * n_bins)
    return sums.reshape(n_cells, n_bins, 3)[..., [2, 0, 1]]


def expected_calibration_error(sums: np.ndarray) -> np.ndarray:
    """Mean over the hips of the distance of confidence and accuracy in their bin.

    Source: Naeini, Cooper, Hauskrecht, AAAI 2015.

    Args:
        sums: (..., bins, 3) from `tally_bins`.
    """
    return divide(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1), sums[..., 0].sum(axis=-1))


def _bin(cohort: str, tables: dict[str, Graded], bootstrap: BootstrapSettings) -> Iterator[Row]:
    """One row for each bin that holds a hip, all repeats together."""
    for scaling, table in tables.items():
        patient, n_patients = number_cells(table.patient)
        sums = tally_bins(table, patient, n_patients, N_BINS)
        drawn = resample_patients(
            sums[:, None],
            {str(number): _accuracy_of(number) for number in range(N_BINS)},
            bootstrap.bootstrap_resamples,
            0,
        )
        for number, (n, confidence, right) in enumerate(sums.sum(axis=0)):
            low, high = (n_patients > 1 and interval_95(drawn[str(number)])) or (np.nan, np.nan)
            if n:
                yield {
                    "experiment": table.experiment,
                    "cohort": cohort,
                    "scaling": scaling,
                    "bin": number + 1,
                    "from": format_number(number / N_BINS),
                    "to": format_number((number + 1) / N_BINS),
                    "n": int(n),
                    "confidence": format_number(confidence / n),
                    "accuracy": format_number(right / n),
                    "low": format_number(low),
                    "high": format_number(high),
                    "note": "n: hip x repeat values; interval of the accuracy, patients resampled",
                }


def _accuracy_of(number: int) -> Score:
    return lambda sums: divide(sums[..., number, 2], sums[..., number, 0])
