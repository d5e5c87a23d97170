"""Finds the headings of a spreadsheet of grades, in one row or several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hipoa.cases.columns import GRADES, KEYS, NAMES, Column, is_about_grades, names_side, parse_heading
from hipoa.core.identifiers import normalise
from hipoa.core.tables.words import WEAK_SIDES

_SEARCHED_ROWS = 30
_MAX_DEPTH = 3


@dataclass(frozen=True)
class Header:
    """The headings of a table, the index of the first row below them, and why they are not sufficient."""

    columns: Sequence[Column]
    end: int
    problems: Sequence[str]

    @property
    def grades(self) -> list[Column]:
        """The columns of grades."""
        return [column for column in self.columns if column.role in GRADES]

    @property
    def used(self) -> list[Column]:
        """The columns that are read."""
        # If the headings of grades name sides, a column of sides is about something else, as an operation.
        unused = ("", "side") if any(column.side for column in self.grades) else ("",)
        return [column for column in self.columns if column.role not in unused]

    @property
    def ignored(self) -> list[str]:
        """The headings of columns that are not read."""
        return [column.heading for column in self.columns if column.heading and column not in self.used]

    def find(self, role: str) -> Column | None:
        """The column of a role that only one may have."""
        return next((column for column in self.columns if column.role == role), None)


def find_header(rows: Sequence[Sequence[str]]) -> Header:
    """Finds the row, or the two or three rows, of sufficient headings: one, if possible, below a title.

    Otherwise those with the most known headings are returned, with their problems.
    """
    found = list(_list_candidates(rows[:_SEARCHED_ROWS]))
    sufficient = (header for header in found if not header.problems)
    best = max(
        found,
        key=lambda header: (sum(bool(column.role) for column in header.columns), -len(header.problems)),
        default=Header((), 0, ["there is no row of headings"]),
    )
    return next(sufficient, best)


def _list_candidates(rows: Sequence[Sequence[str]]) -> Iterator[Header]:
    for depth in range(1, _MAX_DEPTH + 1):
        for start in range(len(rows) - depth + 1):
            some = rows[start : start + depth]
            if not any(_is_title(row) or _is_body(row) for row in some):
                yield _interpret(_join(some), some[-1], start + depth)


def _is_title(row: Sequence[str]) -> bool:
    """A single text, in one cell or merged over all, unless it is a side."""
    texts = set(filter(None, row))
    return len(texts) <= 1 and not any(map(names_side, texts))


def _is_body(row: Sequence[str]) -> bool:
    """At least half of it are numbers and dates: no message may show its cells as headings."""
    texts = list(filter(None, row))
    return 2 * sum(re.fullmatch(r"[\d\s.,:/年月日-]+", text) is not None for text in texts) >= len(texts) > 0


def _join(rows: Sequence[Sequence[str]]) -> list[str]:
    """The texts of each column from top to bottom, repeated ones once."""
    width = max(map(len, rows))
    padded = [[normalise(cell) for cell in row] + [""] * (width - len(row)) for row in rows]
    for upper, lower in reversed(list(pairwise(padded))):
        _fill_forward(upper, lower)
    return [" ".join(dict.fromkeys(filter(None, texts))) for texts in zip(*padded, strict=True)]


def _fill_forward(upper: list[str], lower: Sequence[str]) -> None:
    """Repeats a side, index or rater of the upper row to its right, for CSV has no merged cells."""
    last = ""
    for at, text in enumerate(upper):
        if text:
            last = text if is_about_grades(text) else ""
        elif is_about_grades(lower[at]):
            upper[at] = last


def _interpret(texts: Sequence[str], lowest: Sequence[str], end: int) -> Header:
    columns: list[Column] = []
    problems: list[str] = []
    for at, text in enumerate(texts):
        try:
            column = parse_heading(text, at)
        except ValueError as error:
            problems.append(f'heading "{text}" {error}')
            continue
        # The name of a group of columns may stand above the heading of a key.
        if not column.role and at < len(lowest) and not is_about_grades(lowest[at]):
            key = parse_heading(lowest[at], at)
            column = replace(key, heading=text) if key.role in KEYS else column
        columns.append(column)
    columns = _keep_most_specific(columns)
    if not problems and not any(column.role in GRADES for column in columns):
        problems.append("no heading says Crowe or KL")
    return Header(columns, end, [*problems, *_find_problems(columns)])


def _keep_most_specific(columns: Sequence[Column]) -> list[Column]:
    """The columns, those whose role another one names more specifically without it."""
    best: dict[str, int] = {}
    for column in columns:
        best[column.role] = min(column.rank, best.get(column.role, column.rank))
    kept = [column if column.rank == best[column.role] else replace(column, role="") for column in columns]
    if "case" in best and "read_on" not in best:
        # grades.csv itself: its date is that of the reading.
        kept = [replace(c, role="read_on", rank=0) if c.role == "exam" and c.rank == 2 else c for c in kept]
    return kept


def _find_problems(columns: Sequence[Column]) -> list[str]:
    grades = [column for column in columns if column.role in GRADES]
    roles = {column.role for column in columns}
    problems: list[str] = []
    if not roles & set(KEYS):
        problems.append('no heading says whose the grades are (as "patient ID")')
    sides = {column.side for column in grades if column.side}
    if sides:
        problems += [f'heading "{column.heading}" says no side' for column in grades if not column.side]
        words = re.findall(r"[^\W\d_]+", " ".join(column.heading.casefold() for column in grades))
        if len(sides) == 1 and ("side" in roles or not WEAK_SIDES.isdisjoint(words)):
            problems.append(f"the headings of grades may all mean {sides.pop()}, or no side")
    elif grades and "side" not in roles:
        problems.append('no heading says the side (as "R KL" and "L KL", or a column "side")')
    counts = Counter((c.role, c.side, c.reader.casefold()) for c in columns if c.role)
    return problems + [
        f"{number} headings say the same ({f'{side} {NAMES[role]}'.strip()})"
        for (role, side, _), number in counts.items()
        if number > 1
    ]
