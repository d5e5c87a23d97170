"""Implants near a hip, told by the metal that the CT shows: a replaced joint, or fixation.

A joint is replaced where its head is metal throughout, or where metal surrounds it:

- The head of a prosthesis is a ball 22-56 mm across, of metal or of a ceramic that is as bright. It fills at
  least (11 / 14)^3 = 0.48 of a ball with a radius of 14 mm about its centre. A screw of radius a through the
  centre fills 1 - (1 - (a / 14)^2)^1.5 of it: 0.18 if it is 10 mm thick, 0.30 if 13 mm, the thickest, and
  0.40 if that looks 2 mm thicker, as metal may in a CT. The ball is tried about the given centre, which may
  be off, and up to 10 mm beside it, where no nail in the trochanter and no plate on the pelvis lies.
- A cup, or a cap over the head (resurfacing), lies in 0.4 of all directions from the head's centre or more,
  also where the head itself is of plastic; screws in the head and plates about the socket in less than 0.3.

Fixation as thick or as wide as that is called a replacement, the safe side: such a hip is not graded. A head
of plastic without metal about it is not seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.imaging.ct.image import run_forwards
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.sphere_fit import spread_directions

# Denser than cortical bone and contrast medium, below 3071, where the HU of many CTs end. Where they end
# before 2500, the end itself, if it is above cortical bone. And a larger piece than a surgical clip. Ours.
METAL_HU, _LEAST_METAL_HU, _LEAST_MM3 = 2500.0, 2000.0, 200.0
# Metal is looked for in a cube of 12 cm about the hip centre.
_REACH_MM = 60.0
_CORE_MM, _STEP_MM, _BESIDE_MM, _BESIDE_STEP_MM = 14.0, 2.0, 10.0, 5.0
_FILLED = 0.4
# Outside the core, up to the outer side of the largest cup.
_DIRECTIONS, _DEPTHS_MM = spread_directions(500), np.arange(_CORE_MM, 36.0)
_SURROUNDED = 0.3


def find_implant(volume: Volume, centre_ras_mm: np.ndarray) -> str:
    """What metal there is about the centre of a hip (3,), RAS mm.

    Returns:
        Nothing, "replacement" (head or joint replaced, resurfacing) or "fixation" (nails, screws, plates).
    """
    near = volume.box(centre_ras_mm - _REACH_MM, centre_ras_mm + _REACH_MM)
    hu, _ = run_forwards(volume.hu[near])
    metal_hu = float(np.clip(hu.max(initial=0), _LEAST_METAL_HU, METAL_HU))
    if _find_largest_piece(hu >= metal_hu) * volume.spacing_mm.prod() < _LEAST_MM3:
        return ""
    filled = measure_fill(volume, centre_ras_mm, metal_hu)
    surrounded = measure_cover(volume, centre_ras_mm, metal_hu)
    return "replacement" if filled >= _FILLED or surrounded >= _SURROUNDED else "fixation"


def _find_largest_piece(metal: np.ndarray) -> int:
    """The voxels of the largest piece whose voxels touch, also at edges and corners."""
    if not metal.any():
        return 0
    pieces: Any = ndimage.label(metal, np.ones((3, 3, 3)))
    return int(np.bincount(pieces[0].ravel())[1:].max())


def measure_fill(volume: Volume, centre_ras_mm: np.ndarray, metal_hu: float = METAL_HU) -> float:
    """The share (0-1) of metal in a ball of 14 mm, the largest of those within 10 mm of a centre (3,)."""
    offsets = _lattice(_BESIDE_MM, _BESIDE_STEP_MM)
    points = _lattice(_BESIDE_MM + _CORE_MM, _STEP_MM)
    metal = _is_metal(volume, centre_ras_mm + points, metal_hu)
    inside = (np.linalg.norm(points - offset, axis=1) <= _CORE_MM for offset in offsets)
    return max(float(metal[ball].mean()) for ball in inside)


def measure_cover(volume: Volume, centre_ras_mm: np.ndarray, metal_hu: float = METAL_HU) -> float:
    """The share (0-1) of all directions in which metal lies 14-35 mm from a centre (3,)."""
    points = centre_ras_mm + _DIRECTIONS[:, None] * _DEPTHS_MM[:, None]
    return float(_is_metal(volume, points, metal_hu).any(1).mean())


def _lattice(radius_mm: float, step_mm: float) -> np.ndarray:
    """The points (n, 3) of a cubic lattice within a ball about the origin."""
    count = int(radius_mm // step_mm)
    axis = step_mm * np.arange(-count, count + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return points[np.linalg.norm(points, axis=1) <= radius_mm]


def _is_metal(volume: Volume, ras_mm: np.ndarray, metal_hu: float) -> np.ndarray:
    """Whether the voxel at each point (..., 3) is metal; none outside the CT is."""
    index = np.rint(volume.ijk(ras_mm)).astype(int)
    inside = np.all((index >= 0) & (index < volume.hu.shape), axis=-1)
    i, j, k = np.moveaxis(np.where(inside[..., None], index, 0), -1, 0)
    return inside & (volume.hu[i, j, k] >= metal_hu)
