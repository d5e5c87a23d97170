"""Fits the sphere of a femoral head to the edge of its bone, or of its metal ball if the hip was replaced.

The top of a narrowed or coarsely scanned joint shows no edge of the head, only that of the socket's plate,
and the plate of the roof is the steepest edge nearby. Edges therefore count only where soft tissue follows
them, and the sphere that most of them agree on is taken (RANSAC), with what is known of adults' heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.imaging.localization.hip_centres import USUAL_RADIUS_MM
from hipoa.imaging.localization.patch import Patch
from hipoa.imaging.localization.sphere_fit import find_inliers, fit_sphere, spread_directions

_CAP_HU = (-150.0, 500.0)
_TISSUE_HU, _EDGE_HU_PER_MM = 130.0, 20.0
_STEP_MM, _BESIDE = 0.75, 4
_DEPTHS_MM = np.arange(10.0, 38.0, _STEP_MM)
_DIRECTIONS = spread_directions(500)
_RADII_MM = (17.0, 30.0)
_TRIES, _ROUNDS, _TOLERANCE_MM, _LEAST_POINTS = 400, 4, 1.25, 40
# How far the sphere lies from where it was looked for, mm.
_MOVED_SD_MM, _FARTHEST_MM = 6.0, 10.0
_USUAL_SD_MM = 2.5
# The share of the sphere that shows an edge from which, and up to which, the fit is trusted more and more.
_SUPPORT = (0.15, 0.35)

# What casts streaks, and what is metal throughout.
_STREAKS_HU, _METAL_HU = 1200.0, 1500.0
# Heads of replaced hips measure 22-56 mm across; a stem or a nail is thinner, a pool of barium is not round.
_BALL_RADII_MM = (10.9, 29.0)
_ROUND, _EVEN_MM, _METAL_WITHIN_MM = 0.6, 2.0, 20.0
_BALL_DIRECTIONS = spread_directions(200)
_BALL_DEPTHS_MM = np.arange(0.0, 36.0, 1.0)


@dataclass(frozen=True)
class HeadFit:
    """A sphere fitted to a femoral head."""

    centre_ras_mm: np.ndarray  # (3,)
    radius_mm: float  # of the sphere
    # Share (0-1) of the directions without metal in which an edge lies on the sphere; 1 for a metal head
    support: float
    replaced: bool = False  # whether it is the metal head of a replaced hip


def refine_head(patch: Patch, centre_ras_mm: np.ndarray, radius_mm: float) -> HeadFit:
    """The head where its edges show it, as far as there are edges; of a replaced hip the metal head."""
    metal = _find_metal_head(patch, centre_ras_mm)
    if metal:
        return metal
    found = fit_head_edges(patch, centre_ras_mm)
    if found is None:
        return HeadFit(centre_ras_mm, radius_mm, 0.0)
    # Between the two places, nearer to the fitted one the more edges agree on it.
    share = float(np.clip((found.support - _SUPPORT[0]) / (_SUPPORT[1] - _SUPPORT[0]), 0, 1))
    centre = centre_ras_mm + share * (found.centre_ras_mm - centre_ras_mm)
    return HeadFit(centre, radius_mm + share * (found.radius_mm - radius_mm), found.support)


def fit_head_edges(patch: Patch, centre_ras_mm: np.ndarray) -> HeadFit | None:
    """The sphere that most edges about a point (3,) lie on, or None if there are too few."""
    centre, found = centre_ras_mm, None
    for _ in range(_ROUNDS):
        points, n_free = _find_edges(patch, centre)
        found = _fit_sphere_to_head(points, n_free, centre_ras_mm)
        if found is None or np.linalg.norm(found.centre_ras_mm - centre) < 0.1:
            break
        centre = found.centre_ras_mm
    return found


def _find_edges(patch: Patch, centre_ras_mm: np.ndarray) -> tuple[np.ndarray, int]:
    """Where rays pass most steeply from bone into soft tissue (n, 3), and how many rays meet no metal."""
    hu, known = patch.sample(centre_ras_mm + _DIRECTIONS[:, None] * _DEPTHS_MM[:, None])
    # Behind metal there are only streaks.
    metal = np.maximum.accumulate(hu > _STREAKS_HU, axis=1)
    hu = ndimage.gaussian_filter1d(np.clip(hu, *_CAP_HU), 0.9 / _STEP_MM, axis=1)
    fall = -np.gradient(hu, _STEP_MM, axis=1)
    at, ray = fall.argmax(1), np.arange(len(_DIRECTIONS))
    before, after = np.maximum(at - _BESIDE, 0), np.minimum(at + _BESIDE, len(_DEPTHS_MM) - 1)
    edge = known.all(1) & ~metal[ray, at] & (fall[ray, at] > _EDGE_HU_PER_MM)
    edge &= (hu[ray, before] > _TISSUE_HU) & (hu[ray, after] < _TISSUE_HU)
    edge &= (at > 2) & (at < len(_DEPTHS_MM) - 3)
    return centre_ras_mm + _DIRECTIONS[edge] * _DEPTHS_MM[at[edge]][:, None], int((~metal[:, -1]).sum())


def _fit_sphere_to_head(points: np.ndarray, n_free: int, start: np.ndarray) -> HeadFit | None:
    """The random sphere that scores best by the edges near it, its radius and its distance; refined."""
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
    return _refine(points, n_free, centres[best], float(radii[best]))


def _draw_spheres(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spheres through random fours of points: centres (n, 3) and radii (n,)."""
    four = points[np.random.default_rng([len(points)]).integers(0, len(points), (_TRIES, 4))]
    rows = 2 * (four[:, 1:] - four[:, :1])
    ends = np.square(four).sum(-1)
    solvable = np.abs(np.linalg.det(rows)) > 1
    rows, ends, four = rows[solvable], ends[solvable], four[solvable]
    centres = np.linalg.solve(rows, (ends[:, 1:] - ends[:, :1])[..., None])[..., 0]
    return centres, np.linalg.norm(four[:, 0] - centres, axis=1)


def _refine(points: np.ndarray, n_free: int, centre: np.ndarray, radius_mm: float) -> HeadFit:
    near = np.ones(len(points), bool)
    for _ in range(6):
        near = find_inliers(points, centre, radius_mm, _TOLERANCE_MM)
        if near.sum() < _LEAST_POINTS // 2:
            break
        centre, radius_mm = fit_sphere(points[near])
    return HeadFit(centre, radius_mm, float(near.sum() / max(n_free, len(_DIRECTIONS) / 3)))


def _find_metal_head(patch: Patch, centre_ras_mm: np.ndarray) -> HeadFit | None:
    """The metal ball nearest to where a head was found, or None if there is none near."""
    balls = [ball for ball in (_measure_ball(patch, at) for at in _find_thick_metal(patch)) if ball]
    away = [float(np.linalg.norm(ball.centre_ras_mm - centre_ras_mm)) for ball in balls]
    return balls[int(np.argmin(away))] if away and min(away) < _METAL_WITHIN_MM else None


def _find_thick_metal(patch: Patch) -> list[np.ndarray]:
    """The thickest place (3,) in RAS mm of each lump of metal that may hold a metal head."""
    labelled: Any = ndimage.label(patch.hu > _METAL_HU)
    found = []
    for number, box in enumerate(ndimage.find_objects(labelled[0]), 1):
        inside = np.pad(labelled[0][box] == number, 1)
        depth = np.asarray(ndimage.distance_transform_edt(inside, sampling=patch.spacing_mm))
        if depth.max() > _BALL_RADII_MM[0] - patch.spacing_mm.max():
            at = np.unravel_index(depth.argmax(), depth.shape)
            found.append(patch.ras(np.array(at) - 1 + [side.start for side in box]))
    return found


def _measure_ball(patch: Patch, centre_ras_mm: np.ndarray) -> HeadFit | None:
    """The metal ball about a point, or None if the metal there is no ball."""
    centre, radius_mm, on = centre_ras_mm, 0.0, np.zeros(len(_BALL_DIRECTIONS), bool)
    for _ in range(4):
        hu, known = patch.sample(centre + _BALL_DIRECTIONS[:, None] * _BALL_DEPTHS_MM[:, None])
        ends = (hu < _METAL_HU) | ~known
        depth = np.where(ends.any(1), _BALL_DEPTHS_MM[ends.argmax(1)], np.inf)
        radius_mm = float(np.median(depth))
        on = np.abs(depth - radius_mm) < _EVEN_MM
        if on.sum() < 20:
            return None
        # The ball's surface, not the neck's: where the rays are about as long as most of them.
        rows = np.c_[_BALL_DIRECTIONS[on], np.ones(on.sum())]
        step, *_ = np.linalg.lstsq(rows, depth[on], rcond=None)
        centre, radius_mm = centre + step[:3], float(step[3])
    if on.mean() < _ROUND or not _BALL_RADII_MM[0] <= radius_mm <= _BALL_RADII_MM[1]:
        return None
    return HeadFit(centre, radius_mm, 1.0, replaced=True)
