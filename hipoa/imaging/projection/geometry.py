"""The X-ray source, the detector and what they see of a CT. RAS mm; the beam runs from front to back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import to_ras

if TYPE_CHECKING:
    from hipoa.imaging.ct.volume import Volume


@dataclass(frozen=True)
class XrayGeometry:
    """An AP projection about the hip centre, which is in the middle of the image.

    Attributes:
        source_to_detector_mm: From the source to the detector plane.
        source_to_hip_mm: From the source to the hip centre.
        field_of_view_mm: Side of the square seen in the hip's plane.
        detector_px: Pixels per side.
        beam: "perspective" (from the source) or "orthographic" (parallel rays, whatever the distances).
        beam_from_hip_mm: Where the central ray passes the hip centre: so far to the patient's right and
            above it.
    """

    source_to_detector_mm: float
    source_to_hip_mm: float
    field_of_view_mm: float
    detector_px: int
    beam: str = "perspective"
    beam_from_hip_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def magnification(self) -> float:
        """Size on the detector over size in the hip's plane."""
        parallel = self.beam == "orthographic"
        return 1.0 if parallel else self.source_to_detector_mm / self.source_to_hip_mm

    @property
    def mm_per_px(self) -> float:
        """Size of a pixel in the hip's plane, mm."""
        return self.field_of_view_mm / self.detector_px

    @property
    def hip_to_detector_mm(self) -> float:
        """From the hip centre back to the detector plane, mm."""
        return self.source_to_detector_mm - self.source_to_hip_mm


@dataclass(frozen=True)
class Projection:
    """A line integral image, seen from the front: image left is the patient's right, row 0 the head end.

    Attributes:
        line_integral: float32 (H, W), dimensionless.
        mm_per_px: Size of a pixel in the hip's plane, mm.
    """

    line_integral: np.ndarray
    mm_per_px: float

    def __post_init__(self) -> None:
        if self.line_integral.ndim != 2 or self.line_integral.dtype != np.float32:
            raise ValueError("a line integral image is a float32 array of two dimensions")


def move(ras_from_ijk: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """The 4 x 4 matrix of a box of voxels, counted from its first one."""
    matrix = ras_from_ijk.copy()
    matrix[:3, 3] = to_ras(ras_from_ijk, np.array([part.start for part in box]))
    return matrix


@dataclass(frozen=True)
class Rays:
    """The rays of a projection, one per pixel.

    Attributes:
        ras_from_ijk: 4 x 4 matrix of the voxels.
        centre_ras_mm: The hip centre (3,).
        geometry: Source and detector.
    """

    ras_from_ijk: np.ndarray
    centre_ras_mm: np.ndarray
    geometry: XrayGeometry

    def ras_mm(
        self, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Starts in the source's plane and ends on the detector; RAS mm (H, W, 3) each.

        Args:
            rows: Which rows of the image; the first is the uppermost.
            columns: Which columns; the first is the rightmost of the patient.
        """
        px, half = self.geometry.mm_per_px, (self.geometry.detector_px - 1) / 2
        aside_mm = (half - np.arange(self.geometry.detector_px)) * px
        seen = np.stack(np.broadcast_arrays(aside_mm[columns], 0.0, aside_mm[rows, None]), -1)
        before = np.array([0.0, self.geometry.source_to_hip_mm, 0.0])
        behind = np.array([0.0, self.geometry.hip_to_detector_mm, 0.0])
        if self.geometry.beam == "orthographic":
            return self.centre_ras_mm + seen + before, self.centre_ras_mm + seen - behind
        right, above = self.geometry.beam_from_hip_mm
        source = before + np.array([right, 0.0, above])
        target = source + (seen - source) * self.geometry.magnification
        return np.broadcast_to(self.centre_ras_mm + source, seen.shape), self.centre_ras_mm + target

    def ijk(self, rows: slice = slice(None), columns: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """The same as voxel indices."""
        source, target = self.ras_mm(rows, columns)
        back = np.linalg.inv(self.ras_from_ijk)
        return to_ras(back, source), to_ras(back, target)


def seen_box(volume: Volume, centre_ras_mm: np.ndarray, geometry: XrayGeometry) -> tuple[slice, slice, slice]:
    """The voxels that some ray of the projection can touch.

    To the sides and along the body the outermost rays bound it; from front to back the whole CT is
    taken.
    """
    low, high = seen_ends(volume, centre_ras_mm, geometry)
    corners = volume.corners_ras_mm
    low[1], high[1] = corners[:, 1].min(), corners[:, 1].max()
    return volume.box(low, high)


def seen_ends(
    volume: Volume, centre_ras_mm: np.ndarray, geometry: XrayGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest RAS mm (3,) that rays reach between source and detector.

    A margin of two voxels and a pixel keeps interpolation at the rim as it is in the whole CT.
    """
    margin = 2 * float(volume.spacing_mm.max()) + geometry.mm_per_px * geometry.magnification
    corner = slice(None, None, geometry.detector_px - 1)
    source, target = Rays(volume.ras_from_ijk, centre_ras_mm, geometry).ras_mm(corner, corner)
    ends = np.concatenate([source.reshape(-1, 3), target.reshape(-1, 3)])
    return ends.min(0) - margin, ends.max(0) + margin


def find_in_image(
    point_ras_mm: np.ndarray, centre_ras_mm: np.ndarray, geometry: XrayGeometry
) -> tuple[float, float]:
    """Where a point (3,) is seen: column and row in pixels, to a tenth; whole numbers are pixels' middles."""
    right, front, above = point_ras_mm - centre_ras_mm
    beam_right, beam_above = geometry.beam_from_hip_mm
    # What lies nearer to the source is seen farther from the central ray.
    parallel = geometry.beam == "orthographic"
    nearer = 1.0 if parallel else geometry.source_to_hip_mm / (geometry.source_to_hip_mm - front)
    half, px = (geometry.detector_px - 1) / 2, geometry.mm_per_px
    column = half - (beam_right + (right - beam_right) * nearer) / px
    row = half - (beam_above + (above - beam_above) * nearer) / px
    return round(float(column), 1), round(float(row), 1)


def depths_mm(points_ras_mm: np.ndarray, centre_ras_mm: np.ndarray, geometry: XrayGeometry) -> np.ndarray:
    """How far behind the source, along the central ray, points (..., 3) lie; mm (...)."""
    return centre_ras_mm[1] + geometry.source_to_hip_mm - points_ras_mm[..., 1]


def check_detector_behind(nearest_mm: float, farthest_mm: float, geometry: XrayGeometry) -> None:
    """Refuses a body that does not fit between source and detector.

    Args:
        nearest_mm: Depth of the body's front behind the source.
        farthest_mm: Depth of the body's back behind the source.
        geometry: The projection.

    Raises:
        CtError: The detector plane, or the source, would lie within the body.
    """
    if farthest_mm > geometry.source_to_detector_mm:
        behind = farthest_mm - geometry.source_to_hip_mm
        raise CtError(
            "projection",
            f"the body reaches {behind:.0f} mm behind the hip, the detector lies "
            f"{geometry.hip_to_detector_mm:.0f}",
            f"Set source_to_hip_mm to at most {geometry.source_to_detector_mm - behind - 1:.0f}.",
        )
    if nearest_mm <= 0:
        raise CtError("projection", "the source lies within the body", "Enlarge source_to_hip_mm.")
