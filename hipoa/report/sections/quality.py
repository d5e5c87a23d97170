"""How good the radiographs are, and every hip to look over."""

from __future__ import annotations

from typing import Any

from hipoa.report.cohort_tables import HEADINGS as ACQUISITION_HEADINGS
from hipoa.report.cohort_tables import count_unknown, tabulate_acquisition
from hipoa.report.radiograph_quality import HEADINGS, find_renderers, tabulate_quality
from hipoa.report.results import Results
from hipoa.report.sections.contact_sheets import count_left_out, lay_sheets


def gather(results: Results) -> dict[str, Any]:
    """The cohorts' quality in numbers, and the contact sheets."""
    # Of a pool of thousands the page holds no more than the hips to read first.
    graded = [hip for hip in results.hips if hip.cohort != "pool"]
    sheets = lay_sheets(graded, results.stacks, results.settings.sheets_mb)
    return {
        "quality": [HEADINGS, *tabulate_quality(results.hips)],
        "acquisition": [ACQUISITION_HEADINGS, *tabulate_acquisition(results.hips)]
        if _is_told(results)
        else [],
        "renderers": find_renderers(results.hips),
        "sheets": sheets,
        "left_out": count_left_out(results.hips, sheets),
    }


def _is_told(results: Results) -> bool:
    unknown, total = count_unknown(results.hips)
    return unknown < total
