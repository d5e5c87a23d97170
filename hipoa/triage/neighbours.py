"""What the networks' features say of unread hips: how far they are from labelled ones, and which are next.

Every model has features of its own. A hip is compared with the labelled hips that the same model has not
seen either, which over the folds are all of them.
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


@dataclass(frozen=True)
class Labelled:
    """The labelled hips that neighbours are looked for among: names, patients and grades, (m,) each."""

    hip_id: np.ndarray
    patient: np.ndarray
    grade: np.ndarray


@dataclass(frozen=True)
class Space:
    """One model's features.

    Attributes:
        rows: (k,) of the unread hips that it has predicted, in their table.
        features: (k, D) of these.
        labelled: (m,) rows of the labelled hips that it has predicted, in theirs.
        reference: (m, D) of these, more than five.
    """

    rows: np.ndarray
    features: np.ndarray
    labelled: np.ndarray
    reference: np.ndarray


@dataclass(frozen=True)
class Surroundings:
    """How unread hips lie among the labelled ones, NaN and empty where no model tells.

    Attributes:
        distance: (n,) mean over the models, in units of the labelled hips' own distance from each other.
        neighbours: (n, 3) rows of the nearest labelled hips of other patients, -1 for none.
    """

    distance: np.ndarray
    neighbours: np.ndarray


def build_spaces(files: Sequence[PredictionFile], unread: np.ndarray, labelled: Labelled) -> list[Space]:
    """Reads the features of each model of which there are enough labelled hips.

    Args:
        files: Of one experiment and repeat.
        unread: (n,) names of the unread hips, of any cohort.
        labelled: The labelled hips.
    """
    models: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for file in files:
        models.setdefault(file.fold, []).append(_read(file))
    spaces = []
    for parts in models.values():
        names = np.concatenate([part[0] for part in parts])
        features = np.concatenate([part[1] for part in parts])
        known, new = np.isin(names, labelled.hip_id), np.isin(names, unread)
        if known.sum() > NEIGHBOURS and new.any():
            where = files[0].experiment
            spaces.append(
                Space(
                    rows=find_rows(names[new], unread, where),
                    features=features[new],
                    labelled=find_rows(names[known], labelled.hip_id, where),
                    reference=features[known],
                )
            )
    return spaces


def _read(file: PredictionFile) -> tuple[np.ndarray, np.ndarray]:
    # Only what is needed: the passes of a large pool are many times larger.
    with np.load(file.path, allow_pickle=False) as archive:
        return archive["hip_id"], archive["features"]


def look_around(
    spaces: Sequence[Space], patient: np.ndarray, labelled: Labelled, count: int = 3
) -> Surroundings:
    """Distance from the labelled hips and the nearest of them.

    Args:
        spaces: Of the models.
        patient: (n,) of the unread hips.
        labelled: The labelled hips.
        count: How many neighbours.
    """
    n = len(patient)
    total, models = np.zeros(n), np.zeros(n)
    nearest, far = np.full((n, count), -1), np.full((n, count), np.inf)
    for space in spaces:
        total[space.rows] += relative_distance(space.features, space.reference)
        models[space.rows] += 1
        found, distance = _find_neighbours(space, patient, labelled, count)
        both = np.hstack([far[space.rows], distance])
        pick = np.argsort(both, axis=1, kind="stable")[:, :count]
        nearest[space.rows] = np.take_along_axis(np.hstack([nearest[space.rows], found]), pick, axis=1)
        far[space.rows] = np.take_along_axis(both, pick, axis=1)
    distance = np.divide(total, models, out=np.full(n, np.nan), where=models > 0)
    return Surroundings(distance, np.where(np.isfinite(far), nearest, -1))


def _find_neighbours(
    space: Space, patient: np.ndarray, labelled: Labelled, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances (k, count) of a model's nearest labelled hips of other patients."""
    reference = scale_features(space.reference, space.reference)
    unit = _typical_distance(reference)
    rows, distances = [], []
    for part in chunks(len(space.features)):
        features = scale_features(space.reference, space.features[part])
        distance = measure_distances(features, reference) / unit
        own = patient[space.rows[part]][:, None] == labelled.patient[space.labelled][None]
        distance = np.where(own, np.inf, distance)
        pick = np.argsort(distance, axis=1, kind="stable")[:, :count]
        rows.append(space.labelled[pick])
        distances.append(np.take_along_axis(distance, pick, axis=1))
    return np.concatenate(rows), np.concatenate(distances)


def _typical_distance(reference: np.ndarray) -> float:
    among = measure_distances(reference, reference)
    np.fill_diagonal(among, np.inf)
    return max(float(np.median(among.min(axis=1))), 1e-12)


class Between:
    """Distances between unread hips, a mean over the models that know both.

    Features are laid on 64 random axes, which keep distances to about a tenth (source: Johnson and
    Lindenstrauss, Contemporary Mathematics 1984, 26, 189-206) and let 100 000 hips fit in memory.

    Args:
        spaces: Of the models.
        n_hips: Unread hips.
    """

    def __init__(self, spaces: Sequence[Space], n_hips: int) -> None:
        self.n_hips = n_hips
        self.places = [_place(space, n_hips) for space in spaces]

    def nearest_labelled(self) -> np.ndarray:
        """(n,) distance to the nearest labelled hip, in the same units, NaN where not known."""
        return _mean([near for _, near in self.places], self.n_hips)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The distance (n,) of each hip to the nearest of some rows (k,); NaN where not known."""
        found = np.full(self.n_hips, np.nan)
        for row in rows:
            each = [np.linalg.norm(place - place[row], axis=1) for place, _ in self.places]
            found = np.fmin(found, _mean(each, self.n_hips))
        return found


def _place(space: Space, n_hips: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a model's hips lie, and how far each is from the nearest labelled hip; NaN for unknown ones."""
    reference = scale_features(space.reference, space.reference)
    axes = np.random.default_rng([0, reference.shape[1]]).normal(size=(reference.shape[1], _AXES))
    axes /= np.sqrt(_AXES) * _typical_distance(reference)
    known = reference @ axes
    place = np.full((n_hips, _AXES), np.nan, dtype=np.float32)
    near = np.full(n_hips, np.nan)
    for part in chunks(len(space.features)):
        new = scale_features(space.reference, space.features[part]) @ axes
        place[space.rows[part]] = new
        near[space.rows[part]] = measure_distances(new, known).min(axis=1)
    return place, near


def _mean(values: Sequence[np.ndarray], n: int) -> np.ndarray:
    total, count = np.zeros(n), np.zeros(n)
    for value in values:
        known = np.isfinite(value)
        total[known] += value[known]
        count += known
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
