"""From the hips of a CT to the images to be rendered and their rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hipoa.core.errors import CtError, HipoaError
from hipoa.imaging.ct.image import EXPORT_AGAIN, Gap
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.implants import find_implant
from hipoa.imaging.localization.scan import Scan
from hipoa.imaging.projection.attenuation import make_curve
from hipoa.imaging.projection.geometry import Projection, XrayGeometry
from hipoa.imaging.projection.render import ProjectionRequest, choose_renderer, render
from hipoa.imaging.settings import ProjectSettings

Row = dict[str, object]
MakeRequest = Callable[[Scan, str, ProjectSettings], tuple[Row, ProjectionRequest]]
"""Makes the row and the request of the image of this name, such as :func:`request_hip`."""

_ORIGIN = ("series", "slices", "step_mm", "set_aside")
_ACQUIRED = ("manufacturer", "model", "kernel", "kernel_kind", "kv", "thickness_mm")
_PATIENT = ("sex", "age")
_CUT_MM = 5.0
# Beyond these, the pelvis looks different on an AP view, or a head has migrated.
_LEANING_DEG = 10.0
_ONE_HIP = "without the other hip the beam is centred on this one, not on the pelvis"
_NO_SOCKET = "the native socket is not known: the image is centred on the head"
_IMPLANTS = {
    "replacement": "metal in or about the head: a replacement",
    "fixation": "metal near the hip: nails, screws or plates",
}
_WAYS = (("to the left of", "to the right of"), ("behind", "in front of"), ("below", "above"))


@dataclass(frozen=True)
class ImageSet:
    """The images of one CT, by name, before they are rendered."""

    rows: Mapping[str, Row]  # what the table says of each
    requests: Mapping[str, ProjectionRequest]  # those that can be rendered
    refused: Mapping[str, HipoaError]  # why the others cannot

    def render(
        self, settings: ProjectSettings
    ) -> tuple[dict[str, Row], dict[str, Projection], dict[str, HipoaError]]:
        """By name the rows, the projections, and why others are refused; a fault of one costs no other."""
        rows, images, refused = dict(self.rows), {}, dict(self.refused)
        curve = make_curve(settings.energy_kev, settings.ct_energy_kev, settings.bone_only)
        for name, request in self.requests.items():
            renderer = choose_renderer(settings.renderer)
            try:
                images[name] = render(request, renderer, curve)
                rows[name] = rows[name] | {"renderer": renderer}
            except HipoaError as error:
                refused[name] = error
        return rows, images, refused


def request_images(scan: Scan, makers: Mapping[str, MakeRequest], settings: ProjectSettings) -> ImageSet:
    """The images of these names, each with what makes its request; a fault of one costs no other."""
    rows: dict[str, Row] = {}
    requests: dict[str, ProjectionRequest] = {}
    refused: dict[str, HipoaError] = {}
    for name, make in makers.items():
        try:
            rows[name], requests[name] = make(scan, name, settings)
        except HipoaError as error:
            refused[name] = error
    return ImageSet(rows, requests, refused)


def request_hip(scan: Scan, side: str, settings: ProjectSettings) -> tuple[Row, ProjectionRequest]:
    """The row of one hip, and the request for its image.

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
    beam = _find_beam(scan.centres, centre) if settings.beam_centre == "pelvis" else (0.0, 0.0)
    geometry = make_geometry(settings, centre, beam)
    request = ProjectionRequest(scan.volume, scan.body, geometry)
    check_gaps(request, side)
    return {"status": "ok", "reason": "", **_describe_hip(scan, hip, geometry, settings)}, request


def make_geometry(
    settings: ProjectSettings, centre_ras_mm: np.ndarray, beam_from_hip_mm: tuple[float, float] = (0.0, 0.0)
) -> XrayGeometry:
    """Source and detector as the settings place them about the middle of an image (3,)."""
    names = ("source_to_detector_mm", "source_to_hip_mm", "field_of_view_mm", "detector_px", "beam")
    placed = {"beam_from_hip_mm": beam_from_hip_mm, "centre_ras_mm": centre_ras_mm}
    return XrayGeometry(**{name: getattr(settings, name) for name in names}, **placed)


def check_gaps(request: ProjectionRequest, where: str) -> None:
    """Refuses an image, named for the message, that would show what lies on both sides of missing slices.

    Raises:
        CtError: Slices are missing within the radiograph.
    """
    low, high = request.seen_ends()
    # All that lies on the rays counts, however far in front or behind.
    low[1], high[1] = -np.inf, np.inf
    for gap in request.volume.gaps:
        axis, sign = _find_direction(gap)
        near, far = gap.near_ras_mm[axis], gap.far_ras_mm[axis]
        if (high[axis] > max(near, far)) if sign > 0 else (low[axis] < min(near, far)):
            found = f"within the radiograph {_describe_gap(gap, request.geometry.centre_ras_mm)}"
            raise CtError(where, found, EXPORT_AGAIN)


def describe_ct(row: Mapping[str, object]) -> Row:
    """The cells of a hip's row on its CT: what was read, what was set aside, what the header says."""
    return {name: row[name] for name in (*_ORIGIN, *_ACQUIRED, *_PATIENT)}


def _find_beam(centres: HipCentres, centre_ras_mm: np.ndarray) -> tuple[float, float]:
    """How far to the right of the image's middle and above it that of the pelvis lies, mm."""
    hips = np.array([hip.centre_ras_mm for hip in centres.hips.values()])
    right, _, above = hips.mean(0) - centre_ras_mm
    return float(right), float(above)


def _find_direction(gap: Gap) -> tuple[int, int]:
    """Along which axis the gap lies beyond the CT's end, and in which direction of it."""
    way = gap.far_ras_mm - gap.near_ras_mm
    axis = int(np.abs(way).argmax())
    return axis, 1 if way[axis] >= 0 else -1


def _describe_gap(gap: Gap, centre_ras_mm: np.ndarray) -> str:
    axis, sign = _find_direction(gap)
    away_mm = abs(gap.near_ras_mm[axis] - centre_ras_mm[axis])
    lost = f"{gap.lost_mm:.3g} mm of slices are missing" if gap.lost_mm > 0 else "slices lie at one place"
    return f"{lost} {away_mm:.0f} mm {_WAYS[axis][sign > 0]} the hip"


def _describe_hip(scan: Scan, hip: Hip, geometry: XrayGeometry, settings: ProjectSettings) -> Row:
    volume, acquired = scan.volume, scan.volume.origin.acquired
    implant = "replacement" if hip.replaced else find_implant(volume, np.array(hip.centre_ras_mm))
    cut = _find_cuts(volume, geometry)
    tilt_deg, turn_deg = _measure_lean(scan.centres.hips)
    notes = [*volume.warnings, *hip.warnings]
    notes += [f"the CT ends within the field of view ({cut})"] if cut else []
    notes += [f"outside the radiograph {_describe_gap(gap, geometry.centre_ras_mm)}" for gap in volume.gaps]
    notes += [_IMPLANTS[implant]] if implant else []
    notes += _note_lean(tilt_deg, turn_deg)
    notes += [_NO_SOCKET] if settings.centre == "native_socket" and hip.socket_ras_mm is None else []
    notes += [_ONE_HIP] if settings.beam_centre == "pelvis" and len(scan.centres.hips) < 2 else []
    middle = (geometry.detector_px - 1) / 2
    head_x, head_y = (
        round((at - middle) * geometry.mm_per_px, 1)
        for at in geometry.find_in_image(np.array(hip.centre_ras_mm))
    )
    return {
        "method": hip.method,
        "confidence": round(hip.confidence, 3),
        **_by_axis("centre", hip.centre_ras_mm),
        "radius_mm": round(hip.radius_mm, 2),
        "implant": implant,
        "cut": cut,
        **_by_axis("spacing", volume.spacing_mm),
        "tilt_deg": tilt_deg,
        "turn_deg": turn_deg,
        "mark_to_head_mm": hip.mark_to_head_mm,
        "warnings": "; ".join(notes),
        **{name: getattr(volume.origin, name) for name in _ORIGIN},
        **{name: getattr(acquired, name) for name in (*_ACQUIRED, *_PATIENT)},
        "head_x_mm": head_x,
        "head_y_mm": head_y,
    }


def _find_cuts(volume: Volume, geometry: XrayGeometry) -> str:
    """On which sides the CT ends within the field of view, joined by commas; it is shown as air there."""
    ways = {"above": (0, 0, 1), "below": (0, 0, -1), "to the right": (1, 0, 0), "to the left": (-1, 0, 0)}
    reach_mm = geometry.field_of_view_mm / 2 - _CUT_MM
    return ", ".join(
        where
        for where, way in ways.items()
        if not volume.contains(geometry.centre_ras_mm + reach_mm * np.array(way))
    )


def _measure_lean(hips: Mapping[str, Hip]) -> tuple[float | None, float | None]:
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


def _by_axis(name: str, values: tuple[float, ...] | np.ndarray) -> Row:
    return {f"{name}_{axis}_mm": round(float(value), 2) for axis, value in zip("ras", values, strict=True)}
