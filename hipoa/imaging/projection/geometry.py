"""The X-ray source, the detector and the rays between them. RAS mm; the beam runs from front to back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hipoa.imaging.ct.image import to_ras

_ALL = slice(None)


@dataclass(frozen=True)
class XrayGeometry:
    """An AP projection about the hip centre, which is in the middle of the image."""

    source_to_detector_mm: float  # from the source to the detector plane
    source_to_hip_mm: float  # from the source to the hip centre
    field_of_view_mm: float  # side of the square seen in the hip's plane
    detector_px: int  # pixels per side
    # "perspective" (from the source) or "orthographic" (parallel rays, whatever the distances)
    beam: str = "perspective"
    # Where the central ray passes the hip centre: so far to the patient's right and above it
    beam_from_hip_mm: tuple[float, float] = (0.0, 0.0)
    centre_ras_mm: np.ndarray = field(default_factory=lambda: np.zeros(3))  # the hip centre (3,)

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

    def rays_ras_mm(self, rows: slice = _ALL, columns: slice = _ALL) -> tuple[np.ndarray, np.ndarray]:
        """The rays of pixels: starts in the source's plane, ends on the detector; RAS mm (H, W, 3) each."""
        aside_mm = ((self.detector_px - 1) / 2 - np.arange(self.detector_px)) * self.mm_per_px
        seen = np.stack(np.broadcast_arrays(aside_mm[columns], 0.0, aside_mm[rows, None]), -1)
        before = np.array([0.0, self.source_to_hip_mm, 0.0])
        if self.beam == "orthographic":
            behind = np.array([0.0, self.hip_to_detector_mm, 0.0])
            return self.centre_ras_mm + seen + before, self.centre_ras_mm + seen - behind
        right, above = self.beam_from_hip_mm
        source = before + np.array([right, 0.0, above])
        target = source + (seen - source) * self.magnification
        return np.broadcast_to(self.centre_ras_mm + source, seen.shape), self.centre_ras_mm + target

    def rays_ijk(
        self, ras_from_ijk: np.ndarray, rows: slice = _ALL, columns: slice = _ALL
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same as indices of voxels with this 4 x 4 matrix."""
        source, target = self.rays_ras_mm(rows, columns)
        back = np.linalg.inv(ras_from_ijk)
        return to_ras(back, source), to_ras(back, target)

    def depths_mm(self, points_ras_mm: np.ndarray) -> np.ndarray:
        """How far behind the source, along the central ray, points (..., 3) lie; mm (...)."""
        return self.centre_ras_mm[1] + self.source_to_hip_mm - points_ras_mm[..., 1]

    def find_in_image(self, point_ras_mm: np.ndarray) -> tuple[float, float]:
        """Where a point (3,) is seen: column and row in pixels, to a tenth; whole ones are pixel centres."""
        right, front, above = point_ras_mm - self.centre_ras_mm
        beam_right, beam_above = self.beam_from_hip_mm
        # What lies nearer to the source is seen farther from the central ray.
        parallel = self.beam == "orthographic"
        nearer = 1.0 if parallel else self.source_to_hip_mm / (self.source_to_hip_mm - front)
        half = (self.detector_px - 1) / 2
        column = half - (beam_right + (right - beam_right) * nearer) / self.mm_per_px
        row = half - (beam_above + (above - beam_above) * nearer) / self.mm_per_px
        return round(float(column), 1), round(float(row), 1)


@dataclass(frozen=True)
class Projection:
    """A line integral image, seen from the front: image left is the patient's right, row 0 the head end."""

    line_integral: np.ndarray  # float32 (H, W), dimensionless
    mm_per_px: float  # size of a pixel in the hip's plane, mm
    # Slices through the head, where they were asked for: uint8 (3, n, H, W), see `cut_slices`.
    slices: np.ndarray | None = None


def crop_matrix(ras_from_ijk: np.ndarray, box: tuple[slice, ...]) -> np.ndarray:
    """The 4 x 4 matrix of a box of voxels, counted from its first one."""
    matrix = ras_from_ijk.copy()
    matrix[:3, 3] = to_ras(ras_from_ijk, np.array([part.start for part in box]))
    return matrix
