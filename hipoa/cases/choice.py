"""Which stack of a study to read, as far as headers tell.

A body part named hip or pelvis goes before none that is known, and this before another; plain CT before what
was computed from several energies; the largest region; of reconstructions of one region the first by the rule
of `hipoa.imaging.ct.dicom.stacks`. Hips cannot be seen from headers: where several regions are left and the
study can be named as a whole, the reading of its CTs decides, which takes the first that shows both hips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hipoa.cases.body_parts import Part
from hipoa.imaging.ct.dicom.stacks import Stack

# Of the larger extent along each axis, that two reconstructions of one region share.
_SAME_REGION = 0.9


def rank(stacks: Sequence[Stack], parts: Mapping[str, Part]) -> tuple[list[Stack], bool]:
    """Sorts stacks by how likely they are to be the hips' best.

    Args:
        stacks: Of a study, sorted by what each is worth as an image.
        parts: What each series shows.

    Returns:
        All of them, and whether the first few, of its body part, show one region.
    """
    regions: list[list[Stack]] = []
    for stack in stacks:
        same = next((one for one in regions if _is_same_region(one[0], stack)), None)
        if same is None:
            regions.append([stack])
        else:
            same.append(stack)
    part = {id(one): min(parts.get(name_series(stack), Part.UNKNOWN) for stack in one) for one in regions}
    regions.sort(key=lambda one: (part[id(one)], bool(one[0].slices[0].kind), -_volume(one[0])))
    alike = [one for one in regions if part[id(one)] == part[id(regions[0])]]
    return [stack for one in regions for stack in one], len(alike) == 1


def name_series(stack: Stack) -> str:
    """What the series of a stack is known by."""
    return stack.slices[0].series


def _box(stack: Stack) -> np.ndarray:
    """The corners (2, 3) of the box about a stack, LPS mm."""
    ends = [stack.slices[0], stack.slices[-1]]
    corners = [
        one.position + one.across @ np.multiply(one.size, corner)
        for one in ends
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    return np.array([np.min(corners, axis=0), np.max(corners, axis=0)])


def _volume(stack: Stack) -> float:
    return float(np.prod(np.ptp(_box(stack), axis=0)))


def _is_same_region(one: Stack, other: Stack) -> bool:
    if one.slices[0].identity.frame != other.slices[0].identity.frame:
        return False
    a, b = _box(one), _box(other)
    shared = np.minimum(a[1], b[1]) - np.maximum(a[0], b[0])
    return bool((shared >= _SAME_REGION * np.maximum(np.ptp(a, axis=0), np.ptp(b, axis=0))).all())
