"""The truth of a simulated hip: landmarks, grade, and a check of its measurements."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hipoa.core.constants import CLASS_TABLE
from hipoa.core.tables.rows import Reading
from hipoa.phantom.anatomy.hip import Hip
from hipoa.phantom.anatomy.implants import PROSTHETIC_HEAD_MM
from hipoa.phantom.cohort.measure import Measured
from hipoa.phantom.cohort.readers import READERS

LANDMARK_COLUMNS = ("side", "centre_r_mm", "centre_a_mm", "centre_s_mm", "radius_mm")
_POINTS = ("centre", "teardrop", "junction")
_GEOMETRY = (
    *("joint_space_mm", "osteophyte_mm", "plate_factor", "sclerosis_hu", "cysts", "flattening"),
    *("height", "lateral_mm", "centre_edge_deg", "pelvic_height_mm"),
)
TRUTH_COLUMNS = (
    "hip_id",
    *LANDMARK_COLUMNS[1:],
    *(f"{point}_{axis}_mm" for point in _POINTS[1:] for axis in "ras"),
    *_GEOMETRY,
    *("crowe", "kl", "grade", "severity"),
    *(f"reader_{reader.lower()}" for reader in READERS),
    "implant",
)
# How far a measurement may lie from what was drawn: the precision of the measurement itself.
_TOLERANCE = {"joint_space_mm": 0.05, "plate_factor": 0.06, "sclerosis_hu": 5.0, "flattening": 0.002}
# Where the ilium meets a false socket's roof the seam is rounded, which moves the rim by up to 2 mm.
_EDGE_DEG, _FALSE_EDGE_DEG = 2.0, 4.5
_OSTEOPHYTE_MM, _OSTEOPHYTE_SHARE = 0.3, 0.15
_HEIGHT_MM, _LATERAL_MM, _HEAD_MM = 0.5, 0.1, 0.1


def find_faults(hip: Hip, measured: Measured) -> list[str]:
    """The measurements that differ from what was drawn; none if the phantom is sound."""
    drawn = hip.disease
    osteophyte_mm = _OSTEOPHYTE_MM + _OSTEOPHYTE_SHARE * drawn.osteophyte_mm
    edge_deg = _EDGE_DEG if drawn.height is None else _FALSE_EDGE_DEG
    pairs = [(name, getattr(measured, name), getattr(drawn, name), by) for name, by in _TOLERANCE.items()]
    pairs += [
        ("centre_edge_deg", measured.centre_edge_deg, drawn.centre_edge_deg, edge_deg),
        ("osteophyte_mm", measured.osteophyte_mm, drawn.osteophyte_mm, osteophyte_mm),
        ("cysts", measured.cysts, len(drawn.cyst_mm), 0),
        ("crowe", measured.crowe, drawn.crowe, 0),
        ("radius_mm", measured.radius_mm, hip.person.head_radius_mm, _HEAD_MM),
        ("centre", float(np.linalg.norm(measured.centre - hip.head)), 0, _HEAD_MM),
    ]
    if drawn.height is not None:
        height_mm = drawn.height * hip.person.pelvic_height_mm
        measured_mm = measured.height * measured.pelvic_height_mm
        pairs.append(("height in mm", measured_mm, height_mm, _HEIGHT_MM))
        pairs.append(("lateral_mm", measured.lateral_mm, drawn.lateral_mm, _LATERAL_MM))
    return [
        f"{name} {found:.4g} instead of {wanted:.4g}"
        for name, found, wanted, tolerance in pairs
        if abs(found - wanted) > tolerance
    ]


def check_hip(hip: Hip, measured: Measured, name: str) -> None:
    """Stops where a hip was not built as it was drawn.

    Raises:
        RuntimeError: A defect of the phantom: its truth would be wrong.
    """
    if faults := find_faults(hip, measured):
        raise RuntimeError(f"{name} is not as drawn: {'; '.join(faults)}")


def describe_hip(
    hip: Hip, measured: Measured, to_ras: np.ndarray, implant: str, readings: Mapping[str, Reading]
) -> dict[str, object]:
    """A row of the truth, without the hip's name; ``to_ras`` (4, 4) is from the hip's frame to RAS, mm."""
    replaced = implant == "replacement"
    row: dict[str, object] = {
        f"{point}_{axis}_mm": f"{value:.3f}"
        for point in _POINTS
        for axis, value in zip("ras", to_ras @ [*getattr(measured, point), 1], strict=False)
    }
    row["radius_mm"] = f"{PROSTHETIC_HEAD_MM if replaced else measured.radius_mm:.3f}"
    row["implant"] = implant
    for reader, reading in readings.items():
        row[f"reader_{reader.lower()}"] = CLASS_TABLE.index((reading.crowe, reading.kl)) + 1
    # A replaced joint has no joint space and no grade.
    if not replaced:
        row |= {name: f"{getattr(measured, name):.4f}" for name in _GEOMETRY}
        row |= {"cysts": measured.cysts, "crowe": measured.crowe, "kl": hip.disease.kl}
        row |= {"grade": hip.disease.grade, "severity": f"{hip.disease.severity:.4f}"}
    return row
