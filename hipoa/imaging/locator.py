"""Finds the femoral heads of a CT without labels: spheres of bone beside the pelvis, in pairs.

The surface of a bone votes along its normals for the middle of a sphere (a Hough transform); each
candidate is then judged on its own rays: a round surface, bone inside, the bone of a socket towards the
middle of the body. Metal does not confuse it, since HU are capped at those of cancellous bone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from hipoa.imaging.body import Body
from hipoa.imaging.hips import USUAL_RADIUS_MM, HipCentres
from hipoa.imaging.labels import HEAD_RADIUS_MM
from hipoa.imaging.place import place_head
from hipoa.imaging.rays import spread_rays
from hipoa.imaging.scout import SPACING_MM, Scout, make_scout
from hipoa.imaging.spheres import fit_concentric
from hipoa.imaging.volume import Volume
from hipoa.tables import SIDES

_CAP_HU = (-100.0, 400.0)
_BONE_HU = 110.0
_EDGE_HU_PER_MM = 10.0
_USUAL_SD_MM = 7.0
_VOTED_MM = np.arange(17.0, 31.0, 2.5)
_CANDIDATES, _REFINED, _ROUNDS = 20, 20, 4
_SIGNS = {"L": -1, "R": 1}
# Two heads of one adult: about 175 mm apart, some 15 mm further each with dysplasia, one of them up to
# 57 mm higher (method notes, section 4).
_APART_MM = (110.0, 260.0)
_USUAL_APART_MM, _APART_SD_MM = (145.0, 225.0), 12.0
_ASIDE_MM = (50.0, 150.0)
_TILT_MM, _DEPTH_MM, _UNEQUAL_MM = 50.0, 25.0, 6.0
_DEPTHS_MM = np.arange(4.0, 54.0, 1.5)
# From the middle of the head's edge to that of the socket's edge, mm: the joint space and its blur.
_GAP_MM = 4.0


@dataclass(frozen=True)
class Candidate:
    """A sphere that may be a femoral head.

    Attributes:
        centre_ras_mm: (3,).
        radius_mm: Of the sphere.
        surface: Share (0-1) of the rays that leave bone, straight through its surface, at the sphere.
        inside: Share (0-1) of the sphere that is bone.
        socket: Share (0-1) of the rays up and towards the pelvis that meet bone behind that surface.
    """

    centre_ras_mm: np.ndarray
    radius_mm: float
    surface: float
    inside: float
    socket: float

    @property
    def confidence(self) -> float:
        """How surely this is a femoral head, 0-1."""
        return (
            _ramp(self.surface, 0.1, 0.5) * _ramp(self.inside, 0.5, 0.8) * _ramp(self.socket, 0.1, 0.5)
        ) ** (1 / 3)

    @property
    def merit(self) -> float:
        """What the heads of one CT are chosen by: confidence without a ceiling, usual sizes preferred."""
        usual = np.exp(-(((self.radius_mm - USUAL_RADIUS_MM) / _USUAL_SD_MM) ** 2) / 2)
        return float(self.confidence * (self.surface + self.socket) * usual)


def locate(volume: Volume, body: Body, least_confidence: float) -> HipCentres:
    """Finds the femoral heads of a CT.

    Args:
        volume: The CT.
        body: The patient without the table (:func:`hipoa.imaging.body.find_body`).
        least_confidence: Below it (0-1) a finding is no hip.

    Returns:
        The hips found, with their confidence; for a missing side the reason.
    """
    scout = make_scout(volume, body)
    candidates = find_candidates(scout)
    chosen = choose(candidates, least_confidence)
    best = {side: max((c.confidence for c in candidates[side]), default=0.0) for side in SIDES}
    missing = {side: _refuse(best[side], least_confidence) for side in SIDES if side not in chosen}
    hips = {
        side: place_head(volume, body, side, found.centre_ras_mm, found.radius_mm, found.confidence)
        for side, found in chosen.items()
    }
    for side in [side for side, hip in hips.items() if hip.confidence < least_confidence]:
        missing[side] = _refuse(hips.pop(side).confidence, least_confidence)
    return HipCentres(hips, missing)


def _refuse(confidence: float, least_confidence: float) -> str:
    found = f"confidence {confidence:.2f}, needed {least_confidence:.2f}"
    return f"no hip found: no round head of bone at a socket ({found})"


def find_candidates(scout: Scout) -> dict[str, list[Candidate]]:
    """The spheres most voted for on each side of the body, judged, and the best ones refined."""
    slope, middle = _slope(scout), middle_mm(scout)
    found: dict[str, list[Candidate]] = {side: [] for side in SIDES}
    for radius_mm, votes in _vote(scout, slope):
        peaks = np.argwhere((votes == ndimage.maximum_filter(votes, 3)) & (votes > 0) & scout.known)
        centres = scout.ras(peaks[np.argsort(-votes[tuple(peaks.T)], kind="stable")])
        for side, sign in _SIGNS.items():
            aside = sign * (centres[:, 0] - middle)
            here = centres[(aside > _ASIDE_MM[0]) & (aside < _ASIDE_MM[1])][:_CANDIDATES]
            found[side] += [_judge(scout, slope, centre, radius_mm, sign) for centre in here]
    return {
        side: [_refine(scout, slope, c, _SIGNS[side]) for c in sorted(found[side], key=_merit)[-_REFINED:]]
        for side in SIDES
    }


def choose(candidates: dict[str, list[Candidate]], least_confidence: float) -> dict[str, Candidate]:
    """The most plausible pair of heads, or the one head there is.

    Args:
        candidates: By side.
        least_confidence: 0-1.
    """
    sure = {side: [c for c in candidates[side] if c.confidence >= least_confidence] for side in SIDES}
    pairs = [(left, right, _pairing(left, right)) for left, right in product(sure["L"], sure["R"])]
    pairs = [pair for pair in pairs if pair[2] > 0]
    if pairs:
        left, right, _ = max(pairs, key=lambda pair: pair[2] ** 2 * pair[0].merit * pair[1].merit)
        return {"L": left, "R": right}
    single = [(c.merit, side, c) for side in SIDES for c in sure[side]]
    if not single:
        return {}
    _, side, candidate = max(single, key=lambda item: item[0])
    return {side: candidate}


def middle_mm(scout: Scout) -> float:
    """R coordinate of the middle of the body in RAS mm: the median over the slices."""
    columns = ((scout.hu > -400) & scout.known).any(1)
    filled = columns.any(0)
    x = np.arange(len(scout.hu))[:, None]
    middles = (columns * x).sum(0)[filled] / columns.sum(0)[filled]
    return float(scout.origin_ras_mm[0] + SPACING_MM * np.median(middles))


def _pairing(left: Candidate, right: Candidate) -> float:
    apart, depth, height = right.centre_ras_mm - left.centre_ras_mm
    if not _APART_MM[0] < apart < _APART_MM[1]:
        return 0.0
    unusual = (apart - np.clip(apart, *_USUAL_APART_MM)) / _APART_SD_MM
    unequal = (
        unusual,
        height / _TILT_MM,
        depth / _DEPTH_MM,
        (right.radius_mm - left.radius_mm) / _UNEQUAL_MM,
    )
    return float(np.exp(-np.square(unequal).sum() / 4))


def _slope(scout: Scout) -> np.ndarray:
    capped = np.clip(scout.hu, *_CAP_HU)
    axes = [ndimage.gaussian_filter1d(capped, 0.8, axis, order=1) for axis in range(3)]
    return np.stack(axes, -1) / np.float32(SPACING_MM)


def _vote(scout: Scout, slope: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """For each radius in mm the votes (x, y, z) that a point is the middle of such a sphere."""
    steep = np.linalg.norm(slope, axis=-1)
    surface = (steep > _EDGE_HU_PER_MM) & (scout.hu > 60) & scout.known
    at, normal = np.argwhere(surface), slope[surface] / (steep[surface][:, None] * SPACING_MM)
    for radius_mm in _VOTED_MM:
        # The head's surface faces outwards from its middle, that of its socket towards it.
        head = _count(at + normal * radius_mm, scout.hu.shape)
        socket = _count(at - normal * (radius_mm + _GAP_MM), scout.hu.shape)
        yield radius_mm, ndimage.gaussian_filter(head + socket, 1.2)


def _count(index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    index = np.rint(index).astype(int)
    index = index[((index >= 0) & (index < shape)).all(1)]
    flat = np.ravel_multi_index(tuple(index.T), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float32)


_RAYS = spread_rays(240)


def _refine(scout: Scout, slope: np.ndarray, candidate: Candidate, sign: int) -> Candidate:
    best = candidate
    for _ in range(_ROUNDS):
        head, socket, depth_mm, *_ = _look(scout, slope, candidate.centre_ras_mm, candidate.radius_mm)
        seen = head | socket
        if seen.sum() < 30:
            break
        points = candidate.centre_ras_mm + _RAYS[seen] * depth_mm[seen, None]
        centre, radius_mm = fit_concentric(points, head[seen], _GAP_MM)
        moved_mm = float(np.linalg.norm(centre - candidate.centre_ras_mm))
        if moved_mm > 8 or not HEAD_RADIUS_MM[0] <= radius_mm <= HEAD_RADIUS_MM[1]:
            break
        candidate = _judge(scout, slope, centre, radius_mm, sign)
        best = max(best, candidate, key=_merit)
    return best


def _judge(
    scout: Scout, slope: np.ndarray, centre_ras_mm: np.ndarray, radius_mm: float, sign: int
) -> Candidate:
    head, socket, depth_mm, hu, known = _look(scout, slope, centre_ras_mm, radius_mm)
    leaves = np.where(
        head, np.abs(depth_mm - radius_mm) < 2, socket & (np.abs(depth_mm - radius_mm - _GAP_MM) < 2)
    )
    reached = known[:, _DEPTHS_MM < radius_mm + 2].all(1)
    within = (_DEPTHS_MM[None] < 0.85 * radius_mm) & known
    behind = (_DEPTHS_MM > radius_mm + 1) & (_DEPTHS_MM < radius_mm + 18)
    bone_behind = ((hu > 1.5 * _BONE_HU) & known & behind).any(1)
    inwards = reached & (_RAYS @ (np.array([-sign, 0, 0.6]) / np.hypot(1, 0.6)) > 0.4)
    return Candidate(
        centre_ras_mm,
        radius_mm,
        float((leaves & reached).sum() / max(1, reached.sum())),
        float((hu > _BONE_HU)[within].mean()) if within.any() else 0.0,
        float((leaves & bone_behind & inwards).sum() / max(1, inwards.sum())),
    )


def _look(
    scout: Scout, slope: np.ndarray, centre_ras_mm: np.ndarray, radius_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which rays (n,) leave the head, which enter the socket only, how deep; HU and reach along them."""
    points = centre_ras_mm + _RAYS[:, None] * _DEPTHS_MM[:, None]
    hu, known = scout.sample(points)
    near = np.flatnonzero(np.abs(_DEPTHS_MM - radius_mm - 2) < 6)
    index = np.rint(scout.index(points[:, near])).astype(int)
    local = slope[tuple(np.moveaxis(np.clip(index, 0, np.array(scout.hu.shape) - 1), -1, 0))]
    rise = np.where(known[:, near], (local * _RAYS[:, None]).sum(-1), 0)
    rise = np.where(np.abs(rise) > 0.75 * np.linalg.norm(local, axis=-1), rise, 0)
    fall = np.where(np.abs(_DEPTHS_MM[near] - radius_mm) < 3.6, -rise, 0)
    rise = np.where(np.abs(_DEPTHS_MM[near] - radius_mm - _GAP_MM) < 3.6, rise, 0)
    falls, rises = fall.max(1) > _EDGE_HU_PER_MM, rise.max(1) > _EDGE_HU_PER_MM
    # What is met first counts: behind the socket's edge its plate falls to the marrow of the pelvis.
    falls &= ~(rises & (rise.argmax(1) < fall.argmax(1)))
    best = np.where(falls, fall.argmax(1), rise.argmax(1))
    return falls, rises & ~falls, _DEPTHS_MM[near[best]], hu, known


def _merit(candidate: Candidate) -> float:
    return candidate.merit


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
