"""From Crowe and KL apart to the combined class: the pairs of the class table, one after the other."""

from __future__ import annotations

import numpy as np

from hipoa.grading.settings import ClassTable
from hipoa.grading.tasks import CROWE, KL


def join_probabilities(crowe: np.ndarray, kl: np.ndarray, table: ClassTable) -> np.ndarray:
    """The probability of each combined class, if the two indices err on their own.

    Args:
        crowe: (..., 4) probabilities of Crowe 1-4.
        kl: (..., 5) probabilities of KL 0-4.
        table: The class table.

    Returns:
        (..., 7) of the same type, normalised over the pairs of the table.
    """
    of_kl = np.array(kl)
    if table.kl0_as_kl1:
        of_kl[..., 1 - KL.first] += of_kl[..., 0 - KL.first]
    cells = [
        crowe[..., first - CROWE.first] * of_kl[..., second - KL.first] for first, second in table.class_table
    ]
    joint = np.stack(cells, axis=-1)
    # Two sure heads that agree on no pair of the table leave next to nothing to divide by.
    least = np.finfo(joint.dtype).tiny
    return (joint + least) / (joint + least).sum(axis=-1, keepdims=True)


def join_values(crowe: np.ndarray, kl: np.ndarray, table: ClassTable) -> np.ndarray:
    """The value on the combined scale: the nearest point of the line through the pairs of the table.

    Args:
        crowe: (...) unrounded values.
        kl: (...) unrounded values.
        table: The class table; its line has the value k at class k and is straight in between.

    Returns:
        (...) values of 1 to 7.
    """
    corners = np.array(table.class_table, dtype=np.float64)
    start, step = corners[:-1], np.diff(corners, axis=0)
    place = np.stack([crowe, kl], axis=-1)[..., None, :] - start
    along = np.clip((place * step).sum(axis=-1) / (step**2).sum(axis=-1), 0, 1)
    distance = ((place - along[..., None] * step) ** 2).sum(axis=-1)
    nearest = distance.argmin(axis=-1)[..., None]
    value = 1 + nearest + np.take_along_axis(along, nearest, axis=-1)
    return value[..., 0].astype(np.asarray(crowe).dtype)
