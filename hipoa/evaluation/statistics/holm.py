"""Holm's adjustment: how many tests were made counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def adjust_holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment of a family of p values.

    Source: Holm, Scandinavian Journal of Statistics 1979, 6, 65-70.

    Args:
        p: The family.

    Returns:
        (n,) adjusted p, at most 1.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
