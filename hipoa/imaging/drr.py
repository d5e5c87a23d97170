"""One CT to a left and a right hip radiograph, on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.errors import CtError
from hipoa.core.files import write_json
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.formats import stem
from hipoa.imaging.develop import RADIOGRAPH_PX, describe, develop, write_png
from hipoa.imaging.localization.scan import Scan, examine, list_missing, require_hip
from hipoa.imaging.projection.quality import describe_ct
from hipoa.imaging.projection.render import choose_renderer
from hipoa.imaging.projection.request import Exposure, Row, aim, cut_together
from hipoa.imaging.settings import DevelopSettings, ProjectSettings


def run(
    settings: ProjectSettings,
    ct: Path,
    *,
    out: Path,
    labels: Path | None = None,
    landmarks: Path | None = None,
    series: str = "",
) -> None:
    """Writes NAME_L.png, NAME_R.png and NAME.json, where NAME is the CT's without extensions.

    The radiographs have 150 x 150 pixels and show each hip from the front: image left is the patient's
    right. A side without a hip has no radiograph, and a warning says why.

    Args:
        settings: The projection.
        ct: A NIfTI, MetaImage or NRRD file, or DICOM: a folder, zip, DICOMDIR or one image of the series.
        out: The folder to write to.
        labels: A label map, or a folder of masks, that shows the femora.
        landmarks: A table of hip centres; it goes before labels.
        series: Of several DICOM series of CT the number, or name (3b), of the one to read; else the
            first with both hips.

    Raises:
        CtError: The CT cannot be read, or shows no hip.
    """
    scan = examine(ct, labels, landmarks, settings, series)
    require_hip(scan, ct.name)
    # Bone alone starts from nothing.
    look = DevelopSettings.model_validate({"window_low": 0} if settings.bone_only else {})
    hips: dict[str, Any] = dict.fromkeys(SIDES)
    warnings = list_missing(scan)
    rows, exposures, faults = _aim(scan, settings)
    # The CT is not needed any more, and would be most of what is held.
    del scan
    images: dict[str, tuple[np.ndarray, dict[str, str]]] = {}
    for side, exposure in exposures.items():
        try:
            projection = exposure.expose(settings)
        except CtError as error:
            faults[side] = error
            continue
        mm_per_px = look.crop_mm / RADIOGRAPH_PX
        texts = describe(projection, side, mm_per_px=mm_per_px, mirrored=False)
        images[side] = develop(projection, look), texts
        hips[side] = _describe(rows[side], mm_per_px)
        warnings += [f"{side}: {note}" for note in str(rows[side]["warnings"]).split("; ") if note]
    warnings += [f"{side}: {error.found}. {error.do}" for side, error in faults.items()]
    if not images:
        raise CtError(
            ct.name,
            "; ".join(f"{side}: {error.found}" for side, error in faults.items()),
            " ".join(sorted({error.do for error in faults.values()})),
        )
    for side in SIDES:
        file = out / f"{stem(ct)}_{side}.png"
        if side in images:
            write_png(file, *images[side])
        else:
            # An earlier run's radiograph would contradict the record.
            file.unlink(missing_ok=True)
    # Both hips are of one CT.
    record = {"hips": hips, "ct": describe_ct(next(iter(rows.values()))), "warnings": warnings}
    write_json(out / f"{stem(ct)}.json", record | {"renderer": choose_renderer(settings.renderer)})
    for warning in warnings:
        print(warning, file=sys.stderr)


def _aim(
    scan: Scan, settings: ProjectSettings
) -> tuple[dict[str, Row], dict[str, Exposure], dict[str, CtError]]:
    """By side the row and the image to be rendered, or the fault: it does not take the other side with it."""
    rows: dict[str, Row] = {}
    exposures: dict[str, Exposure] = {}
    faults: dict[str, CtError] = {}
    for side in scan.centres.hips:
        try:
            rows[side], exposures[side] = aim(scan, side, settings)
        except CtError as error:
            faults[side] = error
    # What is mapped is not held: a copy would only take time.
    return rows, exposures if scan.volume.mapped else cut_together(exposures), faults


def _describe(row: Row, mm_per_px: float) -> dict[str, object]:
    return {
        "centre_ras_mm": [row["centre_r_mm"], row["centre_a_mm"], row["centre_s_mm"]],
        "radius_mm": row["radius_mm"],
        "method": row["method"],
        "confidence": row["confidence"],
        "mark_to_head_mm": row["mark_to_head_mm"],
        "implant": row["implant"] == "yes",
        "mm_per_px": mm_per_px,
    }
