"""Slices that are missing in a CT: no harm where the rays pass by, and no radiograph where they would not."""

from __future__ import annotations

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import EXPORT_AGAIN, Gap
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.projection.geometry import XrayGeometry, seen_ends

_AXES = (("to the left of", "to the right of"), ("behind", "in front of"), ("below", "above"))


def check_gaps(volume: Volume, centre_ras_mm: np.ndarray, geometry: XrayGeometry, where: str) -> None:
    """Refuses a radiograph that would show what lies on both sides of missing slices.

    Args:
        volume: The CT, which ends at the gaps.
        centre_ras_mm: The middle of the image (3,).
        geometry: Source, detector and field of view.
        where: The image, for the message.

    Raises:
        CtError: Slices are missing within the radiograph.
    """
    low, high = seen_ends(volume, centre_ras_mm, geometry)
    # All that lies on the rays counts, however far in front or behind.
    low[1], high[1] = -np.inf, np.inf
    for gap in volume.gaps:
        axis, sign = _find_way(gap)
        near, far = gap.near_ras_mm[axis], gap.far_ras_mm[axis]
        if (high[axis] > max(near, far)) if sign > 0 else (low[axis] < min(near, far)):
            raise CtError(
                where,
                f"within the radiograph {_describe(gap, centre_ras_mm)}",
                EXPORT_AGAIN,
            )


def note_gaps(volume: Volume, centre_ras_mm: tuple[float, float, float]) -> list[str]:
    """What a user should know of slices that are missing outside the radiograph."""
    return [f"outside the radiograph {_describe(gap, np.array(centre_ras_mm))}" for gap in volume.gaps]


def _find_way(gap: Gap) -> tuple[int, int]:
    """Along which axis the gap lies beyond the CT's end, and in which direction of it."""
    way = gap.far_ras_mm - gap.near_ras_mm
    axis = int(np.abs(way).argmax())
    return axis, 1 if way[axis] >= 0 else -1


def _describe(gap: Gap, centre_ras_mm: np.ndarray) -> str:
    axis, sign = _find_way(gap)
    away_mm = abs(gap.near_ras_mm[axis] - centre_ras_mm[axis])
    lost = f"{gap.lost_mm:.3g} mm of slices are missing" if gap.lost_mm > 0 else "slices lie at one place"
    return f"{lost} {away_mm:.0f} mm {_AXES[axis][sign > 0]} the hip"
