"""What is reached without a look at the radiograph, or with more than it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_numbers, read_columns
from hipoa.evaluation.graded import Graded, average_repeats
from hipoa.evaluation.metrics.estimates import CLASSES, NOT_COVERED, Row, score_rows
from hipoa.evaluation.metrics.scores import SCORES, find_best_constant
from hipoa.evaluation.settings import BootstrapSettings

CONSTANT = "constant"
MAJORITY = "majority class"
GEOMETRY = "measured geometry"
"""Names that stand where an experiment's stands; those with a space cannot be one."""

GEOMETRY_COLUMNS = (
    *("joint_space_mm", "osteophyte_mm", "plate_factor", "sclerosis_hu", "cysts", "flattening"),
    *("height", "lateral_mm", "centre_edge_deg", "radius_mm"),
)
"""What is measured of a synthetic hip before it is imaged; columns of ``{shard}.truth.csv``."""

_LEAST_HIPS = 20


def score_constants(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of the best prediction that is the same for every hip, found on this very cohort.

    Args:
        table: The graded hips of one cohort, one row each.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    for name in ("ECA", "ONCA"):
        constant = find_best_constant(table.grade, SCORES[name][0])
        note = f"baseline: class {constant} for every hip, the best constant of this cohort"
        yield from _score_guess(table, constant, CONSTANT, [name], cohort, note, bootstrap)


def score_majority(
    table: Graded, labelled: np.ndarray, cohort: str, bootstrap: BootstrapSettings
) -> Iterator[Row]:
    """The rows of the commonest class of the labelled cohort, predicted for every hip.

    Args:
        table: The graded hips of one cohort, one row each.
        labelled: (m,) classes of the labelled cohort's hips; without any there are no rows.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    if len(labelled):
        majority = int(np.bincount(labelled).argmax())
        note = f"baseline: class {majority} for every hip, the commonest of the labelled cohort"
        yield from _score_guess(table, majority, MAJORITY, list(SCORES), cohort, note, bootstrap)


def _score_guess(
    table: Graded,
    grade: int,
    name: str,
    metrics: Sequence[str],
    cohort: str,
    note: str,
    bootstrap: BootstrapSettings,
) -> Iterator[Row]:
    guess = replace(table, experiment=name, predicted=np.full(len(table), grade))
    return score_rows(guess, cohort, CLASSES.pick(metrics), note, bootstrap)


def read_geometry(truth: Sequence[Path]) -> dict[str, np.ndarray]:
    """The measured geometry of synthetic hips, by name; a replaced joint has none.

    Args:
        truth: The tables ``{shard}.truth.csv``.

    Returns:
        Hip to (10,) in the order of `GEOMETRY_COLUMNS`.
    """
    found: dict[str, np.ndarray] = {}
    for path in truth:
        columns = read_columns(path, ("hip_id", *GEOMETRY_COLUMNS), filled="joint_space_mm")
        values = np.column_stack([as_numbers(columns[name]) for name in GEOMETRY_COLUMNS])
        found |= zip(columns["hip_id"].tolist(), values, strict=True)
    return found


def grade_by_geometry(table: Graded, geometry: dict[str, np.ndarray]) -> Graded:
    """Grades hips from their measured geometry, with the folds of an experiment.

    A logistic regression on the standardised measures, fitted for each fold on the labelled hips of the
    other folds of the first repeat, and for the other cohorts on all labelled hips.

    Args:
        table: One experiment's graded hips of all cohorts.
        geometry: From `read_geometry`.

    Returns:
        One row per hip that has a geometry; none where there are too few to fit.
    """
    first = table.where(table.repeat == table.repeat.min(initial=0))
    known = first.where(np.isin(first.hip, list(geometry)))
    labelled = known.cohort == "labelled"
    if labelled.sum() < _LEAST_HIPS or len(np.unique(known.grade[labelled])) < 2:
        return known.where(np.zeros(len(known), dtype=bool))
    values = np.array([geometry[name] for name in known.hip.tolist()])
    predicted = known.predicted.copy()
    for fold in np.unique(known.fold[labelled]):
        inside = labelled & (known.fold == fold)
        predicted[inside] = _fit(values, known.grade, labelled & ~inside, inside)
    if not labelled.all():
        predicted[~labelled] = _fit(values, known.grade, labelled, ~labelled)
    return replace(average_repeats(known), experiment=GEOMETRY, predicted=_in_order(known, predicted))


def _fit(values: np.ndarray, grade: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    # Importing it takes a second: only who has a geometry waits for it.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    return model.fit(values[train], grade[train]).predict(values[test])


def _in_order(table: Graded, values: np.ndarray) -> np.ndarray:
    """Values of a table's rows, sorted by the names of its hips as `average_repeats` sorts them."""
    return values[np.unique(table.hip, return_index=True)[1]]


def score_geometry(table: Graded, cohort: str, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of the grades that the measured geometry gives.

    Args:
        table: The rows of one cohort from `grade_by_geometry`.
        cohort: The cohort's name.
        bootstrap: The resampling.
    """
    if len(table):
        note = (
            "baseline: logistic regression on what was measured of the synthetic hip before imaging, "
            "fitted out of fold; hips with a geometry"
        )
        yield from score_rows(table, cohort, CLASSES.pick(list(SCORES)), note, bootstrap)


def drop_training_note(row: Row) -> Row:
    """A row without the remark on training, of predictions that no training made."""
    return {**row, "note": str(row["note"]).removesuffix(f"; {NOT_COVERED}")}
