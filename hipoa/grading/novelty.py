"""How unlike the hips of the study a new hip is, as its features tell."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 5


def measure_novelty(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The share of the reference hips that lie closer to the others than a new hip does.

    Distance is the mean to the five nearest reference hips, features scaled by their spread there. The
    reference are hips that the network has not seen either: those it was trained on lie closer.

    Args:
        features: (n, D) of new hips.
        reference: (m, D) of the study's hips, more than five.

    Returns:
        (n,) 0 to 1; NaN with too few reference hips. 1 is farther off than any of them.
    """
    if len(reference) <= NEIGHBOURS:
        return np.full(len(features), np.nan)
    # A feature that is always the same, but for rounding, says nothing.
    spread = reference.std(axis=0, dtype=np.float64)
    used = spread > 1e-6 * max(float(spread.max()), 1e-12)
    known, new = (values[:, used] / spread[used] for values in (reference, features))
    among = _distances(known, known)
    np.fill_diagonal(among, np.inf)
    own = _to_nearest(among)
    return (own[None] < _to_nearest(_distances(new, known))[:, None]).mean(axis=1)


def _to_nearest(distances: np.ndarray) -> np.ndarray:
    return np.sort(distances, axis=1)[:, :NEIGHBOURS].mean(axis=1)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))
