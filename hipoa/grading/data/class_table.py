"""The combined class from separate predictions of Crowe and KL, by the class table."""

from __future__ import annotations

import numpy as np

from hipoa.grading.settings import ClassTable
from hipoa.grading.tasks import CROWE, KL


def join_probabilities(crowe: np.ndarray, kl: np.ndarray, table: ClassTable) -> np.ndarray:
    """The probability (..., 7) of each combined class, assuming that the two indices err independently.

    From probabilities of Crowe 1-4 (..., 4) and KL 0-4 (..., 5), normalised over the pairs of the table.
    """
    of_kl = np.array(kl)
    if table.kl0_as_kl1:
        of_kl[..., 1 - KL.first] += of_kl[..., 0 - KL.first]
    joint = np.stack(
        [crowe[..., c - CROWE.first] * of_kl[..., k - KL.first] for c, k in table.class_table], axis=-1
    )
    # Two certain heads that agree on no pair of the table leave next to nothing to divide by.
    joint += np.finfo(joint.dtype).tiny
    return joint / joint.sum(axis=-1, keepdims=True)


def join_values(crowe: np.ndarray, kl: np.ndarray, table: ClassTable) -> np.ndarray:
    """Values 1-7 (...) on the combined scale from unrounded values (...) of Crowe and KL.

    Each is the nearest point of the line through the pairs of the table, which has the value k at class k.
    """
    corners = np.array(table.class_table, dtype=np.float64)
    start, step = corners[:-1], np.diff(corners, axis=0)
    offset = np.stack([crowe, kl], axis=-1)[..., None, :] - start
    along = np.clip((offset * step).sum(axis=-1) / (step**2).sum(axis=-1), 0, 1)
    distance = ((offset - along[..., None] * step) ** 2).sum(axis=-1)
    nearest = distance.argmin(axis=-1)[..., None]
    value = 1 + nearest + np.take_along_axis(along, nearest, axis=-1)
    return value[..., 0].astype(np.asarray(crowe).dtype)
