"""Distance of a hip from the hips of the study, by the nearest neighbours among their features."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 5
_CHUNK = 4096


def out_of_distribution_score(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The share (n,) of the reference hips that lie closer to the others than a new hip does; 1: farthest.

    Distance is the mean to the five nearest reference hips, features scaled by their spread there. The
    reference are hips that the network has not seen either: those it was trained on lie closer. From features
    of new hips (n, D) and reference hips (m, D); NaN unless m is more than five.
    """
    new, own = _to_reference(features, reference)
    return (own[None] < new[:, None]).mean(axis=1) if len(own) else new


def relative_distance(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The same distance (n,) in units of the median reference hip's own: 1 is as far as they are apart."""
    new, own = _to_reference(features, reference)
    return new / max(float(np.median(own)), 1e-12) if len(own) else new


def scale_features(reference: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Features (n, D) in units of their spread among the reference hips (m, D), (n, at most D) float64."""
    # A feature that is constant, but for rounding, carries no information.
    spread = reference.std(axis=0, dtype=np.float64)
    used = spread > 1e-6 * max(float(spread.max(initial=0)), 1e-12)
    return features[:, used] / spread[used]


def measure_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m) of (n, D) and (m, D)."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def chunks(n: int) -> list[slice]:
    """Slices of at most 4096 rows; the distances of 100 000 hips at once would fill the memory."""
    return [slice(start, start + _CHUNK) for start in range(0, n, _CHUNK)]


def _to_reference(features: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean distance to the nearest reference hips, of new hips (n,) and of these (m,); NaN, () if too few."""
    new = np.full(len(features), np.nan)
    if len(reference) <= NEIGHBOURS:
        return new, np.zeros(0)
    known = scale_features(reference, reference)
    among = measure_distances(known, known)
    np.fill_diagonal(among, np.inf)
    for part in chunks(len(features)):
        new[part] = _mean_of_least(measure_distances(scale_features(reference, features[part]), known))
    return new, _mean_of_least(among)


def _mean_of_least(distances: np.ndarray) -> np.ndarray:
    return np.sort(distances, axis=1)[:, :NEIGHBOURS].mean(axis=1)
