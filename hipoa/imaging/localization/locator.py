"""Finds the femoral heads of a CT without labels or landmarks, and says how sure it is of each.

Two small networks, trained on drawn volumes of real bones, find the heads; the edge of the bone then says
where exactly each one lies. What each finding is worth was calibrated on drawn bodies that trained nothing
(docs/locator.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.candidates import Head, find_heads, find_places, look_closely, share_in_view
from hipoa.imaging.localization.head_fit import Placed, place_head
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.network import load_weights

# Two heads of one adult: about 175 mm apart, with dysplasia further (method notes, section 4).
_APART_MM, _USUAL_MM = (100.0, 270.0), 175.0
# Of an unsure head that the CT cuts the network must see this share before it is named: else there is none.
_SEEN = 0.5
# The CT must reach this far beyond a head's middle, in radii.
_HELD, _SURE = 0.4, 0.6
FEATURES = ("share", "one_side", "spread", "doubt", "moved", "in_view", "support", "fitted")
"""What speaks for or against a finding, see :func:`describe`."""
_NONE = "no hip found: the CT shows no femoral head of this side"


@dataclass(frozen=True)
class Finding:
    """A femoral head that was found.

    Attributes:
        hip: Where it is; its confidence is the probability that the centre lies within 6 mm.
        head: As the networks see it.
        margin_mm: How far its centre lies from the CT's nearest end; negative outside.
    """

    hip: Hip
    head: Head
    margin_mm: float


def locate(
    volume: Volume,
    body: Body,
    least_confidence: float,
    places_ras_mm: Sequence[np.ndarray] | None = None,
) -> HipCentres:
    """Finds the femoral heads of a CT.

    Args:
        volume: The CT.
        body: The patient without the table (:func:`hipoa.imaging.ct.body.find_body`).
        least_confidence: Below it (0-1) a finding is no hip.
        places_ras_mm: Where to look; None looks for these places too.

    Returns:
        The hips found, with their confidence; for a missing side the reason.
    """
    places = find_places(volume, body) if places_ras_mm is None else places_ras_mm
    chosen = _choose([_place(volume, head) for head in find_heads(volume, body, places)])
    reasons = {side: refuse(found, least_confidence) for side, found in chosen.items()}
    hips = {side: found.hip for side, found in chosen.items() if not reasons[side]}
    missing = {side: reasons.get(side) or _NONE for side in SIDES if side not in hips}
    return HipCentres(hips, missing | _explain(volume, hips, missing))


def find_head_near(volume: Volume, body: Body, place_ras_mm: np.ndarray) -> Finding | None:
    """What is taken for a femoral head near a place that someone marked, or None if nothing is.

    Args:
        volume: The CT.
        body: The patient without the table.
        place_ras_mm: The mark (3,); side, distance and confidence are the caller's to compare.
    """
    head = look_closely(volume, body, place_ras_mm)
    return None if head is None else _place(volume, head)


def _place(volume: Volume, head: Head) -> Finding:
    placed = place_head(head.blocks, head.centre_ras_mm, head.radius_mm)
    r, a, s = (round(float(x), 2) for x in placed.centre_ras_mm)
    confidence = round(rate(describe(volume, head, placed)), 3)
    notes = placed.notes + (("the locator is not sure of this hip",) if confidence < _SURE else ())
    hip = Hip(head.side, (r, a, s), round(placed.radius_mm, 2), "locator", confidence, notes)
    index = volume.ijk(placed.centre_ras_mm)
    ends = np.minimum(index + 0.5, np.array(volume.hu.shape) - 0.5 - index) * volume.spacing_mm
    return Finding(hip, head, float(ends.min()))


def describe(volume: Volume, head: Head, placed: Placed) -> np.ndarray:
    """What speaks for a finding: the numbers named in :data:`FEATURES`, about 0-1 each."""
    fitted = float(np.linalg.norm(placed.centre_ras_mm - head.centre_ras_mm))
    return np.array(
        [
            head.share,
            2 * head.one_side - 1,
            min(head.spread_mm, 10.0) / 5,
            min(head.doubt_mm, 12.0) / 5,
            min(head.moved_mm, 20.0) / 10,
            share_in_view(volume, placed.centre_ras_mm, placed.radius_mm),
            min(placed.support, 0.6),
            min(fitted, 10.0) / 5,
        ]
    )


def rate(features: np.ndarray) -> float:
    """The probability (0-1) that a finding is a head of this side and its centre lies within 6 mm.

    A logistic regression, fitted to drawn bodies that trained no network.
    """
    weights = load_weights()["confidence"]
    odds = float(features @ weights["weight"] + weights["bias"][0])
    return float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def _choose(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The most probable pair of heads that can belong to one body, or the one head there is."""
    of_side = {side: [found for found in findings if found.hip.side == side] for side in SIDES}
    pairs = [pair for pair in product(*of_side.values()) if _go_together(*pair)]
    # Of equals the first is taken: a pair before one alone.
    choices = [*pairs, *((found,) for found in findings)]
    best = max(choices, key=lambda choice: sum(found.hip.confidence for found in choice), default=())
    return {found.hip.side: found for found in best}


def _go_together(left: Finding, right: Finding) -> bool:
    away = np.subtract(right.hip.centre_ras_mm, left.hip.centre_ras_mm)
    return bool(away[0] > 60 and _APART_MM[0] < np.linalg.norm(away) < _APART_MM[1])


def refuse(found: Finding, least_confidence: float) -> str:
    """Why a finding is no hip; empty if it is one."""
    hip, unsure = found.hip, found.hip.confidence < least_confidence
    cut = found.margin_mm < (1.0 if unsure else _HELD) * hip.radius_mm
    if cut and (not unsure or found.head.share > _SEEN):
        margin = found.margin_mm
        where = f"{margin:.0f} mm beyond" if margin >= 0 else f"{-margin:.0f} mm before"
        return f"cut-off head: the CT ends {where} its middle, the head's radius is {hip.radius_mm:.0f} mm"
    if not unsure:
        return ""
    odds = f"confidence {hip.confidence:.2f}, needed {least_confidence:.2f}"
    return f"no hip found: no femoral head that is sure enough ({odds})"


def _explain(volume: Volume, hips: Mapping[str, Hip], missing: Mapping[str, str]) -> dict[str, str]:
    """Of a hip without its partner: whether the CT reaches to where that one must be."""
    if len(hips) != 1 or any(reason.startswith("cut-off") for reason in missing.values()):
        return {}
    side, hip = next(iter(hips.items()))
    sign = 1 if side == "R" else -1
    if volume.contains(np.array(hip.centre_ras_mm) - [sign * _USUAL_MM, 0, 0]):
        return {}
    other = "L" if side == "R" else "R"
    return {other: "no hip found: one hip only in the field of view, the CT ends before the other one"}
