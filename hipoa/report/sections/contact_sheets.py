"""Contact sheets: every hip of the study for a quick check, both hips of a CT side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from hipoa.core.constants import RADIOGRAPH_PX
from hipoa.report.cohort import Hip, split_cohorts
from hipoa.report.cohort_tables import tabulate_acquisition, tabulate_quality
from hipoa.report.radiographs import embed_radiographs
from hipoa.report.results import Results

CTS_PER_SHEET = 100
_LOW_CONFIDENCE = 0.7
_OBLIQUE_DEG = 10.0


class Tile(NamedTuple):
    """One hip of a sheet."""

    hip: Hip  # its row
    url: str  # its radiograph as it lies in the patient, seen from the front; empty where there is none
    # Column of the centre of the located head, from the radiograph's left edge, in its pixels.
    x_px: float = 0.0
    y_px: float = 0.0  # row of the same, from the upper edge
    radius_px: float = 0.0  # of the same
    flags: tuple[str, ...] = ()  # what to check, a word or two each


class Sheet(NamedTuple):
    """Up to 100 CTs of a cohort."""

    cohort: str  # its name
    pairs: list[list[Tile]]  # the hips of each CT, the right one first: it lies at image left
    first: int  # the number of its first hip in the cohort, from 1
    last: int  # the number of its last hip
    total: int  # the number of hips of the cohort

    @property
    def refused(self) -> int:
        """Hips without a radiograph."""
        return sum(not tile.url for pair in self.pairs for tile in pair)

    @property
    def flagged(self) -> int:
        """Hips with a radiograph and something to check."""
        return sum(bool(tile.url and tile.flags) for pair in self.pairs for tile in pair)


def gather(results: Results) -> dict[str, Any]:
    """The tables of all cohorts, and the sheets of the graded ones: a pool may hold thousands of hips."""
    hips = [hip for hip in results.hips if hip.cohort != "pool"]
    sheets = lay_sheets(hips, results.stacks, results.settings.sheets_mb)
    return {
        "quality": {cohort: tabulate_quality(own) for cohort, own in results.cohorts.items()},
        "acquisition": {cohort: tabulate_acquisition(own) for cohort, own in results.cohorts.items()},
        "sheets": sheets,
        "left_out": count_left_out(results.hips, sheets),
    }


def lay_sheets(hips: Sequence[Hip], stacks: Sequence[Path], limit_mb: float) -> list[Sheet]:
    """The contact sheets of a study, cohort by cohort, up to a limit.

    Args:
        hips: The rows of all cohorts, labelled ones first.
        stacks: The radiographs ``R/hips/{cohort}.npz``, in any order.
        limit_mb: The total size of the radiographs as data URLs, MB.
    """
    urls: dict[str, str] = {}
    size = 0
    for name, url in embed_radiographs(hips, stacks):
        size += len(url)
        if size > limit_mb * 1e6:
            break
        urls[name] = url
    return [sheet for cohort, own in split_cohorts(hips).items() for sheet in _fill(cohort, own, urls)]


def count_left_out(hips: Sequence[Hip], sheets: Sequence[Sheet]) -> dict[str, int]:
    """How many hips of each cohort are on no sheet; cohorts that are shown whole are left out."""
    shown = {tile.hip.hip_id for sheet in sheets for pair in sheet.pairs for tile in pair}
    return {name: len(own) for name, own in split_cohorts(h for h in hips if h.hip_id not in shown).items()}


def flag(hip: Hip) -> tuple[str, ...]:
    """What to check, a word or two each; the table of hips has whole sentences."""
    flags = {
        f"{hip.implant}{', left out' if hip.status == 'excluded' else ''}": bool(hip.implant),
        f"confidence {hip.confidence}": bool(hip.confidence) and float(hip.confidence) < _LOW_CONFIDENCE,
        f"cut off {hip.cut}": bool(hip.cut),
        f"obliquity {hip.tilt_deg}\N{DEGREE SIGN}": abs(float(hip.tilt_deg or 0)) > _OBLIQUE_DEG,
        f"rotation {hip.turn_deg}\N{DEGREE SIGN}": abs(float(hip.turn_deg or 0)) > _OBLIQUE_DEG,
    }
    known = tuple(words for words, true in flags.items() if true)
    return known or (("warning",) if hip.warnings else ())


def _fill(cohort: str, hips: Sequence[Hip], urls: dict[str, str]) -> list[Sheet]:
    pairs: dict[str, list[Hip]] = {hip.case_id: [] for hip in hips}
    for hip in sorted(hips, key=lambda hip: hip.side, reverse=True):
        pairs[hip.case_id].append(hip)
    # Up to the first CT that exceeds the limit.
    fitting = takewhile(
        lambda pair: all(hip.hip_id in urls for hip in pair if hip.status == "ok"), pairs.values()
    )
    shown = [[lay_tile(hip, urls) for hip in pair] for pair in fitting]
    sheets: list[Sheet] = []
    last = 0
    for start in range(0, len(shown), CTS_PER_SHEET):
        part = shown[start : start + CTS_PER_SHEET]
        first, last = last + 1, last + sum(map(len, part))
        sheets.append(Sheet(cohort, part, first, last, len(hips)))
    return sheets


def lay_tile(hip: Hip, urls: Mapping[str, str]) -> Tile:
    """The tile of a hip; ``urls`` are the radiographs by hip."""
    if hip.hip_id not in urls:
        return Tile(hip, "")
    x, y, radius = (float(mm) / float(hip.mm_per_px) for mm in (hip.head_x_mm, hip.head_y_mm, hip.radius_mm))
    middle = RADIOGRAPH_PX / 2
    return Tile(
        hip, urls[hip.hip_id], round(middle + x, 1), round(middle + y, 1), round(radius, 1), flag(hip)
    )
