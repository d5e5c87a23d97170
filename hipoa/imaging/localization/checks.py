"""Compares marked hip centres with the femoral heads that the CT shows, and refuses what it does not confirm.

A landmark or a mask says where a head is and of which side; the locator finds the head near the mark and its
side by itself. A side that it is not sure of refuses no mark (docs/locator.md).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.locator import Finding, explain_refusal, find_head_near
from hipoa.imaging.localization.segmentation import CHECK_LABELS
from hipoa.imaging.settings import ProjectSettings

# A head further away is not the one that was marked; a centre further off than the second is warned of.
WITHIN_MM, NEAR_MM = 15.0, 6.0
# True heads of drawn CTs have at least 0.999 for their own side.
_SURE_OF_SIDE = 0.9
_WORDS = {"landmarks": "landmark", "labels": "head of the labels"}
_CHECK = {
    "landmarks": "Check the landmark's place, its RAS or LPS, and that it belongs to this CT.",
    "labels": CHECK_LABELS,
}
_LOOKED = (
    "If you have seen in the CT that it is right (a head that the locator does not know: a child's, "
    "destroyed, of a tumour), set project's unconfirmed_marks to warn (--unconfirmed-marks warn); "
    "else exclude the hip."
)


def confirm_marks(volume: Volume, body: Body, centres: HipCentres, settings: ProjectSettings) -> HipCentres:
    """Compares each marked hip with the head that the CT shows there; one outside the CT stays as it is.

    Returns:
        The hips, with the distance from mark to head; those that are not confirmed are missing, or warned of.
    """
    hips: dict[str, Hip] = {}
    missing, advice = dict(centres.missing), dict(centres.advice)
    for side, hip in centres.hips.items():
        if not volume.contains(np.array(hip.centre_ras_mm)):
            hips[side] = hip
            continue
        found = find_head_near(volume, body, np.array(hip.centre_ras_mm))
        judged = _judge(hip, found, settings.locator_confidence)
        if isinstance(judged, Hip):
            hips[side] = judged
        elif settings.unconfirmed_marks == "warn":
            hips[side] = replace(hip, warnings=(*hip.warnings, judged[0]))
        else:
            missing[side], advice[side] = judged[0], f"{judged[1]} {_LOOKED}"
    return HipCentres(hips, missing, advice)


def _judge(hip: Hip, found: Finding | None, least_confidence: float) -> Hip | tuple[str, str]:
    """The hip if the CT confirms it, else what is wrong and what to do."""
    mark, check = _WORDS[hip.method], _CHECK[hip.method]
    away_mm = np.inf if found is None else math.dist(hip.centre_ras_mm, found.hip.centre_ras_mm)
    fault = "" if found is None else explain_refusal(found, least_confidence)
    if found is None or (away_mm > WITHIN_MM and fault):
        return f"the CT shows no femoral head within {WITHIN_MM:.0f} mm of the {mark}", check
    if away_mm > WITHIN_MM:
        where = f"the nearest femoral head that the CT shows lies {away_mm:.0f} mm from the {mark}"
        return where, f"{check} Without {hip.method} the locator looks for the head itself."
    if fault:
        return fault, "Give a CT that holds the head." if fault.startswith("cut-off") else check
    sure = found.candidate.side_probability > _SURE_OF_SIDE
    if found.hip.side != hip.side and sure:
        return f"the CT shows the head of the other side at the {mark}", f"Correct the side. {check}"
    notes = list(hip.warnings)
    notes += [] if sure else [f"the CT does not show of which side the head at the {mark} is"]
    if away_mm > NEAR_MM:
        notes.append(f"the {mark} lies {away_mm:.0f} mm from the centre of the head that the CT shows")
    known = {"mark_to_head_mm": round(away_mm, 1), "replaced": found.hip.replaced}
    return replace(hip, warnings=tuple(notes), **known)
