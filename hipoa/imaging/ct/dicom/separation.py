"""Separates scans whose CT slices overlap, and finds where slices are unevenly spaced."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
from scipy import ndimage

from hipoa.imaging.ct.dicom.headers import Slice

LEAST_SLICES = 8
# A step may differ from its neighbours by this share, or by the rounding of positions to one decimal.
UNEVEN = 0.05
ROUNDED_MM = 0.11
_NEIGHBOURS = 3
SAME_POSITION_MM = 0.01
ASIDE_MM = 0.5
# Slices that may be missing in a row in a scan that only its order separates from another.
_MOST_LOST = 3

_KEYS: tuple[Callable[[Slice], Hashable], ...] = (
    lambda image: image.image_type,
    lambda image: image.acquisition,
    lambda image: image.acquired.thickness_mm,
    lambda image: image.time,
)


def separate(images: list[Slice]) -> list[list[Slice]]:
    """Separates phases, reconstructions and bolus tracking; each part in the order of its position.

    A scanner may give every slice its own number and time, so parts by such a value count only if they are
    more even. Two scans half a step apart are even together, and are separated too.
    """
    broken = _count_breaks(images)
    for parts in _list_separations(images, is_even=not broken):
        if len(parts) > 1 and (_are_evener(parts, broken) or _are_interleaved(parts, broken)):
            return [one for part in parts for one in separate(sort_by_position(part))]
    return _split_passes(images) if broken else [images]


def _list_separations(images: list[Slice], *, is_even: bool) -> Iterator[list[list[Slice]]]:
    for key in _KEYS:
        yield group(images, key)
    if len(images) >= 2 * LEAST_SLICES and _steps(images)[0].min() >= SAME_POSITION_MM:
        is_ordered = is_even and len(set(map(acquisition_order, images))) == len(images)
        # One scan that is even by its times may have any numbers and file names.
        for order in islice(_list_orders(images), 1 if is_ordered else None):
            yield _join(_find_runs(order))


def _are_evener(parts: Sequence[Sequence[Slice]], broken: int) -> bool:
    """Whether parts are stacks, or share a position, and less uneven; one gantry rotation shares a time."""
    return sum(map(_count_breaks, parts)) + len(parts) - 1 < broken and all(
        len(part) >= LEAST_SLICES or measure_extent(sort_by_position(part)) <= SAME_POSITION_MM
        for part in parts
    )


def _are_interleaved(parts: Sequence[Sequence[Slice]], broken: int) -> bool:
    """Whether long stacks overlap, and are at least as even when separated."""
    stacks = [part for part in parts if len(part) >= LEAST_SLICES]
    if len(stacks) < 2 or sum(map(_count_breaks, stacks)) + len(parts) - len(stacks) > broken:
        return False
    along = [_positions_along(one, stacks[0][0]) for one in stacks]
    ends = sorted((positions.min(), positions.max()) for positions in along)
    return any(after[0] < before[1] for before, after in pairwise(ends))


def _steps(images: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray]:
    """Steps from slice to slice: along the normal (n - 1,), and across it (n - 1, 3), mm."""
    steps = np.diff([image.position for image in images], axis=0)
    along = steps @ images[0].normal
    return along, steps - np.outer(along, images[0].normal)


def find_breaks(images: Sequence[Slice]) -> np.ndarray:
    """Which steps (n - 1,) break an even stack: unlike their neighbours, or no step at all."""
    along, aside = _steps(images)
    breaks, _ = _find_unlike(along, aside, np.median(along), np.median(aside, axis=0))
    if not breaks.any():
        return breaks
    size = 2 * min(_NEIGHBOURS, len(along) - 1) + 1
    usual, usual_aside = ndimage.median_filter(along, size), ndimage.median_filter(aside, (size, 1))
    breaks, allowed = _find_unlike(along, aside, usual, usual_aside)
    # Where the step changes, the slice between belongs to the side with smaller steps.
    change = ~breaks[1:] & ~breaks[:-1] & (np.abs(np.diff(along)) > 2 * np.minimum(allowed[1:], allowed[:-1]))
    breaks[1:] |= change & (along[1:] > along[:-1])
    breaks[:-1] |= change & (along[:-1] > along[1:])
    return breaks


def _find_unlike(
    along: np.ndarray, aside: np.ndarray, usual: np.ndarray, usual_aside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which steps (n - 1,) are unlike the usual ones, or 0; and by how much they may differ, mm."""
    allowed = np.broadcast_to(np.maximum(UNEVEN * usual, ROUNDED_MM), along.shape)
    unlike = (np.abs(along - usual) > allowed) | (along < SAME_POSITION_MM)
    return unlike | (np.linalg.norm(aside - usual_aside, axis=1) > ASIDE_MM + UNEVEN * usual), allowed


def _count_breaks(images: Sequence[Slice]) -> int:
    """How uneven slices are; those that all share one position are no stack, and not uneven."""
    ordered = sort_by_position(images)
    return int(find_breaks(ordered).sum()) if measure_extent(ordered) > SAME_POSITION_MM else 0


def measure_extent(ordered: Sequence[Slice]) -> float:
    """From the first slice to the last along their normal, mm."""
    return float(ordered[0].normal @ (ordered[-1].position - ordered[0].position))


def _split_passes(images: list[Slice]) -> list[list[Slice]]:
    """Separates slices at the same positions by the order of acquisition."""
    if _steps(images)[0].min() >= SAME_POSITION_MM:
        return [images]
    positions = [sorted(one, key=acquisition_order) for one in group(images, round_position)]
    count = len(positions[0])
    if all(len(one) == count == len(set(map(acquisition_order, one))) for one in positions):
        passes = [list(one) for one in zip(*positions, strict=True)]
        if all(map(_is_one_pass, passes)):
            return passes
    return _join(min(map(_find_runs, _list_orders(images)), key=len))


def _is_one_pass(images: Sequence[Slice]) -> bool:
    """Whether times and numbers rise or fall along slices in the order of their position.

    They do not if one of two scans was numbered from its other end, or times restart at midnight.
    """
    both = [image.time for image in images], [image.instance or 0 for image in images]
    return all(values in (rising := sorted(values), rising[::-1]) for values in both)


def acquisition_order(image: Slice) -> tuple[str, int]:
    """Sort key of slices at one position: time, then instance number."""
    return image.time, image.instance or 0


def _list_orders(images: list[Slice]) -> Iterator[list[Slice]]:
    """The slices in the orders in which they may have been acquired."""
    if len({image.time for image in images}) > 1:
        yield sorted(images, key=acquisition_order)
    if len({image.instance for image in images}) > 1:
        yield sorted(images, key=lambda image: image.instance or 0)
    yield sorted(images, key=lambda image: (str(image.file), image.frame))


def _find_runs(ordered: list[Slice]) -> list[list[Slice]]:
    """Cuts slices where one does not continue the direction of those before by a step.

    A few may be missing between. The first slice may follow the last one: times restart at midnight.
    """
    at = _positions_along(ordered, ordered[0])
    moves = np.diff(at, append=at[0])
    step = float(np.median(np.abs(moves)[np.abs(moves) >= SAME_POSITION_MM]))
    steps = np.round(np.abs(moves) / step)
    even = np.abs(np.abs(moves) - steps * step) <= max(UNEVEN * step, ROUNDED_MM)
    runs, directions = [[ordered[0]]], [0.0]
    for image, moved, count, is_even in zip(ordered[1:], moves, steps, even, strict=False):
        way = directions[-1]
        if is_even and (count == 1 if way == 0 else moved * way > 0 and count <= _MOST_LOST + 1):
            runs[-1].append(image)
            directions[-1] = moved
        else:
            runs.append([image])
            directions.append(0.0)
    same_direction = min(moves[-1] * directions[0], moves[-1] * directions[-1]) > 0
    if len(runs) > 1 and even[-1] and steps[-1] == 1 and same_direction:
        runs[0] = runs.pop() + runs[0]
    return [sort_by_position(run) for run in runs]


def _join(runs: list[list[Slice]]) -> list[list[Slice]]:
    """Joins long runs with missing slices between; adjoining runs were acquired at different times."""
    first = runs[0][0]
    joined: list[tuple[list[Slice], np.ndarray]] = []
    for run in sorted(runs, key=len, reverse=True):
        along = _positions_along(run, first)
        beyond = 1.5 * np.ptp(along) / max(1, len(run) - 1)
        low, high = along.min() - beyond, along.max() + beyond
        free = (number for number, (_, taken) in enumerate(joined) if ((taken < low) | (taken > high)).all())
        number = next(free, None) if len(run) >= LEAST_SLICES else None
        if number is None:
            joined.append((run, along))
        else:
            stack, taken = joined[number]
            joined[number] = (stack + run, np.append(taken, along))
    return [sort_by_position(stack) for stack, _ in joined]


def _positions_along(images: Sequence[Slice], first: Slice) -> np.ndarray:
    """Positions along the normal of the first slice, mm (n,)."""
    return np.array([image.position for image in images]) @ first.normal


def sort_by_position(images: Iterable[Slice]) -> list[Slice]:
    """Parallel slices in the order of their position along their normal."""
    normal = next(iter(images)).normal
    return sorted(images, key=lambda image: float(normal @ image.position))


def group(slices: Iterable[Slice], key: Callable[[Slice], Hashable]) -> list[list[Slice]]:
    """Groups slices by the value of a key, in the order of first occurrence."""
    groups: dict[Hashable, list[Slice]] = {}
    for image in slices:
        groups.setdefault(key(image), []).append(image)
    return list(groups.values())


def round_position(image: Slice) -> Hashable:
    """The position to a hundredth of a mm, hashable."""
    return tuple(np.round(image.position, 2).tolist())
