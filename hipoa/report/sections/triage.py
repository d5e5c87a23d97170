"""The hips to read next, and those set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hipoa.report.cohort import Hip, read_radiographs
from hipoa.report.data_urls import embed_jpeg, show_as_in_patient
from hipoa.report.results import Results

ROWS = 50
"""Hips listed with a radiograph of those to read next, and of those set aside."""


def gather(results: Results) -> dict[str, Any]:
    """The first of the list, with their radiographs."""
    return {"triage": tabulate_triage(results.triage, results.hips, results.stacks, ROWS)}


def tabulate_triage(
    triage: Sequence[Mapping[str, str]], hips: Sequence[Hip], stacks: Sequence[Path], count: int
) -> dict[str, Any]:
    """The first hips to read and those set aside, with their radiographs."""
    ranked = [row for row in triage if row["rank"]]
    aside = [row for row in triage if not row["rank"]]
    shown = [*ranked[:count], *aside[:count]]
    return {
        "ranked": [{**row, "near": pair_neighbours(row)} for row in ranked[:count]],
        "n_budget": sum(row["in_budget"] == "yes" for row in ranked),
        "aside": aside[:count],
        "n_ranked": len(ranked),
        "n_aside": len(aside),
        "images": embed_hips([row["hip_id"] for row in shown], hips, stacks),
    }


def pair_neighbours(row: Mapping[str, str]) -> list[tuple[str, str]]:
    """The nearest labelled hips of a row of triage.csv, each with its class."""
    names, grades = (row[name].split("; ") for name in ("neighbours", "neighbour_grades"))
    return [(name, grade) for name, grade in zip(names, grades, strict=True) if name]


def embed_hips(names: Sequence[str], hips: Sequence[Hip], stacks: Sequence[Path]) -> dict[str, str]:
    """The radiographs of some hips as a surgeon sees them: as they lie in the patient, name to data URL."""
    radiographs = read_radiographs(stacks, names)
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in hips}
    return {
        name: embed_jpeg(show_as_in_patient(image, mirrored=mirrored[name]))
        for name, image in radiographs.items()
    }
