"""A part of a CT in voxels averaged to about one size; its axes are those of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hipoa.imaging.body import Body
from hipoa.imaging.geometry import box_about
from hipoa.imaging.image import run_forwards, to_ras
from hipoa.imaging.volume import Volume


@dataclass(frozen=True)
class Blocks:
    """A part of a CT whose voxels are averaged in blocks.

    Attributes:
        hu: float32 (i, j, k) HU; air outside the body.
        ras_from_ijk: 4 x 4 matrix from block indices (their middles) to RAS mm.
    """

    hu: np.ndarray
    ras_from_ijk: np.ndarray

    @property
    def spacing_mm(self) -> np.ndarray:
        """Size of a block along i, j, k in mm (3,)."""
        return np.linalg.norm(self.ras_from_ijk[:3, :3], axis=0)

    def index(self, ras_mm: np.ndarray) -> np.ndarray:
        """Block indices (..., 3), not rounded, of points in RAS mm (..., 3)."""
        return to_ras(np.linalg.inv(self.ras_from_ijk), ras_mm)

    def ras(self, index: np.ndarray) -> np.ndarray:
        """Points in RAS mm (..., 3) of block indices (..., 3)."""
        return to_ras(self.ras_from_ijk, index)

    def sample(self, ras_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """HU (...) at points in RAS mm (..., 3), and whether the CT reaches there (...).

        At the CT's end the last value goes on, so that the end is no surface.
        """
        index = self.index(ras_mm)
        known = np.all((index > -0.75) & (index < np.array(self.hu.shape) - 0.25), axis=-1)
        hu = ndimage.map_coordinates(self.hu, np.moveaxis(index, -1, 0), order=1, mode="nearest")
        return hu, known


def cut_blocks(
    volume: Volume, body: Body, centre_ras_mm: np.ndarray, reach_mm: float, spacing_mm: float
) -> Blocks:
    """A box about a point in blocks of about this size, or of a voxel where voxels are larger.

    Args:
        volume: The CT.
        body: The patient; everything outside is taken as air.
        centre_ras_mm: The point (3,), in the CT.
        reach_mm: Half the side of the box.
        spacing_mm: Size of a block.
    """
    box = box_about(volume, centre_ras_mm - reach_mm, centre_ras_mm + reach_mm)
    return _shrink(volume, body, box, spacing_mm)


def _shrink(volume: Volume, body: Body, box: tuple[slice, ...], spacing_mm: float) -> Blocks:
    hu = volume.hu[box]
    steps = np.maximum(1, np.floor(spacing_mm / volume.spacing_mm + 0.1)).astype(int)
    steps = np.minimum(steps, hu.shape)
    blocks = _average(hu, steps)
    middles = tuple(
        slice((step - 1) // 2, (step - 1) // 2 + n * step, step)
        for step, n in zip(steps, blocks.shape, strict=True)
    )
    # Voxels that are as large as a block have not been averaged: smoothing leaves all equally noisy.
    width = steps * volume.spacing_mm
    blur = np.where(steps > 1, 0, 0.5 * spacing_mm / width)
    blocks = ndimage.gaussian_filter(blocks, blur, truncate=2) if blur.any() else blocks
    blocks[~body.crop(box).mark()[middles]] = -1000
    matrix = volume.ras_from_ijk @ np.diag([*steps, 1.0])
    first = np.array([side.start or 0 for side in box])
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, first + (steps - 1) / 2)
    return Blocks(blocks, matrix)


def _average(hu: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Means of blocks, float32, of two planes and two rows of each: enough against noise, and fast."""
    hu, flipped = run_forwards(
        hu[tuple(slice(n // step * step) for n, step in zip(hu.shape, steps, strict=True))]
    )
    order = np.argsort(hu.strides)[::-1]
    blocks, count = hu.transpose(order), 1
    for axis, step in enumerate(steps[order].tolist()):
        first = (step - 1) // 4
        # The last axis is contiguous in memory: there all voxels cost no more than two.
        picks = range(step) if axis == 2 else sorted({first, step - 1 - first})
        parts = [blocks[(slice(None),) * axis + (slice(pick, None, step),)] for pick in picks]
        total = parts[0].astype(np.int32)
        for part in parts[1:]:
            total += part
        blocks, count = total, count * len(parts)
    means = (blocks / np.float32(count)).astype(np.float32)
    return np.ascontiguousarray(np.flip(means.transpose(np.argsort(order)), flipped))
