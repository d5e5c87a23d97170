"""Reads a CT and finds its hips; of a CT much longer than the pelvis only the slices near them are read.

Whether a CT is long follows from its own extent and never from its kind of file: the same CT gives the same
radiographs as a folder of slices and as one file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipoa.core.errors import CtError
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import GRID_MM, Body, find_body
from hipoa.imaging.ct.formats import find_volumes
from hipoa.imaging.ct.image import EXPORT_AGAIN
from hipoa.imaging.ct.volume import LazyVolume, Volume
from hipoa.imaging.localization.candidates import find_places
from hipoa.imaging.localization.checks import confirm_marks
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.landmarks import locate_by_landmarks
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.localization.network import SPACING_MM
from hipoa.imaging.localization.segmentation import locate_by_labels
from hipoa.imaging.settings import ProjectSettings

# From iliac crest to mid-thigh; all that shows no more than the pelvis is shorter.
_LONG_MM = 500.0
# Within it lie the cube in which the fine network sees a head, wherever its votes lead, and its metal.
_NEAR_MM = 150.0
# Beyond the rim of an image, besides the two voxels that are interpolated there.
_MARGIN_MM = 10.0


@dataclass(frozen=True)
class Scan:
    """A CT whose hips have been looked for."""

    volume: Volume  # the CT, or what was read of it
    body: Body  # the patient without the table
    centres: HipCentres  # of the hips


def locate_hips(
    ct: Path,
    labels: Path | None,
    landmarks: Path | None,
    settings: ProjectSettings,
    series: str = "",
) -> Scan:
    """Reads a CT and finds its hips: by landmarks, else by labels, else by the locator.

    Of several CT series in a folder the first that shows both hips is taken, else the one that shows more,
    in the order of :func:`hipoa.imaging.ct.dicom.stacks.rank`.

    Raises:
        CtError: It cannot be read, or the landmarks or labels cannot be used.
    """
    best: Scan | None = None
    faults: list[CtError] = []
    for open_ct in find_volumes(ct, series):
        try:
            scan = _examine(open_ct(), _read_marks(labels, landmarks, settings), settings)
        except CtError as error:
            faults.append(error)
            continue
        if best is None or _count_shown(scan) > _count_shown(best):
            # A series without hips is no fault: of a chest, say. What was set aside is on record anyway.
            notes = [f"{len(faults)} finer CT series cannot be used: {faults[0].found}"] if faults else []
            volume = replace(scan.volume, warnings=(*scan.volume.warnings, *notes))
            best = replace(scan, volume=volume)
        if _count_shown(best) == len(SIDES):
            break
    if best is None:
        raise faults[0]
    return best


def _count_shown(scan: Scan) -> int:
    return sum(scan.volume.contains(np.array(hip.centre_ras_mm)) for hip in scan.centres.hips.values())


def _read_marks(labels: Path | None, landmarks: Path | None, settings: ProjectSettings) -> HipCentres | None:
    if landmarks is not None:
        return locate_by_landmarks(landmarks)
    return None if labels is None else locate_by_labels(labels, settings.label_ids)


def _examine(ct: LazyVolume, marks: HipCentres | None, settings: ProjectSettings) -> Scan:
    scan = None
    if _is_long(ct.outline):
        scan = _search_long_ct(ct, settings) if marks is None else _read_near_marks(ct, marks, settings)
    scan = scan or _examine_volume(ct.read(), marks, settings)
    return replace(scan, centres=_explain_gaps(scan))


def _examine_volume(volume: Volume, marks: HipCentres | None, settings: ProjectSettings) -> Scan:
    body = find_body(volume)
    if marks is not None:
        return Scan(volume, body, confirm_marks(volume, body, marks, settings))
    return Scan(volume, body, locate(volume, body, settings.locator_confidence))


def _explain_gaps(scan: Scan) -> HipCentres:
    """The hips; where slices are missing, that is named for those that were not found."""
    centres = scan.centres
    if not scan.volume.gaps:
        return centres
    missing = {
        side: f"{reason} (slices are missing where what was read ends)"
        for side, reason in centres.missing.items()
    }
    advice = {side: f"{EXPORT_AGAIN} {centres.advise(side)}" for side in missing}
    return replace(centres, missing=missing, advice={**centres.advice, **advice})


def _is_long(outline: Volume) -> bool:
    """Whether it is, at right angles to its slices: what a tilted gantry made is straightened as a whole."""
    axes = outline.ras_from_ijk[:3, :3] / (spacing_mm := outline.spacing_mm)
    return bool(
        outline.hu.shape[2] * spacing_mm[2] > _LONG_MM and np.abs(axes.T @ axes - np.eye(3)).max() < 0.005
    )


def _read_near_marks(ct: LazyVolume, marks: HipCentres, settings: ProjectSettings) -> Scan | None:
    """The slices near marked hips; None where the whole CT is needed."""
    if not marks.hips:
        return None
    points = _list_centres(marks)
    part = _find_slices(ct.outline, points, max(_NEAR_MM, _find_reach_mm(ct.outline, points, settings)))
    return _examine_volume(ct.read(part), marks, settings) if part.stop - part.start > 1 else None


def _search_long_ct(ct: LazyVolume, settings: ProjectSettings) -> Scan | None:
    """The slices near the hips, found by slices 5 mm apart; None where the whole CT is needed."""
    outline = ct.outline
    every = int(SPACING_MM["coarse"] / outline.spacing_mm[2] + 0.1)
    if every < 2:
        return None
    volume = ct.read(slice(None, None, every))
    body = find_body(volume)
    places = find_places(volume, body)
    if not places:
        return None
    del volume
    body = body.refine(every, outline.hu.shape[2])
    part = _find_slices(outline, np.array(places), _NEAR_MM)
    volume = ct.read(part)
    centres = locate(volume, _crop(body, part), settings.locator_confidence, places)
    if len(centres.hips) < len(SIDES):
        return None
    points = _list_centres(centres)
    seen = _find_slices(outline, points, _find_reach_mm(outline, points, settings))
    if not part.start <= seen.start < seen.stop <= part.stop:
        part = slice(min(part.start, seen.start), max(part.stop, seen.stop))
        volume = ct.read(part)
    return Scan(volume, _crop(body, part), centres)


def _crop(body: Body, part: slice) -> Body:
    i, j, _ = (slice(0, int(edge[-1])) for edge in body.edges)
    return body.crop((i, j, part))


def _list_centres(centres: HipCentres) -> np.ndarray:
    """The centres of the heads, and of sockets that are known, RAS mm (n, 3)."""
    of_hip = [(hip.centre_ras_mm, hip.middle_ras_mm("native_socket")) for hip in centres.hips.values()]
    return np.array(of_hip).reshape(-1, 3)


def _find_reach_mm(outline: Volume, centres_ras_mm: np.ndarray, settings: ProjectSettings) -> float:
    """How far above and below the hips rays meet the patient, in front of the detector."""
    parallel = settings.beam == "orthographic"
    magnification = 1.0 if parallel else settings.source_to_detector_mm / settings.source_to_hip_mm
    # The central ray may pass the middle between both.
    aside_mm = (magnification - 1) * float(np.ptp(centres_ras_mm[:, 2]))
    seen_mm = magnification * settings.field_of_view_mm * (1 / 2 + 1 / settings.detector_px)
    return seen_mm + aside_mm + 2 * float(outline.spacing_mm.max()) + _MARGIN_MM


def _find_slices(outline: Volume, points_ras_mm: np.ndarray, reach_mm: float) -> slice:
    """The slices so far above and below points (n, 3); the body's cells begin as in the whole CT."""
    corners = outline.corners_ras_mm
    low, high = corners.min(0), corners.max(0)
    low[2], high[2] = points_ras_mm[:, 2].min() - reach_mm, points_ras_mm[:, 2].max() + reach_mm
    part = outline.box(low, high)[2]
    cell = max(1, round(GRID_MM / outline.spacing_mm[2]))
    return slice(part.start // cell * cell, part.stop)
