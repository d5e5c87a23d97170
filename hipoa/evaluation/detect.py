"""Failure detection: how well each measure of uncertainty finds the errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import Graded, average_repeats, read_graded, split_cohorts
from hipoa.evaluation.metrics.estimates import estimate_cells
from hipoa.evaluation.metrics.rank_areas import (
    Area,
    area_under_generalised_risk_coverage,
    area_under_risk_coverage,
    area_under_roc,
    estimate_areas,
    risk_at,
)
from hipoa.evaluation.passes import MEASURES
from hipoa.evaluation.statistics.intervals import Row

_KEYS = ("experiment", "cohort", "prediction", "measure", "event")
_COUNTS = ("n_hips", "n_patients", "n_events", "note")
COLUMNS = (*_KEYS, "metric", "value", "unit", "low", "high", *_COUNTS)
CURVE_COLUMNS = (*_KEYS, "coverage", "risk", "low", "high", *_COUNTS)

RANDOM, PERFECT = "random order", "perfect order"
PER_REPEAT, AVERAGED = "per repeat", "repeats averaged"
EVENTS = {"error >= 1": 1, "error >= 2": 2}


def _risk_at(coverage: float) -> Area:
    return lambda hips: risk_at(hips, coverage)


AREAS: dict[str, tuple[Area, str]] = {
    "AUROC": (area_under_roc, "probability"),
    "AURC": (area_under_risk_coverage, "share"),
    "AUGRC": (area_under_generalised_risk_coverage, "share"),
    "risk at 80 % coverage": (_risk_at(0.8), "share"),
}
_CURVE = {f"{tenths / 10}": (_risk_at(tenths / 10), "share") for tenths in range(1, 11)}
_NOTES = {
    PER_REPEAT: "mean over repeats",
    AVERAGED: "one prediction per hip from all repeats",
}


def run(*, uncertainty: list[Path], out: Path, curves: Path) -> None:
    """Writes how well each measure of uncertainty finds errors, and risk-coverage curves.

    Args:
        uncertainty: The tables ``{experiment}.csv``.
        out: The table of areas to write.
        curves: The table of risk by coverage to write.
    """
    parts = split_cohorts([read_graded(path) for path in uncertainty])
    found = [row for _, tables in parts for table in tables for row in detect_errors(table)]
    write_csv(out, COLUMNS, (row for row in found if "metric" in row))
    write_csv(curves, CURVE_COLUMNS, (row for row in found if "coverage" in row))


def detect_errors(table: Graded) -> Iterator[Row]:
    """The rows of one experiment and cohort: areas have a metric, points of curves a coverage."""
    predictions = {PER_REPEAT: table}
    if table.n_repeats > 1:
        predictions[AVERAGED] = average_repeats(table)
    for prediction, hips in predictions.items():
        for event, least in EVENTS.items():
            wrong = hips.error >= least
            for measure, score in list_measures(hips, wrong).items():
                keys: Row = {
                    "experiment": table.experiment,
                    "cohort": table.cohort[0],
                    "prediction": prediction,
                    "measure": measure,
                    "event": event,
                    **hips.counts(),
                    "n_events": format_number(wrong.sum() / hips.n_repeats),
                }
                note = _NOTES[prediction]
                for cells in _score_measure(hips, score, wrong, note):
                    if measure in (RANDOM, PERFECT) and cells.get("metric") == "AUROC":
                        cells |= {"low": "", "high": "", "note": f"{note}; no interval: known by definition"}
                    yield keys | cells


def list_measures(table: Graded, wrong: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure (n,) that all hips have, larger for less certain, and a random and a perfect order.

    ``wrong`` (n,) bool is what the perfect order ranks by.
    """
    known = dict(zip(MEASURES, table.measures.T, strict=True))
    known["max_probability"] = 1 - known["max_probability"]
    found = {name: score for name, score in known.items() if np.isfinite(score).all()}
    return {**found, RANDOM: np.zeros(len(table)), PERFECT: wrong.astype(np.float64)}


def _score_measure(table: Graded, score: np.ndarray, wrong: np.ndarray, note: str) -> Iterator[Row]:
    for name, estimate in estimate_areas(table, score, wrong, AREAS | _CURVE).items():
        cells = estimate_cells(estimate, note)
        if name in AREAS:
            yield {"metric": name, "unit": estimate.unit, **cells}
        else:
            yield {"coverage": name, "risk": cells.pop("value"), **cells}
