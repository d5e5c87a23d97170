"""Reads a table with a header, as spreadsheet programs write them, and collects all faults in it."""

from __future__ import annotations

import difflib
import os
import re
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hipoa.core.errors import TableError
from hipoa.core.tables.grid import read_grid
from hipoa.core.tables.words import find_column

CORRECT = "Correct these and start again."
_SHOWN_HEADINGS = 12
# Ignored, such columns would put an external cohort into the training, or hips that are to be left out.
_CRITICAL = {"external": r"ext\W*|extern.*", "exclude": r"excl.*"}


class Row:
    """One row of a table, and what is wrong with it."""

    def __init__(self, number: int, cells: dict[str, str]) -> None:
        self.number, self.cells = number, cells
        self.faults: list[str] = []

    def fail(self, text: str) -> None:
        """Adds a fault."""
        self.faults.append(f"row {self.number}: {text}")

    def read(self, column: str, parse: Callable[[str], Any], default: Any = "") -> Any:
        """The parsed cell, or ``default`` if ``parse`` raises a ValueError."""
        try:
            return parse(self.cells[column])
        except ValueError as error:
            self.fail(f"{column} {error}")
            return default


class Sheet:
    """A table with a header; FILE#SHEET names a sheet of a workbook.

    Attributes:
        rows: Its good rows, as the caller parses them.
        faults: Why it must be refused.
        do: What to do about them.
        warnings: What the user should know, a line each.
        has_header: The columns were found.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Any] = []
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.do = CORRECT
        self.has_header = False

    def read(self, columns: Sequence[str], required: Sequence[str], if_missing: str) -> Iterator[Row]:
        """The rows, with the cells of these columns, in any order among others; none if the header is bad."""
        try:
            grid = read_grid(self.path)
        except TableError as error:
            self.faults, self.do = [error.found], error.do
            return
        lines = deque(grid.rows)
        header, renamed = _read_header(lines.popleft()[1] if lines else [], columns)
        missing = _find_missing(header, columns, required)
        too_long = [number for number, line in lines if any(line[len(header) :])]
        self.faults = missing + _check_header(header, columns)
        self.faults += [f"row {number}: there are more cells than columns" for number in too_long]
        if self.faults:
            self.do = if_missing if missing else CORRECT
            return
        self.has_header = True
        read = ", ".join(filter(None, [grid.kind and f"read as {grid.kind}", renamed]))
        if read:
            self.warnings.append(f"{self.path.name}: {read}; {len(lines)} row{'s' * (len(lines) != 1)}")
        # A missing column lies beyond the end of every line.
        index = {name: header.index(name) if name in header else sys.maxsize for name in columns}
        while lines:  # there may be 100 000: each is freed once it is read
            number, line = lines.popleft()
            row = Row(number, {name: line[at] if at < len(line) else "" for name, at in index.items()})
            yield row
            self.faults += row.faults


def refuse(sheets: Sequence[Sheet]) -> None:
    """Raises one TableError for all faults of some tables, if there are any."""
    bad = [sheet for sheet in sheets if sheet.faults]
    if bad:
        found = "; ".join(bad[0].faults)
        found += "".join(f"; {sheet.path.name}: {'; '.join(sheet.faults)}" for sheet in bad[1:])
        raise TableError(bad[0].path.name, found, bad[0].do if len(bad) == 1 else CORRECT)


def _read_header(cells: Sequence[str], columns: Sequence[str]) -> tuple[list[str], str]:
    """The columns' names, and a note of the headings that were translated."""
    header = [cell.lower() for cell in cells]
    given = set(header)
    translated: list[str] = []
    for at, heading in enumerate(cells):
        column = find_column(heading)
        if column in columns and column not in given and header[at] not in columns:
            header[at] = column
            translated.append(f'"{heading}" as {column}')
    return header, f"column {', '.join(translated)}" if translated else ""


def _find_missing(header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> list[str]:
    missing = [f'column "{name}" is missing' for name in required if name not in header]
    if not missing or not header:
        return missing
    if not set(header) & set(columns):  # the first row of a table without headings may hold a name
        return [*missing, f"its first row holds no heading such as {columns[0]}"]
    safe = [name for name in header if name and len(name) <= 30 and not re.search(r"\d{4}", name)]
    more = " ..." if len(safe) > _SHOWN_HEADINGS else ""
    return [*missing, f"its headings are {', '.join(safe[:_SHOWN_HEADINGS])}{more}"]


def _check_header(header: Sequence[str], columns: Sequence[str]) -> list[str]:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    faults = [f'column "{name}" is there twice' for name in twice]
    for name in header:
        critical = (c for c, pattern in _CRITICAL.items() if c in columns and re.fullmatch(pattern, name))
        similar = difflib.get_close_matches(name, columns, n=1, cutoff=0.8)
        meant = "" if name in columns else next(critical, "".join(similar))
        # "r crowe" is a column of another kind of table, not misspelt.
        if meant and meant not in (*header, *name.split()):
            faults.append(f'column "{name}" looks like "{meant}" misspelt')
    return faults


def parse_existing(folder: Path, text: str) -> Path:
    """The path of an existing file or folder; relative paths start at ``folder``.

    Accents may be encoded differently on the disk (NFD by a Mac, NFC).

    Raises:
        ValueError: It is empty or does not exist; the text continues after the column's name.
    """
    if not text:
        raise ValueError("is empty")
    path = folder / text
    # Unlike Path.exists, os.path.exists accepts names that are too long.
    if not os.path.exists(path) and not text.isascii():  # noqa: PTH110
        path = _find_spelling(folder, text)
    if not os.path.exists(path):  # noqa: PTH110
        raise ValueError("does not exist (a path is relative to the table's folder)")
    return path


def _find_spelling(folder: Path, text: str) -> Path:
    """The path with every part as it is encoded on the disk, as far as its parts exist."""
    for part in Path(text).parts:
        known = part.isascii() or os.path.exists(folder / part)  # noqa: PTH110
        folder /= part if known else _find_name(folder, part)
    return folder


def _find_name(folder: Path, name: str) -> str:
    try:
        names = _list_spellings(folder, folder.stat().st_mtime_ns)
    except OSError:
        return name
    return names.get(unicodedata.normalize("NFC", name), name)


@lru_cache(maxsize=8)
def _list_spellings(folder: Path, _changed_ns: int) -> dict[str, str]:
    """The names in a folder by their composed form; listed once for all rows of a table."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.isascii())
    return {unicodedata.normalize("NFC", name): name for name in names}
