"""Round by round: what newly graded hips brought, and how the list changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hipoa.report.results import Results

# What the section shows of each experiment, and how rounds.csv names the gain.
METRICS = ("ECA", "ONCA", "quadratic weighted kappa")
_GAIN = "{}, gain on the round before"

Rows = Sequence[Mapping[str, str]]


def gather(results: Results) -> dict[str, Any]:
    """The rounds that were kept, in order."""
    rows = results.table("rounds.csv")
    numbers = sorted({int(row["round"]) for row in rows})
    return {
        "rounds": [describe_round(number, rows) for number in numbers],
        "gains": [gain for number in numbers for gain in describe_gains(number, rows)],
        "round_metrics": METRICS,
        "round_notes": sorted({row["note"] for row in rows if row["experiment"]}),
    }


def describe_round(number: int, rows: Rows) -> dict[str, Any]:
    """The counts of one round, and what became of the list before."""
    found = {row["quantity"]: row["value"] for row in _of(number, rows) if not row["experiment"]}
    kept = next((name for name in found if name.startswith("kept among")), "")
    return {
        "number": number,
        "graded": found.get("graded hips", ""),
        "newly": found.get("newly graded hips", ""),
        "changed": found.get("hips with another grade", ""),
        "listed": found.get("hips on the list", ""),
        "left": found.get("left the list", ""),
        "kept": f"{found[kept]} of {kept.rpartition(' ')[2]}" if kept else "",
        "correlation": found.get("rank correlation of both lists", ""),
    }


def describe_gains(number: int, rows: Rows) -> list[dict[str, Any]]:
    """Each experiment's scores in one round and their gains, one cell per metric."""
    scored = [row for row in _of(number, rows) if row["experiment"]]
    return [
        {
            "number": number,
            "experiment": experiment,
            "n_hips": own[0]["n_hips"],
            "cells": [(_write(own, metric), _write(own, _GAIN.format(metric), "+.3f")) for metric in METRICS],
        }
        for experiment in dict.fromkeys(row["experiment"] for row in scored)
        if (own := [row for row in scored if row["experiment"] == experiment])
    ]


def _of(number: int, rows: Rows) -> Rows:
    return [row for row in rows if row["round"] == str(number)]


def _write(rows: Rows, quantity: str, form: str = ".3f") -> str:
    row = next((row for row in rows if row["quantity"] == quantity), None)
    if row is None or not row["value"]:
        return ""
    ends = [format(float(row[end]), form) for end in ("low", "high") if row[end]]
    return format(float(row["value"]), form) + (f" ({' to '.join(ends)})" if ends else "")
