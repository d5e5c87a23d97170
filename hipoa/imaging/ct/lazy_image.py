"""An image whose place is known and whose slices are read when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hipoa.imaging.ct.image import Image, to_ras, turn_to_ras

WHOLE = slice(None)


@dataclass(frozen=True)
class LazyImage:
    """An image in the nearest RAS order.

    Attributes:
        shape: Voxels along i, j, k.
        ras_from_ijk: 4 x 4 matrix from voxel indices (voxel centres) to RAS mm.
        load: The voxels of a range of k, with what is known of them.
    """

    shape: tuple[int, int, int]
    ras_from_ijk: np.ndarray
    load: Callable[[slice], Image]

    def read(self, slices: slice = WHOLE) -> Image:
        """Every so many of a range of k; however it is stored, the matrix follows from that of the whole."""
        first, _, step = slices.indices(self.shape[2])
        matrix = self.ras_from_ijk @ np.diag([1.0, 1.0, step, 1.0])
        matrix[:3, 3] = to_ras(self.ras_from_ijk, np.array([0, 0, first]))
        return replace(self.load(slices), ras_from_ijk=matrix)


def hold(image: Image) -> LazyImage:
    """Of an image that has been read, or is mapped."""
    turned = turn_to_ras(image)
    i, j, k = turned.values.shape
    return LazyImage((i, j, k), turned.ras_from_ijk, lambda slices: _cut(turned, slices))


def defer(shape: tuple[int, int, int], ras_from_ijk: np.ndarray, load: Callable[[slice], Image]) -> LazyImage:
    """Of slices that lie in files of their own.

    Args:
        shape: Voxels along the stored axes, the last one from slice to slice.
        ras_from_ijk: 4 x 4 matrix of the stored axes.
        load: Reads a range of the stored slices.
    """
    from nibabel.orientations import io_orientation

    # A view of a single voxel: only how it lies is asked.
    whole = turn_to_ras(Image(np.broadcast_to(np.int16(0), shape), ras_from_ijk))
    i, j, k = whole.values.shape
    axis, way = io_orientation(ras_from_ijk)[2]

    def load_turned(slices: slice) -> Image:
        if axis != 2:
            # Slices along the body: each holds a line of every k.
            return _cut(turn_to_ras(load(WHOLE)), slices)
        return turn_to_ras(load(_count_from_end(slices, k) if way < 0 else slices))

    return LazyImage((i, j, k), whole.ras_from_ijk, load_turned)


def _cut(image: Image, slices: slice) -> Image:
    return replace(image, values=image.values[..., slices])


def _count_from_end(slices: slice, size: int) -> slice:
    rows = range(size)[slices]
    return slice(size - 1 - rows[-1], size - rows[0], rows.step)
