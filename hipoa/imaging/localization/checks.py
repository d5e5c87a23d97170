"""Confirms marked hip centres, or vetoes them, by what the CT itself shows there.

A landmark or a mask says where a head is and of which side; the fine network looks there and says the same
without knowing what was marked. It has no veto about a side that it is not sure of (docs/locator.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.locator import Finding, find_head_near, refuse
from hipoa.imaging.localization.segmentation import CHECK_LABELS
from hipoa.imaging.settings import ProjectSettings

# A head further away is not the one that was marked; a centre further off than the second is warned of.
WITHIN_MM, NEAR_MM = 15.0, 6.0
# True heads of drawn CTs have at least 0.999 for their own side.
_SURE_OF_SIDE = 0.9
_WORDS = {"landmarks": "landmark", "labels": "head of the labels"}
_LOOKED = (
    "If you have seen in the CT that it is right (a head that the locator does not know: a child's, "
    "destroyed, of a tumour), set project's unconfirmed_marks to warn (--unconfirmed-marks warn); "
    "else exclude the hip."
)


def confirm_marks(volume: Volume, body: Body, centres: HipCentres, settings: ProjectSettings) -> HipCentres:
    """Compares each marked hip with the head that the CT shows there; one outside the CT is left as it is.

    Args:
        volume: The CT.
        body: The patient without the table.
        centres: From landmarks or labels.
        settings: How sure the locator must be, and what becomes of a mark that is not confirmed.

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
    """A hip that the CT confirms, or why it does not and how to mend it."""
    mark = _WORDS[hip.method]
    away_mm = np.inf if found is None else _away_mm(hip, found)
    fault = "" if found is None else refuse(found, least_confidence)
    if found is None or (away_mm > WITHIN_MM and fault):
        return f"the CT shows no femoral head within {WITHIN_MM:.0f} mm of the {mark}", _mend(hip)
    if away_mm > WITHIN_MM:
        where = f"the nearest femoral head that the CT shows lies {away_mm:.0f} mm from the {mark}"
        return where, f"{_mend(hip)} Without {hip.method} the locator looks for the head itself."
    if fault:
        return fault, "Give a CT that holds the head." if fault.startswith("cut-off") else _mend(hip)
    if found.hip.side != hip.side and found.head.one_side > _SURE_OF_SIDE:
        return f"the CT shows the head of the other side at the {mark}", f"Correct the side. {_mend(hip)}"
    return _compare(hip, found)


def _mend(hip: Hip) -> str:
    if hip.method == "labels":
        return CHECK_LABELS
    return "Check the landmark's place, its RAS or LPS, and that it belongs to this CT."


def _compare(hip: Hip, found: Finding) -> Hip:
    """A confirmed hip, with how far its mark lies from the head."""
    mark, away_mm = _WORDS[hip.method], _away_mm(hip, found)
    notes = list(hip.warnings)
    if found.head.one_side <= _SURE_OF_SIDE:
        notes.append(f"the CT does not show of which side the head at the {mark} is")
    if away_mm > NEAR_MM:
        notes.append(f"the {mark} lies {away_mm:.0f} mm from the centre of the head that the CT shows")
    return replace(hip, warnings=tuple(notes), mark_to_head_mm=round(away_mm, 1))


def _away_mm(hip: Hip, found: Finding) -> float:
    return float(np.linalg.norm(np.subtract(hip.centre_ras_mm, found.hip.centre_ras_mm)))
