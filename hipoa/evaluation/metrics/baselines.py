"""Baselines: constant predictions, and grades from the measured geometry of synthetic hips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_numbers, read_columns
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import CLASSES, score_rows
from hipoa.evaluation.metrics.scores import SCORES, find_best_constant
from hipoa.evaluation.statistics.intervals import Row

CONSTANT = "constant"
MAJORITY = "majority class"
GEOMETRY = "measured geometry"
"""Stand in the column ``experiment``; those with a space cannot be one."""

GEOMETRY_COLUMNS = (
    *("joint_space_mm", "osteophyte_mm", "plate_factor", "sclerosis_hu", "cysts", "flattening"),
    *("height", "lateral_mm", "centre_edge_deg", "radius_mm"),
)
"""Columns of ``{shard}.truth.csv``: what is measured of a synthetic hip before imaging."""

_LEAST_HIPS = 20


def score_constants(table: Graded, labelled: np.ndarray) -> Iterator[Row]:
    """The rows of predictions that are the same for every hip of a cohort, one row each.

    They are the best constant of the cohort itself and the most common of the labelled cohort's classes (m,).
    """

    def score(grade: int, name: str, metrics: Sequence[str], source: str) -> Iterator[Row]:
        guess = replace(table, experiment=name, predicted=np.full(len(table), grade))
        note = f"baseline: class {grade} for every hip, the {source}"
        return score_rows(guess, CLASSES.pick(metrics), note, networks=False)

    for metric in ("ECA", "ONCA"):
        best = find_best_constant(table.grade, SCORES[metric][0])
        yield from score(best, CONSTANT, [metric], "best constant of this cohort")
    if len(labelled):
        majority = int(np.bincount(labelled).argmax())
        yield from score(majority, MAJORITY, list(SCORES), "commonest of the labelled cohort")


def read_geometry(truth: Sequence[Path]) -> dict[str, np.ndarray]:
    """Hip to its geometry (10,) in the order of `GEOMETRY_COLUMNS`; a replaced joint has none."""
    found: dict[str, np.ndarray] = {}
    for path in truth:
        columns = read_columns(path, ("hip_id", *GEOMETRY_COLUMNS), filled="joint_space_mm")
        values = np.column_stack([as_numbers(columns[name]) for name in GEOMETRY_COLUMNS])
        found |= zip(columns["hip_id"].tolist(), values, strict=True)
    return found


def grade_by_geometry(table: Graded, geometry: Mapping[str, np.ndarray]) -> Graded:
    """Grades hips from their measured geometry, with the folds of an experiment.

    A logistic regression on the standardised measures, fitted for each fold on the labelled hips of the
    other folds of the first repeat, and for the other cohorts on all labelled hips. One row per hip with a
    geometry; none where there are too few to fit.
    """
    first = table.where(table.repeat == table.repeat.min(initial=0))
    known = first.where(np.isin(first.hip, list(geometry)))
    labelled = known.cohort == "labelled"
    if labelled.sum() < _LEAST_HIPS or len(np.unique(known.grade[labelled])) < 2:
        return known.where(np.zeros(len(known), dtype=bool))
    values = np.array([geometry[name] for name in known.hip.tolist()])
    predicted = known.predicted.copy()
    folds = [labelled & (known.fold == fold) for fold in np.unique(known.fold[labelled])]
    for test in [*folds, ~labelled]:
        if test.any():
            predicted[test] = _fit(values, known.grade, labelled & ~test, test)
    return replace(known, experiment=GEOMETRY, predicted=predicted, fold=np.full(len(known), -1))


def _fit(values: np.ndarray, grade: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    # The import takes a second, which studies without a geometry need not wait.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return model.fit(values[train], grade[train]).predict(values[test])


def score_geometry(table: Graded) -> Iterator[Row]:
    """The rows of `grade_by_geometry` in one cohort; there may be no hip."""
    if len(table):
        note = (
            "baseline: logistic regression on what was measured of the synthetic hip before imaging, "
            "fitted out of fold; hips with a geometry"
        )
        yield from score_rows(table, CLASSES, note, networks=False)
