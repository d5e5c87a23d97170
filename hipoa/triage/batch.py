"""Which hips make a good batch to read: uncertain ones, and not the same twenty times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Distances = Callable[[np.ndarray], np.ndarray]
"""Rows (k,) to the distance of every hip (n,) to the nearest of them; NaN where it is not known."""

_LEAST = 1e-9


def choose_batch(
    order: np.ndarray,
    unit: np.ndarray,
    count: int,
    *,
    diversity: float = 0.0,
    nearest: np.ndarray | None = None,
    distances: Distances | None = None,
    units: int | None = None,
) -> np.ndarray:
    """Chooses hips one unit after the other, uncertain ones that are unlike those known and chosen.

    Greedily the hip of the largest ``w ** (1 - diversity) * d ** diversity``, where w falls evenly from 1 of
    the most to 0 of the least uncertain hip, and d is the distance to the nearest hip that is labelled or
    already chosen. With diversity 0 that is the order itself, with 1 the greedy k-centre (source: Gonzalez,
    Theoretical Computer Science 1985, 38, 293-306; for active learning Sener and Savarese, ICLR 2018).

    Args:
        order: (n,) row numbers, the most uncertain hip first.
        unit: (n,) names; a hip brings all hips of its unit along.
        count: Hips to choose; the last unit is not cut.
        diversity: 0 to 1.
        nearest: (n,) distance to the nearest labelled hip, NaN where it is not known; None if no hip's is.
        distances: Between the hips; None if they are not known.
        units: Units to choose at most; None for no bound.

    Returns:
        (k,) row numbers in the order of choice, k >= count unless there are fewer hips or units.
    """
    n = len(order)
    weight = np.empty(n)
    weight[order] = 1 - np.arange(n) / max(n, 1)
    nearest = np.full(n, np.nan) if nearest is None else nearest
    members = _find_members(order, unit)
    left = np.ones(n, dtype=bool)
    chosen: list[int] = []
    taken = 0
    while len(chosen) < count and left.any() and taken != units:
        # In the order, so that of equal ones the more uncertain is taken.
        score = np.where(left, _score(weight, nearest, diversity), -np.inf)[order]
        rows = members[str(unit[order[score.argmax()]])]
        chosen += rows.tolist()
        left[rows] = False
        taken += 1
        if distances is not None and diversity > 0:
            nearest = np.fmin(nearest, distances(rows))
    return np.array(chosen, dtype=np.int64)


def group_units(order: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The order with the hips of a unit one after the other, at the place of the first of them."""
    _, first, number = np.unique(unit[order], return_index=True, return_inverse=True)
    return order[np.lexsort((np.arange(len(order)), first[number]))]


def _find_members(order: np.ndarray, unit: np.ndarray) -> dict[str, np.ndarray]:
    grouped = group_units(order, unit)
    starts = np.flatnonzero(np.append(True, unit[grouped][1:] != unit[grouped][:-1])) if len(grouped) else []
    parts = np.split(grouped, starts)[1:] if len(grouped) else []
    return {str(unit[part[0]]): part for part in parts}


def _score(weight: np.ndarray, nearest: np.ndarray, diversity: float) -> np.ndarray:
    known = np.isfinite(nearest)
    # What is not known is taken to be as far off as anything that is.
    far = np.where(known, nearest, nearest[known].max(initial=_LEAST) if known.any() else 1.0)
    return (1 - diversity) * np.log(weight) + diversity * np.log(np.maximum(far, _LEAST))
