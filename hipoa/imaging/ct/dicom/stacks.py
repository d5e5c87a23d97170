"""Sorts CT slices into evenly spaced stacks and ranks them, by their headers alone.

One series may hold several: phases, kernels, hips and knees with a gap between, slices of bolus tracking.
"""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hipoa.imaging.ct.dicom.headers import Slice
from hipoa.imaging.ct.dicom.identity import Identity
from hipoa.imaging.ct.dicom.pixels import read_stored
from hipoa.imaging.ct.dicom.separation import (
    LEAST_SLICES,
    ROUNDED_MM,
    SAME_POSITION_MM,
    UNEVEN,
    acquisition_order,
    find_breaks,
    group,
    measure_extent,
    round_position,
    separate,
    sort_by_position,
)
from hipoa.imaging.ct.image import LPS_TO_RAS, Gap

_SAME_PLANE_MM = 1e-3
# Wider gaps are intended: hips, knees and ankles for planning.
_LOST_MM = 100.0
# No scanner counts this far: somebody may have made the number from a date.
_MOST_NUMBER = 9999
_KERNELS = {"soft": 0, "bone": 1, "other": 2, "": 2, "lung": 3}


@dataclass(frozen=True)
class Stack:
    """Parallel, evenly spaced slices, in the order of their position."""

    slices: tuple[Slice, ...]  # one or more
    copies: int = 0  # how many copies of slices in its series were left out
    gaps: tuple[Gap, ...] = ()  # where slices are missing beside it
    name: str = ""  # as the user may name it; empty if it is too short to be read
    note: str = ""  # what the user should know of it
    set_aside: str = ""  # what lies beside it, in words

    @property
    def extent_mm(self) -> float:
        """From the first slice to the last, mm."""
        return measure_extent(self.slices)

    @property
    def step_mm(self) -> float:
        """From one slice to the next, mm."""
        return self.extent_mm / max(1, len(self.slices) - 1)

    @property
    def number(self) -> int | None:
        """The series' number, if a message may show it."""
        number = self.slices[0].number
        return number if number is not None and 0 <= number <= _MOST_NUMBER else None

    @property
    def sort_number(self) -> float:
        """The series' number to sort by; none comes last."""
        return np.inf if self.number is None else self.number

    def has_name(self, name: str) -> bool:
        """Whether it is named by its series' number, or by its own name; any is by the empty name."""
        number = "" if self.number is None else str(self.number)
        return name in ("", self.name, number) or name == f"{number}a" == f"{self.name}a"

    @property
    def identities(self) -> set[Identity]:
        """The identities of its slices, ignoring a study or frame of reference that differs in each slice."""
        found = {image.identity for image in self.slices}
        for field in ("study", "frame"):
            if len({getattr(one, field) for one in found}) == len(self.slices):
                found = {replace(one, **{field: ""}) for one in found}
        return found

    def describe(self) -> str:
        """What a user may choose by: its name, slices, step and kernel."""
        kernel = self.slices[0].acquired.kernel
        step = f"{self.name}: {len(self.slices)} slices, step {self.step_mm:.3g} mm"
        return f"{step}, kernel {kernel}" if kernel else step


def sort_stacks(slices: Iterable[Slice]) -> list[Stack]:
    """The stacks of slices of any number of series, best first (:func:`rank`), with their names.

    Names are the series' number, with letters for further stacks (3, 3b, 3c), or letters alone without a
    usable number (a, b). Stacks of fewer than :data:`LEAST_SLICES` slices come last and have no name.

    Raises:
        OSError: Slices lie at one position, and their pixels cannot be compared now.
    """
    stacks = [stack for images in group(slices, lambda image: image.series) for stack in _stack(images)]
    return _name(sorted(stacks, key=rank))


def rank(stack: Stack) -> tuple:
    """Sort key of the rule by which one of several stacks is taken.

    Long enough before too short; plain CT before computed from several energies; complete before missing
    slices; smaller steps; standard and soft kernels before bone, others and lung; the longest; the lowest
    series number. Before all this goes a stack with both hips (``scan.examine``), which headers do not tell.
    """
    first = stack.slices[0]
    # Of two that differ in nothing that counts, the earlier one: the order must not depend on the disk.
    order = min(map(acquisition_order, stack.slices)), first.image_type, first.uid, first.frame
    return (*merits(stack), stack.sort_number, first.acquisition or 0, *order)


def merits(stack: Stack) -> tuple:
    """Sort key of a stack without its number: stacks that share it are equally good."""
    return (
        len(stack.slices) < LEAST_SLICES,
        bool(stack.slices[0].kind),
        bool(stack.gaps),
        round(stack.step_mm, 1),
        _KERNELS[stack.slices[0].acquired.kernel_kind],
        -round(stack.extent_mm),
        -len(stack.slices),
    )


def _name(ranked: Sequence[Stack]) -> list[Stack]:
    counts: Counter[str] = Counter()
    named: list[Stack] = []
    for stack in ranked:
        if len(stack.slices) >= LEAST_SLICES:
            number = "" if stack.number is None else str(stack.number)
            letters = _letters(counts[number])
            counts[number] += 1
            stack = replace(stack, name=number if number and letters == "a" else number + letters)
        named.append(stack)
    return named


def _letters(index: int) -> str:
    """Counts a, b ... z, aa, ab ...."""
    before, last = divmod(index, len(string.ascii_lowercase))
    return (_letters(before - 1) if before else "") + string.ascii_lowercase[last]


def _stack(images: list[Slice]) -> Iterator[Stack]:
    for parallel in _group_by_plane(images):
        single = _drop_copies(parallel)
        copies = len(parallel) - len(single)
        for of_kernel in group(single, lambda image: (image.kernel, image.kind)):
            for part in separate(sort_by_position(of_kernel)):
                yield from (replace(stack, copies=copies) for stack in _cut(part))


def _group_by_plane(images: Iterable[Slice]) -> list[list[Slice]]:
    groups: list[list[Slice]] = []
    for image in images:
        for same in groups:
            if same[0].size == image.size and np.abs(same[0].across - image.across).max() < _SAME_PLANE_MM:
                same.append(image)
                break
        else:
            groups.append([image])
    return groups


def _drop_copies(images: Sequence[Slice]) -> list[Slice]:
    """Leaves out duplicates: the same image, or another of the same position, header and pixels."""
    single: dict[Hashable, Slice] = {}
    for index, image in enumerate(images):
        single.setdefault((image.uid, round_position(image)) if image.uid else index, image)
    same = Counter(map(_describe, single.values()))
    doubtful = [image for image in single.values() if same[_describe(image)] > 1]
    digests = [hashlib.sha256(stored).digest() for stored in read_stored(doubtful)]
    first: dict[Hashable, Slice] = {}
    for image, digest in zip(doubtful, digests, strict=True):
        first.setdefault((_describe(image), digest), image)
    copies = {id(image) for image in doubtful} - {id(image) for image in first.values()}
    return [image for image in single.values() if id(image) not in copies]


def _describe(image: Slice) -> Hashable:
    """What a copy with another UID shares."""
    position = round_position(image)
    return position, image.kernel, image.image_type, image.acquisition, image.instance, image.time


def _cut(images: list[Slice]) -> list[Stack]:
    """Cuts slices in the order of their position into even stacks, with the gaps between them."""
    if measure_extent(images) < SAME_POSITION_MM:
        return [Stack((image,)) for image in images]
    ends = [0, *(np.flatnonzero(find_breaks(images)) + 1).tolist(), len(images)]
    stacks = [Stack(tuple(images[begin:end])) for begin, end in pairwise(ends)]
    lost = [_find_gap(*pair) for pair in pairwise(stacks)]
    return [
        replace(stack, gaps=tuple(gap for gap in (before and before.reverse(), after) if gap))
        for stack, before, after in zip(stacks, [None, *lost], [*lost, None], strict=True)
    ]


def _find_gap(stack: Stack, after: Stack) -> Gap | None:
    """What is missing between two stacks; none if the step changes, or much was left out."""
    near, far = stack.slices[-1], after.slices[0]
    distance_mm = float(near.normal @ (far.position - near.position))
    steps = [one.step_mm for one in (stack, after) if len(one.slices) > 1]
    alike = not steps or np.ptp(steps) <= max(UNEVEN * steps[0], ROUNDED_MM)
    if not alike or distance_mm > _LOST_MM:
        return None
    return Gap(_centre(near), _centre(far), max(0.0, distance_mm - min(steps, default=0.0)))


def _centre(image: Slice) -> np.ndarray:
    return LPS_TO_RAS[:3, :3] @ (image.position + image.across @ (np.array(image.size) - 1) / 2)
