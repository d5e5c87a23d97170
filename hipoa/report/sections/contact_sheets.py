"""Contact sheets: every hip of the study, a patient's two side by side, to look all of them over quickly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from hipoa.report.cohort import Hip, split_cohorts, stream_radiographs
from hipoa.report.radiographs import embed_jpeg, show_as_in_patient

CTS_PER_SHEET = 100
RADIOGRAPH_PX = 150
_UNSURE = 0.7
_LEANING_DEG = 10.0


class Tile(NamedTuple):
    """One hip of a sheet.

    Attributes:
        hip: Its row.
        url: Its radiograph as it lies in the patient, seen from the front, stretched for the eye; empty
            where there is none.
        x_px: Column of the head that was found, from the radiograph's left edge, in its pixels.
        y_px: Row of the same, from the upper edge.
        radius_px: Of the same.
        flags: What to look at, a word or two each.
    """

    hip: Hip
    url: str
    x_px: float
    y_px: float
    radius_px: float
    flags: tuple[str, ...]


class Sheet(NamedTuple):
    """Up to 100 CTs of a cohort.

    Attributes:
        cohort: Its name.
        pairs: The hips of each CT, the right one first: it lies at image left.
        place: The numbers of its first and last hip and of all hips of the cohort.
    """

    cohort: str
    pairs: list[list[Tile]]
    place: tuple[int, int, int]

    @property
    def refused(self) -> int:
        """Hips without a radiograph."""
        return sum(not tile.url for pair in self.pairs for tile in pair)

    @property
    def flagged(self) -> int:
        """Hips with a radiograph and something to look at."""
        return sum(bool(tile.url and tile.flags) for pair in self.pairs for tile in pair)


def lay_sheets(hips: Sequence[Hip], stacks: Sequence[Path], limit_mb: float) -> list[Sheet]:
    """The contact sheets of a study, cohort by cohort, as far as the limit allows.

    Args:
        hips: The rows of all cohorts, labelled ones first.
        stacks: The radiographs ``R/hips/{cohort}.npz``, in any order.
        limit_mb: How large the radiographs may be together, as they stand in the page, MB.
    """
    urls = dict(_embed_until(hips, stacks, limit_mb))
    return [sheet for cohort, own in split_cohorts(hips).items() for sheet in _fill(cohort, own, urls)]


def count_left_out(hips: Sequence[Hip], sheets: Sequence[Sheet]) -> dict[str, int]:
    """How many hips of each cohort are on no sheet; cohorts that are shown whole are left out."""
    shown = {tile.hip.hip_id for sheet in sheets for pair in sheet.pairs for tile in pair}
    missing = {name: sum(h.hip_id not in shown for h in own) for name, own in split_cohorts(hips).items()}
    return {name: count for name, count in missing.items() if count}


def flag(hip: Hip) -> tuple[str, ...]:
    """What a person should look at, a word or two each; the table of hips has whole sentences."""
    flags = {
        "implant": hip.implant == "yes",
        f"unsure {hip.confidence}": bool(hip.confidence) and float(hip.confidence) < _UNSURE,
        f"cut {hip.cut}": bool(hip.cut),
        f"tilt {hip.tilt_deg}\N{DEGREE SIGN}": abs(float(hip.tilt_deg or 0)) > _LEANING_DEG,
        f"turn {hip.turn_deg}\N{DEGREE SIGN}": abs(float(hip.turn_deg or 0)) > _LEANING_DEG,
    }
    known = tuple(words for words, true in flags.items() if true)
    return known or (("warning",) if hip.warnings else ())


def _fill(cohort: str, hips: Sequence[Hip], urls: dict[str, str]) -> list[Sheet]:
    pairs: dict[str, list[Hip]] = {}
    for hip in sorted(hips, key=lambda hip: hip.side, reverse=True):
        pairs.setdefault(hip.case_id, []).append(hip)
    # Up to the first CT for which there was no room.
    fits = takewhile(
        lambda pair: all(hip.hip_id in urls for hip in pair if hip.status == "ok"),
        (pairs[name] for name in dict.fromkeys(hip.case_id for hip in hips)),
    )
    shown = [[_lay(hip, urls) for hip in pair] for pair in fits]
    sheets: list[Sheet] = []
    first = 1
    for start in range(0, len(shown), CTS_PER_SHEET):
        part = shown[start : start + CTS_PER_SHEET]
        last = first + sum(map(len, part)) - 1
        sheets.append(Sheet(cohort, part, (first, last, len(hips))))
        first = last + 1
    return sheets


def _lay(hip: Hip, urls: dict[str, str]) -> Tile:
    if hip.status != "ok":
        return Tile(hip, "", 0.0, 0.0, 0.0, ())
    mm = (float(hip.head_x_mm), float(hip.head_y_mm), float(hip.radius_mm))
    x, y, radius = (value / float(hip.mm_per_px) for value in mm)
    middle = RADIOGRAPH_PX / 2
    return Tile(
        hip, urls[hip.hip_id], round(middle + x, 1), round(middle + y, 1), round(radius, 1), flag(hip)
    )


def _embed_until(hips: Sequence[Hip], stacks: Sequence[Path], limit_mb: float) -> Iterator[tuple[str, str]]:
    """Radiographs as data URLs in the cohorts' order, as many as there is room for."""
    room = limit_mb * 1e6
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in hips}
    for name, image in stream_radiographs(stacks, mirrored):
        url = embed_jpeg(show_as_in_patient(image, mirrored=mirrored[name]))
        room -= len(url)
        if room < 0:
            return
        yield name, url
