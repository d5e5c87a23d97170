"""Does uncertainty find the errors? Each measure as a detector, and what keeping the sure hips gains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hipoa.core.columns import format_number
from hipoa.core.files import write_csv
from hipoa.evaluation.graded import Graded, average_repeats, find_cohorts, read_graded
from hipoa.evaluation.metrics.estimates import NOT_COVERED, Row, rank_by_repeat
from hipoa.evaluation.metrics.rank_areas import (
    RankedHips,
    area_under_generalised_risk_coverage,
    area_under_risk_coverage,
    area_under_roc,
    risk_at,
)
from hipoa.evaluation.passes import MEASURES
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import interval_95

_KEYS = ("experiment", "cohort", "prediction", "measure", "event")
_COUNTS = ("n_hips", "n_patients", "n_events", "note")
COLUMNS = (*_KEYS, "metric", "value", "unit", "low", "high", *_COUNTS)
CURVE_COLUMNS = (*_KEYS, "coverage", "risk", "low", "high", *_COUNTS)

RANDOM, PERFECT = "random order", "perfect order"
PER_REPEAT, AVERAGED = "per repeat", "repeats averaged"
EVENTS = {"error >= 1": 1, "error >= 2": 2}
COVERAGES = tuple(round(0.1 * tenths, 1) for tenths in range(1, 11))

Area = Callable[[RankedHips], np.ndarray]
AREAS: dict[str, tuple[Area, str]] = {
    "AUROC": (area_under_roc, "probability"),
    "AURC": (area_under_risk_coverage, "share"),
    "AUGRC": (area_under_generalised_risk_coverage, "share"),
    "risk at 80 % coverage": (lambda hips: risk_at(hips, 0.8), "share"),
}
_NOTES = {
    PER_REPEAT: f"mean over repeats; {NOT_COVERED}",
    AVERAGED: f"one prediction per hip from all repeats; {NOT_COVERED}",
}


def run(bootstrap: BootstrapSettings, *, uncertainty: list[Path], out: Path, curves: Path) -> None:
    """Writes how well each measure of uncertainty finds errors, and risk-coverage curves.

    Args:
        bootstrap: The resampling of patients.
        uncertainty: The tables ``{experiment}.csv``.
        out: The table of areas to write.
        curves: The table of risk by coverage to write.
    """
    tables = [read_graded(path) for path in uncertainty]
    parts = [
        (table.of_cohort(cohort), cohort)
        for cohort in find_cohorts(tables) for table in tables if (table.cohort == cohort).any()
    ]  # fmt: skip
    found = [row for table, cohort in parts for row in detect_errors(table, cohort, bootstrap)]
    write_csv(out, COLUMNS, (row for row in found if "metric" in row))
    write_csv(curves, CURVE_COLUMNS, (row for row in found if "coverage" in row))


def detect_errors(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of one experiment and cohort: with a metric those of areas, with a coverage those of curves.

    Args:
        table: The graded hips.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    predictions = {PER_REPEAT: table}
    if len(np.unique(table.repeat)) > 1:
        predictions[AVERAGED] = average_repeats(table)
    for prediction, of_hips in predictions.items():
        for event, least in EVENTS.items():
            wrong = np.abs(of_hips.predicted - of_hips.grade) >= least
            for measure, score in list_measures(of_hips, wrong).items():
                named = {
                    "experiment": table.experiment,
                    "cohort": cohort,
                    "prediction": prediction,
                    "measure": measure,
                    "event": event,
                    "note": _NOTES[prediction],
                    **_count(of_hips, wrong),
                }
                yield from ({**named, **cells} for cells in _measure(of_hips, score, wrong, bootstrap))


def list_measures(table: Graded, wrong: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure that all hips have, larger for less sure; and the random and the perfect order (n,).

    Args:
        table: Graded hips.
        wrong: (n,) bool, what the perfect order knows.
    """
    known = dict(zip(MEASURES, table.measures.T, strict=True))
    known["max_probability"] = 1 - known["max_probability"]
    found = {name: score for name, score in known.items() if np.isfinite(score).all()}
    return {**found, RANDOM: np.zeros(len(table)), PERFECT: wrong.astype(np.float64)}


def _count(table: Graded, wrong: np.ndarray) -> Row:
    n_repeats = len(np.unique(table.repeat))
    return {
        "n_hips": len(np.unique(table.hip)),
        "n_patients": len(np.unique(table.patient)),
        "n_events": format_number(wrong.sum() / n_repeats),
    }


def _measure(
    table: Graded, score: np.ndarray, wrong: np.ndarray, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    curve = {f"{coverage}": _risk_at(coverage) for coverage in COVERAGES}
    areas = {name: area for name, (area, _) in AREAS.items()}
    found = rank_by_repeat(table, score, wrong, areas | curve, bootstrap)
    one = len(np.unique(table.patient)) < 2
    for name, (values, drawn) in found.items():
        low, high = (None if one else interval_95(drawn)) or (np.nan, np.nan)
        ends = {"low": format_number(low), "high": format_number(high)}
        value = format_number(values.mean())
        if name in AREAS:
            yield {"metric": name, "value": value, "unit": AREAS[name][1], **ends}
        else:
            yield {"coverage": name, "risk": value, **ends}


def _risk_at(coverage: float) -> Area:
    return lambda hips: risk_at(hips, coverage)
