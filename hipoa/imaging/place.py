"""Where exactly a femoral head lies that the locator has found, and how sure that is."""

from __future__ import annotations

import numpy as np

from hipoa.imaging.blocks import cut_blocks
from hipoa.imaging.body import Body
from hipoa.imaging.headfit import fit_head_edges
from hipoa.imaging.hips import Hip
from hipoa.imaging.implants import find_metal_head
from hipoa.imaging.volume import Volume

_SURE = 0.6
_BLOCK_MM, _REACH_MM, _METAL_WITHIN_MM = 2.0, 62.0, 20.0
# The share of the sphere that shows an edge: from where to where the fit is trusted more and more, and where
# it is beyond doubt.
_SUPPORT, _FULL_SUPPORT = (0.15, 0.35), 0.5
# What is left of the confidence where no edge is seen.
_UNSEEN = 0.8


def place_head(
    volume: Volume, body: Body, side: str, centre_ras_mm: np.ndarray, radius_mm: float, confidence: float
) -> tuple[Hip, float]:
    """The hip where its edges say it is, as far as there are edges; of a replaced hip the metal head.

    Args:
        volume: The CT.
        body: The patient.
        side: "L" or "R".
        centre_ras_mm: Where the head was found (3,).
        radius_mm: As it was found.
        confidence: That it is a femoral head, 0-1.

    Returns:
        The hip, and the share (0-1) of the directions in which its edge is seen; 1 for a metal head.
    """
    blocks = cut_blocks(volume, body, centre_ras_mm, _REACH_MM, _BLOCK_MM)
    metal = find_metal_head(blocks, centre_ras_mm, _METAL_WITHIN_MM)
    if metal:
        note = "a total hip replacement: the centre is that of its metal head"
        return _describe(side, metal.centre_ras_mm, metal.radius_mm, confidence, note), 1.0
    found = fit_head_edges(blocks, centre_ras_mm)
    if found is None:
        return _describe(side, centre_ras_mm, radius_mm, confidence * _UNSEEN), 0.0
    # Between the two places, nearer to the fitted one the more edges agree on it.
    share = float(np.clip((found.support - _SUPPORT[0]) / (_SUPPORT[1] - _SUPPORT[0]), 0, 1))
    centre = centre_ras_mm + share * (found.centre_ras_mm - centre_ras_mm)
    radius = radius_mm + share * (found.radius_mm - radius_mm)
    seen = min(1.0, found.support / _FULL_SUPPORT)
    return _describe(side, centre, radius, confidence * (_UNSEEN + (1 - _UNSEEN) * seen)), found.support


def _describe(side: str, centre_ras_mm: np.ndarray, radius_mm: float, confidence: float, *notes: str) -> Hip:
    r, a, s = (round(float(x), 2) for x in centre_ras_mm)
    warnings = (*notes, *(("the locator is not sure of this hip",) if confidence < _SURE else ()))
    return Hip(side, (r, a, s), round(radius_mm, 2), "locator", round(confidence, 3), warnings)
