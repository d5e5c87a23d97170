"""What is true of a made hip: where its landmarks lie in the CT, and that it measures as it was drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hipoa.core.tables.rows import Reading
from hipoa.phantom.anatomy.disease import CLASSES
from hipoa.phantom.anatomy.hip import Hip
from hipoa.phantom.anatomy.implants import PROSTHETIC_HEAD_MM
from hipoa.phantom.cohort.measure import Measured

READERS = ("A", "B")
LANDMARK_COLUMNS = ("side", "centre_r_mm", "centre_a_mm", "centre_s_mm", "radius_mm")
_POINTS = ("centre", "teardrop", "junction")
_GEOMETRY = (
    "joint_space_mm",
    "osteophyte_mm",
    "plate_factor",
    "sclerosis_hu",
    "cysts",
    "flattening",
    "height",
    "lateral_mm",
    "centre_edge_deg",
    "pelvic_height_mm",
)
_READ = tuple(f"reader_{name.lower()}" for name in READERS)
TRUTH_COLUMNS = (
    "hip_id",
    *LANDMARK_COLUMNS[1:],
    *(f"{point}_{axis}_mm" for point in _POINTS[1:] for axis in "ras"),
    *_GEOMETRY,
    "crowe",
    "kl",
    "grade",
    "severity",
    *_READ,
    "implant",
)
# How far what is measured may lie from what was drawn: what the measurement itself is good for.
_WITHIN = {
    "joint_space_mm": 0.05,
    "plate_factor": 0.06,
    "sclerosis_hu": 5.0,
    "flattening": 0.002,
}
# Where the ilium meets a false socket's roof the seam is rounded, which moves the rim by up to 2 mm.
_EDGE_DEG, _FALSE_EDGE_DEG = 2.0, 4.5
_OSTEOPHYTE_MM, _OSTEOPHYTE_SHARE = 0.3, 0.15
_HEIGHT_MM, _LATERAL_MM, _HEAD_MM = 0.5, 0.1, 0.1


def find_faults(hip: Hip, measured: Measured) -> list[str]:
    """What measures otherwise than it was drawn; nothing, if the phantom is sound."""
    drawn = hip.disease
    faults = [
        _off(name, getattr(measured, name), getattr(drawn, name), within) for name, within in _WITHIN.items()
    ]
    edge_deg = _EDGE_DEG if drawn.height is None else _FALSE_EDGE_DEG
    spur_mm = _OSTEOPHYTE_MM + _OSTEOPHYTE_SHARE * drawn.osteophyte_mm
    faults += [
        _off("centre_edge_deg", measured.centre_edge_deg, drawn.centre_edge_deg, edge_deg),
        _off("osteophyte_mm", measured.osteophyte_mm, drawn.osteophyte_mm, spur_mm),
        _off("cysts", measured.cysts, len(drawn.cyst_mm), 0),
        _off("crowe", measured.crowe, drawn.crowe, 0),
        _off("radius_mm", measured.radius_mm, hip.person.head_radius_mm, _HEAD_MM),
        _off("centre", float(np.linalg.norm(measured.centre - hip.head)), 0, _HEAD_MM),
    ]
    if drawn.height is not None:
        height_mm = drawn.height * hip.person.pelvic_height_mm
        measured_mm = measured.height * measured.pelvic_height_mm
        faults += [
            _off("height in mm", measured_mm, height_mm, _HEIGHT_MM),
            _off("lateral_mm", measured.lateral_mm, drawn.lateral_mm, _LATERAL_MM),
        ]
    return [fault for fault in faults if fault]


def check_hip(hip: Hip, measured: Measured, name: str) -> None:
    """Stops where a hip was not built as it was drawn.

    Raises:
        RuntimeError: A defect of the phantom: the truth would be none.
    """
    if faults := find_faults(hip, measured):
        raise RuntimeError(f"{name} is not as drawn: {'; '.join(faults)}")


def describe_hip(
    hip: Hip, measured: Measured, to_ras: np.ndarray, implant: str, readings: Mapping[str, Reading]
) -> dict[str, object]:
    """A row of the truth, without the hip's name.

    Args:
        hip: As built.
        measured: What it measures.
        to_ras: Matrix (4, 4) from the hip's frame to RAS, mm.
        implant: "replacement", "nail" or nothing.
        readings: By reader; empty where the hip was not read.
    """
    replaced = implant == "replacement"
    row: dict[str, object] = {
        f"{point}_{axis}_mm": f"{value:.3f}"
        for point in _POINTS
        for axis, value in zip("ras", to_ras @ [*getattr(measured, point), 1], strict=False)
    }
    row |= {
        "radius_mm": f"{PROSTHETIC_HEAD_MM if replaced else measured.radius_mm:.3f}",
        "implant": implant,
        **{
            column: CLASSES.index((readings[name].crowe, readings[name].kl)) + 1
            for column, name in zip(_READ, READERS, strict=True)
            if name in readings
        },
    }
    # A replaced joint has no joint space and no grade.
    return row if replaced else row | _grade(measured, hip)


def _grade(measured: Measured, hip: Hip) -> dict[str, object]:
    geometry = {name: getattr(measured, name) for name in _GEOMETRY}
    return {
        **{name: value if name == "cysts" else f"{value:.4f}" for name, value in geometry.items()},
        "crowe": measured.crowe,
        "kl": hip.disease.kl,
        "grade": hip.disease.grade,
        "severity": f"{hip.disease.severity:.4f}",
    }


def _off(name: str, measured: float, drawn: float, within: float) -> str:
    return "" if abs(measured - drawn) <= within else f"{name} {measured:.4g} instead of {drawn:.4g}"
