"""What belongs to the patient: the table, the cushion and the blanket are left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.errors import CtError
from hipoa.imaging.volume import Volume

_GRID_MM = 4.0
_BODY_HU = -400
_TABLE_MM = 6.0


def find_body(volume: Volume) -> np.ndarray:
    """Marks the patient generously: the largest connected body and a margin about it.

    What is thinner than a dozen millimetres and no part of the body (the shells of a table, sheets)
    falls away; so does everything unconnected. Holes (lung, bowel) may stay unmarked: they are air.

    Args:
        volume: The CT.

    Returns:
        bool (i, j, k), True in and next to the patient.

    Raises:
        CtError: There is nothing but air.
    """
    steps = [max(1, round(_GRID_MM / s)) for s in volume.spacing_mm]
    coarse = volume.hu[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    width = volume.spacing_mm * steps
    # Distances count to both sides of a shell; what is out of the volume is taken as more of the same.
    core = ndimage.distance_transform_edt(np.pad(coarse, 1, mode="edge"), sampling=width)
    deep = np.asarray(core)[1:-1, 1:-1, 1:-1] > _TABLE_MM
    labelled: Any = ndimage.label(deep)
    parts, count = labelled
    if count == 0:
        raise CtError("CT", "there is no body in it, only air", "Give a CT of the pelvis in HU.")
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    near = (
        np.asarray(ndimage.distance_transform_edt(~largest, sampling=width)) <= _TABLE_MM + 1.5 * width.max()
    )
    for axis, step in enumerate(steps):
        near = np.repeat(near, step, axis)
    return near[tuple(slice(n) for n in volume.hu.shape)]
