"""Reads tables as spreadsheets write them: cells become values, and every fault is gathered.

Standard library only: the Snakefile imports this module from a bare Snakemake.
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
from hipoa.core.identifiers import normalise
from hipoa.core.tables import words
from hipoa.core.tables.grid import read_grid

MEND = "Mend these and start again."
_SHOWN_HEADINGS = 12


def read_sheet(
    path: Path, columns: Sequence[str], required: Sequence[str], otherwise: str = MEND
) -> tuple[str, Iterator[tuple[int, dict[str, str]]]]:
    """Reads a table with a header, tolerant of what spreadsheets make of it.

    Any encoding that is sure, workbooks, commas, semicolons, tabs, any line ends, blank rows, columns in any
    order, of other names that surely mean them, and columns that are not known are all read.

    Args:
        path: The table; FILE#SHEET names a sheet of a workbook.
        columns: The columns that are known; others are skipped.
        required: Those that must be there.
        otherwise: What to do where one of these is missing.

    Returns:
        What the user should know of how it was read, in one line, "" for a plain CSV; (row number as a
        spreadsheet shows it, cells of the known columns), made one by one, for there may be 100 000.

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
    refuse(path, faults, otherwise if missing else MEND)
    read = ", ".join(filter(None, [grid.kind and f"read as {grid.kind}", renamed]))
    note = read and f"{path.name}: {read}; {len(lines)} row{'s' * (len(lines) != 1)}"
    return note, _name_cells(lines, header, columns)


def _read_header(cells: Sequence[str], columns: Sequence[str]) -> tuple[list[str], str]:
    """The columns' names, and in words which headings were taken for one."""
    header = [cell.lower() for cell in cells]
    taken: list[str] = []
    for place, heading in enumerate(cells):
        meant = words.find_column(heading)
        if meant in columns and meant not in map(str.lower, cells) and header[place] not in columns:
            header[place] = meant
            taken.append(f'"{heading}" as {meant}')
    return header, f"column {', '.join(taken)}" if taken else ""


def _name_cells(
    lines: deque[tuple[int, list[str]]], header: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    # A column that is not there lies beyond the end of every line.
    place = {name: header.index(name) if name in header else sys.maxsize for name in columns}
    while lines:
        number, line = lines.popleft()
        yield number, {name: line[at] if at < len(line) else "" for name, at in place.items()}


def _find_missing(header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> list[str]:
    missing = [f'column "{name}" is missing' for name in required if name not in header]
    if missing and header:
        missing.append(_describe_headings(header, columns))
    return missing


def _describe_headings(header: Sequence[str], columns: Sequence[str]) -> str:
    """The headings that are there; not the first row of a table without any: it may hold a name."""
    if not set(header) & set(columns):
        return f"its first row holds no heading such as {columns[0]}"
    safe = [name for name in header if name and len(name) <= 30 and not re.search(r"\d{4}", name)]
    more = " ..." if len(safe) > _SHOWN_HEADINGS else ""
    return f"its headings are {', '.join(safe[:_SHOWN_HEADINGS])}{more}"


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
    """The column that an unknown one may be; "" if none."""
    # Skipped, these would put an external cohort into the training, or hips that are to be left out.
    patterns = {"external": r"ext\W*|extern.*", "exclude": r"excl.*"}
    sure = [
        column for column, pattern in patterns.items() if column in columns and re.fullmatch(pattern, name)
    ]
    return next(iter([*sure, *difflib.get_close_matches(name, columns, n=1, cutoff=0.8)]), "")


@dataclass
class Cells:
    """Reads the cells of one row and gathers what is wrong with them."""

    row: dict[str, str]
    faults: list[str]
    where: str

    def read(self, column: str, parse: Callable[[str], Any], otherwise: Any = "") -> Any:
        """The parsed cell, or ``otherwise`` if it is at fault."""
        try:
            return parse(self.row[column])
        except ValueError as error:
            self.faults.append(f"{self.where}: {column} {error}")
            return otherwise


def refuse(path: Path, faults: Sequence[str], do: str = MEND) -> None:
    """Raises a TableError that lists all faults, if there are any."""
    if faults:
        raise TableError(path.name, "; ".join(faults), do)


def parse_existing(folder: Path, text: str) -> Path:
    """The path of a file or folder that is there, relative ones from ``folder``.

    Accents may be written otherwise than on the disk, as a Mac does (NFD, NFC): such a file is found. Each of
    these functions raises a ValueError that goes on after the column's name.
    """
    if not text:
        raise ValueError("is empty")
    path = folder / text
    # os.path takes no offence at names that are too long.
    if not os.path.exists(path) and not text.isascii():  # noqa: PTH110
        path = _find_spelling(folder, text)
    if not os.path.exists(path):  # noqa: PTH110
        raise ValueError("does not exist (a path is relative to the table's folder)")
    return path


def _find_spelling(folder: Path, text: str) -> Path:
    """The path with every part as the disk has it, as far as its parts are there."""
    for part in Path(text).parts:
        known = part.isascii() or os.path.exists(folder / part)  # noqa: PTH110
        folder /= part if known else _spellings(folder).get(unicodedata.normalize("NFC", part), part)
    return folder


def _spellings(folder: Path) -> dict[str, str]:
    """The names in a folder by their composed form; listed once for all rows of a table."""
    try:
        return _list_spellings(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=8)
def _list_spellings(folder: Path, _changed_ns: int) -> dict[str, str]:
    names = sorted(path.name for path in folder.iterdir() if not path.name.isascii())
    return {unicodedata.normalize("NFC", name): name for name in names}


def parse_optional_path(folder: Path, text: str) -> Path | None:
    """As `parse_existing`; None if the cell is empty."""
    return parse_existing(folder, text) if text else None


def quote(text: str) -> str:
    """A cell at fault and a blank, for a message; "" if it may be a person's name, where columns slipped."""
    # Longer numbers may be a patient's.
    shown = len(text) <= 2 or re.fullmatch(r"[+-]?[0-9]{1,3}([.,][0-9]{1,2})?|#[A-Z0/]{1,8}[!?]?", text)
    return f'"{text}" ' if shown else ""


def _quoting(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{quote(text)}{error}") from None


def parse_yes(text: str) -> bool:
    """Yes or no, in the usual spellings; an empty cell is no."""
    return _quoting(words.read_yes, text)


def parse_exclusion(text: str) -> str:
    """The sides to leave out: "", "L", "R" or "LR"."""
    return _quoting(words.read_exclusion, text)


def parse_side(text: str) -> str:
    """The patient's side: "L" or "R"."""
    return _quoting(words.read_side, text)


def parse_grade(text: str, index: str) -> int | None:
    """A grade of Crowe (1-4) or of KL (0-4), Arabic or Roman; None if the cell is empty."""
    low = {"crowe": 1, "kl": 0}[index]
    return _quoting(lambda cell: words.read_grade(cell, low, 4, index), text) if normalise(text) else None
