"""A table of cases that grows: what a user wrote stays, what is new is put below."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hipoa.core.errors import TableError
from hipoa.core.files import write_csv
from hipoa.core.tables.grid import read_grid
from hipoa.core.tables.rows import CASE_COLUMNS
from hipoa.core.tables.sheet import parse_existing
from hipoa.core.tables.words import find_column

COLUMNS = (
    *CASE_COLUMNS,
    *("manufacturer", "model", "kernel", "kv", "slices", "step_mm", "extent_mm", "check"),
)
_NEEDED = ("case_id", "patient_id", "ct")


@dataclass
class Table:
    """A table of cases.

    Attributes:
        path: Of the file, there or not.
        columns: Its own, and those that are made for it.
        rows: As they are, cells by column.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """The names of its cases; capitals do not count."""
        return {row["case_id"].lower() for row in self.rows}

    @property
    def cts(self) -> set[str]:
        """Where its CTs lie."""
        return {self.locate(row) for row in self.rows}

    def locate(self, row: Mapping[str, str]) -> str:
        """Where the CT of a row lies."""
        return os.path.abspath(self.path.parent / row["ct"])  # noqa: PTH100

    def count_lost(self) -> int:
        """How many rows name a CT that is not there."""
        lost = 0
        for row in self.rows:
            try:
                parse_existing(self.path.parent, row["ct"])
            except ValueError:
                lost += 1
        return lost

    def find_sexes(self) -> dict[str, set[str]]:
        """What its rows say of the patients' sex: "F", "M" or both, of those of whom they say it."""
        sexes: dict[str, set[str]] = {}
        for row in self.rows:
            sexes.setdefault(row["patient_id"], set()).update({row.get("sex", "")} & {"F", "M"})
        return sexes

    def find_patients(self, pseudonyms: Mapping[str, str]) -> dict[str, set[str]]:
        """What its rows call each patient: a user may have written another patient_id over a pseudonym.

        Args:
            pseudonyms: The patient's pseudonym of each case_id in small letters.
        """
        patients: dict[str, set[str]] = {}
        for row in self.rows:
            pseudonym = pseudonyms.get(row["case_id"].lower(), row["patient_id"])
            patients.setdefault(pseudonym, set()).add(row["patient_id"])
        return patients

    def find_new(self, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """Those of some rows whose case and CT are not in the table."""
        names, cts = self.names, self.cts
        return [row for row in rows if row["case_id"].lower() not in names and self.locate(row) not in cts]

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Writes the table with these rows below; without any it stays to the byte."""
        if rows or not self.path.exists():
            write_csv(self.path, self.columns, [*self.rows, *rows])


def read_table(path: Path) -> Table:
    """Reads a table of cases, or begins one where there is none.

    Raises:
        TableError: It is no table of cases in a text file.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise TableError(path.name, "the table is written as CSV", "Name a file that ends in .csv by --out.")
    if not path.exists():
        return Table(path, list(COLUMNS))
    columns, rows = read_rows(path)
    if set(_NEEDED) - set(columns) or len(set(columns)) < len(columns):
        raise TableError(
            path.name,
            f"it is no table of cases (its first row names {', '.join(_NEEDED)} once each)",
            "Name a new file by --out.",
        )
    return Table(path, [*columns, *(name for name in COLUMNS if name not in columns)], rows)


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """A table that goes on being a user's: its columns, also unknown ones, and its rows, cells by column.

    Columns without any text, as spreadsheets leave them behind a table, are none.

    Raises:
        TableError: The file cannot be read.
    """
    lines = [cells for _, cells in read_grid(path).rows]
    width = max(map(len, lines), default=0)
    filled = [line + [""] * (width - len(line)) for line in lines]
    kept = [at for at in range(width) if any(line[at] for line in filled)]
    header, *body = [[line[at] for at in kept] for line in filled] or [[]]
    columns = [find_column(text) or text.lower() or f"column {n}" for n, text in enumerate(header, start=1)]
    return columns, [dict(zip(columns, line, strict=True)) for line in body]


def name_path(path: Path, table: Path) -> str:
    """A path as a cell of a table: relative where it lies beside or below it, else absolute."""
    place, folder = (Path(os.path.abspath(one)) for one in (path, table.parent))  # noqa: PTH100
    return str(place.relative_to(folder) if place.is_relative_to(folder) else place)
