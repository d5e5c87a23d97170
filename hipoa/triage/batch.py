"""Chooses a batch of hips to read that are uncertain and unlike each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Distances = Callable[[np.ndarray], np.ndarray]
"""Rows (k,) to the distance of every hip (n,) to the nearest of them; NaN where it is unknown."""

_LEAST = 1e-9


def choose_batch(
    order: np.ndarray,
    unit: np.ndarray,
    count: int,
    *,
    diversity: float,
    nearest: np.ndarray,
    distances: Distances,
    units: int | None = None,
) -> np.ndarray:
    """Chooses hips, unit by unit, that are uncertain and unlike labelled and chosen ones.

    Greedily the hip of the largest ``w ** (1 - diversity) * d ** diversity``, where w falls evenly from 1 for
    the most to 0 for the least uncertain hip, and d is the distance to the nearest hip that is labelled or
    already chosen. With diversity 0 that is the order itself, with 1 the greedy k-centre (source: Gonzalez,
    Theoretical Computer Science 1985, 38, 293-306; for active learning Sener and Savarese, ICLR 2018).

    Args:
        order: (n,) row numbers, the most uncertain hip first.
        unit: (n,) names; all hips of a unit are chosen together.
        count: Hips to choose; the last unit is not cut.
        diversity: 0 to 1.
        nearest: (n,) distance to the nearest labelled hip, NaN where it is unknown.
        distances: Distances between the hips.
        units: The largest number of units; None for no limit.

    Returns:
        (k,) row numbers in the order of choice, k >= count unless there are fewer hips or units.
    """
    n = len(order)
    weight = np.empty(n)
    weight[order] = 1 - np.arange(n) / max(n, 1)
    number = np.unique(unit, return_inverse=True)[1]
    left = np.ones(n, dtype=bool)
    chosen: list[int] = []
    n_units = 0
    while len(chosen) < count and left.any() and n_units != units:
        # In the order, so that of equal ones the more uncertain is chosen.
        score = np.where(left, _score(weight, nearest, diversity), -np.inf)[order]
        rows = order[number[order] == number[order[score.argmax()]]]
        chosen += rows.tolist()
        left[rows] = False
        n_units += 1
        if diversity > 0:
            nearest = np.fmin(nearest, distances(rows))
    return np.array(chosen, dtype=np.int64)


def group_units(order: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The order with the hips of a unit together, at the position of the first of them."""
    _, first, number = np.unique(unit[order], return_index=True, return_inverse=True)
    return order[np.lexsort((np.arange(len(order)), first[number]))]


def _score(weight: np.ndarray, nearest: np.ndarray, diversity: float) -> np.ndarray:
    known = np.isfinite(nearest)
    # An unknown distance counts as the largest known one.
    far = np.where(known, nearest, nearest[known].max(initial=_LEAST) if known.any() else 1.0)
    return (1 - diversity) * np.log(weight) + diversity * np.log(np.maximum(far, _LEAST))
