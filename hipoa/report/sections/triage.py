"""The list of unread hips: a contact sheet of its head, and a bar for how uncertain each hip is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from hipoa.report.results import Results
from hipoa.report.scores import Row
from hipoa.report.sections.contact_sheets import Tile, lay_tile

_SHEET_HIPS = 12
"""On the contact sheet; the next hips are on one that is folded."""


def gather(results: Results) -> dict[str, Any]:
    """What lays out hips as tiles, the length of each ranked hip's bar, and how many hips the sheet has."""
    return {
        "lay": partial(lay_hips, results),
        "bars": measure_bars(results.triage),
        "sheet_hips": _SHEET_HIPS,
    }


def lay_hips(results: Results, rows: Sequence[Row]) -> list[tuple[Row, Tile]]:
    """Rows of triage.csv, each with the tile of its hip."""
    hips = {hip.hip_id: hip for hip in results.hips}
    urls = results.embed(row["hip_id"] for row in rows)
    return [(row, lay_tile(hips[row["hip_id"]], urls)) for row in rows]


def measure_bars(rows: Iterable[Row]) -> dict[str, float]:
    """Ranked hip to its uncertainty, as a share of that of the most uncertain hip of the list."""
    value = {
        row["hip_id"]: 1 - float(row["uncertainty"])
        if row["measure"] == "max_probability"
        else float(row["uncertainty"])
        for row in rows
        if row["rank"]
    }
    most = max(value.values(), default=0.0) or 1.0
    return {name: number / most for name, number in value.items()}
