"""Galleries of hips: the most certain right predictions, the worst failures, and saliency maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.files import read_npz
from hipoa.evaluation.graded import Graded, average_repeats, choose_hips, read_graded
from hipoa.evaluation.passes import MEASURES, name_measure
from hipoa.report.radiographs import embed_jpeg, embed_saliency, read_radiographs, show_as_in_patient
from hipoa.report.results import Results

_HIPS = 7
"""Shown in each gallery: one row on a desktop."""


def gather(results: Results) -> dict[str, Any]:
    """The two galleries of the best network."""
    best = results.best
    if best is None:
        return {"galleries": []}
    path = next(path for path in results.uncertainty if path.stem == best["experiment"])
    table = average_repeats(read_graded(path).of_cohort("labelled"))
    right, wrong = choose_hips(table, _HIPS)
    return {
        "galleries": [
            ("Graded correctly, the most certain of each class", _list_hips(results, table, right)),
            ("Graded incorrectly, the worst first", _list_hips(results, table, wrong)),
        ],
        "images": results.embed(table.hip[np.concatenate([right, wrong])].tolist()),
        # The largest probability is shown for every hip.
        "measure": "" if results.measure == "max_probability" else name_measure(results.measure),
    }


def _list_hips(results: Results, table: Graded, rows: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "hip_id": str(table.hip[row]),
            "grade": int(table.grade[row]),
            "predicted": int(table.predicted[row]),
            "probability": float(table.probability[row].max()),
            "uncertainty": float(table.measures[row, MEASURES.index(results.measure)]),
        }
        for row in rows
    ]


def gather_explanations(results: Results) -> dict[str, Any]:
    """The saliency maps of each network."""
    return {"explained": [_explain(results, path) for path in results.explanations]}


def _explain(results: Results, path: Path) -> dict[str, Any]:
    found = read_npz(path)
    names = found["hip_id"].tolist()
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in results.hips}
    images = read_radiographs(results.stacks, names)
    groups: dict[str, list[dict[str, Any]]] = {"right": [], "wrong": []}
    for row, name in enumerate(names):
        image, saliency = (
            show_as_in_patient(layer, mirrored=mirrored[name])
            for layer in (images[name], found["heat"][row].astype(float))
        )
        groups[str(found["shown"][row])].append(
            {
                "hip_id": name,
                "grade": int(found["grade"][row]),
                "predicted": int(found["predicted"][row]),
                "plain": embed_jpeg(image),
                "saliency": embed_saliency(image, saliency),
            }
        )
    return {"experiment": path.stem, "method": str(found["method"]), "groups": groups}
