"""Where the networks looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hipoa.core.files import read_npz
from hipoa.report.cohort import read_radiographs
from hipoa.report.radiographs import embed_heat, embed_jpeg, show_as_in_patient
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The maps of each network."""
    return {"explained": [_show_network(results, path) for path in results.explanations]}


def _show_network(results: Results, path: Path) -> dict[str, Any]:
    found = read_npz(path)
    names = found["hip_id"].tolist()
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in results.hips}
    images = read_radiographs(results.stacks, names)
    hips = []
    for row, name in enumerate(names):
        image, heat = (
            show_as_in_patient(layer, mirrored=mirrored[name])
            for layer in (images[name], found["heat"][row].astype(float))
        )
        hips.append(
            {
                "hip_id": name,
                "side": "left" if name.endswith("L") else "right",
                "shown": str(found["shown"][row]),
                "grade": int(found["grade"][row]),
                "predicted": int(found["predicted"][row]),
                "plain": embed_jpeg(image),
                "heat": embed_heat(image, heat),
            }
        )
    kinds = {"right": "graded rightly", "wrong": "graded wrongly"}
    groups = [(words, [hip for hip in hips if hip["shown"] == kind]) for kind, words in kinds.items()]
    return {"experiment": path.stem, "method": str(found["method"]), "groups": groups}
