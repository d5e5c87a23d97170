"""The source work's three groups of hips, by the size of the error."""

from __future__ import annotations

import numpy as np

GROUPS = ("Exact", "1-Neighbor", "Others")
"""Error of 0 classes, of 1 class, of 2 classes or more (source: slides of Masuda et al.)."""


def group_errors(error: np.ndarray) -> np.ndarray:
    """The group of each hip.

    Args:
        error: (n,) absolute difference of predicted and true class, in classes.

    Returns:
        (n,) text, one of `GROUPS`.
    """
    return np.array(GROUPS)[np.clip(error, 0, 2)]
