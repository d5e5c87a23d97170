"""Rows of the evaluation's tables, found by what they are of, and written with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Row = Mapping[str, str]


def find_row(rows: Iterable[Row], **cells: str) -> Row | None:
    """The first row with these cells that has a value, None if there is none."""
    for row in rows:
        if row["value"] and all(row[name] == cell for name, cell in cells.items()):
            return row
    return None


def write_row(row: Row | None, form: str = ".3f") -> str:
    """A value with its interval, in words."""
    if row is None:
        return "not known"
    value, low, high = (float(row[name]) if row[name] else None for name in ("value", "low", "high"))
    return write_estimate(value, low, high, form)


def write_estimate(value: float | None, low: float | None, high: float | None, form: str = ".3f") -> str:
    """A value with its interval, such as "0.650 (0.600 to 0.700)"."""
    if value is None:
        return "not defined"
    between = f" ({low:{form}} to {high:{form}})" if low is not None and high is not None else ""
    return f"{value:{form}}{between}"


def list_words(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
