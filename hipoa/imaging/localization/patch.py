"""Downsampled parts of a CT: voxels averaged to about one size, along the axes of the file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from scipy import ndimage

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.image import OnGrid, run_forwards, to_ras
from hipoa.imaging.ct.volume import Volume

# Beyond the second is metal; four of it are still an int16.
_AIR_HU, _MOST_HU = np.int16(-1000), np.int16(8191)
# Cells of whole voxels serve if they are this near to the size that is wanted.
_NEAR_ENOUGH = 1.15


@dataclass(frozen=True)
class Patch(OnGrid):
    """A downsampled part of a CT."""

    hu: np.ndarray  # float32 (i, j, k) HU; air outside the body
    ras_from_ijk: np.ndarray  # 4 x 4 matrix from voxel indices (their middles) to RAS mm

    def ras(self, index: np.ndarray) -> np.ndarray:
        """Points in RAS mm (..., 3) of voxel indices (..., 3)."""
        return to_ras(self.ras_from_ijk, index)

    def sample(self, ras_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """HU (...) at points in RAS mm (..., 3), and whether the CT reaches there (...).

        At the CT's end the last value goes on, so that the end is no surface.
        """
        index = to_ras(np.linalg.inv(self.ras_from_ijk), ras_mm)
        known = np.all((index > -0.75) & (index < np.array(self.hu.shape) - 0.25), axis=-1)
        hu = ndimage.map_coordinates(self.hu, np.moveaxis(index, -1, 0), order=1, mode="nearest")
        return hu, known


def cut_patch(
    volume: Volume, body: Body, centre_ras_mm: np.ndarray, reach_mm: float, spacing_mm: float
) -> Patch:
    """A box about a point (3,) in the CT, in voxels of this size, or of the CT's where these are larger."""
    box = volume.box(centre_ras_mm - reach_mm, centre_ras_mm + reach_mm)
    hu = volume.hu[box]
    steps = np.maximum(1, np.floor(spacing_mm / volume.spacing_mm + 0.1)).astype(int)
    steps = np.minimum(steps, hu.shape)
    means = _average(hu, steps)
    # Voxels that are large enough have not been averaged: smoothing leaves all equally noisy.
    blur = np.where(steps > 1, 0, 0.5 * spacing_mm / (steps * volume.spacing_mm))
    means = ndimage.gaussian_filter(means, blur, truncate=2) if blur.any() else means
    middles = tuple(
        slice((step - 1) // 2, (step - 1) // 2 + n * step, step)
        for step, n in zip(steps, means.shape, strict=True)
    )
    means[~body.crop(box).mark()[middles]] = _AIR_HU
    return Patch(means, _cells_matrix(volume, np.array([side.start for side in box]), steps))


def downsample_body(volume: Volume, body: Body, spacing_mm: float) -> Patch:
    """The whole body in voxels within 15 % of one size, each the mean of two of the CT's along each axis."""
    steps = np.maximum(1, np.rint(spacing_mm / volume.spacing_mm)).astype(int)
    away = np.abs(np.log(steps * volume.spacing_mm / spacing_mm))
    uneven = away > np.log(_NEAR_ENOUGH)
    finer = np.maximum(1, np.floor(spacing_mm / 2 / volume.spacing_mm + 0.1)).astype(int)
    steps = np.minimum(np.where(uneven, finer, steps), np.maximum(np.array(volume.hu.shape) // 2, 1))
    shape = np.array(volume.hu.shape) // steps
    box = body.bounds()
    low = np.array([max(part.start // step - 1, 0) for part, step in zip(box, steps, strict=True)])
    high = np.array([min(-(-p.stop // s) + 1, n) for p, s, n in zip(box, steps, shape, strict=True)])
    hu = _average(volume.hu[tuple(map(slice, low * steps, high * steps))], steps)
    middles = [np.arange(a, b) * step + step // 2 for a, b, step in zip(low, high, steps, strict=True)]
    cells = [np.searchsorted(edge, at, "right") - 1 for edge, at in zip(body.edges, middles, strict=True)]
    np.putmask(hu, ~body.cells[np.ix_(*cells)], _AIR_HU)
    patch = Patch(hu, _cells_matrix(volume, low * steps, steps))
    for axis in np.flatnonzero(uneven):
        patch = _resize(patch, int(axis), spacing_mm)
    return patch


def _cells_matrix(volume: Volume, first: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The 4 x 4 matrix of cells of several voxels each, counted from a first voxel (3,)."""
    matrix = volume.ras_from_ijk @ np.diag([*steps, 1.0])
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, first + (steps - 1) / 2)
    return matrix


def _resize(patch: Patch, axis: int, spacing_mm: float) -> Patch:
    """The same in voxels of another size along one axis: means over their length."""
    width = float(patch.spacing_mm[axis])
    size = patch.hu.shape[axis]
    count = max(1, int(np.ceil(size * width / spacing_mm - 0.5)))
    edges = np.arange(count + 1) * spacing_mm / width
    # What lies between two places is the difference of the sums up to them.
    total = np.concatenate([np.zeros_like(patch.hu.take([0], axis)), np.cumsum(patch.hu, axis)], axis)
    whole = np.minimum(edges.astype(int), size - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    share = (np.minimum(edges, size) - whole).reshape(shape).astype(np.float32)
    sums = total.take(whole, axis) * (1 - share) + total.take(whole + 1, axis) * share
    lengths = np.diff(np.minimum(edges, size)).reshape(shape).astype(np.float32)
    scale = np.eye(4)
    scale[axis, axis] = spacing_mm / width
    scale[axis, 3] = (spacing_mm / width - 1) / 2
    return Patch((np.diff(sums, axis=axis) / lengths).astype(np.float32), patch.ras_from_ijk @ scale)


def _average(hu: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Means of cells, float32, of two voxels along each axis: enough against noise, and fast."""
    hu = hu[tuple(slice(n // step * step) for n, step in zip(hu.shape, steps, strict=True))]
    hu, flipped = run_forwards(hu)
    order = np.argsort(hu.strides)[::-1]
    turned, steps = hu.transpose(order), steps[order]
    picks = [sorted({(step - 1) // 4, step - 1 - (step - 1) // 4}) for step in steps.tolist()]
    rows, columns = (
        [slice(first, None, step) for first in firsts]
        for step, firsts in zip(steps[1:], picks[1:], strict=True)
    )
    means = np.empty(np.array(turned.shape) // steps, np.float32)
    # A plane of cells stays in the cache; along memory all voxels cost no more than some.
    for number, start in enumerate(range(0, len(turned), steps[0])):
        parts = [turned[start + first, row] for first, row in product(picks[0], rows)]
        lines = reduce(np.add, (np.clip(part, _AIR_HU, _MOST_HU) for part in parts))
        means[number] = reduce(np.add, (lines[:, column].astype(np.float32) for column in columns))
    means /= np.float32(np.prod([len(firsts) for firsts in picks]))
    return np.ascontiguousarray(np.flip(means.transpose(np.argsort(order)), flipped))
