"""Where a head lies whose edge is hardly seen: a joint without space, or voxels as wide as it.

Many spheres about the place are judged on finer cells, and of both hips the two are taken that are seen best
and are most alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from hipoa.imaging.body import Body
from hipoa.imaging.hips import USUAL_RADIUS_MM
from hipoa.imaging.labels import HEAD_RADIUS_MM
from hipoa.imaging.rays import spread_rays
from hipoa.imaging.scout import Scout, magnify
from hipoa.imaging.spheres import fit_concentric
from hipoa.imaging.volume import Volume
from hipoa.imaging.votes import CAP_HU, EDGE_HU_PER_MM, GAP_MM

_CELL_MM, _REACH_MM = 2.5, 75.0
_BONE_HU, _DENSE_HU, _SURFACE_HU = 110.0, 165.0, 60.0
_VOTED_MM = np.arange(17.0, 31.0, 2.5)
_WITHIN_CELLS, _REFINED, _ROUNDS, _USUAL_SD_MM = 6, 20, 4, 7.0
_FARTHEST_MM = 12.0
_DEPTHS_MM = np.arange(4.0, 54.0, 1.5)
_RAYS = spread_rays(240)
_USUAL_APART_MM = (145.0, 225.0)
_UNEQUAL_MM = np.array([12.0, 25.0, 50.0, 4.0])


@dataclass(frozen=True)
class Spheres:
    """Spheres that may be a head: middles (n, 3) in RAS mm, radii (n,), and how well each is seen (n,)."""

    centres: np.ndarray
    radii: np.ndarray
    merits: np.ndarray

    def take(self, which: np.ndarray) -> Spheres:
        """Those of these numbers, or those marked."""
        return Spheres(self.centres[which], self.radii[which], self.merits[which])


@dataclass(frozen=True)
class Look:
    """What rays from the middles of spheres meet, (n, rays): edges of the head, of the socket, how deep."""

    head: np.ndarray
    socket: np.ndarray
    edge_mm: np.ndarray
    hu: np.ndarray
    known: np.ndarray


def settle_narrow(
    volume: Volume, body: Body, starts: Mapping[str, np.ndarray], axes: np.ndarray
) -> dict[str, tuple[np.ndarray, float]]:
    """The likeliest sphere by side: its middle (3,) in RAS mm and its radius.

    Args:
        volume: The CT.
        body: The patient.
        starts: By side about where the head is (3,), in the CT.
        axes: (3, 3), unit vectors to the patient's right, front and head.
    """
    found = {side: _find(volume, body, at, 1 if side == "R" else -1) for side, at in starts.items()}
    if len(found) == 1:
        (side, spheres), *_ = found.items()
        best = int(spheres.merits.argmax())
        return {side: (spheres.centres[best], float(spheres.radii[best]))}
    left, right = found["L"], found["R"]
    scores = [
        left.merits[i] * right.merits[j] * _alike(left, right, i, j, axes) ** 2
        for i, j in product(range(len(left.radii)), range(len(right.radii)))
    ]
    i, j = np.unravel_index(int(np.argmax(scores)), (len(left.radii), len(right.radii)))
    return {
        "L": (left.centres[i], float(left.radii[i])),
        "R": (right.centres[j], float(right.radii[j])),
    }


def _alike(left: Spheres, right: Spheres, i: int, j: int, axes: np.ndarray) -> float:
    apart, depth, height = axes @ (right.centres[j] - left.centres[i])
    odd = apart - np.clip(apart, *_USUAL_APART_MM)
    unequal = np.array([odd, depth, height, right.radii[j] - left.radii[i]]) / _UNEQUAL_MM
    return float(np.exp(-np.square(unequal).sum() / 4))


def _find(volume: Volume, body: Body, start: np.ndarray, sign: int) -> Spheres:
    scout = magnify(volume, body, start, _REACH_MM, _CELL_MM)
    capped = np.clip(scout.hu, *CAP_HU)
    slope = np.stack([ndimage.gaussian_filter1d(capped, 0.8, axis, order=1) for axis in range(3)])
    slope /= np.float32(_CELL_MM)
    spheres = _judge(scout, slope, *_vote(scout, slope, start), sign)
    best = spheres.take(np.argsort(-spheres.merits, kind="stable")[:_REFINED])
    at = best
    for _ in range(_ROUNDS):
        at = _judge(scout, slope, *_fit(scout, slope, at), sign)
        better = at.merits > best.merits
        best = Spheres(
            np.where(better[:, None], at.centres, best.centres),
            np.where(better, at.radii, best.radii),
            np.maximum(at.merits, best.merits),
        )
    near = np.linalg.norm(best.centres - start, axis=1) < _FARTHEST_MM
    return best.take(near) if near.any() else Spheres(start[None], np.array([USUAL_RADIUS_MM]), np.ones(1))


def _vote(scout: Scout, slope: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The spheres most voted for about a place: middles and radii."""
    steep = np.linalg.norm(slope, axis=0)
    on = np.nonzero((steep > EDGE_HU_PER_MM) & (scout.hu > _SURFACE_HU))
    at, way = np.stack(on, -1), (slope[(slice(None), *on)] / steep[on]).T / _CELL_MM
    low = np.rint(scout.index(start)).astype(int) - 2 * _WITHIN_CELLS
    centres, radii = [], []
    for radius_mm in _VOTED_MM:
        votes = _count(at + way * radius_mm - low) + _count(at - way * (radius_mm + GAP_MM) - low)
        votes = ndimage.gaussian_filter(votes, 1.2)
        peaks = (votes == ndimage.maximum_filter(votes, 3)) & (votes > 0)
        near = slice(_WITHIN_CELLS, -_WITHIN_CELLS)
        index = np.argwhere(peaks[near, near, near]) + low + _WITHIN_CELLS
        centres.append(index * _CELL_MM + scout.ras_from_index[:3, 3])
        radii.append(np.full(len(index), radius_mm))
    if not sum(map(len, radii)):
        return start[None], np.array([USUAL_RADIUS_MM])
    return np.concatenate(centres), np.concatenate(radii)


def _count(index: np.ndarray) -> np.ndarray:
    size = 4 * _WITHIN_CELLS + 1
    index = np.rint(index).astype(int)
    index = index[((index >= 0) & (index < size)).all(1)]
    flat = np.ravel_multi_index(tuple(index.T), (size,) * 3)
    return np.bincount(flat, minlength=size**3).reshape((size,) * 3).astype(np.float32)


def _fit(scout: Scout, slope: np.ndarray, spheres: Spheres) -> tuple[np.ndarray, np.ndarray]:
    look = _look(scout, slope, spheres.centres, spheres.radii)
    centres, radii = spheres.centres.copy(), spheres.radii.copy()
    seen = look.head | look.socket
    for n in np.flatnonzero(seen.sum(1) >= 30):
        points = centres[n] + _RAYS[seen[n]] * look.edge_mm[n, seen[n], None]
        centre, radius_mm = fit_concentric(points, look.head[n, seen[n]], GAP_MM)
        usable = HEAD_RADIUS_MM[0] <= radius_mm <= HEAD_RADIUS_MM[1]
        if usable and np.linalg.norm(centre - centres[n]) <= 8:
            centres[n], radii[n] = centre, radius_mm
    return centres, radii


def _judge(scout: Scout, slope: np.ndarray, centres: np.ndarray, radii: np.ndarray, sign: int) -> Spheres:
    look = _look(scout, slope, centres, radii)
    wide = radii[:, None]
    on = np.abs(look.edge_mm - wide - np.where(look.head, 0, GAP_MM)) < 2
    on &= look.head | look.socket
    reached = (look.known | (_DEPTHS_MM >= wide[..., None] + 2)).all(2)
    within = (_DEPTHS_MM < 0.85 * wide[..., None]) & look.known
    behind = (_DEPTHS_MM > wide[..., None] + 1) & (_DEPTHS_MM < wide[..., None] + 18)
    bone_behind = ((look.hu > _DENSE_HU) & look.known & behind).any(2)
    inwards = reached & (_RAYS @ (np.array([-sign, 0, 0.6]) / np.hypot(1, 0.6)) > 0.4)
    surface = (on & reached).sum(1) / np.maximum(1, reached.sum(1))
    inside = ((look.hu > _BONE_HU) & within).sum((1, 2)) / np.maximum(1, within.sum((1, 2)))
    socket = (on & bone_behind & inwards).sum(1) / np.maximum(1, inwards.sum(1))
    sure = _ramp(surface, 0.1, 0.5) * _ramp(inside, 0.5, 0.8) * _ramp(socket, 0.1, 0.5)
    usual = np.exp(-(((radii - USUAL_RADIUS_MM) / _USUAL_SD_MM) ** 2) / 2)
    return Spheres(centres, radii, sure ** (1 / 3) * (surface + socket) * usual)


def _look(scout: Scout, slope: np.ndarray, centres: np.ndarray, radii: np.ndarray) -> Look:
    points = centres[:, None, None] + _RAYS[:, None] * _DEPTHS_MM[:, None]
    hu, known = scout.sample(points)
    first = np.searchsorted(_DEPTHS_MM, radii - 4.0)
    near = np.minimum(first[:, None] + np.arange(9), len(_DEPTHS_MM) - 1)
    depths = _DEPTHS_MM[near][:, None]
    places = centres[:, None, None] + _RAYS[:, None] * depths[..., None]
    index = np.clip(np.rint(scout.index(places)).astype(int), 0, np.array(scout.hu.shape) - 1)
    local = slope[(slice(None), *np.moveaxis(index, -1, 0))]
    rise = np.einsum("anrd,ra->nrd", local, _RAYS)
    rise *= np.take_along_axis(known, np.broadcast_to(near[:, None], rise.shape), 2)
    rise = np.where(np.abs(rise) > 0.75 * np.linalg.norm(local, axis=0), rise, 0)
    off = depths - radii[:, None, None]
    fall = np.where(np.abs(off) < 3.6, -rise, 0)
    rise = np.where(np.abs(off - GAP_MM) < 3.6, rise, 0)
    falls, rises = fall.max(2) > EDGE_HU_PER_MM, rise.max(2) > EDGE_HU_PER_MM
    # What is met first counts: behind the socket's edge its plate falls to the marrow of the pelvis.
    falls &= ~(rises & (rise.argmax(2) < fall.argmax(2)))
    best = np.where(falls, fall.argmax(2), rise.argmax(2))
    edge = np.take_along_axis(np.broadcast_to(depths, fall.shape), best[..., None], 2)[..., 0]
    return Look(falls, rises & ~falls, edge, hu, known)


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)
