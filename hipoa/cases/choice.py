"""Chooses the stack of a study, as far as headers tell.

Stacks of the hip or pelvis come first, then those of an unnamed body part; then plain CT before what was
computed from several energies; then the largest region, and of its reconstructions the first by the rule of
`hipoa.imaging.ct.dicom.stacks`. Headers do not show hips: if several regions are left and one path names the
whole study, `project` decides, which takes the first stack that shows both hips.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum

import numpy as np

from hipoa.core.identifiers import strip_accents
from hipoa.imaging.ct.dicom.stacks import Stack


class Part(IntEnum):
    """The body part of a series; the smaller, the likelier it shows the hips."""

    HIPS = 0
    UNKNOWN = 1
    ELSEWHERE = 2


# Source: DICOM PS3.16, Annex L (defined terms of Body Part Examined).
_HIPS = re.compile(
    r"\bHIPS?\b|HIPJOINT|PELVI|WHOLE ?BODY|\bCOXA|FEMUR|HUE?FT|BECKEN|HANCHE|BASSIN|CADERA|"
    "股関節|骨盤|大腿|髋|骨盆"
)
_ELSEWHERE = re.compile(
    r"HEAD|BRAIN|SKULL|NECK|CHEST|THORAX|LUNG|HEART|CARDIAC|BREAST|SHOULDER|ELBOW|WRIST|\bHAND\b|FINGER|ARM\b|HUMERUS|"
    r"KNEE|ANKLE|FOOT|\bTOE|CALCANEUS|PATELLA|TIBIA|FIBULA|[CT]SPINE|JAW|MAXILLA|MANDIBLE|ORBIT|SINUS|\bEAR\b"
)
# Two reconstructions of one region share at least this of the larger extent along each axis.
_SAME_REGION = 0.9


def find_part(about: Mapping[str, str]) -> Part:
    """The body part of a series, from the texts `body_part`, `protocol` and `description` of its header.

    Body Part Examined is often left as the protocol had it: another part there only makes a series less
    likely, while words for hip and pelvis count in any of the texts.
    """
    part, *others = (_fold(about.get(name, "")) for name in ("body_part", "protocol", "description"))
    if any(map(_HIPS.search, (part, *others))):
        return Part.HIPS
    return Part.ELSEWHERE if _ELSEWHERE.search(part) else Part.UNKNOWN


def _fold(text: str) -> str:
    return re.sub(r"[_\W]+", " ", strip_accents(text)).upper()


def rank(stacks: Sequence[Stack], parts: Mapping[str, Part]) -> tuple[list[Stack], bool]:
    """Sorts the stacks of a study, which come sorted as images, by how likely they are the best of the hips.

    Returns:
        All of them, and whether those of the first one's body part show a single region.
    """
    regions: list[list[Stack]] = []
    for stack in stacks:
        same = next((region for region in regions if _is_same_region(region[0], stack)), None)
        if same is None:
            regions.append([stack])
        else:
            same.append(stack)

    def part(region: Sequence[Stack]) -> Part:
        return min(parts.get(stack.slices[0].series, Part.UNKNOWN) for stack in region)

    def volume_mm3(region: Sequence[Stack]) -> float:
        return float(np.prod(np.ptp(_box(region[0]), axis=0)))

    regions.sort(key=lambda region: (part(region), bool(region[0].slices[0].kind), -volume_mm3(region)))
    is_single = len(regions) == 1 or part(regions[1]) != part(regions[0])
    return [stack for region in regions for stack in region], is_single


def _box(stack: Stack) -> np.ndarray:
    """The corners (2, 3) of the bounding box, LPS mm."""
    corners = [
        end.position + end.across @ np.multiply(end.size, corner)
        for end in (stack.slices[0], stack.slices[-1])
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    return np.array([np.min(corners, axis=0), np.max(corners, axis=0)])


def _is_same_region(one: Stack, other: Stack) -> bool:
    if one.slices[0].identity.frame != other.slices[0].identity.frame:
        return False
    a, b = _box(one), _box(other)
    shared = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0])
    return bool((shared >= _SAME_REGION * np.maximum(np.ptp(a, axis=0), np.ptp(b, axis=0))).all())
