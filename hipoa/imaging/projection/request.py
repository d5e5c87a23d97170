"""What a renderer needs for one image: the part of a CT that the rays meet, and the rays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.image import copy_in_pages
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.scan import Scan
from hipoa.imaging.projection.attenuation import make_curve
from hipoa.imaging.projection.gaps import check_gaps
from hipoa.imaging.projection.geometry import Projection, XrayGeometry, find_in_image, move, seen_box
from hipoa.imaging.projection.quality import PATIENT_COLUMNS, describe_hip
from hipoa.imaging.projection.render import project_hip
from hipoa.imaging.settings import ProjectSettings

Row = dict[str, object]
PLACE_COLUMNS = ("head_x_mm", "head_y_mm")


@dataclass(frozen=True)
class Exposure:
    """One image to be rendered.

    Attributes:
        volume: The CT, or what the rays meet of it.
        body: The patient without the table.
        centre_ras_mm: What lies in the middle of the image (3,).
        geometry: Source and detector.
    """

    volume: Volume
    body: Body
    centre_ras_mm: np.ndarray
    geometry: XrayGeometry

    def expose(self, settings: ProjectSettings) -> Projection:
        """The image.

        Raises:
            CtError: The body does not fit between source and detector.
        """
        curve = make_curve(settings.energy_kev, settings.ct_energy_kev, settings.bone_only)
        return project_hip(
            self.volume,
            self.body,
            self.centre_ras_mm,
            self.geometry,
            renderer=settings.renderer,
            curve=curve,
        )


def cut_together(exposures: Mapping[str, Exposure]) -> dict[str, Exposure]:
    """The same images with one copy of the voxels that the rays of any of them can meet in the body.

    Args:
        exposures: Of one CT, by name.
    """
    if not exposures:
        return {}
    one = next(iter(exposures.values()))
    boxes = [seen_box(each.volume, each.centre_ras_mm, each.geometry) for each in exposures.values()]
    i, _, k = (
        slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*boxes, strict=True)
    )
    box = i, one.body.bounds()[1], k
    part = Volume(copy_in_pages(one.volume.hu[box]), move(one.volume.ras_from_ijk, box))
    body = one.body.crop(box)
    return {name: replace(each, volume=part, body=body) for name, each in exposures.items()}


def aim(scan: Scan, side: str, settings: ProjectSettings) -> tuple[Row, Exposure]:
    """The row of one hip and the image to be rendered of it.

    Raises:
        CtError: The hip was not found, lies outside the CT, or slices are missing within the radiograph.
    """
    if side in scan.centres.missing:
        raise CtError(side, scan.centres.missing[side], scan.centres.advise(side))
    hip = scan.centres.hips[side]
    centre = np.array(hip.middle_ras_mm(settings.centre))
    if not scan.volume.contains(centre):
        raise CtError(
            side, f"the hip centre of the {hip.method} lies outside the CT", "Check its coordinates."
        )
    geometry = XrayGeometry(
        settings.source_to_detector_mm,
        settings.source_to_hip_mm,
        settings.field_of_view_mm,
        settings.detector_px,
        settings.beam,
        _find_beam(scan.centres, centre) if settings.beam_centre == "pelvis" else (0.0, 0.0),
    )
    check_gaps(scan.volume, centre, geometry, side)
    quality = describe_hip(scan.volume, scan.centres, side, settings)
    place = zip(PLACE_COLUMNS, _place_head(np.array(hip.centre_ras_mm), centre, geometry), strict=True)
    patient = {name: getattr(scan.volume.origin.acquired, name) for name in PATIENT_COLUMNS}
    exposure = Exposure(scan.volume, scan.body, centre, geometry)
    return {"status": "ok", "reason": "", **patient, **quality, **dict(place)}, exposure


def _place_head(
    head_ras_mm: np.ndarray, centre_ras_mm: np.ndarray, geometry: XrayGeometry
) -> tuple[float, float]:
    """How far to the right of the image's middle and below it the head is seen, mm."""
    middle = (geometry.detector_px - 1) / 2
    x, y = ((at - middle) * geometry.mm_per_px for at in find_in_image(head_ras_mm, centre_ras_mm, geometry))
    return round(x, 1), round(y, 1)


def _find_beam(centres: HipCentres, centre_ras_mm: np.ndarray) -> tuple[float, float]:
    """How far to the right of the image's middle and above it that of the pelvis lies, mm."""
    hips = np.array([hip.centre_ras_mm for hip in centres.hips.values()])
    right, _, above = hips.mean(0) - centre_ras_mm
    return float(right), float(above)
