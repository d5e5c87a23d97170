"""How good the radiographs of each cohort are, in a few numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hipoa.report.cohort import Hip, split_cohorts


class Quality(NamedTuple):
    """The radiographs of one cohort; every entry is words for a cell of a table.

    Attributes:
        cohort: Its name.
        radiographs: Their number.
        methods: How many hips were found in which way.
        confidence: The least and the median.
        implants: Hips with metal.
        cut: Hips whose CT ends within the field of view.
        voxel_mm: Longest side of the voxels, finest to coarsest CT.
        tilt_deg: Of the line through the heads, either way, median to largest.
        turn_deg: The same about the body's long axis.
        warned: Hips with any warning.
        refused: Hips without a radiograph that were not left out on purpose.
    """

    cohort: str
    radiographs: str
    methods: str
    confidence: str
    implants: str
    cut: str
    voxel_mm: str
    tilt_deg: str
    turn_deg: str
    warned: str
    refused: str


HEADINGS = Quality(
    *(
        "cohort",
        "radiographs",
        "found by",
        "confidence, least and median",
        "implants",
        "CT ends within the image",
    ),
    *("voxel side, finest and coarsest CT, mm", "tilt, median and largest, degrees"),
    *("turn, median and largest, degrees", "with a warning", "refused"),
)


def tabulate_quality(hips: Sequence[Hip]) -> list[Quality]:
    """One row per cohort."""
    return [_summarise(cohort, own) for cohort, own in split_cohorts(hips).items()]


def voxel_mm(hip: Hip) -> float | None:
    """The longest side of the CT's voxels, where it is known."""
    sides = [hip.spacing_r_mm, hip.spacing_a_mm, hip.spacing_s_mm]
    return max(map(float, sides)) if all(sides) else None


def _summarise(cohort: str, hips: Sequence[Hip]) -> Quality:
    seen = [hip for hip in hips if hip.status == "ok"]
    methods = Counter(hip.method for hip in seen if hip.method)
    confidence = sorted(float(hip.confidence) for hip in seen if hip.confidence)
    voxels = sorted(side for hip in seen if (side := voxel_mm(hip)) is not None)
    return Quality(
        cohort,
        f"{len(seen)}",
        ", ".join(f"{method} {count}" for method, count in sorted(methods.items())),
        _pair(confidence[:1], _median(confidence), "{:.2f}"),
        f"{sum(hip.implant == 'yes' for hip in seen)}",
        f"{sum(bool(hip.cut) for hip in seen)}",
        _pair(voxels[:1], voxels[-1:], "{:g}"),
        _spread(hip.tilt_deg for hip in seen),
        _spread(hip.turn_deg for hip in seen),
        f"{sum(bool(hip.warnings) for hip in seen)}",
        f"{sum(hip.status == 'refused' for hip in hips)}",
    )


def find_renderers(hips: Iterable[Hip]) -> list[str]:
    """The renderers that made the radiographs, by name."""
    return sorted({hip.renderer for hip in hips} - {""})


def _spread(cells: Iterable[str]) -> str:
    values = sorted(abs(float(cell)) for cell in cells if cell)
    return _pair(_median(values), values[-1:], "{:.1f}")


def _median(ordered: Sequence[float]) -> Sequence[float]:
    return ordered[(len(ordered) - 1) // 2 :][:1]


def _pair(first: Sequence[float], second: Sequence[float], form: str) -> str:
    return " / ".join(form.format(value) for value in (*first, *second)) or "\N{EN DASH}"
