"""Finds the femoral heads of a CT without labels or landmarks, each with a calibrated confidence.

Two small networks, trained on drawn volumes of real bones, find the heads; the edge of the bone then says
where exactly each one lies. The confidence was calibrated on drawn bodies that trained nothing
(docs/locator.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hipoa.core.constants import UNSURE_BELOW
from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.candidates import Candidate, find_candidate, find_candidates, share_in_view
from hipoa.imaging.localization.head_fit import HeadFit, refine_head
from hipoa.imaging.localization.hip_centres import LEAST_APART_MM, Hip, HipCentres
from hipoa.imaging.localization.network import load_weights

# Two heads of one adult: about 175 mm apart, with dysplasia further (method notes, section 4).
_APART_MM, _USUAL_MM = (100.0, 270.0), 175.0
# An unsure head that the CT cuts is named only if the network gives it this probability: else there is none.
_SEEN = 0.5
# The CT must reach this far beyond a head's middle, in radii.
_HELD = 0.4
FEATURES = ("probability", "side", "spread", "error", "moved", "in_view", "support", "refined")
"""What the confidence follows from, see :func:`list_features`."""
_NONE = "no hip found: the CT shows no femoral head of this side"
_UNSURE = "the locator is not sure of this hip"


@dataclass(frozen=True)
class Finding:
    """A femoral head that was found."""

    hip: Hip  # where it is; its confidence is the probability that the centre lies within 6 mm
    candidate: Candidate  # as the networks see it
    margin_mm: float  # how far its centre lies from the CT's nearest end; negative outside


def locate(
    volume: Volume,
    body: Body,
    least_confidence: float,
    places_ras_mm: Sequence[np.ndarray] | None = None,
) -> HipCentres:
    """Finds the femoral heads of a CT, with their confidence; for a missing side the reason.

    Args:
        volume: The CT.
        body: The patient without the table.
        least_confidence: Below it (0-1) a finding is no hip.
        places_ras_mm: Where to look; None looks for these places too.
    """
    candidates = find_candidates(volume, body, places_ras_mm)
    chosen = _choose([_refine(volume, candidate) for candidate in candidates])
    reasons = {side: explain_refusal(found, least_confidence) for side, found in chosen.items()}
    hips = {side: found.hip for side, found in chosen.items() if not reasons[side]}
    missing = {side: reasons.get(side) or _NONE for side in SIDES if side not in hips}
    return HipCentres(hips, missing | _explain_single_hip(volume, hips, missing))


def find_head_near(volume: Volume, body: Body, place_ras_mm: np.ndarray) -> Finding | None:
    """What is taken for a femoral head near a mark (3,), of whatever side, distance and confidence."""
    candidate = find_candidate(volume, body, place_ras_mm)
    return None if candidate is None else _refine(volume, candidate)


def explain_refusal(found: Finding, least_confidence: float) -> str:
    """Why a finding is no hip; empty if it is one."""
    hip, unsure = found.hip, found.hip.confidence < least_confidence
    cut = found.margin_mm < (1.0 if unsure else _HELD) * hip.radius_mm
    if cut and (not unsure or found.candidate.probability > _SEEN):
        margin = found.margin_mm
        where = f"{margin:.0f} mm beyond" if margin >= 0 else f"{-margin:.0f} mm before"
        return f"cut-off head: the CT ends {where} its middle, the head's radius is {hip.radius_mm:.0f} mm"
    if not unsure:
        return ""
    odds = f"confidence {hip.confidence:.2f}, needed {least_confidence:.2f}"
    return f"no hip found: no femoral head that is sure enough ({odds})"


def list_features(volume: Volume, candidate: Candidate, fit: HeadFit) -> np.ndarray:
    """What the confidence follows from: the numbers named in :data:`FEATURES`, about 0-1 each."""
    refined_mm = float(np.linalg.norm(fit.centre_ras_mm - candidate.centre_ras_mm))
    return np.array(
        [
            candidate.probability,
            2 * candidate.side_probability - 1,
            min(candidate.spread_mm, 10.0) / 5,
            min(candidate.error_mm, 12.0) / 5,
            min(candidate.moved_mm, 20.0) / 10,
            share_in_view(volume, fit.centre_ras_mm, fit.radius_mm),
            min(fit.support, 0.6),
            min(refined_mm, 10.0) / 5,
        ]
    )


def _refine(volume: Volume, candidate: Candidate) -> Finding:
    fit = refine_head(candidate.patch, candidate.centre_ras_mm, candidate.radius_mm)
    r, a, s = (round(float(x), 2) for x in fit.centre_ras_mm)
    # The probability of a head of this side within 6 mm, by a logistic regression.
    weights = load_weights()["confidence"]
    odds = float(list_features(volume, candidate, fit) @ weights["weight"] + weights["bias"][0])
    confidence = round(float(1 / (1 + np.exp(-np.clip(odds, -30, 30)))), 3)
    notes = (_UNSURE,) if confidence < UNSURE_BELOW else ()
    radius_mm = round(fit.radius_mm, 2)
    hip = Hip(candidate.side, (r, a, s), radius_mm, "locator", confidence, notes, replaced=fit.replaced)
    index = volume.ijk(fit.centre_ras_mm)
    ends = np.minimum(index + 0.5, np.array(volume.hu.shape) - 0.5 - index) * volume.spacing_mm
    return Finding(hip, candidate, float(ends.min()))


def _choose(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The most probable pair of heads that can belong to one body, or the one head there is."""
    of_side = {side: [found for found in findings if found.hip.side == side] for side in SIDES}
    pairs = [pair for pair in product(*of_side.values()) if _is_pair(*pair)]
    # Of equals the first is taken: a pair before one alone.
    choices = [*pairs, *((found,) for found in findings)]
    best = max(choices, key=lambda choice: sum(found.hip.confidence for found in choice), default=())
    return {found.hip.side: found for found in best}


def _is_pair(left: Finding, right: Finding) -> bool:
    away = np.subtract(right.hip.centre_ras_mm, left.hip.centre_ras_mm)
    return bool(away[0] > LEAST_APART_MM and _APART_MM[0] < np.linalg.norm(away) < _APART_MM[1])


def _explain_single_hip(
    volume: Volume, hips: Mapping[str, Hip], missing: Mapping[str, str]
) -> dict[str, str]:
    """Why a hip has no partner: whether the CT reaches to where the other head must be."""
    if len(hips) != 1 or any(reason.startswith("cut-off") for reason in missing.values()):
        return {}
    ((side, hip),) = hips.items()
    other, sign = ("L", 1) if side == "R" else ("R", -1)
    if volume.contains(np.array(hip.centre_ras_mm) - [sign * _USUAL_MM, 0, 0]):
        return {}
    return {other: "no hip found: one hip only in the field of view, the CT ends before the other one"}
