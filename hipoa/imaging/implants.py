"""Metal near a hip."""

from __future__ import annotations

import numpy as np

from hipoa.imaging.geometry import box_about
from hipoa.imaging.hips import Hip
from hipoa.imaging.volume import Volume

_REACH_MM = 60.0


def metal_volume_mm3(volume: Volume, hip: Hip, implant_hu: float) -> float:
    """Volume of the voxels of at least ``implant_hu`` in a cube of 12 cm about the hip centre, mm3."""
    centre = np.array(hip.centre_ras_mm)
    box = box_about(volume, centre - _REACH_MM, centre + _REACH_MM)
    return float(np.count_nonzero(volume.hu[box] >= implant_hu) * volume.spacing_mm.prod())
