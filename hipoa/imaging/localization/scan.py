"""A CT whose hips have been looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipoa.core.errors import CtError
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import Body, find_body
from hipoa.imaging.ct.formats import find_volumes
from hipoa.imaging.ct.image import EXPORT_AGAIN, Gap
from hipoa.imaging.ct.volume import LazyVolume, Volume
from hipoa.imaging.localization.checks import confirm_marks
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.landmarks import locate_by_landmarks
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.localization.long_ct import Looked, look_about_hips
from hipoa.imaging.localization.segmentation import locate_by_labels
from hipoa.imaging.settings import ProjectSettings


@dataclass(frozen=True)
class Scan:
    """A CT whose hips have been looked for.

    Attributes:
        volume: The CT.
        body: The patient without the table.
        centres: Of the hips.
    """

    volume: Volume
    body: Body
    centres: HipCentres


def examine(
    ct: Path,
    labels: Path | None,
    landmarks: Path | None,
    settings: ProjectSettings,
    series: str = "",
) -> Scan:
    """Reads a CT and finds its hips: by landmarks, else by labels, else by the locator.

    Of several CT series in a folder the first that shows both hips is taken, else the one that shows more;
    they are looked at in the order of :func:`hipoa.imaging.ct.dicom.stacks.rank`.

    Raises:
        CtError: It cannot be read, or the landmarks or labels cannot be used.
    """
    best: Scan | None = None
    faults: list[CtError] = []
    for open_ct in find_volumes(ct, series):
        try:
            scan = _look(open_ct(), labels, landmarks, settings)
        except CtError as error:
            faults.append(error)
            continue
        if best is None or _count_shown(scan) > _count_shown(best):
            # A series without hips is no fault: of a chest, say. What was set aside is on record anyway.
            note = f"{len(faults)} finer CT series cannot be used: {faults[0].found}" if faults else ""
            best = _warn(scan, note) if note else scan
        if _count_shown(best) == len(SIDES):
            break
    if best is None:
        raise faults[0]
    return best


def require_hip(scan: Scan, where: str) -> None:
    """Stops where a CT has no hip that can be used.

    Raises:
        CtError: Naming the reasons.
    """
    if scan.centres.hips:
        return
    reasons = sorted(set(scan.centres.missing.values()))
    advice = sorted(set(scan.centres.advice.values()))
    do = " ".join(advice) or "Give a CT of the pelvis, or mark the hips by --landmarks."
    raise CtError(where, "; ".join(reasons), do)


def list_missing(scan: Scan) -> list[str]:
    """Why sides are missing, one line each, with what to do about a mark that the CT does not confirm."""
    advice = scan.centres.advice
    return [
        f"{side}: {reason}" + (f". {advice[side]}" if side in advice else "")
        for side, reason in scan.centres.missing.items()
    ]


def _count_shown(scan: Scan) -> int:
    return sum(scan.volume.contains(np.array(hip.centre_ras_mm)) for hip in scan.centres.hips.values())


def _warn(scan: Scan, note: str) -> Scan:
    return replace(scan, volume=replace(scan.volume, warnings=(*scan.volume.warnings, note)))


def _look(ct: LazyVolume, labels: Path | None, landmarks: Path | None, settings: ProjectSettings) -> Scan:
    marks = _read_marks(labels, landmarks, settings)
    volume, body, centres = look_about_hips(ct, marks, settings) or _look_at_all(ct, marks, settings)
    return Scan(volume, body, _explain_missing(centres, volume.gaps))


def _look_at_all(ct: LazyVolume, marks: HipCentres | None, settings: ProjectSettings) -> Looked:
    volume = ct.read()
    body = find_body(volume)
    if marks is not None:
        return volume, body, confirm_marks(volume, body, marks, settings)
    return volume, body, locate(volume, body, settings.locator_confidence)


def _read_marks(labels: Path | None, landmarks: Path | None, settings: ProjectSettings) -> HipCentres | None:
    if landmarks is not None:
        return locate_by_landmarks(landmarks)
    return None if labels is None else locate_by_labels(labels, settings.label_ids)


def _explain_missing(centres: HipCentres, gaps: Sequence[Gap]) -> HipCentres:
    """The same hips; of those that were not found it is said that slices are missing, if they are."""
    if not gaps:
        return centres
    missing = {
        side: f"{reason} (slices are missing where what was read ends)"
        for side, reason in centres.missing.items()
    }
    advice = {side: f"{EXPORT_AGAIN} {centres.advise(side)}" for side in missing}
    return replace(centres, missing=missing, advice={**centres.advice, **advice})
