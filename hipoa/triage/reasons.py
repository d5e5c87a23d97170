"""Why a hip stands where it stands on the list, in words for the surgeon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hipoa.evaluation.passes import name_measure

_FAR = 1.5
"""From here on a hip is said to be unlike the labelled ones; 1 is as far as these are from each other."""


def give_reasons(
    measure: str, value: np.ndarray, probability: np.ndarray, distance: np.ndarray, moved: Sequence[str]
) -> list[str]:
    """One sentence for each hip of the list.

    Args:
        measure: What the hips are ranked by.
        value: (n,) of it, in the order of the list.
        probability: (n, 7) of the classes.
        distance: (n,) from the labelled hips, NaN where it is not known.
        moved: (n,) why it stands elsewhere than the measure alone would put it, "" if it does not.
    """
    name = name_measure(measure)
    share = _rank_share(-value if measure == "max_probability" else value)
    side = "smaller" if measure == "max_probability" else "larger"
    reasons = []
    for row in range(len(value)):
        others = f"{100 * share[row]:.0f} % of the hips on this list"
        parts = [f"{name} {value[row]:.3g}, {side} than that of {others}"]
        parts.append(_name_classes(probability[row]))
        if distance[row] >= _FAR:
            parts.append(f"unlike the labelled hips, {distance[row]:.1f} x as far as these from each other")
        parts += [moved[row]] if moved[row] else []
        reasons.append("; ".join(parts))
    return reasons


def _rank_share(value: np.ndarray) -> np.ndarray:
    """The share of all values that each is larger than."""
    return np.searchsorted(np.sort(value), value, side="left") / max(len(value), 1)


def _name_classes(probability: np.ndarray) -> str:
    first, second = np.argsort(-probability, kind="stable")[:2] + 1
    return f"class {first} ({probability[first - 1]:.2f}) or {second} ({probability[second - 1]:.2f})"


def explain_moves(alone: np.ndarray, order: np.ndarray, unit: np.ndarray, budget: int) -> list[str]:
    """Why hips do not stand where the measure alone would put them, in the order of the list.

    Args:
        alone: (n,) row numbers, by the measure alone.
        order: (n,) row numbers, as listed.
        unit: (n,) names.
        budget: Hips of the batch.
    """
    place = np.empty(len(unit), dtype=np.int64)
    place[alone] = np.arange(len(alone))
    moved = []
    for at, row in enumerate(order):
        companion = at > 0 and unit[order[at - 1]] == unit[row]
        if companion:
            moved.append("comes with the patient's other hip")
        elif at < budget <= place[row]:
            moved.append(f"unlike the hips before it (by the measure alone {place[row] + 1})")
        elif place[row] < budget <= at:
            moved.append(f"like a hip of this batch (by the measure alone {place[row] + 1})")
        else:
            moved.append("")
    return moved
