"""Sorts CT slices into evenly spaced stacks and ranks them, by their headers alone.

One series may hold several stacks: contrast phases, reconstructions with several kernels, the hips apart from
the knees, slices of bolus tracking. One rule decides which is read (:func:`rank`), and every one has a name.
"""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hipoa.imaging.ct.headers import Slice
from hipoa.imaging.ct.identity import Identity
from hipoa.imaging.ct.pixels import read_stored
from hipoa.imaging.image import LPS_TO_RAS, Gap

LEAST_SLICES = 8
# A step may differ from those about it by this share, or by what two places written with one decimal can.
_UNEVEN = 0.05
_ROUNDED_MM = 0.11
_ABOUT = 3
SAME_PLACE_MM = 0.01
ASIDE_MM = 0.5
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
        return _extent_mm(self.slices)

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
    stacks = [stack for images in _group(slices, lambda image: image.series) for stack in _stack(images)]
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
    order = min(map(_when, stack.slices)), first.image_type, first.uid, first.frame
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


def _group(slices: Iterable[Slice], key: Callable[[Slice], Hashable]) -> list[list[Slice]]:
    groups: dict[Hashable, list[Slice]] = {}
    for image in slices:
        groups.setdefault(key(image), []).append(image)
    return list(groups.values())


def _stack(images: list[Slice]) -> Iterator[Stack]:
    """The stacks of one series."""
    for like in _part_by_plane(images):
        single = _drop_copies(like)
        copies = len(like) - len(single)
        for of_kernel in _group(single, lambda image: (image.kernel, image.kind)):
            for part in _separate(_sort(of_kernel)):
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


def _sort(images: Iterable[Slice]) -> list[Slice]:
    normal = next(iter(images)).normal
    return sorted(images, key=lambda image: float(normal @ image.position))


def _drop_copies(images: Sequence[Slice]) -> list[Slice]:
    """Leaves out what is there twice: the same image, or one of the same place, header and pixels."""
    kept: list[Slice] = []
    seen: set[Hashable] = set()
    same = Counter(map(_describe, images))
    for image in images:
        keys: list[Hashable] = [(image.uid, _place(image))] if image.uid else []
        if same[_describe(image)] > 1 and seen.isdisjoint(keys):
            keys.append((_describe(image), hashlib.sha256(read_stored(image)).digest()))
        if seen.isdisjoint(keys):
            kept.append(image)
        seen.update(keys)
    return kept


def _place(image: Slice) -> Hashable:
    return tuple(np.round(image.position, 2).tolist())


def _describe(image: Slice) -> Hashable:
    """What a copy under another identifier has in common."""
    return _place(image), image.kernel, image.image_type, image.acquisition, image.instance, image.time


_KEYS: tuple[Callable[[Slice], Hashable], ...] = (
    lambda image: image.image_type,
    lambda image: image.acquisition,
    lambda image: image.acquired.thickness_mm,
    lambda image: image.time,
)


def _separate(images: list[Slice]) -> list[list[Slice]]:
    """Parts what overlaps: phases, reconstructions, bolus tracking; each part in the order of its place.

    A scan may number and time every slice apart, so a part by such a value counts only if it is more even.
    """
    broken = _count_breaks(images)
    if not broken:
        return [images]
    for key in _KEYS:
        parts = _group(images, key)
        if len(parts) > 1 and sum(map(_count_breaks, parts)) + len(parts) - 1 < broken:
            return [one for part in parts for one in _separate(part)]
    return _split_passes(images)


def _steps(images: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray]:
    """From slice to slice: along the normal (n - 1,), mm, and aside (n - 1, 3)."""
    ways = np.diff([image.position for image in images], axis=0)
    along = ways @ images[0].normal
    return along, ways - np.outer(along, images[0].normal)


def _find_breaks(images: Sequence[Slice]) -> np.ndarray:
    """Which steps (n - 1,) are none of an even stack: unlike the steps about them, or none at all."""
    along, aside = _steps(images)
    usual, usual_aside = _smooth(along), _smooth(aside)
    allowed = np.maximum(_UNEVEN * usual, _ROUNDED_MM)
    breaks = (np.abs(along - usual) > allowed) | (along < SAME_PLACE_MM)
    breaks |= np.linalg.norm(aside - usual_aside, axis=1) > ASIDE_MM + _UNEVEN * usual
    # Where the step changes, the slice between belongs to the finer side.
    change = ~breaks[1:] & ~breaks[:-1] & (np.abs(np.diff(along)) > 2 * np.minimum(allowed[1:], allowed[:-1]))
    breaks[1:] |= change & (along[1:] > along[:-1])
    breaks[:-1] |= change & (along[:-1] > along[1:])
    return breaks


def _smooth(steps: np.ndarray) -> np.ndarray:
    """The median of each step and those about it."""
    around = min(_ABOUT, len(steps) - 1)
    ends = [(around, around), *[(0, 0)] * (steps.ndim - 1)]
    padded = np.pad(steps, ends, mode="symmetric" if around else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1, axis=0)
    return np.median(windows, axis=-1)


def _count_breaks(images: Sequence[Slice]) -> int:
    """How uneven slices are; those that all lie at one place are no stack, and not uneven."""
    ordered = _sort(images)
    return int(_find_breaks(ordered).sum()) if _extent_mm(ordered) > SAME_PLACE_MM else 0


def _extent_mm(ordered: Sequence[Slice]) -> float:
    return float(ordered[0].normal @ (ordered[-1].position - ordered[0].position))


def _split_passes(images: list[Slice]) -> list[list[Slice]]:
    """Parts what lies at the same places by the order in which it was made."""
    if (_steps(images)[0] >= SAME_PLACE_MM).all():
        return [images]
    places = _group(images, _place)
    count = len(places[0])
    if all(len(place) == count and len(set(map(_when, place))) == count for place in places):
        ordered = [sorted(place, key=_when) for place in places]
        return [[place[number] for place in ordered] for number in range(count)]
    return _join(min((_find_runs(order, len(places)) for order in _list_orders(images)), key=len))


def _when(image: Slice) -> tuple[str, int]:
    return image.time, image.instance or 0


def _list_orders(images: list[Slice]) -> Iterator[list[Slice]]:
    """The slices in the orders in which they may have been made."""
    if len({image.time for image in images}) > 1:
        yield sorted(images, key=_when)
    if len({image.instance for image in images}) > 1:
        yield sorted(images, key=lambda image: image.instance or 0)
    yield sorted(images, key=lambda image: (str(image.file), image.frame))


def _find_runs(ordered: list[Slice], places: int) -> list[list[Slice]]:
    """Cuts slices where one does not lie a step beyond the one before, in the direction of both."""
    at = [float(ordered[0].normal @ image.position) for image in ordered]
    step = (max(at) - min(at)) / (places - 1)
    allowed = max(_UNEVEN * step, _ROUNDED_MM)
    runs, way = [[ordered[0]]], 0.0
    for before, after, image in zip(at, at[1:], ordered[1:], strict=False):
        moved = after - before
        if abs(abs(moved) - step) <= allowed and moved * way >= 0:
            runs[-1].append(image)
            way = moved
        else:
            runs.append([image])
            way = 0.0
    return [_sort(run) for run in runs]


def _join(runs: list[list[Slice]]) -> list[list[Slice]]:
    """Joins long runs that do not overlap, for a slice may be lost between them; short ones stay alone."""
    normal = runs[0][0].normal
    joined: list[list[Slice]] = []
    for run in sorted(runs, key=len, reverse=True):
        first, last = (float(normal @ run[end].position) for end in (0, -1))
        free = (
            stack
            for stack in joined
            if all(not first <= float(normal @ image.position) <= last for image in stack)
        )
        stack = next(free, None) if len(run) >= LEAST_SLICES else None
        if stack is None:
            joined.append([*run])
        else:
            stack += run
    return [_sort(stack) for stack in joined]


def _cut(images: list[Slice]) -> list[Stack]:
    """Cuts slices in the order of their place into even stacks, and notes where slices are lost between."""
    if _extent_mm(images) < SAME_PLACE_MM:
        return [Stack((image,)) for image in images]
    ends = [0, *(np.flatnonzero(_find_breaks(images)) + 1).tolist(), len(images)]
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
    alike = not steps or np.ptp(steps) <= max(_UNEVEN * steps[0], _ROUNDED_MM)
    if not alike or distance_mm > _LOST_MM:
        return None
    return Gap(_middle(near), _middle(far), max(0.0, distance_mm - min(steps, default=0.0)))


def _middle(image: Slice) -> np.ndarray:
    middle = image.position + image.across @ (np.array(image.size) - 1) / 2
    return LPS_TO_RAS[:3, :3] @ middle
