"""What a tool put about the body instead of air."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_AIR_HU = -1000
# Smaller ones are tissue that happens to have the value.
_LEAST_REGION = 50
_SHARE = 0.9


def surrounds(mask: np.ndarray) -> bool:
    """Whether a mask (i, j, k) lies about what it leaves, and not within.

    Its regions, but for small ones, reach the CT's border, of which it has more than of the whole.
    """
    # Here, not above: hardly any CT needs it.
    from scipy.ndimage import label

    regions = np.empty(mask.shape, np.int32)
    label(mask, output=regions)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    sizes[sizes < _LEAST_REGION] = 0
    faces = [regions.take(end, axis) for axis in range(3) for end in (0, -1)]
    border = np.concatenate([face.ravel() for face in faces])
    reach = sizes[np.unique(border)].sum() >= _SHARE * sizes.sum()
    return bool(reach and np.count_nonzero(border) / border.size > sizes.sum() / mask.size > 0)


def clear_background(values: np.ndarray, background: int) -> np.ndarray:
    """A copy of int16 (i, j, k) with air where whole cubes of 3 x 3 x 3 voxels have this value.

    Noise gives it to single voxels of tissue, and these stay.
    """
    mask = _combine(_combine(values == background, np.logical_and), np.logical_or)
    cleared = values.copy("K")
    cleared[mask] = _AIR_HU
    return cleared


def _combine(mask: np.ndarray, both: Callable[..., np.ndarray]) -> np.ndarray:
    """Each voxel of a mask with its 26 neighbours; beyond the border there is none."""
    for axis in range(mask.ndim):
        before = np.moveaxis(mask, axis, 0)
        mask = mask.copy("K")
        after = np.moveaxis(mask, axis, 0)
        both(after[1:], before[:-1], out=after[1:])
        both(after[:-1], before[1:], out=after[:-1])
    return mask
