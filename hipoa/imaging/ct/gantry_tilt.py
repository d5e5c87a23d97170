"""CTs whose slices are not at right angles to the way of the table: the gantry was tilted."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.core.errors import CtError

_AIR_HU = -1024
# Less than this moves no voxel at the rim by more than a few millimetres, and rounding makes some.
_LEAST_DEG, _MOST_DEG = 0.3, 31.0


def straighten(hu: np.ndarray, ras_from_ijk: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Lays a sheared CT on a grid with right angles; rows move along the table's way.

    Values are interpolated linearly between slices, along the way of the table alone. What no slice
    reached is air.

    Args:
        hu: int16 (i, j, k), k the axis from slice to slice.
        ras_from_ijk: Its 4 x 4 matrix.
        where: The file, for messages.

    Returns:
        int16 HU, the 4 x 4 matrix, both unchanged where there is no tilt, and the tilt in degrees (0: none).

    Raises:
        CtError: It is sheared as no gantry does, or by more than gantries can.
    """
    axes = ras_from_ijk[:3, :3]
    unit = axes / np.linalg.norm(axes, axis=0)
    # Sines of how far i and j lean towards k, and i towards j.
    lean = np.array([unit[:, 0] @ unit[:, 2], unit[:, 1] @ unit[:, 2]])
    skew_deg = float(np.degrees(np.arcsin(np.clip(abs(unit[:, 0] @ unit[:, 1]), 0, 1))))
    tilt_deg = float(np.degrees(np.arcsin(np.clip(np.linalg.norm(lean), 0, 1))))
    if max(tilt_deg, skew_deg) <= _LEAST_DEG:
        return hu, ras_from_ijk, 0.0
    if skew_deg > 2 * _LEAST_DEG or tilt_deg > _MOST_DEG:
        raise CtError(
            where,
            f"its axes are {max(tilt_deg, skew_deg):.1f} degrees from right angles, a gantry tilts slices by "
            "at most 30",
            "Export the series again, reconstructed without tilt.",
        )
    per_voxel = lean * np.linalg.norm(axes[:, :2], axis=0) / np.linalg.norm(axes[:, 2])
    ends = np.outer(per_voxel, [0, 1]) * (np.array(hu.shape[:2]) - 1)[:, None]
    first = int(np.floor(ends.min(1).sum()))
    last = hu.shape[2] - 1 + int(np.ceil(ends.max(1).sum()))
    shear = np.eye(3)
    shear[2, :2] = -per_voxel
    # scipy takes one offset per axis, which its annotation does not know.
    offset: Any = (0, 0, first)
    straight = ndimage.affine_transform(
        np.maximum(hu, np.int16(_AIR_HU)),
        shear,
        offset,
        (*hu.shape[:2], last - first + 1),
        output=np.int16,
        order=1,
        cval=_AIR_HU,
    )
    matrix = ras_from_ijk.copy()
    matrix[:3, :2] -= np.outer(axes[:, 2], per_voxel)
    matrix[:3, 3] += first * axes[:, 2]
    return straight, matrix, tilt_deg
