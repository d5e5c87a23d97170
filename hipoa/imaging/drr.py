"""One CT to a left and a right hip radiograph, on the command line."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hipoa.core.constants import RADIOGRAPH_PX
from hipoa.core.errors import CtError
from hipoa.core.files import write_json
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.formats import stem
from hipoa.imaging.develop import develop_hip, write_png
from hipoa.imaging.localization.scan import Scan, locate_hips
from hipoa.imaging.projection.render import ProjectionRequest, crop_together
from hipoa.imaging.projection.request import Row, describe_ct, request_hip, request_images
from hipoa.imaging.projection.slices import COUNT, PLANES
from hipoa.imaging.settings import DevelopSettings, ProjectSettings


@dataclass(frozen=True)
class HipRadiographs:
    """The radiographs of one CT."""

    # By side the radiograph (150, 150) uint8 and its PNG's text chunks; of one side at least.
    images: dict[str, tuple[np.ndarray, dict[str, str]]] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)  # by side, what is known of the hip
    # By side, the coronal CT slice through the head's centre, uint8, as `cut_slices` cuts it; if asked for.
    coronal: dict[str, np.ndarray] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)  # what the user should know, one line each

    def write(self, ct: Path, out: Path) -> None:
        """Writes NAME_L.png and NAME_R.png, and removes those of an earlier run that has more."""
        for side in SIDES:
            file = out / f"{stem(ct)}_{side}.png"
            if side in self.images:
                write_png(file, *self.images[side])
            else:
                file.unlink(missing_ok=True)

    def describe(self) -> Row:
        """What a record says of the CT and how it was rendered."""
        # Both hips are of one CT.
        row = next(iter(self.rows.values()))
        return {"ct": describe_ct(row), "renderer": row["renderer"], "warnings": self.warnings}


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
        landmarks: A table of hip centres; it takes precedence over labels.
        series: The DICOM series to read where there are several, by number or by name (3b); by default the
            first that shows both hips.

    Raises:
        CtError: The CT cannot be read, or shows no hip.
    """
    # Bone alone starts from nothing.
    window = {"window_low": 0} if settings.bone_only else {}
    look = DevelopSettings.model_validate({"mirror_left": False, **window})
    made = make_radiographs(ct, labels, landmarks, series, settings, look)
    made.write(ct, out)
    mm_per_px = look.crop_mm / RADIOGRAPH_PX
    hips = dict.fromkeys(SIDES) | {side: _describe(row, mm_per_px) for side, row in made.rows.items()}
    write_json(out / f"{stem(ct)}.json", {"hips": hips, **made.describe()})
    for warning in made.warnings:
        print(warning, file=sys.stderr)


def make_radiographs(
    ct: Path,
    labels: Path | None,
    landmarks: Path | None,
    series: str,
    settings: ProjectSettings,
    look: DevelopSettings,
    *,
    free_ct: bool = True,
    with_slices: bool = False,
) -> HipRadiographs:
    """Reads one CT as :func:`run`, finds its hips, projects and develops them; a fault of one costs one side.

    With ``free_ct`` it renders a copy of what the rays meet, without holding the rest of the CT in memory;
    ``with_slices`` needs all of it.

    Raises:
        CtError: The CT cannot be read, or shows no hip.
    """
    scan = locate_hips(ct, labels, landmarks, settings, series)
    scan.centres.require_one(ct.name)
    missing = scan.centres.describe_missing()
    found = [side for side in SIDES if side in scan.centres.hips]
    maker = _request_sliced if with_slices else request_hip
    requested = request_images(scan, dict.fromkeys(found, maker), settings)
    # What is mapped is not held in memory.
    if free_ct and not scan.volume.mapped:
        requested = replace(requested, requests=crop_together(requested.requests))
    del scan
    rows, projections, refused = requested.render(settings)
    if not projections:
        reasons = "; ".join(f"{side}: {error.found}" for side, error in sorted(refused.items()))
        raise CtError(ct.name, reasons, " ".join(sorted({error.do for error in refused.values()})))
    made = HipRadiographs(warnings=missing)
    for side in found:
        if side in refused:
            made.warnings.append(f"{side}: {refused[side].found}. {refused[side].do}")
            continue
        made.images[side] = develop_hip(projections[side], side, look)
        made.rows[side] = rows[side]
        slices = projections[side].slices
        if slices is not None:
            made.coronal[side] = slices[PLANES.index("coronal"), COUNT // 2]
        made.warnings.extend(f"{side}: {note}" for note in str(rows[side]["warnings"]).split("; ") if note)
    return made


def _request_sliced(scan: Scan, side: str, settings: ProjectSettings) -> tuple[Row, ProjectionRequest]:
    row, request = request_hip(scan, side, settings)
    centre = np.array(scan.centres.hips[side].centre_ras_mm)
    return row, replace(request, slices_at_ras_mm=centre)


def _describe(row: Row, mm_per_px: float) -> Row:
    return {
        "centre_ras_mm": [row[f"centre_{axis}_mm"] for axis in "ras"],
        **{name: row[name] for name in ("radius_mm", "method", "confidence", "mark_to_head_mm", "implant")},
        "mm_per_px": mm_per_px,
    }
