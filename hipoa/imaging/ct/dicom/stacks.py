"""Sorts CT slices into evenly spaced stacks and ranks them, by their headers alone.

One series may hold several stacks: contrast phases, reconstructions with several kernels, the hips apart from
the knees, slices of bolus tracking. One rule decides which is read (:func:`rank`), and every one has a name.
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
    SAME_PLACE_MM,
    UNEVEN,
    find_breaks,
    group,
    measure_extent,
    name_place,
    order_made,
    separate,
    sort_by_place,
)
from hipoa.imaging.ct.image import LPS_TO_RAS, Gap

_SAME_TURN = 1e-3
# Wider gaps were left on purpose: hips, knees and ankles for planning.
_LOST_MM = 100.0
# What a scanner would not number, somebody may have made of a date.
_MOST_NUMBER = 9999
_KERNELS = {"soft": 0, "bone": 1, "lung": 3}
_OTHER_KERNEL = 2


@dataclass(frozen=True)
class Stack:
    """Slices that lie parallel and evenly spaced, in the order of their place.

    Attributes:
        slices: One or more.
        copies: How many copies of slices its series had, which were left out.
        gaps: Where slices beside it are missing.
        name: As the user may name it; empty until :func:`name_stacks`.
    """

    slices: tuple[Slice, ...]
    copies: int = 0
    gaps: tuple[Gap, ...] = ()
    name: str = ""

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
        """The series' number, if it is one that a message may tell."""
        number = self.slices[0].number
        return number if number is not None and 0 <= number <= _MOST_NUMBER else None

    @property
    def identities(self) -> set[Identity]:
        """Of its slices; a study or frame of reference of every slice's own, as some tools write, is none."""
        found = {image.identity for image in self.slices}
        for field in ("study", "frame"):
            if len({getattr(one, field) for one in found}) == len(self.slices):
                found = {replace(one, **{field: ""}) for one in found}
        return found

    def describe(self) -> str:
        """By what a user may choose: its name, slices, step and kernel."""
        kernel = self.slices[0].acquired.kernel
        return f"{self.name}: {len(self.slices)} slices, step {self.step_mm:.3g} mm" + (
            f", kernel {kernel}" if kernel else ""
        )


def sort_stacks(slices: Iterable[Slice]) -> list[Stack]:
    """The stacks of slices of any number of series, the likeliest first, with their names.

    Those of fewer than :data:`LEAST_SLICES` slices come last and have no name.

    Raises:
        OSError: Slices lie at one place, and their pixels cannot be compared now.
    """
    stacks = [stack for images in group(slices, lambda image: image.series) for stack in _stack(images)]
    return name_stacks(sorted(stacks, key=rank))


def rank(stack: Stack) -> tuple:
    """The rule by which one of several stacks is taken: the least first.

    Long enough before too short; plain CT before what was computed from several energies; whole before what
    has lost slices; thinner steps first; of equals standard and soft kernels before bone, others and lung; of
    equals the longest; of equals the lowest series number. Before all this a stack with both hips goes
    before others (``scan.examine``), which headers do not tell.
    """
    first = stack.slices[0]
    number = np.inf if stack.number is None else stack.number
    # Of two that differ in nothing that counts, the earlier one: the order must not be the disk's.
    order = min(map(order_made, stack.slices)), first.image_type, first.uid, first.frame
    return (*merits(stack), number, first.acquisition or 0, *order)


def merits(stack: Stack) -> tuple:
    """What speaks for a stack, without its number: the least is the best."""
    kernel = _KERNELS.get(stack.slices[0].acquired.kernel_kind, _OTHER_KERNEL)
    return (
        len(stack.slices) < LEAST_SLICES,
        bool(stack.slices[0].kind),
        bool(stack.gaps),
        round(stack.step_mm, 1),
        kernel,
        -round(stack.extent_mm),
        -len(stack.slices),
    )


def name_stacks(ranked: Sequence[Stack]) -> list[Stack]:
    """Names stacks in their order: 3, 3b, 3c by the series' number; a, b, c without a usable one."""
    counts: Counter[int | None] = Counter()
    named: list[Stack] = []
    for stack in ranked:
        if len(stack.slices) >= LEAST_SLICES:
            letters = _letters(counts[stack.number])
            counts[stack.number] += 1
            plain = stack.number is not None and letters == "a"
            number = "" if stack.number is None else str(stack.number)
            stack = replace(stack, name=number + ("" if plain else letters))
        named.append(stack)
    return named


def _letters(index: int) -> str:
    """A, b ... z, aa, ab ... by the index."""
    before, last = divmod(index, len(string.ascii_lowercase))
    return (_letters(before - 1) if before else "") + string.ascii_lowercase[last]


def _stack(images: list[Slice]) -> Iterator[Stack]:
    """The stacks of one series."""
    for like in _part_by_plane(images):
        single = _drop_copies(like)
        copies = len(like) - len(single)
        for of_kernel in group(single, lambda image: (image.kernel, image.kind)):
            for part in separate(sort_by_place(of_kernel)):
                yield from (replace(stack, copies=copies) for stack in _cut(part))


def _part_by_plane(images: Iterable[Slice]) -> list[list[Slice]]:
    """Parts slices by size, pixel and direction."""
    parts: list[list[Slice]] = []
    for image in images:
        like = next((part for part in parts if _is_like(part[0], image)), None)
        if like is None:
            parts.append([image])
        else:
            like.append(image)
    return parts


def _is_like(one: Slice, other: Slice) -> bool:
    return one.size == other.size and float(np.abs(one.across - other.across).max()) < _SAME_TURN


def _drop_copies(images: Sequence[Slice]) -> list[Slice]:
    """Leaves out what is there twice: the same image, or one of the same place, header and pixels."""
    single: dict[Hashable, Slice] = {}
    for index, image in enumerate(images):
        single.setdefault((image.uid, name_place(image)) if image.uid else index, image)
    same = Counter(map(_describe, single.values()))
    doubtful = [image for image in single.values() if same[_describe(image)] > 1]
    digests = [hashlib.sha256(stored).digest() for stored in read_stored(doubtful)]
    first: dict[Hashable, Slice] = {}
    for image, digest in zip(doubtful, digests, strict=True):
        first.setdefault((_describe(image), digest), image)
    copies = {id(image) for image in doubtful} - {id(image) for image in first.values()}
    return [image for image in single.values() if id(image) not in copies]


def _describe(image: Slice) -> Hashable:
    """What a copy under another identifier has in common."""
    return name_place(image), image.kernel, image.image_type, image.acquisition, image.instance, image.time


def _cut(images: list[Slice]) -> list[Stack]:
    """Cuts slices in the order of their place into even stacks, and notes where slices are lost between."""
    if measure_extent(images) < SAME_PLACE_MM:
        return [Stack((image,)) for image in images]
    ends = [0, *(np.flatnonzero(find_breaks(images)) + 1).tolist(), len(images)]
    stacks = [Stack(tuple(images[begin:end])) for begin, end in pairwise(ends)]
    lost = [_find_gap(*pair) for pair in pairwise(stacks)]
    return [
        replace(stack, gaps=tuple(gap for gap in (before and before.turn(), after) if gap))
        for stack, before, after in zip(stacks, [None, *lost], [*lost, None], strict=True)
    ]


def _find_gap(stack: Stack, after: Stack) -> Gap | None:
    """What is lost between two stacks; none where the step changes, or much was left out."""
    near, far = stack.slices[-1], after.slices[0]
    distance_mm = float(near.normal @ (far.position - near.position))
    steps = [one.step_mm for one in (stack, after) if len(one.slices) > 1]
    alike = not steps or np.ptp(steps) <= max(UNEVEN * steps[0], ROUNDED_MM)
    if not alike or distance_mm > _LOST_MM:
        return None
    return Gap(_middle(near), _middle(far), max(0.0, distance_mm - min(steps, default=0.0)))


def _middle(image: Slice) -> np.ndarray:
    middle = image.position + image.across @ (np.array(image.size) - 1) / 2
    return LPS_TO_RAS[:3, :3] @ middle
