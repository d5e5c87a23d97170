"""What the table says of each hip, so that doubtful radiographs are seen at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.metal import has_implant
from hipoa.imaging.projection.gaps import note_gaps
from hipoa.imaging.settings import ProjectSettings

_ORIGIN = ("series", "slices", "step_mm", "set_aside")
_ACQUIRED = ("manufacturer", "model", "kernel", "kernel_kind", "kv", "thickness_mm")
PATIENT_COLUMNS = ("sex", "age")
COLUMNS = (
    *("method", "confidence", "centre_r_mm", "centre_a_mm", "centre_s_mm", "radius_mm", "implant"),
    *("cut", "spacing_r_mm", "spacing_a_mm", "spacing_s_mm", "tilt_deg", "turn_deg", "mark_to_head_mm"),
    "warnings",
    *_ORIGIN,
    *_ACQUIRED,
)
_CUT_MM = 5.0
# Beyond, a pelvis looks another on an AP view, or a head has left its place.
_LEANING_DEG = 10.0
_ONE_HIP = "without the other hip the beam is centred on this one, not on the pelvis"


def describe_hip(
    volume: Volume, centres: HipCentres, side: str, settings: ProjectSettings
) -> dict[str, object]:
    """The cells :data:`COLUMNS` of a hip that was found.

    Args:
        volume: The CT.
        centres: Of its hips.
        side: L or R, one of those found.
        settings: Field of view and beam.
    """
    hip = centres.hips[side]
    metal = has_implant(volume, hip)
    cut = find_cuts(volume, hip.middle_ras_mm(settings.centre), settings.field_of_view_mm)
    tilt_deg, turn_deg = measure_lean(centres.hips)
    notes = [*volume.warnings, *hip.warnings]
    notes += [f"the CT ends within the field of view ({cut})"] if cut else []
    notes += note_gaps(volume, hip.middle_ras_mm(settings.centre))
    notes += ["metal near the hip: an implant"] if metal else []
    notes += _note_lean(tilt_deg, turn_deg)
    if settings.centre == "native_socket" and hip.socket_ras_mm is None:
        notes.append("the native socket is not known: the image is centred on the head")
    notes += [_ONE_HIP] if settings.beam_centre == "pelvis" and len(centres.hips) < 2 else []
    return {
        "method": hip.method,
        "confidence": round(hip.confidence, 3),
        **_by_axis("centre", hip.centre_ras_mm),
        "radius_mm": round(hip.radius_mm, 2),
        "implant": "yes" if metal else "",
        "cut": cut,
        **_by_axis("spacing", volume.spacing_mm),
        "tilt_deg": tilt_deg,
        "turn_deg": turn_deg,
        "mark_to_head_mm": hip.mark_to_head_mm,
        "warnings": "; ".join(notes),
        **{name: getattr(volume.origin, name) for name in _ORIGIN},
        **{name: getattr(volume.origin.acquired, name) for name in _ACQUIRED},
    }


def describe_ct(row: Mapping[str, object]) -> dict[str, object]:
    """Of a hip's row what was read of its CT, what was set aside, and what the header tells."""
    return {name: row[name] for name in (*_ORIGIN, *_ACQUIRED, *PATIENT_COLUMNS)}


def find_cuts(volume: Volume, middle_ras_mm: tuple[float, float, float], field_of_view_mm: float) -> str:
    """On which sides the CT ends within the field of view, joined by commas; it is shown as air there."""
    ways = {"above": (0, 0, 1), "below": (0, 0, -1), "to the right": (1, 0, 0), "to the left": (-1, 0, 0)}
    reach = field_of_view_mm / 2 - _CUT_MM
    return ", ".join(
        where
        for where, way in ways.items()
        if not volume.contains(np.array(middle_ras_mm) + reach * np.array(way))
    )


def measure_lean(hips: Mapping[str, Hip]) -> tuple[float | None, float | None]:
    """How the line through both heads lies, in degrees; None where a head is missing.

    Returns:
        Its tilt, positive where the right head is the higher one, and its turn about the body's long axis,
        positive where the right head lies further to the front. A head that has migrated tilts it too.
    """
    if len(hips) < 2:
        return None, None
    r, a, s = np.subtract(hips["R"].centre_ras_mm, hips["L"].centre_ras_mm)
    tilt_deg, turn_deg = np.degrees(np.arctan2([s, a], r))
    return round(float(tilt_deg), 1), round(float(turn_deg), 1)


def _note_lean(tilt_deg: float | None, turn_deg: float | None) -> list[str]:
    notes = []
    if tilt_deg is not None and abs(tilt_deg) > _LEANING_DEG:
        notes.append(
            f"the heads differ in height by {abs(tilt_deg):.0f} degrees: a tilted pelvis or a high head"
        )
    if turn_deg is not None and abs(turn_deg) > _LEANING_DEG:
        notes.append(f"the pelvis is turned by {abs(turn_deg):.0f} degrees about the body's long axis")
    return notes


def _by_axis(name: str, values: tuple[float, ...] | np.ndarray) -> dict[str, object]:
    return {f"{name}_{axis}_mm": round(float(value), 2) for axis, value in zip("ras", values, strict=True)}
