"""Explains the position of each hip on the list in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hipoa.evaluation.passes import name_measure

_FAR = 1.5
"""Distance from which a hip is called unlike the labelled ones; 1 is their distance from each other."""


def give_reasons(
    measure: str, value: np.ndarray, probability: np.ndarray, distance: np.ndarray, moved: Sequence[str]
) -> list[str]:
    """One sentence for each hip, in the order of the list.

    From the values (n,) of the measure, the probabilities (n, 7), the distances (n,) from the labelled hips,
    NaN where unknown, and `explain_moves`.
    """
    inverted = measure == "max_probability"
    key = -value if inverted else value
    share = np.searchsorted(np.sort(key), key, side="left") / max(len(key), 1)
    reasons = []
    for row, words in enumerate(moved):
        others = f"{'smaller' if inverted else 'larger'} than that of {100 * share[row]:.0f} %"
        parts = [f"{name_measure(measure)} {value[row]:.3g}, {others} of the hips on this list"]
        parts.append(_name_classes(probability[row]))
        if distance[row] >= _FAR:
            parts.append(f"unlike the labelled hips, {distance[row]:.1f} x as far as these from each other")
        reasons.append("; ".join([*parts, words] if words else parts))
    return reasons


def _name_classes(probability: np.ndarray) -> str:
    first, second = np.argsort(-probability, kind="stable")[:2] + 1
    return f"class {first} ({probability[first - 1]:.2f}) or {second} ({probability[second - 1]:.2f})"


def explain_moves(ranked: np.ndarray, order: np.ndarray, unit: np.ndarray, budget: int) -> list[str]:
    """Why hips are listed elsewhere than by the measure alone, in the order of the list; "" if they are not.

    ``ranked`` (n,) are row numbers by the measure alone, ``order`` (n,) as listed, ``budget`` hips the batch.
    """
    rank = np.empty(len(unit), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked))
    moved = []
    for at, row in enumerate(order):
        if at > 0 and unit[order[at - 1]] == unit[row]:
            moved.append("comes with the patient's other hip")
        elif at < budget <= rank[row]:
            moved.append(f"unlike the hips before it (by the measure alone {rank[row] + 1})")
        elif rank[row] < budget <= at:
            moved.append(f"like a hip of this batch (by the measure alone {rank[row] + 1})")
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
