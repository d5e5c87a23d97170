"""Reads tables as spreadsheets write them: cells become values, and every fault is gathered.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import csv
import difflib
import io
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

from hipoa.core.identifiers import normalise
from hipoa.errors import TableError

MEND = "Mend these and start again."

_YES = {"1", "YES", "Y", "TRUE", "X"}
_NO = {"", "0", "NO", "N", "FALSE"}
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4}
_SIDE_WORDS = {"L": "L", "LEFT": "L", "R": "R", "RIGHT": "R"}
_EXCLUDE_WORDS = {"": "", "L": "L", "R": "R", "LR": "LR", "RL": "LR", "BOTH": "LR"}


def read_sheet(
    path: Path, columns: Sequence[str], required: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Reads a table with a header, tolerant of what spreadsheets make of it.

    Byte order marks, UTF-16, Windows-1252, commas, semicolons, tabs, any line ends, blank rows, columns in
    any order and columns that are not known are all read.

    Args:
        path: The table.
        columns: The columns that are known; others are skipped.
        required: Those that must be there.

    Returns:
        (row number as a spreadsheet shows it, cells of the known columns), blank rows left out; made one by
        one, for there may be 100 000.

    Raises:
        TableError: The file cannot be read, a column is missing, misspelt or there twice, a row is too long.
    """
    lines = _lines(path)
    header = [cell.lower() for cell in lines[0][1]] if lines else []
    faults = _check_header(header, columns, required)
    faults += [
        f"row {number}: there are more cells than columns"
        for number, line in lines[1:]
        if any(line[len(header) :])
    ]
    refuse(path, faults)
    return _name_cells(deque(lines[1:]), header, columns)


def _name_cells(
    lines: deque[tuple[int, list[str]]], header: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    # A column that is not there lies beyond the end of every line.
    place = {name: header.index(name) if name in header else sys.maxsize for name in columns}
    while lines:
        number, line = lines.popleft()
        yield number, {name: line[at] if at < len(line) else "" for name, at in place.items()}


def _check_header(header: Sequence[str], columns: Sequence[str], required: Sequence[str]) -> list[str]:
    faults = [f'column "{name}" is missing' for name in required if name not in header]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    faults += [f'column "{name}" is there twice' for name in twice]
    for name in header:
        meant = "" if name in columns else _find_meant(name, columns)
        if meant and meant not in header:
            faults.append(f'column "{name}" looks like "{meant}" misspelt')
    return faults


def _find_meant(name: str, columns: Sequence[str]) -> str:
    """The column that an unknown one may be; "" if none."""
    # Skipped, these would put an external cohort into the training, or hips that are to be left out.
    words = {"external": r"ext\W*|extern.*", "exclude": r"excl.*"}
    sure = [column for column, pattern in words.items() if column in columns and re.fullmatch(pattern, name)]
    return next(iter([*sure, *difflib.get_close_matches(name, columns, n=1, cutoff=0.8)]), "")


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = _text(path.read_bytes())
    except OSError as error:
        raise TableError(
            path.name, f"the file cannot be read ({error.strerror})", "Name an existing file."
        ) from error
    # Not splitlines(): it breaks rows at form feeds and within quoted cells.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        numbered = [(number, [_plain(cell) for cell in line]) for number, line in enumerate(lines, start=1)]
    except csv.Error as error:
        raise TableError(
            path.name, f"line {lines.line_num}: {error}", "Look for a quote that is not closed."
        ) from error
    return [(number, line) for number, line in numbered if any(line)]


def _plain(cell: str) -> str:
    # A line break within a cell would break the rows of every table that the cell is copied to.
    return (re.sub(r"[\r\n]+", " ", cell) if "\n" in cell or "\r" in cell else cell).strip()


def _text(raw: bytes) -> str:
    # What spreadsheets write: UTF-16 with a mark ("Unicode text"), UTF-8 with or without, Windows-1252.
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _delimiter(text: str) -> str:
    first = text.lstrip("\r\n").replace("\r", "\n").partition("\n")[0]
    return max(",;\t", key=first.count)


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


def refuse(path: Path, faults: Sequence[str]) -> None:
    """Raises a TableError that lists all faults, if there are any."""
    if faults:
        raise TableError(path.name, "; ".join(faults), MEND)


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
    shown = len(text) <= 2 or re.fullmatch(r"[+-]?[0-9]{1,3}([.,][0-9]{1,2})?", text)
    return f'"{text}" ' if shown else ""


def _read_word(text: str) -> str:
    """A word or number of usual width in capitals, without the ".0" that programs put behind numbers."""
    return re.sub(r"(?<=[0-9])\.0$", "", normalise(text).upper())


def parse_yes(text: str) -> bool:
    """Yes or no, in the usual spellings; an empty cell is no."""
    word = _read_word(text)
    if word not in _YES | _NO:
        raise ValueError(f"{quote(text)}is neither yes nor no")
    return word in _YES


def parse_exclusion(text: str) -> str:
    """The sides to leave out: "", "L", "R" or "LR"."""
    word = _read_word(text)
    if word not in _EXCLUDE_WORDS:
        raise ValueError(f"{quote(text)}is none of L, R, both")
    return _EXCLUDE_WORDS[word]


def parse_number(text: str) -> int | None:
    """A whole number of at most four digits; None if the cell is empty."""
    word = _read_word(text)
    if not word:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", word):
        raise ValueError(f"{quote(text)}is no number from 0 to 9999")
    return int(word)


def parse_side(text: str) -> str:
    """The patient's side: "L" or "R"."""
    word = _read_word(text)
    if word not in _SIDE_WORDS:
        raise ValueError(f"{quote(text)}is neither L nor R (the patient's side)")
    return _SIDE_WORDS[word]


def parse_grade(text: str, least: int) -> int | None:
    """A grade from ``least`` to 4, Arabic or Roman; None if the cell is empty."""
    word = _read_word(text)
    if not word:
        return None
    value = _ROMAN.get(word)
    if value is None and re.fullmatch(r"[0-9]", word):
        value = int(word)
    if value is None or not least <= value <= 4:
        raise ValueError(f"{quote(text)}is not one of {least}-4")
    return value
