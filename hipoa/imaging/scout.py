"""A coarse CT on a grid along RAS, on which bones are sought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.imaging.volume import Volume, to_ras

SPACING_MM = 2.5


@dataclass(frozen=True)
class Scout:
    """A CT in cubes of :data:`SPACING_MM`, whatever the voxels and the tilt of the file were.

    Attributes:
        hu: float32 (x, y, z) HU along R, A, S; air outside the body; at the volume's end the last value
            goes on, so that the end of the CT is no surface.
        known: bool (x, y, z), whether the CT reaches there.
        origin_ras_mm: Of the first cube's middle (3,).
    """

    hu: np.ndarray
    known: np.ndarray
    origin_ras_mm: np.ndarray

    def index(self, ras_mm: np.ndarray) -> np.ndarray:
        """Grid coordinates (..., 3) of points in RAS mm (..., 3)."""
        return (np.asarray(ras_mm) - self.origin_ras_mm) / SPACING_MM

    def ras(self, index: np.ndarray) -> np.ndarray:
        """Points in RAS mm (..., 3) of grid coordinates (..., 3)."""
        return np.asarray(index) * SPACING_MM + self.origin_ras_mm

    def sample(self, ras_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """HU (...) at points in RAS mm (..., 3), and whether the CT reaches there (...)."""
        index = np.moveaxis(self.index(ras_mm), -1, 0)
        nearest = np.rint(index).astype(int)
        inside = np.all([(n >= 0) & (n < size) for n, size in zip(nearest, self.hu.shape, strict=True)], 0)
        clipped = [np.clip(n, 0, size - 1) for n, size in zip(nearest, self.hu.shape, strict=True)]
        hu = ndimage.map_coordinates(self.hu, index, order=1, mode="nearest")
        return hu, inside & self.known[tuple(clipped)]


def make_scout(volume: Volume, body: np.ndarray) -> Scout:
    """Averages blocks of voxels and lays them on a grid along RAS.

    Args:
        volume: The CT.
        body: bool (i, j, k); everything outside is taken as air.
    """
    blocks, matrix = _average(np.where(body, volume.hu, np.int16(-1000)), volume)
    corners = volume.corners_ras_mm
    origin = corners.min(0) + SPACING_MM / 2
    shape = np.maximum(2, np.ceil(np.ptp(corners, axis=0) / SPACING_MM)).astype(int)
    step = np.linalg.inv(matrix[:3, :3]) * SPACING_MM
    # scipy takes one offset per axis, which its annotation does not know.
    offset: Any = to_ras(np.linalg.inv(matrix), origin)
    hu = ndimage.affine_transform(blocks, step, offset, tuple(shape), order=1, mode="nearest")
    known = ndimage.affine_transform(
        np.ones(blocks.shape, np.uint8), step, offset, tuple(shape), order=0, mode="constant"
    )
    return Scout(hu, known > 0, origin)


def _average(hu: np.ndarray, volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    steps = np.maximum(1, np.floor(SPACING_MM / volume.spacing_mm + 0.1)).astype(int)
    blocks: Any = hu
    # The last axis is contiguous in memory: shrinking it first leaves least for the others.
    for axis in (2, 1, 0):
        step = min(int(steps[axis]), blocks.shape[axis])
        steps[axis] = step
        keep = blocks.shape[axis] // step
        blocks = sum(
            blocks[(slice(None),) * axis + (slice(first, keep * step, step),)].astype(np.float32)
            for first in range(step)
        ) / np.float32(step)
    matrix = volume.ras_from_ijk @ np.diag([*steps, 1.0])
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, (steps - 1) / 2)
    return blocks, matrix
