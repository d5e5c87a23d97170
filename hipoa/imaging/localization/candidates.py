"""Femoral heads in a CT, as the two networks see them: where, which side, and what speaks for each.

The coarse network sees the whole body in voxels of 5 mm; every cell that it takes for a head votes for where
the head's centre is. About each place where votes meet, the fine network sees a cube of 96 mm in voxels of
2 mm, and votes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.directions import spread_rays
from hipoa.imaging.localization.hip_centres import USUAL_RADIUS_MM
from hipoa.imaging.localization.network import SPACING_MM, Output, apply_network
from hipoa.imaging.localization.patch import Blocks, cut_blocks, cut_body

_LEFT, _RIGHT = 1, 2
# Votes of cells that are taken for a head with less than this probability do not count.
_LEAST_SHARE = 0.1
_MOST_VOTES, _MOST_PLACES = 1500, 5
# Of the 60 cells of 10 mm that a head fills.
_LEAST_CELLS = 3.0
_COARSE_MM, _FINE_MM, _APART_MM = 10.0, 6.0, 30.0
_CUBE, _REACH_MM = 48, 76.0
# A vote from afar says less: another bone has drifted a cut head's centre by 37 mm without this.
_FROM_AFAR_MM = 15.0
_ROUNDS, _STILL_MM, _WITHIN_MM, _LEAST_IN_VIEW = 3, 3.0, 26.0, 0.1
_BALL = np.concatenate([r * spread_rays(80) for r in (0.35, 0.65, 0.82, 0.95)])
_BALL_WEIGHTS = np.repeat([0.35**2, 0.65**2, 0.82**2, 0.95**2], 80)


@dataclass(frozen=True)
class Head:
    """What the networks take for a femoral head.

    Attributes:
        side: "L" or "R", whichever is more probable.
        centre_ras_mm: (3,).
        radius_mm: Of a ball of the volume that was taken for the head.
        blocks: The CT about it, in voxels of about 2 mm.
        share: How sure the fine network is within the ball, 0-1.
        one_side: How sure of the side, 0.5-1.
        spread_mm: Of the votes.
        doubt_mm: How far off the network takes its votes to be.
        moved_mm: From the coarse network's place to the fine one's.
    """

    side: str
    centre_ras_mm: np.ndarray
    radius_mm: float
    blocks: Blocks
    share: float
    one_side: float
    spread_mm: float
    doubt_mm: float
    moved_mm: float


def find_heads(volume: Volume, body: Body, places_ras_mm: Sequence[np.ndarray]) -> list[Head]:
    """All that the fine network takes for femoral heads, at most one in 30 mm.

    Args:
        volume: The CT.
        body: The patient without the table.
        places_ras_mm: Where to look (:func:`find_places`).
    """
    heads: list[Head] = []
    for place in places_ras_mm:
        head = look_closely(volume, body, place)
        if head is not None and all(_away(head, other) > _APART_MM for other in heads):
            heads.append(head)
    return heads


def look_closely(volume: Volume, body: Body, place_ras_mm: np.ndarray) -> Head | None:
    """The head about a place in RAS mm (3,), or None if the fine network sees none."""
    centre, head, blocks = place_ras_mm, None, None
    for _ in range(_ROUNDS):
        if (
            blocks is None
            or np.linalg.norm(centre - place_ras_mm) > _REACH_MM - SPACING_MM["fine"] * _CUBE / 2
        ):
            # The centre of a head of which less than half is left lies outside the CT.
            if share_in_view(volume, centre, USUAL_RADIUS_MM) < _LEAST_IN_VIEW:
                return None
            blocks = cut_blocks(volume, body, centre, _REACH_MM, SPACING_MM["fine"])
        head = _vote(volume, blocks, centre)
        if head is None or np.linalg.norm(head.centre_ras_mm - centre) < _STILL_MM:
            break
        centre = head.centre_ras_mm
    if head is None:
        return None
    return replace(head, moved_mm=float(np.linalg.norm(head.centre_ras_mm - place_ras_mm)))


def share_in_view(volume: Volume, centre_ras_mm: np.ndarray, radius_mm: float) -> float:
    """The share (0-1) of a ball that lies in the CT."""
    index = volume.ijk(centre_ras_mm + radius_mm * _BALL)
    held = ((index > -0.5) & (index < np.array(volume.hu.shape) - 0.5)).all(1)
    return float(_BALL_WEIGHTS[held].sum() / _BALL_WEIGHTS.sum())


def find_places(volume: Volume, body: Body) -> list[np.ndarray]:
    """Where votes of the coarse network meet, RAS mm (3,) each; where most meet comes first.

    Args:
        volume: The CT.
        body: The patient without the table.
    """
    blocks = cut_body(volume, body, SPACING_MM["coarse"])
    out = apply_network("coarse", blocks.hu)
    points, weights = _collect(out, blocks.spacing_mm)
    places = []
    while len(weights) and len(places) < _MOST_PLACES:
        place, cells = _gather(points, weights, _COARSE_MM)
        if cells < _LEAST_CELLS:
            break
        places.append(blocks.ras(place / blocks.spacing_mm))
        rest = np.linalg.norm(points - place, axis=1) > _APART_MM
        points, weights = points[rest], weights[rest]
    return places


def _collect(out: Output, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The votes (n, 3), mm along the axes from the first voxel's middle, and their weights (n,)."""
    share = out.shares[..., _LEFT] + out.shares[..., _RIGHT]
    cells = np.argwhere(share > _LEAST_SHARE)
    weights = share[tuple(cells.T)]
    if len(weights) > _MOST_VOTES:
        best = np.argpartition(weights, -_MOST_VOTES)[-_MOST_VOTES:]
        cells, weights = cells[best], weights[best]
    # The middle of a cell of two voxels lies half a voxel behind that of its first one.
    return (2 * cells + 0.5) * spacing_mm + out.offset_mm[tuple(cells.T)], weights


def _gather(points: np.ndarray, weights: np.ndarray, width_mm: float) -> tuple[np.ndarray, float]:
    """The place (3,) where weighted votes lie closest together (mean shift), and how much votes for it."""
    square = (points**2).sum(1)
    away = np.maximum(square[:, None] + square - 2 * points @ points.T, 0)
    density = np.exp(-away / (2 * width_mm**2)) @ weights
    place = points[density.argmax()]
    near = np.zeros(len(points))
    for _ in range(5):
        near = weights * np.exp(-((points - place) ** 2).sum(1) / (2 * width_mm**2))
        place = near @ points / near.sum()
    return place, float(near.sum())


def _vote(volume: Volume, blocks: Blocks, centre_ras_mm: np.ndarray) -> Head | None:
    step = SPACING_MM["fine"]
    line = (np.arange(_CUBE) - (_CUBE - 1) / 2) * step
    points = centre_ras_mm + np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)
    hu, known = blocks.sample(points)
    hu[~known] = -1000
    out = apply_network("fine", hu)
    votes, shares = _collect(out, np.full(3, step))
    votes = votes + (centre_ras_mm + line[0])
    weights = shares * np.exp(-((votes - centre_ras_mm) ** 2).sum(1) / (2 * _FROM_AFAR_MM**2))
    if weights.sum() < 1:
        return None
    place, _ = _gather(votes, weights, _FINE_MM)
    near = np.linalg.norm(votes - place, axis=1)
    used = weights * np.exp(-(near**2) / (2 * _FINE_MM**2))
    return _describe(volume, blocks, out, place, centre_ras_mm + line[0], used, near)


def _describe(
    volume: Volume,
    blocks: Blocks,
    out: Output,
    place: np.ndarray,
    first: np.ndarray,
    used: np.ndarray,
    near: np.ndarray,
) -> Head:
    step, n = SPACING_MM["fine"], _CUBE // 2
    middles = [first[axis] + (2 * np.arange(n) + 0.5) * step - place[axis] for axis in range(3)]
    i, j, k = np.ix_(*middles)
    away = np.sqrt(i**2 + j**2 + k**2)
    sides = out.shares[..., [_LEFT, _RIGHT]]
    share, in_view = sides.sum(-1), share_in_view(volume, place, USUAL_RADIUS_MM)
    ball = away < _WITHIN_MM
    filled = float(share[away < 1.5 * _WITHIN_MM].sum()) * (2 * step) ** 3
    radius = (3 * filled / max(in_view, 0.2) / (4 * np.pi)) ** (1 / 3)
    left, right = sides[ball].sum(0)
    cells = 4 / 3 * np.pi * USUAL_RADIUS_MM**3 / (2 * step) ** 3 * max(in_view, 0.05)
    spread = np.sqrt((used @ np.minimum(near, 20.0) ** 2) / max(used.sum(), 1e-9))
    doubt = (out.doubt_mm * share)[ball].sum() / max(share[ball].sum(), 1e-9)
    return Head(
        side="R" if right > left else "L",
        centre_ras_mm=place,
        radius_mm=float(np.clip(radius, 15, 32)),
        blocks=blocks,
        share=float(
            min(1.0, share[away < USUAL_RADIUS_MM - 3].sum() / (cells * (1 - 3 / USUAL_RADIUS_MM) ** 3))
        ),
        one_side=float(max(left, right) / max(left + right, 1e-9)),
        spread_mm=float(spread),
        doubt_mm=float(doubt),
        moved_mm=0.0,
    )


def _away(a: Head, b: Head) -> float:
    return float(np.linalg.norm(a.centre_ras_mm - b.centre_ras_mm))
