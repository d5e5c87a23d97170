"""What was trained, on what, from which weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """One row per experiment, and the pre-trained weights."""
    rows = [tabulate_training(name, results.records) for name in results.experiments]
    return {"training": rows, "weights": results.weights}


def tabulate_training(experiment: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the models of an experiment have in common, and the range of what they have not."""
    own = [record for record in records if record["experiment"] == experiment]
    return {
        "experiment": experiment,
        "networks": sorted({record["network"] for record in own}),
        "tasks": sorted({record["task"] for record in own}),
        "losses": sorted({record["loss"] for record in own}),
        "models": len(own),
        "repeats": len({record["repeat"] for record in own}),
        "folds": len({record["fold"] for record in own}),
        "hips": _span([record["n_train"] for record in own]),
        "epochs": _span([len(record["history"]) for record in own]),
    }


def _span(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
