"""Axial, coronal and sagittal slices of a CT about one point, in the radiological convention."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from hipoa.imaging.ct.volume import Volume

PLANES = ("axial", "coronal", "sagittal")
# The side of a slice shows a head, its socket and, in Crowe IV, the native one below; a pixel is about that
# of a CT of the pelvis. Slices so far apart reach from front to back of a head of 48 mm.
FIELD_MM, MM_PER_PX = 144.0, 0.8
COUNT, APART_MM = 15, 4.0
# The usual bone window: level 500, width 2000 HU.
LOW_HU, HIGH_HU = -500.0, 1500.0
_AIR_HU = -1000
# By plane, the directions (RAS) in which columns, rows and slices are counted: the patient's right is on the
# left of axial and coronal slices, the front on the left of sagittal ones and at the top of axial ones. The
# first slice is the highest, the foremost, the one farthest to the right.
_DIRECTIONS = (
    ((-1, 0, 0), (0, -1, 0), (0, 0, -1)),
    ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
    ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
)


def cut_slices(volume: Volume, centre_ras_mm: np.ndarray) -> np.ndarray:
    """Slices at right angles to the patient's axes; the middle one of each plane passes through a point.

    HU are interpolated linearly. What the CT does not reach is shown as air.

    Args:
        volume: The CT, or a part of it.
        centre_ras_mm: The point (3,), RAS mm, in the middle of each plane's slices.

    Returns:
        Grey values uint8 (3, COUNT, px, px) in the order of `PLANES`: 0 stands for LOW_HU and less, 255 for
        HIGH_HU and more. Neighbouring slices are APART_MM from each other, pixels MM_PER_PX.
    """
    px = math.ceil(FIELD_MM / MM_PER_PX - 1e-6)
    aside_mm = (np.arange(px) - (px - 1) / 2) * MM_PER_PX
    along_mm = (np.arange(COUNT) - (COUNT - 1) / 2) * APART_MM
    stacks = []
    for columns, rows, slices in np.array(_DIRECTIONS, float):
        points = (
            centre_ras_mm
            + along_mm[:, None, None, None] * slices
            + aside_mm[:, None, None] * rows
            + aside_mm[:, None] * columns
        )
        # As floats: between a voxel of air and one of bone int16 would be cut off after each step.
        stacks.append(
            ndimage.map_coordinates(
                volume.hu, np.moveaxis(volume.ijk(points), -1, 0), np.float32, order=1, cval=_AIR_HU
            )
        )
    share = (np.stack(stacks) - LOW_HU) / (HIGH_HU - LOW_HU)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def lay_out(slices: np.ndarray) -> np.ndarray:
    """Slices (3, n, H, W) as one image (3 H, n W): a row for each plane."""
    planes, count, height, width = slices.shape
    return slices.transpose(0, 2, 1, 3).reshape(planes * height, count * width)
