"""Columns of large result tables: 100 000 hips x 15 repeats are 1.5 million rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np

from hipoa.core.errors import CohortError


def read_columns(path: Path, names: Sequence[str], filled: str = "") -> dict[str, np.ndarray]:
    """Reads at least two columns of a table that hipoa wrote; the others take no memory.

    Args:
        path: A CSV file with a header.
        names: The columns.
        filled: Only rows in which this column is not empty.

    Returns:
        Name to (rows,) text, in the file's order.

    Raises:
        CohortError: A column is missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        missing = sorted({*names, filled} - {"", *header})
        if missing:
            raise CohortError(path.name, f"column {', '.join(missing)} is missing", "Make it again.")
        pick = itemgetter(*map(header.index, names))
        key = header.index(filled or names[0])
        rows = [pick(line) for line in lines if line and (line[key] or not filled)]
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: np.array(column, dtype=str) for name, column in zip(names, columns, strict=True)}


def as_numbers(column: np.ndarray) -> np.ndarray:
    """Text to float64; an empty cell becomes NaN."""
    return np.where(column == "", "nan", column).astype(np.float64)


def as_integers(column: np.ndarray, empty: int = -1) -> np.ndarray:
    """Text to int64; an empty cell becomes ``empty``."""
    return np.where(column == "", str(empty), column).astype(np.int64)


def format_number(value: float) -> str:
    """Six significant digits (what float32 carries); NaN becomes an empty cell."""
    return "" if np.isnan(value) else f"{value:.6g}"
