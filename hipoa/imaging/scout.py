"""A coarse CT on a grid along RAS, on which bones are sought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.imaging.body import Body
from hipoa.imaging.volume import Volume, to_ras

SPACING_MM = 2.5
_RIM_MM = 10.0
_AIR_HU = np.int16(-1000)


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


def make_scout(volume: Volume, body: Body) -> Scout:
    """Averages blocks of voxels and lays them on a grid along RAS.

    Args:
        volume: The CT.
        body: The patient; everything outside is taken as air.
    """
    blocks, matrix = _average(volume, body)
    low, high = _find_ends(volume, body)
    origin = low + SPACING_MM / 2
    shape = np.maximum(2, np.ceil((high - low) / SPACING_MM)).astype(int)
    step = np.linalg.inv(matrix[:3, :3]) * SPACING_MM
    start = to_ras(np.linalg.inv(matrix), origin)
    lay = _lay_tilted if np.count_nonzero(step - np.diag(step.diagonal())) else _lay_straight
    return Scout(*lay(blocks, step, start, shape), origin)


def _find_ends(volume: Volume, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a box, RAS mm (3,), with the body and some air about it, but nothing beyond the CT."""
    ends = [(part.start - 0.5, part.stop - 0.5) for part in body.bounds()]
    corners = to_ras(volume.ras_from_ijk, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))
    ct = volume.corners_ras_mm
    return np.maximum(corners.min(0) - _RIM_MM, ct.min(0)), np.minimum(corners.max(0) + _RIM_MM, ct.max(0))


def _lay_tilted(
    blocks: np.ndarray, step: np.ndarray, start: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values on a grid that starts at a place in the blocks and has these steps, and where there are any."""
    # scipy takes one offset per axis, which its annotation does not know.
    grid: Any = {"matrix": step, "offset": start, "output_shape": tuple(shape)}
    hu = ndimage.affine_transform(blocks, **grid, order=1, mode="nearest")
    known = ndimage.affine_transform(np.ones(blocks.shape, np.uint8), **grid, order=0, mode="constant")
    return hu, known > 0


def _lay_straight(
    blocks: np.ndarray, step: np.ndarray, start: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same where the axes are the grid's, which is the usual case: five times faster."""
    known = np.ones(tuple(shape), bool)
    for axis, size in enumerate(blocks.shape):
        places = start[axis] + step[axis, axis] * np.arange(shape[axis])
        beside = (slice(None),) + (None,) * (2 - axis)
        known &= ((places > -0.5) & (places < size - 0.5))[beside]
        places = places.clip(0, size - 1)
        first = places.astype(int).clip(0, size - 2)
        share = (places - first).astype(np.float32)[beside]
        low = blocks.take(first, axis)
        blocks = low + share * (blocks.take(first + 1, axis) - low)
    return blocks, known


def _average(volume: Volume, body: Body) -> tuple[np.ndarray, np.ndarray]:
    steps = np.maximum(1, np.floor(SPACING_MM / volume.spacing_mm + 0.1)).astype(int)
    steps = np.minimum(steps, volume.hu.shape)
    # In layers as they lie in memory, so that no second copy of the CT is ever held.
    order = tuple(np.argsort(-np.abs(volume.hu.strides)).tolist())
    blocks = _average_layers(volume.hu.transpose(order), body.transpose(order), steps[list(order)])
    matrix = volume.ras_from_ijk @ np.diag([*steps, 1.0])
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, (steps - 1) / 2)
    return blocks.transpose(np.argsort(order)), matrix


def _average_layers(hu: np.ndarray, body: Body, steps: np.ndarray) -> np.ndarray:
    blocks = np.full(hu.shape // steps, _AIR_HU, np.float32)
    parts = zip(body.bounds(), steps, blocks.shape, strict=True)
    (first, last), *ends = ((p.start // step, min(-(-p.stop // step), size)) for p, step, size in parts)
    for layer in range(first, last):
        part = ((layer, layer + 1), *ends)
        box = tuple(slice(low * step, high * step) for (low, high), step in zip(part, steps, strict=True))
        values: Any = np.where(body.crop(box).mark(), np.maximum(hu[box], _AIR_HU), _AIR_HU)
        for axis, step in enumerate(steps):
            values = _shrink(values, axis, step)
        blocks[tuple(slice(low, high) for low, high in part)] = values
    return blocks


def _shrink(values: np.ndarray, axis: int, step: int) -> np.ndarray:
    """The means of so many neighbours along an axis, float32."""
    total: Any = np.float32(0)
    for first in range(step):
        total = total + values[(slice(None),) * axis + (slice(first, None, step),)].astype(np.float32)
    return total / np.float32(step)
