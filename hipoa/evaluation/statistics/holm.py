"""Holm's adjustment of p values for multiple tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.statistics.intervals import Row


def adjust_holm(p: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment of a family of n p values, (n,) adjusted p of at most 1.

    Source: Holm, Scandinavian Journal of Statistics 1979, 6, 65-70.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def adjust_rows(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """Writes the cells ``p`` and ``p_holm`` of the rows of one family, whose ``p`` is a number or missing.

    Returns:
        The tested rows, those with a p that is not NaN, each with its adjusted p.
    """
    tested = [(row, p) for row in rows if isinstance(p := row.pop("p", None), float) and not np.isnan(p)]
    adjusted = adjust_holm([p for _, p in tested]).tolist()
    for (row, p), p_holm in zip(tested, adjusted, strict=True):
        row |= {"p": format_number(p), "p_holm": format_number(p_holm)}
    return [(row, p_holm) for (row, _), p_holm in zip(tested, adjusted, strict=True)]
