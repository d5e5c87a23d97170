"""Finds the headings of a spreadsheet of grades, in one row or several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hipoa.cases.columns import GRADES, KEYS, NAMES, Column, parse_heading, tells_of_grade, tells_of_side
from hipoa.core.identifiers import normalise
from hipoa.core.tables.words import WEAK_SIDES

_SEARCHED_ROWS = 30
_DEEPEST = 3


@dataclass(frozen=True)
class Heading:
    """The headings of a table.

    Attributes:
        columns: All columns.
        end: How many rows lie above the first one of the table's body.
        problems: Why the table cannot be read by them, if it cannot.
    """

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
        # A column of sides beside headings that say theirs is of something else, as of an operation.
        other = ("", "side") if any(column.side for column in self.grades) else ("",)
        return [column for column in self.columns if column.role not in other]

    @property
    def ignored(self) -> list[str]:
        """The headings of columns that are not used."""
        return [column.heading for column in self.columns if column.heading and column not in self.used]

    def find(self, role: str) -> Column | None:
        """The column with a role that only one may have."""
        return next((column for column in self.columns if column.role == role), None)


def find_heading(rows: Sequence[Sequence[str]]) -> Heading:
    """Finds the row, or the two or three rows, of headings that say all that is needed.

    One row that does is taken before several: what stands above it is a title. Where none does, the one that
    says most comes back with its problems.
    """
    found = list(_try_headings(rows[:_SEARCHED_ROWS]))
    sound = (heading for heading in found if not heading.problems)
    most = max(found, key=_count_known, default=Heading((), 0, ["there is no row of headings"]))
    return next(sound, most)


def _count_known(heading: Heading) -> tuple[int, int]:
    return sum(bool(column.role) for column in heading.columns), -len(heading.problems)


def _try_headings(rows: Sequence[Sequence[str]]) -> Iterator[Heading]:
    for depth in range(1, _DEEPEST + 1):
        for start in range(len(rows) - depth + 1):
            some = rows[start : start + depth]
            if not any(_is_title(row) or _is_body(row) for row in some):
                yield _understand(_join(some), some[-1], start + depth)


def _is_title(row: Sequence[str]) -> bool:
    """One text alone, in one cell or merged over all, unless it is a side."""
    texts = set(filter(None, row))
    return len(texts) <= 1 and not any(map(tells_of_side, texts))


def _is_body(row: Sequence[str]) -> bool:
    """Half of it are numbers and dates: no message may show its cells as headings."""
    texts = list(filter(None, row))
    return 2 * sum(re.fullmatch(r"[\d\s.,:/年月日-]+", text) is not None for text in texts) >= len(texts) > 0


def _join(rows: Sequence[Sequence[str]]) -> list[str]:
    """The texts of each column from top to bottom, one that is repeated once."""
    width = max(map(len, rows))
    padded = [[normalise(cell) for cell in row] + [""] * (width - len(row)) for row in rows]
    for at in range(len(padded) - 2, -1, -1):
        _carry(padded[at], padded[at + 1])
    return [" ".join(dict.fromkeys(filter(None, texts))) for texts in zip(*padded, strict=True)]


def _carry(upper: list[str], lower: Sequence[str]) -> None:
    """Writes a side, index or reader of the upper row over its neighbours too: CSV knows no merged cells."""
    carried = ""
    for at, text in enumerate(upper):
        if text:
            carried = text if tells_of_grade(text) else ""
        elif tells_of_grade(lower[at]):
            upper[at] = carried


def _understand(texts: Sequence[str], lowest: Sequence[str], end: int) -> Heading:
    columns: list[Column] = []
    problems: list[str] = []
    for at, text in enumerate(texts):
        try:
            column = parse_heading(text, at)
        except ValueError as error:
            problems.append(f'heading "{text}" {error}')
            continue
        # Above the number of a patient may stand the name of a group of columns.
        alone = column if column.role or at >= len(lowest) else _parse_key(lowest[at], at)
        columns.append(replace(alone, heading=text))
    columns = _keep_surest(columns)
    if not problems and not any(column.role in GRADES for column in columns):
        problems.append("no heading says Crowe or KL")
    return Heading(columns, end, [*problems, *_find_problems(columns)])


def _parse_key(text: str, at: int) -> Column:
    column = Column(at, text) if tells_of_grade(text) else parse_heading(text, at)
    return column if column.role in KEYS else Column(at, text)


def _keep_surest(columns: Sequence[Column]) -> list[Column]:
    """The columns, those without a role whose role another one fills more surely."""
    best: dict[str, int] = {}
    for column in columns:
        best[column.role] = min(column.rank, best.get(column.role, column.rank))
    kept = [column if column.rank == best[column.role] else replace(column, role="") for column in columns]
    if "case" in best and "read_on" not in best:
        # hipoa's own table of grades: its date is the reader's.
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
        if len(sides) == 1 and ("side" in roles or any(map(_is_weak, grades))):
            problems.append(f"the headings of grades may all mean {sides.pop()}, or no side")
    elif grades and "side" not in roles:
        problems.append('no heading says the side (as "R KL" and "L KL", or a column "side")')
    counts = Counter((c.role, c.side, c.reader.casefold()) for c in columns if c.role)
    return problems + [
        f"{number} headings say the same ({_name(role, side)})"
        for (role, side, _), number in counts.items()
        if number > 1
    ]


def _is_weak(column: Column) -> bool:
    return not WEAK_SIDES.isdisjoint(re.findall(r"[^\W\d_]+", column.heading.casefold()))


def _name(role: str, side: str) -> str:
    return f"{side} {NAMES[role]}".strip()
