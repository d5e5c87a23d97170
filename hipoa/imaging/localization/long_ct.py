"""CTs much longer than the hips: only the slices about these are read and looked at closely.

Whether a CT is long follows from its own extent and never from its kind of file: the same CT gives the same
radiographs as a folder of slices and as one file. What is not long is looked at as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import GRID_MM, Body, find_body
from hipoa.imaging.ct.volume import LazyVolume, Volume
from hipoa.imaging.localization.candidates import find_places
from hipoa.imaging.localization.checks import confirm_marks
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.localization.network import SPACING_MM
from hipoa.imaging.settings import ProjectSettings

# From iliac crest to mid-thigh; all that shows no more than the pelvis is shorter.
_LONG_MM = 500.0
# Within it lie the cube in which the fine network sees a head, wherever its votes lead, and its metal.
_NEAR_MM = 150.0
# Beyond the rim of an image, besides the two voxels that are interpolated there.
_MARGIN_MM = 10.0

Looked = tuple[Volume, Body, HipCentres]
"""A part of a CT, the patient in it, and the hips."""


def look_about_hips(ct: LazyVolume, marks: HipCentres | None, settings: ProjectSettings) -> Looked | None:
    """What is needed of a long CT.

    Args:
        ct: The CT.
        marks: The hips, where they are marked; else a look at slices 5 mm apart says where to look closely.
        settings: What is seen of the hips.

    Returns:
        None where the whole CT is to be looked at: it is not long, or not both hips were found.

    Raises:
        CtError: What was read of it cannot be used.
    """
    if not _is_long(ct):
        return None
    return _look_for_hips(ct, settings) if marks is None else _look_at_marks(ct, marks, settings)


def _is_long(ct: LazyVolume) -> bool:
    """Whether it is, at right angles to its slices: what a tilted gantry made is straightened as a whole."""
    axes = ct.ras_from_ijk[:3, :3] / (spacing_mm := ct.outline.spacing_mm)
    return bool(ct.shape[2] * spacing_mm[2] > _LONG_MM and np.abs(axes.T @ axes - np.eye(3)).max() < 0.005)


def _look_at_marks(ct: LazyVolume, marks: HipCentres, settings: ProjectSettings) -> Looked | None:
    if not marks.hips:
        return None
    points = _list_centres(marks)
    part = _find_part(ct, points, max(_NEAR_MM, _find_reach_mm(ct, points, settings)))
    if part.stop - part.start < 2:
        return None
    volume = ct.read(part)
    body = find_body(volume)
    return volume, body, confirm_marks(volume, body, marks, settings)


def _look_for_hips(ct: LazyVolume, settings: ProjectSettings) -> Looked | None:
    every = int(SPACING_MM["coarse"] / ct.outline.spacing_mm[2] + 0.1)
    if every < 2:
        return None
    body, places = _look_at_every(ct, every)
    if not places:
        return None
    part = _find_part(ct, np.array(places), _NEAR_MM)
    volume = ct.read(part)
    centres = locate(volume, _crop(body, part), settings.locator_confidence, places)
    if len(centres.hips) < len(SIDES):
        return None
    points = _list_centres(centres)
    seen = _find_part(ct, points, _find_reach_mm(ct, points, settings))
    if not part.start <= seen.start < seen.stop <= part.stop:
        part = slice(min(part.start, seen.start), max(part.stop, seen.stop))
        volume = ct.read(part)
    return volume, _crop(body, part), centres


def _look_at_every(ct: LazyVolume, every: int) -> tuple[Body, Sequence[np.ndarray]]:
    """The patient, and where heads may be, by every so many slices."""
    volume = ct.read(slice(None, None, every))
    body = find_body(volume)
    return body.refine(every, ct.shape[2]), find_places(volume, body)


def _crop(body: Body, part: slice) -> Body:
    i, j, _ = (slice(0, int(edge[-1])) for edge in body.edges)
    return body.crop((i, j, part))


def _list_centres(centres: HipCentres) -> np.ndarray:
    """Of heads, and of sockets that are known, RAS mm (n, 3)."""
    of_hip = [(hip.centre_ras_mm, hip.middle_ras_mm("native_socket")) for hip in centres.hips.values()]
    return np.array(of_hip).reshape(-1, 3)


def _find_reach_mm(ct: LazyVolume, centres_ras_mm: np.ndarray, settings: ProjectSettings) -> float:
    """How far above and below the hips rays meet the patient, in front of the detector."""
    spread = (
        1.0 if settings.beam == "orthographic" else settings.source_to_detector_mm / settings.source_to_hip_mm
    )
    # The central ray may pass the middle between both.
    aside_mm = (spread - 1) * float(np.ptp(centres_ras_mm[:, 2]))
    seen_mm = spread * settings.field_of_view_mm * (1 / 2 + 1 / settings.detector_px)
    return seen_mm + aside_mm + 2 * float(ct.outline.spacing_mm.max()) + _MARGIN_MM


def _find_part(ct: LazyVolume, points_ras_mm: np.ndarray, reach_mm: float) -> slice:
    """The slices so far above and below points (n, 3); the body's cells begin as in the whole CT."""
    corners = ct.outline.corners_ras_mm
    low, high = corners.min(0), corners.max(0)
    low[2], high[2] = points_ras_mm[:, 2].min() - reach_mm, points_ras_mm[:, 2].max() + reach_mm
    part = ct.outline.box(low, high)[2]
    cell = max(1, round(GRID_MM / ct.outline.spacing_mm[2]))
    return slice(part.start // cell * cell, part.stop)
