"""Fits the sphere of a femoral head to where rays leave bone for soft tissue.

The top of a narrowed or coarsely scanned joint shows no edge of the head, only that of the socket's plate,
and the plate of the roof is the steepest edge about. Edges therefore count only where soft tissue follows
them, and the sphere that most of them agree on is taken (RANSAC), with what is known of adults' heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hipoa.imaging.localization.directions import spread_rays
from hipoa.imaging.localization.hip_centres import USUAL_RADIUS_MM
from hipoa.imaging.localization.metal import find_metal_head
from hipoa.imaging.localization.patch import Blocks
from hipoa.imaging.localization.sphere_fit import fit_sphere

_CAP_HU = (-150.0, 500.0)
_TISSUE_HU, _METAL_HU, _EDGE_HU_PER_MM = 130.0, 1200.0, 20.0
_STEP_MM, _BESIDE = 0.75, 4
_DEPTHS_MM = np.arange(10.0, 38.0, _STEP_MM)
_RAYS = spread_rays(500)
_RADII_MM = (17.0, 30.0)
_TRIES, _ROUNDS, _TOLERANCE_MM, _LEAST_POINTS = 400, 4, 1.25, 40
# How far the sphere lies from where it was looked for, mm.
_MOVED_SD_MM, _FARTHEST_MM = 6.0, 10.0
_USUAL_SD_MM = 2.5
# The share of the sphere that shows an edge from which, and up to which, the fit is trusted more and more.
_SUPPORT, _METAL_WITHIN_MM = (0.15, 0.35), 20.0


@dataclass(frozen=True)
class Placed:
    """A head where its edges say it is.

    Attributes:
        centre_ras_mm: (3,).
        radius_mm: Of the sphere.
        support: Share (0-1) of the directions in which its edge is seen; 1 for a metal head.
        replaced: Whether it is the metal head of a replaced hip.
    """

    centre_ras_mm: np.ndarray
    radius_mm: float
    support: float
    replaced: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        replaced = "a total hip replacement: the centre is that of its metal head"
        return (replaced,) if self.replaced else ()


def place_head(blocks: Blocks, centre_ras_mm: np.ndarray, radius_mm: float) -> Placed:
    """The head where its edges say it is, as far as there are edges; of a replaced hip the metal head.

    Args:
        blocks: Fine blocks about the head.
        centre_ras_mm: Where the head was found (3,).
        radius_mm: As it was found.
    """
    metal = find_metal_head(blocks, centre_ras_mm, _METAL_WITHIN_MM)
    if metal:
        return Placed(metal.centre_ras_mm, metal.radius_mm, 1.0, True)
    found = fit_head_edges(blocks, centre_ras_mm)
    if found is None:
        return Placed(centre_ras_mm, radius_mm, 0.0, False)
    # Between the two places, nearer to the fitted one the more edges agree on it.
    share = float(np.clip((found.support - _SUPPORT[0]) / (_SUPPORT[1] - _SUPPORT[0]), 0, 1))
    centre = centre_ras_mm + share * (found.centre_ras_mm - centre_ras_mm)
    return Placed(centre, radius_mm + share * (found.radius_mm - radius_mm), found.support, False)


@dataclass(frozen=True)
class Fit:
    """A sphere fitted to a femoral head.

    Attributes:
        centre_ras_mm: (3,).
        radius_mm: Of the sphere.
        support: Share (0-1) of the directions without metal in which an edge lies on the sphere.
    """

    centre_ras_mm: np.ndarray
    radius_mm: float
    support: float


def fit_head_edges(blocks: Blocks, centre_ras_mm: np.ndarray) -> Fit | None:
    """The sphere most edges about a point lie on, or None if there are too few.

    Args:
        blocks: Fine blocks about the point.
        centre_ras_mm: Where the head was found.
    """
    centre, found = centre_ras_mm, None
    for _ in range(_ROUNDS):
        points, free = find_edges(blocks, centre)
        found = _agree(points, free, centre_ras_mm)
        if found is None or np.linalg.norm(found.centre_ras_mm - centre) < 0.1:
            break
        centre = found.centre_ras_mm
    return found


def find_edges(blocks: Blocks, centre_ras_mm: np.ndarray) -> tuple[np.ndarray, int]:
    """Where rays from a point pass most steeply from bone into soft tissue, and how many meet no metal.

    Returns:
        (n, 3) in RAS mm; the number of rays that meet no metal.
    """
    hu, known = blocks.sample(centre_ras_mm + _RAYS[:, None] * _DEPTHS_MM[:, None])
    # Behind metal there are only streaks.
    metal = np.maximum.accumulate(hu > _METAL_HU, axis=1)
    hu = ndimage.gaussian_filter1d(np.clip(hu, *_CAP_HU), 0.9 / _STEP_MM, axis=1)
    fall = -np.gradient(hu, _STEP_MM, axis=1)
    at, ray = fall.argmax(1), np.arange(len(_RAYS))
    before, after = np.maximum(at - _BESIDE, 0), np.minimum(at + _BESIDE, len(_DEPTHS_MM) - 1)
    edge = known.all(1) & ~metal[ray, at] & (fall[ray, at] > _EDGE_HU_PER_MM)
    edge &= (hu[ray, before] > _TISSUE_HU) & (hu[ray, after] < _TISSUE_HU)
    edge &= (at > 2) & (at < len(_DEPTHS_MM) - 3)
    return centre_ras_mm + _RAYS[edge] * _DEPTHS_MM[at[edge]][:, None], int((~metal[:, -1]).sum())


def _agree(points: np.ndarray, free: int, start: np.ndarray) -> Fit | None:
    if len(points) < _LEAST_POINTS:
        return None
    centres, radii = _draw_spheres(points)
    moved = np.linalg.norm(centres - start, axis=1)
    usable = (radii > _RADII_MM[0]) & (radii < _RADII_MM[1]) & (moved < _FARTHEST_MM)
    if not usable.any():
        return None
    centres, radii, moved = centres[usable], radii[usable], moved[usable]
    # Summed axis by axis: numpy is slow along an axis of three.
    square = sum(np.square(points[:, axis] - centres[:, axis, None]) for axis in range(3))
    off = np.sqrt(square) - radii[:, None]
    score = np.maximum(1 - (off / _TOLERANCE_MM) ** 2, 0).sum(1)
    score *= np.exp(-(((radii - USUAL_RADIUS_MM) / _USUAL_SD_MM) ** 2 + (moved / _MOVED_SD_MM) ** 2) / 2)
    best = int(score.argmax())
    return _refine(points, free, centres[best], float(radii[best]))


def _draw_spheres(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spheres through random fours of points: centres (n, 3) and radii (n,)."""
    four = points[np.random.default_rng([len(points)]).integers(0, len(points), (_TRIES, 4))]
    rows = 2 * (four[:, 1:] - four[:, :1])
    ends = np.square(four).sum(-1)
    solvable = np.abs(np.linalg.det(rows)) > 1
    rows, ends, four = rows[solvable], ends[solvable], four[solvable]
    centres = np.linalg.solve(rows, (ends[:, 1:] - ends[:, :1])[..., None])[..., 0]
    return centres, np.linalg.norm(four[:, 0] - centres, axis=1)


def _refine(points: np.ndarray, free: int, centre: np.ndarray, radius_mm: float) -> Fit:
    near = np.ones(len(points), bool)
    for _ in range(6):
        near = np.abs(np.linalg.norm(points - centre, axis=1) - radius_mm) < _TOLERANCE_MM
        if near.sum() < _LEAST_POINTS // 2:
            break
        centre, radius_mm = fit_sphere(points[near])
    return Fit(centre, radius_mm, float(near.sum() / max(free, len(_RAYS) / 3)))
