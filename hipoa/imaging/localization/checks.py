"""Whether hip centres that someone gave lie where a CT shows bone, and on the side they are named after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hipoa.imaging.geometry import box_about
from hipoa.imaging.hips import Hip, HipCentres
from hipoa.imaging.volume import Volume

_BODY_HU, _AIR_HU, _BONE_HU = -400, -300, 130
_NEAR_MM = 6.0
# Cancellous bone fills a head; of a sphere laid into muscle hardly any of this is there.
_LEAST_BONE = 0.15
_ACROSS_MM, _RIM_MM = 25.0, 6.0


def check_centres(volume: Volume, centres: HipCentres) -> HipCentres:
    """Adds to each hip what is odd about its place in the CT; a hip outside the CT is left as it is.

    Args:
        volume: The CT.
        centres: From landmarks or labels.
    """
    hips = {
        side: replace(hip, warnings=(*hip.warnings, *find_oddities(volume, hip)))
        for side, hip in centres.hips.items()
    }
    return HipCentres(hips, centres.missing)


def find_oddities(volume: Volume, hip: Hip) -> list[str]:
    """What is odd about a hip's place: one sentence each, without the full stop."""
    if not volume.contains(np.array(hip.centre_ras_mm)):
        return []
    notes = []
    if np.median(_cube(volume, hip, _NEAR_MM)) < _AIR_HU:
        notes.append(f"the hip centre of the {hip.method} lies in air")
    elif (_cube(volume, hip, 0.8 * hip.radius_mm) > _BONE_HU).mean() < _LEAST_BONE:
        notes.append(f"the CT shows hardly any bone about the hip centre of the {hip.method}")
    across_mm = _measure_across(volume, hip)
    if across_mm is not None and across_mm > _ACROSS_MM:
        notes.append(
            f"the hip centre of the {hip.method} lies {across_mm:.0f} mm beyond the middle of the body: "
            "check its side"
        )
    return notes


def _cube(volume: Volume, hip: Hip, reach_mm: float) -> np.ndarray:
    centre = np.array(hip.centre_ras_mm)
    return volume.hu[box_about(volume, centre - reach_mm, centre + reach_mm)]


def _measure_across(volume: Volume, hip: Hip) -> float | None:
    """How far a hip lies on the other side of the body's middle, mm; None where a flank is cut off."""
    i, j, k = np.rint(volume.ijk(np.array(hip.centre_ras_mm))).astype(int)
    row = np.flatnonzero(volume.hu[:, j, k] > _BODY_HU)
    rim = int(np.ceil(_RIM_MM / volume.spacing_mm[0]))
    if len(row) == 0 or row[0] < rim or row[-1] >= volume.hu.shape[0] - rim:
        return None
    # Along i to the patient's right.
    aside_mm = float((i - (row[0] + row[-1]) / 2) * volume.spacing_mm[0])
    return -aside_mm if hip.side == "R" else aside_mm
