"""Everything else that was computed, as it is."""

from __future__ import annotations

from typing import Any

from hipoa.report.outputs import TABLES
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """Title, file name and rows of each table."""
    return {"tables": [(title, name, results.table(name)) for name, title in TABLES.items()]}
