"""Metal near a hip, and the metal heads of replaced hips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.imaging.ct.image import run_forwards
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.directions import spread_rays
from hipoa.imaging.localization.hip_centres import Hip
from hipoa.imaging.localization.patch import Blocks

_REACH_MM = 60.0
_METAL_HU = 1500.0
# Denser than cortical bone and contrast medium, and more of it than a surgical clip. Ours.
_IMPLANT_HU, _IMPLANT_MM3 = 2500.0, 200.0
# Heads of replaced hips measure 22-56 mm across; a stem or a nail is thinner, a pool of barium is not round.
_RADII_MM = (10.9, 29.0)
_ROUND, _EVEN_MM = 0.6, 2.0
_RAYS = spread_rays(200)
_DEPTHS_MM = np.arange(0.0, 36.0, 1.0)


@dataclass(frozen=True)
class MetalHead:
    """The ball of a replaced hip.

    Attributes:
        centre_ras_mm: (3,).
        radius_mm: Of the ball.
    """

    centre_ras_mm: np.ndarray
    radius_mm: float


def has_implant(volume: Volume, hip: Hip) -> bool:
    """Whether there is metal of an implant's volume in a cube of 12 cm about the hip centre."""
    centre = np.array(hip.centre_ras_mm)
    box = volume.box(centre - _REACH_MM, centre + _REACH_MM)
    hu, _ = run_forwards(volume.hu[box])
    return bool(np.count_nonzero(hu >= _IMPLANT_HU) * volume.spacing_mm.prod() >= _IMPLANT_MM3)


def find_metal(blocks: Blocks) -> list[np.ndarray]:
    """The middles (3,) in RAS mm of what may be metal heads: the thickest place of each lump of metal."""
    metal = blocks.hu > _METAL_HU
    if not metal.any():
        return []
    labelled: Any = ndimage.label(metal)
    parts, count = labelled
    found = []
    for number, box in enumerate(ndimage.find_objects(parts), 1):
        inside = np.pad(parts[box] == number, 1)
        depth = np.asarray(ndimage.distance_transform_edt(inside, sampling=blocks.spacing_mm))
        if depth.max() > _RADII_MM[0] - blocks.spacing_mm.max():
            at = np.unravel_index(depth.argmax(), depth.shape)
            found.append(blocks.ras(np.array(at) - 1 + [side.start for side in box]))
    return found[:count]


def find_metal_head(blocks: Blocks, centre_ras_mm: np.ndarray, within_mm: float) -> MetalHead | None:
    """The metal head nearest to where a head was found, or None if there is none so near."""
    heads = [head for head in (measure_metal_head(blocks, at) for at in find_metal(blocks)) if head]
    away = [float(np.linalg.norm(head.centre_ras_mm - centre_ras_mm)) for head in heads]
    return heads[int(np.argmin(away))] if away and min(away) < within_mm else None


def measure_metal_head(blocks: Blocks, centre_ras_mm: np.ndarray) -> MetalHead | None:
    """The metal ball about a point, or None if the metal there is no ball."""
    centre, radius_mm, on = centre_ras_mm, 0.0, np.zeros(len(_RAYS), bool)
    for _ in range(4):
        hu, known = blocks.sample(centre + _RAYS[:, None] * _DEPTHS_MM[:, None])
        ends = (hu < _METAL_HU) | ~known
        depth = np.where(ends.any(1), _DEPTHS_MM[ends.argmax(1)], np.inf)
        radius_mm = float(np.median(depth))
        on = np.abs(depth - radius_mm) < _EVEN_MM
        if on.sum() < 20:
            return None
        # The ball's surface, not the neck's: where the rays are about as long as most of them.
        rows = np.c_[_RAYS[on], np.ones(on.sum())]
        step, *_ = np.linalg.lstsq(rows, depth[on], rcond=None)
        centre, radius_mm = centre + step[:3], float(step[3])
    if on.mean() < _ROUND or not _RADII_MM[0] <= radius_mm <= _RADII_MM[1]:
        return None
    return MetalHead(centre, radius_mm)
