"""Reads a table with a header, as spreadsheet programs write them, and collects all faults in it.

Standard library only: the Snakefile imports this module.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


def read_sheet(
    path: Path, columns: Sequence[str], required: Sequence[str], if_missing: str
) -> tuple[str, Iterator[tuple[int, dict[str, str]]]]:
    """Reads a table whose columns stand in any order, among others that are skipped.

    Args:
        path: The table; FILE#SHEET names a sheet of a workbook.
        columns: The columns to read.
        required: Those that must be there.
        if_missing: What to do where one of these is missing.

    Returns:
        How the table was read, in one line, "" for a plain CSV; (row number as a spreadsheet shows it, cells
        by column), made one by one, for there may be 100 000.

    Raises:
        TableError: The file cannot be read, a column is missing, misspelt or there twice, a row is too long.
    """
    grid = read_grid(path)
    lines = deque(grid.rows)
    header, renamed = _read_header(lines.popleft()[1] if lines else [], columns)
    missing = _find_missing(header, columns, required)
    faults = missing + _check_header(header, columns)
    faults += [
        f"row {number}: there are more cells than columns"
        for number, line in lines
        if any(line[len(header) :])
    ]
    if faults:
        raise TableError(path.name, "; ".join(faults), if_missing if missing else CORRECT)
    read = ", ".join(filter(None, [grid.kind and f"read as {grid.kind}", renamed]))
    note = read and f"{path.name}: {read}; {len(lines)} row{'s' * (len(lines) != 1)}"
    return note, _name_cells(lines, header, columns)


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


def _name_cells(
    lines: deque[tuple[int, list[str]]], header: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    # A missing column lies beyond the end of every line.
    index = {name: header.index(name) if name in header else sys.maxsize for name in columns}
    while lines:
        number, line = lines.popleft()
        yield number, {name: line[at] if at < len(line) else "" for name, at in index.items()}


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
        meant = "" if name in columns else _find_meant(name, columns)
        # "r crowe" is a column of another kind of table, not misspelt.
        if meant and meant not in (*header, *name.split()):
            faults.append(f'column "{name}" looks like "{meant}" misspelt')
    return faults


def _find_meant(name: str, columns: Sequence[str]) -> str:
    """The column of which this name may be a misspelling; "" if none."""
    for column, pattern in _CRITICAL.items():
        if column in columns and re.fullmatch(pattern, name):
            return column
    return next(iter(difflib.get_close_matches(name, columns, n=1, cutoff=0.8)), "")


@dataclass
class Cells:
    """The cells of one row; collects what is wrong with them."""

    row: dict[str, str]
    faults: list[str]
    where: str

    def read(self, column: str, parse: Callable[[str], Any], default: Any = "") -> Any:
        """The parsed cell, or ``default`` if ``parse`` raises a ValueError."""
        try:
            return parse(self.row[column])
        except ValueError as error:
            self.faults.append(f"{self.where}: {column} {error}")
            return default


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
