"""Finds the femoral heads of a CT without labels: spheres of bone between socket and neck, in pairs.

On a coarse grid the surface of bone votes for the middles of spheres; a few of them are looked at from their
middles outwards, and those with the bones of a hip about them are taken, two that go together before one
alone. Where exactly a head lies is then sought in small boxes. Metal does not confuse it, since HU are capped
at those of cancellous bone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from hipoa.imaging.body import Body
from hipoa.imaging.evidence import find_candidates
from hipoa.imaging.hips import Hip, HipCentres
from hipoa.imaging.narrow import settle_narrow
from hipoa.imaging.place import place_head
from hipoa.imaging.scout import Scout, make_scout
from hipoa.imaging.volume import Volume
from hipoa.tables import SIDES

# Two heads of one adult: about 175 mm apart, some 15 mm further each with dysplasia, one of them up to
# 57 mm higher (method notes, section 4).
_APART_MM = (110.0, 260.0)
_USUAL_APART_MM = (145.0, 225.0)
_UNEQUAL_MM = np.array([12.0, 25.0, 50.0, 6.0])
_USUAL_MM = 175.0
_ASIDE_MM = (40.0, 160.0)
# Log odds: what a partner of the same size at the same height is worth, and one that should be there and is
# not, or cannot be.
_PAIRED, _ABANDONED, _ALONE, _SURE_OF_SIDE = 2.0, -2.5, 0.5, 1.0
# How much a head of a pair speaks for itself; its partner vouches for the rest.
_OWN = 0.7
# The CT must reach this far beyond a head's middle, in radii. Of a head at its end less is seen: above this
# confidence it is taken for one that is cut.
_HELD, _CUT = 0.4, 0.05
# Shares of the directions that show an edge of the head: if one head of a CT has hardly any, those with few
# are looked for again.
_UNSEEN, _SEEN = 0.18, 0.25


@dataclass(frozen=True)
class Found:
    """A sphere taken for the head of a side.

    Attributes:
        centre_ras_mm: (3,).
        radius_mm: Of the sphere.
        confidence: That it is one, 0-1.
    """

    centre_ras_mm: np.ndarray
    radius_mm: float
    confidence: float


@dataclass(frozen=True)
class Candidates:
    """Spheres, and what speaks for each being the left or the right head.

    Attributes:
        centres: (n, 3) in RAS mm.
        radii: (n,) in mm.
        odds: By side the log odds (n,).
    """

    centres: np.ndarray
    radii: np.ndarray
    odds: Mapping[str, np.ndarray]


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
    found = choose(scout, Candidates(*find_candidates(scout)))
    missing = {side: _doubt(0.0, least_confidence) for side in SIDES if side not in found}
    missing |= {side: _refuse(scout, head, least_confidence) for side, head in found.items()}
    whole = {side: head for side, head in found.items() if not missing[side]}
    hips = _place(volume, body, whole, scout.axes)
    for side, hip in hips.items():
        placed = Found(np.array(hip.centre_ras_mm), hip.radius_mm, hip.confidence)
        missing[side] = _refuse(scout, placed, least_confidence)
    hips = {side: hip for side, hip in hips.items() if not missing[side]}
    missing = {side: reason for side, reason in missing.items() if reason}
    return HipCentres(hips, missing | _explain(scout, hips, missing))


def _refuse(scout: Scout, head: Found, least_confidence: float) -> str:
    """Why a finding is no hip; empty if it is one."""
    unsure = head.confidence < least_confidence
    margin_mm = _margin_mm(scout, head.centre_ras_mm)
    if head.confidence > _CUT and margin_mm < (1.0 if unsure else _HELD) * head.radius_mm:
        where = f"{margin_mm:.0f} mm beyond" if margin_mm >= 0 else f"{-margin_mm:.0f} mm before"
        return f"cut-off head: the CT ends {where} its middle, the head's radius is {head.radius_mm:.0f} mm"
    return _doubt(head.confidence, least_confidence) if unsure else ""


def _place(volume: Volume, body: Body, found: Mapping[str, Found], axes: np.ndarray) -> dict[str, Hip]:
    placed = {side: _place_one(volume, body, side, head) for side, head in found.items()}
    if any(support <= _UNSEEN for _, support in placed.values()):
        starts = {side: head.centre_ras_mm for side, head in found.items()}
        again = settle_narrow(volume, body, starts, axes)
        for side in [side for side, (_, support) in placed.items() if support <= _SEEN]:
            head = Found(*again[side], found[side].confidence)
            placed[side] = _place_one(volume, body, side, head)
    return {side: hip for side, (hip, _) in placed.items()}


def _place_one(volume: Volume, body: Body, side: str, head: Found) -> tuple[Hip, float]:
    return place_head(volume, body, side, head.centre_ras_mm, head.radius_mm, head.confidence)


def choose(scout: Scout, candidates: Candidates) -> dict[str, Found]:
    """The most plausible pair of heads, or the one head there is.

    Args:
        scout: The coarse CT they were found in.
        candidates: What was found.
    """
    at, radii, odds = candidates.centres @ scout.axes.T, candidates.radii, candidates.odds
    n = range(len(radii))
    pairs = [
        (odds["L"][i] + odds["R"][j] + 2 * _pair(at[j] - at[i], radii[j] - radii[i]), i, j)
        for i, j in product(n, n)
    ]
    alone = [(odds[side][i] + _alone(scout, candidates, side, i), side, i) for side in SIDES for i in n]
    best_pair = max(pairs, default=(-np.inf, 0, 0))
    best_one = max(alone, default=(-np.inf, "L", 0))
    if best_one[0] > best_pair[0]:
        value, side, i = best_one
        return {side: Found(candidates.centres[i], float(radii[i]), _squash(value))}
    if best_pair[0] == -np.inf:
        return {}
    ends = dict(zip(SIDES, best_pair[1:], strict=True))
    both = _pair(at[ends["R"]] - at[ends["L"]], radii[ends["R"]] - radii[ends["L"]])
    both += (1 - _OWN) * sum(odds[side][i] for side, i in ends.items())
    return {
        side: Found(candidates.centres[i], float(radii[i]), _squash(both + (2 * _OWN - 1) * odds[side][i]))
        for side, i in ends.items()
    }


def _pair(away_mm: np.ndarray, larger_mm: float) -> float:
    """What two spheres are worth to each other: how far the right one is away along the body's axes."""
    if not _APART_MM[0] < away_mm[0] < _APART_MM[1]:
        return -np.inf
    odd = away_mm[0] - np.clip(away_mm[0], *_USUAL_APART_MM)
    unequal = np.array([odd, away_mm[1], away_mm[2], larger_mm]) / _UNEQUAL_MM
    return _PAIRED - float(np.square(unequal).sum()) / 2


def _alone(scout: Scout, candidates: Candidates, side: str, i: int) -> float:
    """What speaks against one head without the other, in log odds."""
    sign, centre = (1 if side == "R" else -1), candidates.centres[i]
    other = "L" if side == "R" else "R"
    if candidates.odds[side][i] - candidates.odds[other][i] < _SURE_OF_SIDE:
        return -np.inf
    aside = sign * (scout.axes[0] @ centre - scout.middle_mm)
    if not any(scout.open_sides) and not _ASIDE_MM[0] < aside < _ASIDE_MM[1]:
        return -np.inf
    partner = centre - sign * _USUAL_MM * scout.axes[0]
    return _ABANDONED if _margin_mm(scout, partner) > 0 else _ALONE


def _margin_mm(scout: Scout, ras_mm: np.ndarray) -> float:
    """How far from the CT's nearest end a point lies, mm; negative outside."""
    index = scout.index(ras_mm)
    return float((np.minimum(index - scout.ends[0], scout.ends[1] - index) * scout.spacing_mm).min())


def _explain(scout: Scout, hips: Mapping[str, Hip], missing: Mapping[str, str]) -> dict[str, str]:
    """Of a hip without its partner: whether the CT reaches to where that one must be."""
    if len(hips) != 1 or any(reason.startswith("cut-off") for reason in missing.values()):
        return {}
    side, hip = next(iter(hips.items()))
    sign = 1 if side == "R" else -1
    partner = np.array(hip.centre_ras_mm) - sign * _USUAL_MM * scout.axes[0]
    if _margin_mm(scout, partner) > 0:
        return {}
    other = "L" if side == "R" else "R"
    return {other: "no hip found: one hip only in the field of view, the CT ends before the other one"}


def _doubt(confidence: float, least_confidence: float) -> str:
    found = f"confidence {confidence:.2f}, needed {least_confidence:.2f}"
    return f"no hip found: no round head of bone at a socket ({found})"


def _squash(odds: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(odds, -50, 50))))
