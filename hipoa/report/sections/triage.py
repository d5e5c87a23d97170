"""The hips to read next, and those set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hipoa.report.cohort import Hip, read_radiographs
from hipoa.report.embed import embed_radiograph
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The first of the list, with their radiographs."""
    count = results.settings.triage_rows
    return {"triage": tabulate_triage(results.triage, results.hips, results.stacks, count)}


def tabulate_triage(
    triage: Sequence[Mapping[str, str]], hips: Sequence[Hip], stacks: Sequence[Path], count: int
) -> dict[str, Any]:
    """The first hips to read and those set aside, with their radiographs."""
    ranked = [row for row in triage if row["rank"]]
    aside = [row for row in triage if not row["rank"]]
    shown = [*ranked[:count], *aside[:count]]
    radiographs = read_radiographs(stacks, [row["hip_id"] for row in shown])
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in hips}
    # A surgeon sees the hip as it lies in the patient, whatever the networks were shown.
    seen = {name: image[:, ::-1] if mirrored[name] else image for name, image in radiographs.items()}
    return {
        "ranked": ranked[:count],
        "aside": aside[:count],
        "n_ranked": len(ranked),
        "n_aside": len(aside),
        "images": {name: embed_radiograph(image) for name, image in seen.items()},
    }
