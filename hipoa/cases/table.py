"""A table of cases that grows: the user's rows stay, new ones are added below."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """A table of cases: its file, existing or not, its columns and its rows, cells by column."""

    path: Path
    columns: list[str]
    rows: list[dict[str, str]]

    @property
    def names(self) -> set[str]:
        """The case_ids in lower case."""
        return {row["case_id"].lower() for row in self.rows}

    def locate(self, row: Mapping[str, str]) -> str:
        """The absolute path of a row's CT."""
        return os.path.abspath(self.path.parent / row["ct"])  # noqa: PTH100

    def count_missing(self) -> int:
        """How many rows name a CT that does not exist."""
        missing = 0
        for row in self.rows:
            try:
                parse_existing(self.path.parent, row["ct"])
            except ValueError:
                missing += 1
        return missing

    def find_sexes(self) -> dict[str, set[str]]:
        """The sexes, "F" or "M", of each patient_id."""
        sexes: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            sexes[row["patient_id"]] |= {row.get("sex", "")} & {"F", "M"}
        return sexes

    def find_patients(self, pseudonyms: Mapping[str, str]) -> dict[str, set[str]]:
        """The patient_ids of each patient; ``pseudonyms`` are the patients' by lower-case case_id."""
        patients: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            patients[pseudonyms.get(row["case_id"].lower(), row["patient_id"])].add(row["patient_id"])
        return patients

    def find_new(self, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """The rows whose case_id and CT are not in the table."""
        names, cts = self.names, set(map(self.locate, self.rows))
        return [row for row in rows if row["case_id"].lower() not in names and self.locate(row) not in cts]

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Writes the table with these rows added; without any the file stays as it is."""
        if rows or not self.path.exists():
            write_csv(self.path, self.columns, [*self.rows, *rows])


def read_table(path: Path) -> Table:
    """Reads a table of cases, or starts one if there is none.

    Raises:
        TableError: It is no table of cases in a text file.
    """
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise TableError(path.name, "the table is written as CSV", "Name a file that ends in .csv by --out.")
    columns, rows = read_rows(path) if path.exists() else (list(_NEEDED), [])
    if set(_NEEDED) - set(columns) or len(set(columns)) < len(columns):
        raise TableError(
            path.name,
            f"it is no table of cases (its first row names {', '.join(_NEEDED)} once each)",
            "Name a new file by --out.",
        )
    return Table(path, [*columns, *(name for name in COLUMNS if name not in columns)], rows)


def read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of a user's table, also unknown ones, and its rows, cells by column.

    Columns without any text, as spreadsheets write them beside a table, are left out.

    Raises:
        TableError: The file cannot be read.
    """
    lines = [cells for _, cells in read_grid(path).rows]
    width = max(map(len, lines), default=0)
    padded = [line + [""] * (width - len(line)) for line in lines]
    kept = [at for at in range(width) if any(line[at] for line in padded)]
    header, *body = [[line[at] for at in kept] for line in padded] or [[]]
    columns = [find_column(text) or text.lower() or f"column {n}" for n, text in enumerate(header, start=1)]
    return columns, [dict(zip(columns, line, strict=True)) for line in body]
