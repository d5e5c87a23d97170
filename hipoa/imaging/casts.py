"""Looks out from the middles of spheres of bone: where their surface is, and what lies behind it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipoa.imaging.hips import USUAL_RADIUS_MM
from hipoa.imaging.labels import HEAD_RADIUS_MM
from hipoa.imaging.rays import spread_rays
from hipoa.imaging.scout import Scout
from hipoa.imaging.spheres import fit_concentric
from hipoa.imaging.votes import CAP_HU, EDGE_HU_PER_MM, GAP_MM, Slope

BONE_HU = 110.0
_DENSE_HU = 165.0
_STEP_MM = 2.0
NEAR_MM, FAR_MM = np.arange(8.0, 45.0, _STEP_MM), np.arange(2.0, 55.0, _STEP_MM)
RAYS = spread_rays(160)
_WITHIN_MM, _ON_MM, _STRAIGHT = 4.0, 2.0, 0.75
_ROUNDS, _USUAL_SD_MM, _LEAST_RAYS, _FARTHEST_MM = 4, 7.0, 25, 8.0


@dataclass(frozen=True)
class Casts:
    """What rays from the middles of n spheres meet; :data:`RAYS` in the frame of the body.

    Attributes:
        radii: (n,) of the spheres, mm.
        depths_mm: (depths,).
        hu: (n, rays, depths), capped.
        known: (n, rays, depths), whether the CT reaches there.
        head: (n, rays), whether the ray leaves bone at about the sphere.
        socket: (n, rays), whether it enters bone a joint space behind the sphere, and left none before.
        edge_mm: (n, rays), how deep that edge lies.
        reached: (n, rays), whether the CT reaches beyond the sphere.
    """

    radii: np.ndarray
    depths_mm: np.ndarray
    hu: np.ndarray
    known: np.ndarray
    head: np.ndarray
    socket: np.ndarray
    edge_mm: np.ndarray
    reached: np.ndarray

    @property
    def beyond_mm(self) -> np.ndarray:
        """(n, 1, depths), how far the samples lie outside the sphere."""
        return self.depths_mm - self.radii[:, None, None]

    @property
    def within(self) -> np.ndarray:
        """(n, rays, depths), the samples well inside the sphere."""
        return (self.depths_mm < 0.85 * self.radii[:, None, None]) & self.known

    @property
    def bone(self) -> np.ndarray:
        """(n, rays, depths), the samples in bone."""
        return (self.hu > BONE_HU) & self.known

    @property
    def on(self) -> np.ndarray:
        """(n, rays), whether the edge is that of the sphere or of its socket."""
        off = np.abs(self.edge_mm - self.radii[:, None] - np.where(self.head, 0, GAP_MM))
        return (self.head | self.socket) & (off < _ON_MM) & self.reached

    @property
    def bone_behind(self) -> np.ndarray:
        """(n, rays), whether there is bone behind the sphere, as that of a socket."""
        behind = (self.beyond_mm > 1) & (self.beyond_mm < 18)
        return np.asarray(((self.hu > _DENSE_HU) & self.known & behind).any(2))


def cast(
    scout: Scout, slope: Slope, centres: np.ndarray, radii: np.ndarray, depths_mm: np.ndarray = NEAR_MM
) -> Casts:
    """Looks out from the middles (n, 3) of spheres of these radii (n,), as far as the depths."""
    rays = RAYS @ scout.axes
    hu, known = scout.sample(centres[:, None, None] + rays[:, None] * depths_mm[:, None])
    hu = np.clip(hu, *CAP_HU)
    rise = np.gradient(hu, _STEP_MM, axis=2)
    rise[~known] = 0
    off = depths_mm - radii[:, None, None]
    fall = np.where(np.abs(off) < _WITHIN_MM, -rise, 0)
    rise = np.where(np.abs(off - GAP_MM) < _WITHIN_MM, rise, 0)
    falls, rises = fall.max(2) > EDGE_HU_PER_MM, rise.max(2) > EDGE_HU_PER_MM
    # What is met first counts: behind the socket's edge its plate falls to the marrow of the pelvis.
    falls &= ~(rises & (rise.argmax(2) < fall.argmax(2)))
    edge = np.where(falls, _find_peak(fall, depths_mm), _find_peak(rise, depths_mm))
    straight = _is_straight(scout, slope, centres[:, None] + rays * edge[..., None], rays)
    reached = np.asarray((known | (off > 2)).all(2))
    return Casts(
        radii.copy(), depths_mm, hu, known, falls & straight, rises & ~falls & straight, edge, reached
    )


def settle(
    scout: Scout, slope: Slope, centres: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits the spheres to the edges about them, and keeps the best of each sphere's steps.

    Returns:
        The middles (n, 3), the radii (n,), and how well each sphere is seen (n,).
    """
    centres, radii = centres.copy(), radii.copy()
    best = (centres.copy(), radii.copy(), np.zeros(len(radii)))
    for _ in range(_ROUNDS + 1):
        met = cast(scout, slope, centres, radii)
        merit = _judge(met)
        better = merit > best[2]
        for kept, new in zip(best, (centres, radii, merit), strict=True):
            kept[better] = new[better]
        _step(scout, met, centres, radii)
    return best


def share(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The mean (n,) of values where these rays or samples count."""
    axes = tuple(range(1, values.ndim))
    return (values * of).sum(axes) / np.maximum(1, of.sum(axes))


def _judge(met: Casts) -> np.ndarray:
    up = met.reached & (RAYS[:, 2] > -0.2)
    seen = share(met.on, met.reached) + share(met.on & met.bone_behind, up)
    inside = np.clip((share(met.bone, met.within) - 0.4) / 0.4, 0.05, 1)
    return seen * inside * np.exp(-(((met.radii - USUAL_RADIUS_MM) / _USUAL_SD_MM) ** 2) / 2)


def _step(scout: Scout, met: Casts, centres: np.ndarray, radii: np.ndarray) -> None:
    rays = RAYS @ scout.axes
    seen = (met.head | met.socket) & met.reached
    for n in np.flatnonzero(seen.sum(1) >= _LEAST_RAYS):
        points = centres[n] + rays[seen[n]] * met.edge_mm[n, seen[n], None]
        centre, radius_mm = fit_concentric(points, met.head[n, seen[n]], GAP_MM)
        fits = HEAD_RADIUS_MM[0] <= radius_mm <= HEAD_RADIUS_MM[1]
        if fits and np.linalg.norm(centre - centres[n]) < _FARTHEST_MM:
            centres[n], radii[n] = centre, radius_mm


def _is_straight(scout: Scout, slope: Slope, points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Whether rays (rays, 3) pass surfaces at these points (n, rays, 3) about at right angles."""
    local = slope.at(np.rint(scout.index(points)).astype(int))
    way = rays @ (scout.ras_from_index[:3, :3] / scout.spacing_mm)
    along = np.abs(np.einsum("nra,ra->nr", local, way))
    return along > _STRAIGHT * np.linalg.norm(local, axis=-1)


def _find_peak(values: np.ndarray, depths_mm: np.ndarray) -> np.ndarray:
    """The depth of the largest value along the last axis, between the samples."""
    at = values.argmax(2)
    inner = np.clip(at, 1, values.shape[2] - 2)
    low, mid, high = (np.take_along_axis(values, inner[..., None] + d, 2)[..., 0] for d in (-1, 0, 1))
    shift = (high - low) / np.maximum(2 * (2 * mid - low - high), 1e-6)
    return depths_mm[at] + _STEP_MM * np.where(inner == at, np.clip(shift, -0.5, 0.5), 0)
