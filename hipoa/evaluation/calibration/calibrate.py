"""Calibration of the predicted probabilities before and after temperature scaling, and decision curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.calibration.decision import COLUMNS as DECISION_COLUMNS
from hipoa.evaluation.calibration.decision import decision_rows
from hipoa.evaluation.calibration.recalibration import recalibration_rows
from hipoa.evaluation.calibration.temperature import scale_crossfitted
from hipoa.evaluation.graded import Graded, find_cohorts, read_graded
from hipoa.evaluation.metrics.estimates import (
    OF_PROBABILITIES,
    ScoreSet,
    estimate_cells,
    interval_rows,
    mean_value,
    name_cells,
    tally_values,
)
from hipoa.evaluation.metrics.questions import (
    Question,
    ask_errors,
    ask_indices,
    ask_thresholds,
    read_indices,
    read_pairs,
)
from hipoa.evaluation.metrics.scores import divide
from hipoa.evaluation.statistics.intervals import Row

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

Ask = Callable[[Graded], Sequence[Question]]
"""Gives the questions about Crowe and KL of the hips of one experiment and cohort."""

_NOTE = "mean over repeats"
_BINNED_NOTE = f"{_NOTE}; never 0 of few hips, even of a perfectly calibrated network"
_BIASED = "no interval: it is too large for few hips, by more than its error"
_BIN_NOTE = "n: hip x repeat values; interval of the accuracy"


def run(*, uncertainty: list[Path], class_table: str, out: Path, reliability: Path, decision: Path) -> None:
    """Writes the calibration of every experiment before and after temperature scaling, and decision curves.

    Args:
        uncertainty: The tables ``{experiment}.csv``.
        class_table: The (Crowe, KL) of the classes 1-7, JSON.
        out: The table of scores to write.
        reliability: The table of reliability diagrams to write.
        decision: The table of decision curves to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    read, pairs = read_indices(uncertainty), read_pairs(class_table)
    scaled = [(table, *scale_crossfitted(table)) for table in tables]
    parts = []
    for cohort in find_cohorts(tables):
        for before, after, temperature in scaled:
            inside = before.cohort == cohort
            if inside.any():
                both = {NONE: before.where(inside), TEMPERATURE: after.where(inside)}
                parts.append((both, temperature[inside]))

    def ask(table: Graded) -> list[Question]:
        return [*ask_indices(table, read, pairs)]

    scores = (row for both, fitted in parts for row in _score(both, fitted, ask))
    write_csv(out, COLUMNS, scores)
    bins = (row for both, _ in parts for row in _reliability_rows(both))
    write_csv(reliability, RELIABILITY_COLUMNS, bins)
    curves = (row for both, _ in parts for row in _decide(both[NONE], ask))
    write_csv(decision, DECISION_COLUMNS, curves)


def _score(tables: Mapping[str, Graded], temperature: np.ndarray, ask: Ask) -> Iterator[Row]:
    fitted = "temperature of each repeat fitted on all unseen labelled hips"
    if tables[NONE].cohort[0] == "labelled":
        fitted = "temperature of each fold fitted on the other folds' unseen hips of the same repeat"
    for scaling, table in tables.items():
        how = f"; {fitted}" if scaling == TEMPERATURE else ""
        for scores, note in ((OF_PROBABILITIES, _NOTE), (_CALIBRATION_ERROR, _BINNED_NOTE)):
            for row in interval_rows(table, scores, f"{note}{how}"):
                # Its bias is larger than its error.
                biased = {"low": "", "high": "", "note": f"{note}{how}; {_BIASED}"}
                yield {**row, "scaling": scaling, **(biased if scores is _CALIBRATION_ERROR else {})}
        for question in [*ask(table), ask_thresholds(table)]:
            for row in recalibration_rows(question, f"{_NOTE}{how}"):
                yield {**row, "scaling": scaling}
    yield {
        **name_cells(tables[NONE], "temperature", "ratio"),
        "scaling": TEMPERATURE,
        "value": format_number(float(temperature.mean())),
        "low": format_number(temperature.min()),
        "high": format_number(temperature.max()),
        "note": f"mean, least and largest of {len(np.unique(temperature))} fits; {fitted}",
    }


def _decide(table: Graded, ask: Ask) -> Iterator[Row]:
    for question in [*ask(table), ask_errors(table)]:
        yield from decision_rows(question, f"{_NOTE}; without temperature scaling")


def tally_bins(table: Graded, cell: np.ndarray, n_cells: int) -> np.ndarray:
    """Sums (cells, bins, 3) of hips, confidence and correctly graded hips in `N_BINS` equally wide bins.

    Confidence is the probability of the predicted class; a bin includes its lower end, the last one both.
    """
    confidence = _confidence(table)
    right = (table.error == 0).astype(np.float64)
    inside = cell * N_BINS + _find_bins(confidence)
    sums = tally_values(np.column_stack([confidence, right]), inside, n_cells * N_BINS)
    return sums.reshape(n_cells, N_BINS, 3)[..., [2, 0, 1]]


def _confidence(table: Graded) -> np.ndarray:
    return table.probability[np.arange(len(table)), table.predicted - 1]


def _find_bins(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)


def expected_calibration_error(sums: np.ndarray) -> np.ndarray:
    """Mean over the hips of |confidence - accuracy| in their bin, of (..., bins, 3) sums of `tally_bins`.

    Source: Naeini, Cooper, Hauskrecht, AAAI 2015.
    """
    return divide(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1), sums[..., 0].sum(axis=-1))


_CALIBRATION_ERROR = ScoreSet(
    tally_bins, {"expected calibration error": (expected_calibration_error, "probability")}
)


def _reliability_rows(tables: Mapping[str, Graded]) -> Iterator[Row]:
    """One row for each bin that holds a hip, all repeats pooled."""
    for scaling, given in tables.items():
        table = replace(given, repeat=np.zeros_like(given.repeat), fold=np.full(len(given), -1))
        confidence = _confidence(table)
        bins = _find_bins(confidence)
        for number in np.unique(bins).tolist():
            inside = bins == number
            members = table.where(inside)
            (accuracy,) = mean_value("accuracy", members.error == 0, "share").estimate(members).values()
            cells = estimate_cells(accuracy, _BIN_NOTE)
            yield {
                "experiment": table.experiment,
                "cohort": table.cohort[0],
                "scaling": scaling,
                "bin": number + 1,
                "n": int(inside.sum()),
                "from": format_number(number / N_BINS),
                "to": format_number((number + 1) / N_BINS),
                "confidence": format_number(confidence[inside].mean()),
                "accuracy": cells.pop("value"),
                **cells,
            }
