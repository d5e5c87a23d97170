"""Rows of the evaluation's tables: looked up by their cells, and written with their confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hipoa.evaluation.comparison.verdicts import BETTER, SAME
from hipoa.evaluation.metrics.baselines import CONSTANT, GEOMETRY, MAJORITY
from hipoa.evaluation.metrics.raters import RATERS
from hipoa.evaluation.metrics.scores import LOWER_IS_BETTER
from hipoa.evaluation.metrics.sides import SIDES

Row = Mapping[str, Any]

NO_NETWORKS = (CONSTANT, MAJORITY, GEOMETRY, RATERS, SIDES)
"""What is scored beside the experiments."""
COLUMN_NAMES = {"kernel_kind": "kernel", "kv": "tube voltage", "step_mm": "slice spacing"}
"""Columns of the tables of hips whose names say too little."""


def find_row(rows: Iterable[Row], **cells: str) -> Row | None:
    """The first row with these cells that has a value, None if there is none."""
    for row in rows:
        if row["value"] and all(row[name] == cell for name, cell in cells.items()):
            return row
    return None


def find_best(scores: Iterable[Row], metric: str) -> Row | None:
    """The row of the network with the best value of a score in the labelled cohort, None if there is none."""
    rows = [row for row in scores if row["experiment"] not in NO_NETWORKS and row["value"]]
    own = [row for row in rows if (row["cohort"], row["metric"]) == ("labelled", metric)]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return max(own, key=lambda row: sign * float(row["value"]), default=None)


def pivot(
    rows: Sequence[Row], keys: Sequence[str], columns: Sequence[Mapping[str, str]]
) -> list[tuple[list[str], list[Row | None]]]:
    """Puts rows of the same ``keys`` side by side.

    Args:
        rows: The rows of a table with one value per row.
        keys: Names of the columns of which each combination of cells becomes one entry.
        columns: For each place in an entry the cells of its row, by name.

    Returns:
        The cells of the keys, and a row, or None where it has no value, for each of ``columns``.
    """
    entries = dict.fromkeys(tuple(row[name] for name in keys) for row in rows)
    return [
        ([*cells], [find_row(rows, **dict(zip(keys, cells, strict=True)), **column) for column in columns])
        for cells in entries
    ]


def write_row(row: Row | None) -> str:
    """A value with its 95 % interval, such as "0.650 (0.600 to 0.700)", or why it has none."""
    return _write(row, 1, "z.3f", "")


def write_score(row: Row | None) -> str:
    """As `write_row`, but a share in percent, such as "65 % (60 to 70)", for the surgeon."""
    return (
        _write(row, 100, "z.0f", "\N{NO-BREAK SPACE}%") if row and row["unit"] == "share" else write_row(row)
    )


def write_share(share: float | str) -> str:
    """A share in percent, such as "65 %"."""
    return f"{100 * float(share):.0f}\N{NO-BREAK SPACE}%"


def _write(row: Row | None, factor: float, form: str, unit: str) -> str:
    if row is None or not row["value"]:
        return "not defined"
    value, low, high = (
        format(factor * float(row[name]), form) if row[name] else "" for name in ("value", "low", "high")
    )
    said = f"{low} to {high}" if low and high else find_reason(row)
    return f"{value}{unit}" + (f" ({said})" if said else "")


def find_reason(row: Row) -> str:
    """Why a row has no interval, such as "too few for an interval: 2 patients"; "" if its note does not say.

    The note has several parts, of which it need not be the last.
    """
    parts = (row.get("note") or "").split("; ")
    return next(
        (part for part in parts if part.startswith(("no interval: ", "too few for an interval: "))), ""
    )


def count_digits(bounds: Sequence[float], least: int) -> int:
    """How many decimals tell every bound beside 0 from 0: at least so many, at most three."""
    enough = (n for n in range(least, 3) if all(bool(round(bound, n)) == bool(bound) for bound in bounds))
    return next(enough, 3)


def write_points(row: Row) -> str:
    """A difference with its 95 % interval; of shares in percentage points. See `write_row`.

    A bound beside 0 has the digits that tell it from 0, on which a sentence may turn.
    """
    if row["unit"] != "share":
        return write_row(row)
    bounds = [100 * float(row[name]) for name in ("low", "high") if row[name]]
    digits = count_digits(bounds, 0)
    form = f"z.{digits}f"
    one = row["value"] and abs(float(format(100 * float(row["value"]), form))) == 1
    return _write(row, 100, form, " percentage point" if one else " percentage points")


def write_difference(row: Row) -> str:
    """The difference of a row of differences.csv; see `write_points`."""
    return write_points({**row, "value": row["difference"]})


def find_better(row: Row) -> str:
    """The better of the two that a row of differences.csv compares; "" where neither is shown to be."""
    return "" if row["verdict"] in ("", SAME) else row["verdict"].removesuffix(BETTER)


def find_side(row: Row | None, target: float) -> int | None:
    """-1 where the 95 % interval lies below a target, 1 above, 0 where it includes it; None without one."""
    if row is None or not (row["low"] and row["high"]):
        return None
    return int(float(row["low"]) > target) - int(float(row["high"]) < target)


def list_words(words: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count_words(number: int, word: str) -> str:
    """Such as "1 model" or "2 models"."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def split_maps(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """The rows of embedding.csv of its first repeat, by experiment and fold; folds in order."""
    known = [(int(row["repeat"]), int(row["fold"]), row) for row in rows]
    first = min((repeat for repeat, _, _ in known), default=0)
    maps: dict[tuple[str, int], list[Row]] = {}
    for repeat, fold, row in sorted(known, key=lambda item: item[1]):
        if repeat == first:
            maps.setdefault((row["experiment"], fold), []).append(row)
    return maps


def score_map(rows: Sequence[Row]) -> tuple[float, float] | None:
    """ECA and ONCA of the graded hips of a map, None if there is none."""
    errors = [int(row["error"]) for row in rows if row["error"]]
    if not errors:
        return None
    eca, onca = (sum(error <= most for error in errors) / len(errors) for most in (0, 1))
    return eca, onca
