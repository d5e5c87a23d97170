"""Hips without a radiograph, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hipoa.report.cohort import Hip
from hipoa.report.radiograph_quality import voxel_mm
from hipoa.report.results import Results

ROWS = 100
"""Reasons of refusal and warnings listed at most."""


def gather(results: Results) -> dict[str, Any]:
    """The hips to tell of."""
    return {"notes": list_notes(results.hips), "rows": ROWS, "voxel_mm": voxel_mm}


def list_notes(hips: Sequence[Hip]) -> list[Hip]:
    """Hips without a radiograph or with warnings; the refused first, so that no short list hides them."""
    noted = [hip for hip in hips if hip.status != "ok" or hip.warnings]
    return sorted(noted, key=lambda hip: ("refused", "excluded", "ok").index(hip.status))
