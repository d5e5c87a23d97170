"""Scores of parts of the hips: by sex, age, scanner, side and implant."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The rows of subgroups.csv."""
    return {"subgroups": results.table("subgroups.csv")}
