"""The labels that the models doubt."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results
from hipoa.report.sections.triage import embed_hips

_ROWS = 20


def gather(results: Results) -> dict[str, Any]:
    """The doubted labels, the most doubted first, with their radiographs."""
    rows = results.table("label_errors.csv")
    doubted = [row for row in rows if row["doubted"]]
    shown = doubted[:_ROWS]
    return {
        "doubted_labels": shown,
        "n_doubted": len(doubted),
        "n_labelled": len(rows),
        "images": embed_hips([row["hip_id"] for row in shown], results.hips, results.stacks),
    }
