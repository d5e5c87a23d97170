"""Distances of unread hips from labelled hips and from each other, in the networks' features.

Every model has its own features. A hip is compared with the labelled hips that the same model has not seen
in training, which over the folds are all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.evaluation.predictions import PredictionFile, find_rows
from hipoa.grading.inference.knn_distance import (
    NEIGHBOURS,
    chunks,
    measure_distances,
    relative_distance,
    scale_features,
)

_AXES = 64
_N_NAMED = 3
"""The nearest labelled hips that the list names."""


@dataclass(frozen=True)
class Labelled:
    """The labelled hips: names, patients and grades, (m,) each."""

    hip_id: np.ndarray
    patient: np.ndarray
    grade: np.ndarray


@dataclass(frozen=True)
class FeatureSpace:
    """The features of one model."""

    rows: np.ndarray  # (k,) rows of the unread hips that it has predicted, in their table
    features: np.ndarray  # (k, D) of these
    labelled: np.ndarray  # (m,) rows of the labelled hips that it has predicted, in theirs
    reference: np.ndarray  # (m, D) of these, more than five

    def unit(self) -> float:
        """The typical distance of a labelled hip to the nearest other one, in scaled features."""
        known = scale_features(self.reference, self.reference)
        among = measure_distances(known, known)
        np.fill_diagonal(among, np.inf)
        return max(float(np.median(among.min(axis=1))), 1e-12)


def read_features(
    files: Sequence[PredictionFile], unread: np.ndarray, labelled: Labelled
) -> list[FeatureSpace]:
    """The features of each model of one experiment and repeat that predicted enough labelled hips.

    ``unread`` (n,) are the names of the unread hips, of any cohort.
    """
    models: dict[int, list[PredictionFile]] = {}
    for file in files:
        models.setdefault(file.fold, []).append(file)
    spaces = []
    for of_model in models.values():
        names, features = map(np.concatenate, zip(*map(_read, of_model), strict=True))
        known, new = np.isin(names, labelled.hip_id), np.isin(names, unread)
        if known.sum() > NEIGHBOURS and new.any():
            where = files[0].experiment
            spaces.append(
                FeatureSpace(
                    rows=find_rows(names[new], unread, where),
                    features=features[new],
                    labelled=find_rows(names[known], labelled.hip_id, where),
                    reference=features[known],
                )
            )
    return spaces


def _read(file: PredictionFile) -> tuple[np.ndarray, np.ndarray]:
    # Without the passes, which of a large pool are many times larger.
    with np.load(file.path, allow_pickle=False) as archive:
        return archive["hip_id"], archive["features"]


def find_neighbours(
    spaces: Sequence[FeatureSpace], patient: np.ndarray, labelled: Labelled
) -> tuple[np.ndarray, np.ndarray]:
    """The distance of unread hips of some patients (n,) from the labelled ones, and their nearest neighbours.

    Returns:
        (n,) mean distance over the models, in units of the labelled hips' own distance from each other, NaN
        where no model has predicted the hip; (n, 3) rows of the nearest labelled hips of other patients, -1
        for none.
    """
    n = len(patient)
    distances = []
    nearest, far = np.full((n, _N_NAMED), -1), np.full((n, _N_NAMED), np.inf)
    for space in spaces:
        own = np.full(n, np.nan)
        own[space.rows] = relative_distance(space.features, space.reference)
        distances.append(own)
        found, distance = _find_in(space, patient, labelled)
        both = np.hstack([far[space.rows], distance])
        pick = np.argsort(both, axis=1, kind="stable")[:, :_N_NAMED]
        nearest[space.rows] = np.take_along_axis(np.hstack([nearest[space.rows], found]), pick, axis=1)
        far[space.rows] = np.take_along_axis(both, pick, axis=1)
    return _mean(distances, n), np.where(np.isfinite(far), nearest, -1)


def _find_in(space: FeatureSpace, patient: np.ndarray, labelled: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (k, 3) of a model's nearest labelled hips of other patients."""
    reference, unit = scale_features(space.reference, space.reference), space.unit()
    rows, distances = [], []
    for part in chunks(len(space.features)):
        features = scale_features(space.reference, space.features[part])
        distance = measure_distances(features, reference) / unit
        own = patient[space.rows[part]][:, None] == labelled.patient[space.labelled][None]
        distance = np.where(own, np.inf, distance)
        pick = np.argsort(distance, axis=1, kind="stable")[:, :_N_NAMED]
        rows.append(space.labelled[pick])
        distances.append(np.take_along_axis(distance, pick, axis=1))
    return np.concatenate(rows), np.concatenate(distances)


class UnreadDistances:
    """Distances between n unread hips, a mean over the models that have predicted both.

    Features are projected onto 64 random axes, which preserves distances to about a tenth (source: Johnson
    and Lindenstrauss, Contemporary Mathematics 1984, 26, 189-206) and lets 100 000 hips fit in memory.
    """

    def __init__(self, spaces: Sequence[FeatureSpace], n: int) -> None:
        self._n = n
        self._projected = [_project(space, n) for space in spaces]

    def to_labelled(self) -> np.ndarray:
        """(n,) distance to the nearest labelled hip, in the same units, NaN where it is unknown."""
        return _mean([near for _, near in self._projected], self._n)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The distance (n,) of each hip to the nearest of some rows (k,); NaN where it is unknown."""
        found = np.full(self._n, np.nan)
        for row in rows:
            each = [np.linalg.norm(values - values[row], axis=1) for values, _ in self._projected]
            found = np.fmin(found, _mean(each, self._n))
        return found


def _project(space: FeatureSpace, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Projected features (n, 64) and distances (n,) to the nearest labelled hip; NaN for unknown hips."""
    reference = scale_features(space.reference, space.reference)
    axes = np.random.default_rng([0, reference.shape[1]]).normal(size=(reference.shape[1], _AXES))
    axes /= np.sqrt(_AXES) * space.unit()
    known = reference @ axes
    projected = np.full((n, _AXES), np.nan, dtype=np.float32)
    near = np.full(n, np.nan)
    for part in chunks(len(space.features)):
        new = scale_features(space.reference, space.features[part]) @ axes
        projected[space.rows[part]] = new
        near[space.rows[part]] = measure_distances(new, known).min(axis=1)
    return projected, near


def _mean(values: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The mean of several (n,) without NaN; NaN where there is none."""
    total, count = np.zeros(n), np.zeros(n)
    for value in values:
        known = np.isfinite(value)
        total[known] += value[known]
        count += known
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
