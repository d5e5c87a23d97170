"""Explains the position of each hip on the list in a few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FAR = 1.5
"""Distance from which a hip is called unlike the labelled ones; 1 is their distance from each other."""

# All words of the list, a few each: they are shown side by side.
_CLASSES = "class {} ({:.0f} %) or {} ({:.0f} %)"
_UNLIKE = "unlike the labelled hips"
_OTHER_HIP = "patient's other hip"
_MOVED_UP = "moved up from {}: unlike those before"
_MOVED_DOWN = "moved down from {}: like one before"


def give_reasons(probability: np.ndarray, distance: np.ndarray, moved: Sequence[str]) -> list[str]:
    """The reasons for each hip's place, joined by "; ", in the order of the list.

    From the probabilities (n, 7), the distances (n,) from the labelled hips, NaN where unknown, and
    `explain_moves`. The value of the measure is no reason: it has a column of its own.
    """
    unlike = [_UNLIKE if far else "" for far in distance >= _FAR]
    return [
        "; ".join(filter(None, reasons))
        for reasons in zip(map(_name_classes, probability), unlike, moved, strict=True)
    ]


def _name_classes(probability: np.ndarray) -> str:
    first, second = np.argsort(-probability, kind="stable")[:2]
    return _CLASSES.format(first + 1, 100 * probability[first], second + 1, 100 * probability[second])


def explain_moves(ranked: np.ndarray, order: np.ndarray, unit: np.ndarray, budget: int) -> list[str]:
    """Why hips are listed elsewhere than by the measure alone, in the order of the list; "" if they are not.

    ``ranked`` (n,) are row numbers by the measure alone, ``order`` (n,) as listed, ``budget`` hips the batch.
    """
    rank = np.empty(len(unit), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked))
    moved = []
    for at, row in enumerate(order):
        if at > 0 and unit[order[at - 1]] == unit[row]:
            moved.append(_OTHER_HIP)
        elif at < budget <= rank[row]:
            moved.append(_MOVED_UP.format(rank[row] + 1))
        elif rank[row] < budget <= at:
            moved.append(_MOVED_DOWN.format(rank[row] + 1))
        else:
            moved.append("")
    return moved


def warn_of_order(weakness: str) -> str:
    """The caveat on an order by a network of which ``weakness`` says that it may be as good as a constant."""
    return (
        f"the order of hips to read is not shown to be better than a random one: {weakness}"
        if weakness
        else ""
    )
