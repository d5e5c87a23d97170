"""Candidates for femoral heads, by Hough voting with two networks.

The coarse network sees the whole body in voxels of 5 mm; every cell that it takes for a head votes for where
the head's centre is. Wherever votes meet, the fine network sees a cube of 96 mm in voxels of 2 mm, and
votes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import USUAL_RADIUS_MM
from hipoa.imaging.localization.network import SPACING_MM, Output, apply_network
from hipoa.imaging.localization.patch import Patch, cut_patch, downsample_body
from hipoa.imaging.localization.sphere_fit import spread_directions

_LEFT, _RIGHT = 1, 2
# Cells that are taken for a head with less than this probability do not vote.
_LEAST_PROBABILITY = 0.1
_MOST_VOTES, _MOST_PLACES = 1500, 5
# Of the 60 cells of 10 mm that a head fills.
_LEAST_CELLS = 3.0
_COARSE_MM, _FINE_MM, _APART_MM = 10.0, 6.0, 30.0
_CUBE, _REACH_MM = 48, 76.0
# A vote from afar says less: another bone has drifted a cut head's centre by 37 mm without this.
_FROM_AFAR_MM = 15.0
_ROUNDS, _STILL_MM, _WITHIN_MM, _LEAST_IN_VIEW = 3, 3.0, 26.0, 0.1
_SHELLS = (0.35, 0.65, 0.82, 0.95)
_BALL = np.concatenate([r * spread_directions(80) for r in _SHELLS])
_BALL_WEIGHTS = np.repeat(np.square(_SHELLS), 80)


@dataclass(frozen=True)
class Candidate:
    """What the networks take for a femoral head."""

    side: str  # "L" or "R", whichever is more probable
    centre_ras_mm: np.ndarray  # (3,)
    radius_mm: float  # of a ball of the volume that was taken for the head
    patch: Patch  # the CT about it, in voxels of about 2 mm
    probability: float  # of a head (0-1), by the fine network, a mean over the ball
    side_probability: float  # of that side, 0.5-1
    spread_mm: float  # of the votes
    error_mm: float  # the network's expected error of its votes
    moved_mm: float  # from the coarse network's centre to the fine one's


def find_candidates(
    volume: Volume, body: Body, places_ras_mm: Sequence[np.ndarray] | None = None
) -> list[Candidate]:
    """All that the fine network takes for femoral heads, at most one in 30 mm; by default in the whole CT."""
    candidates: list[Candidate] = []
    for place in find_places(volume, body) if places_ras_mm is None else places_ras_mm:
        found = find_candidate(volume, body, place)
        if found is not None and all(
            np.linalg.norm(found.centre_ras_mm - other.centre_ras_mm) > _APART_MM for other in candidates
        ):
            candidates.append(found)
    return candidates


def find_places(volume: Volume, body: Body) -> list[np.ndarray]:
    """Where votes of the coarse network meet, RAS mm (3,) each; where most meet comes first."""
    patch = downsample_body(volume, body, SPACING_MM["coarse"])
    points, weights = _collect_votes(apply_network("coarse", patch.hu), patch.spacing_mm)
    places = []
    while len(weights) and len(places) < _MOST_PLACES:
        place, cells = _shift_to_mode(points, weights, _COARSE_MM)
        if cells < _LEAST_CELLS:
            break
        places.append(patch.ras(place / patch.spacing_mm))
        rest = np.linalg.norm(points - place, axis=1) > _APART_MM
        points, weights = points[rest], weights[rest]
    return places


def find_candidate(volume: Volume, body: Body, place_ras_mm: np.ndarray) -> Candidate | None:
    """The head about a place in RAS mm (3,), or None if the fine network sees none."""
    centre, found, patch = place_ras_mm, None, None
    for _ in range(_ROUNDS):
        away_mm = np.linalg.norm(centre - place_ras_mm)
        if patch is None or away_mm > _REACH_MM - SPACING_MM["fine"] * _CUBE / 2:
            # The centre of a head of which less than half is left lies outside the CT.
            if share_in_view(volume, centre, USUAL_RADIUS_MM) < _LEAST_IN_VIEW:
                return None
            patch = cut_patch(volume, body, centre, _REACH_MM, SPACING_MM["fine"])
        found = _vote_finely(volume, patch, centre)
        if found is None or np.linalg.norm(found.centre_ras_mm - centre) < _STILL_MM:
            break
        centre = found.centre_ras_mm
    if found is None:
        return None
    return replace(found, moved_mm=float(np.linalg.norm(found.centre_ras_mm - place_ras_mm)))


def share_in_view(volume: Volume, centre_ras_mm: np.ndarray, radius_mm: float) -> float:
    """The share (0-1) of a ball that lies in the CT."""
    index = volume.ijk(centre_ras_mm + radius_mm * _BALL)
    held = ((index > -0.5) & (index < np.array(volume.hu.shape) - 0.5)).all(1)
    return float(_BALL_WEIGHTS[held].sum() / _BALL_WEIGHTS.sum())


def _collect_votes(out: Output, spacing_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The votes (n, 3), mm along the axes from the first voxel's middle, and their weights (n,)."""
    probability = out.probability[..., _LEFT] + out.probability[..., _RIGHT]
    cells = np.argwhere(probability > _LEAST_PROBABILITY)
    weights = probability[tuple(cells.T)]
    if len(weights) > _MOST_VOTES:
        best = np.argpartition(weights, -_MOST_VOTES)[-_MOST_VOTES:]
        cells, weights = cells[best], weights[best]
    # The middle of a cell of two voxels lies half a voxel behind that of its first one.
    return (2 * cells + 0.5) * spacing_mm + out.offset_mm[tuple(cells.T)], weights


def _shift_to_mode(points: np.ndarray, weights: np.ndarray, width_mm: float) -> tuple[np.ndarray, float]:
    """The place (3,) where weighted votes lie closest together (mean shift), and the weight there."""
    square = (points**2).sum(1)
    away = np.maximum(square[:, None] + square - 2 * points @ points.T, 0)
    density = np.exp(-away / (2 * width_mm**2)) @ weights
    place = points[density.argmax()]
    near = np.zeros(len(points))
    for _ in range(5):
        near = weights * np.exp(-((points - place) ** 2).sum(1) / (2 * width_mm**2))
        place = near @ points / near.sum()
    return place, float(near.sum())


def _vote_finely(volume: Volume, patch: Patch, centre_ras_mm: np.ndarray) -> Candidate | None:
    step = SPACING_MM["fine"]
    line = (np.arange(_CUBE) - (_CUBE - 1) / 2) * step
    hu, known = patch.sample(centre_ras_mm + np.stack(np.meshgrid(line, line, line, indexing="ij"), -1))
    hu[~known] = -1000
    out = apply_network("fine", hu)
    votes, weights = _collect_votes(out, np.full(3, step))
    votes = votes + (centre_ras_mm + line[0])
    weights = weights * np.exp(-((votes - centre_ras_mm) ** 2).sum(1) / (2 * _FROM_AFAR_MM**2))
    if weights.sum() < 1:
        return None
    place, _ = _shift_to_mode(votes, weights, _FINE_MM)
    away = np.linalg.norm(votes - place, axis=1)
    weights = weights * np.exp(-(away**2) / (2 * _FINE_MM**2))
    spread_mm = np.sqrt((weights @ np.minimum(away, 20.0) ** 2) / max(weights.sum(), 1e-9))
    return _measure(volume, patch, out, centre_ras_mm + line[0], place, float(spread_mm))


def _measure(
    volume: Volume, patch: Patch, out: Output, first: np.ndarray, place: np.ndarray, spread_mm: float
) -> Candidate:
    """The head at a place, of a cube whose first voxel lies at ``first``."""
    step = SPACING_MM["fine"]
    middles = [first[axis] + (2 * np.arange(_CUBE // 2) + 0.5) * step - place[axis] for axis in range(3)]
    i, j, k = np.ix_(*middles)
    away = np.sqrt(i**2 + j**2 + k**2)
    ball = away < _WITHIN_MM
    sides = out.probability[..., [_LEFT, _RIGHT]]
    probability, in_view = sides.sum(-1), share_in_view(volume, place, USUAL_RADIUS_MM)
    cell_mm3 = (2 * step) ** 3
    filled_mm3 = float(probability[away < 1.5 * _WITHIN_MM].sum()) * cell_mm3
    radius_mm = (3 * filled_mm3 / max(in_view, 0.2) / (4 * np.pi)) ** (1 / 3)
    left, right = sides[ball].sum(0)
    cells = 4 / 3 * np.pi * USUAL_RADIUS_MM**3 / cell_mm3 * max(in_view, 0.05)
    inner = probability[away < USUAL_RADIUS_MM - 3].sum() / (cells * (1 - 3 / USUAL_RADIUS_MM) ** 3)
    error_mm = (out.error_mm * probability)[ball].sum() / max(probability[ball].sum(), 1e-9)
    return Candidate(
        side="R" if right > left else "L",
        centre_ras_mm=place,
        radius_mm=float(np.clip(radius_mm, 15, 32)),
        patch=patch,
        probability=float(min(1.0, inner)),
        side_probability=float(max(left, right) / max(left + right, 1e-9)),
        spread_mm=spread_mm,
        error_mm=float(error_mm),
        moved_mm=0.0,
    )
