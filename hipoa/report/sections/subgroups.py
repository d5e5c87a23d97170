"""Scores of parts of the hips: by sex, age, side and implant, and by how the CT was acquired."""

from __future__ import annotations

from typing import Any

from hipoa.report.cohort_tables import count_unknown
from hipoa.report.results import Results

_WORDS = {"kernel_kind": "kernel", "kv": "tube voltage", "step_mm": "slice step"}


def gather(results: Results) -> dict[str, Any]:
    """The rows of subgroups.csv, and of how many CTs it is not known how they were acquired."""
    unknown, total = count_unknown(results.hips)
    return {
        "subgroups": results.table("subgroups.csv"),
        "grouped_by": _WORDS,
        # Built-in CTs were acquired by no scanner.
        "unknown": 0 if results.synthetic and unknown == total else unknown,
        "cts": total,
    }
