"""Parts CT slices that overlap, and finds where they are not even."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from hipoa.imaging.ct.dicom.headers import Slice

LEAST_SLICES = 8
# A step may differ from those about it by this share, or by what two places written with one decimal can.
UNEVEN = 0.05
ROUNDED_MM = 0.11
_ABOUT = 3
SAME_PLACE_MM = 0.01
ASIDE_MM = 0.5
# Slices that may be lost at one place of a scan that is told from another by its order alone.
_MOST_LOST = 3

_KEYS: tuple[Callable[[Slice], Hashable], ...] = (
    lambda image: image.image_type,
    lambda image: image.acquisition,
    lambda image: image.acquired.thickness_mm,
    lambda image: image.time,
)


def separate(images: list[Slice]) -> list[list[Slice]]:
    """Parts what overlaps: phases, reconstructions, bolus tracking; each part in the order of its place.

    A scan may number and time every slice apart, so a part by such a value counts only if it is more even.
    Two scans of which one lies half a step beside the other are even together, and are parted too.
    """
    broken = _count_breaks(images)
    for parts in _list_partings(images, is_even=not broken):
        if len(parts) > 1 and (_are_evener(parts, broken) or _are_interleaved(parts, broken)):
            return [one for part in parts for one in separate(sort_by_place(part))]
    return _split_passes(images) if broken else [images]


def _list_partings(images: list[Slice], *, is_even: bool) -> Iterator[list[list[Slice]]]:
    for key in _KEYS:
        yield group(images, key)
    if len(images) >= 2 * LEAST_SLICES and _are_apart(images):
        told = is_even and len(set(map(order_made, images))) == len(images)
        # One even scan by its times may be numbered, and lie in folders, in any way.
        for order in islice(_list_orders(images), 1 if told else None):
            yield _join(_find_runs(order))


def _are_evener(parts: Sequence[Sequence[Slice]], broken: int) -> bool:
    return sum(map(_count_breaks, parts)) + len(parts) - 1 < broken and all(map(_may_stand_alone, parts))


def _are_interleaved(parts: Sequence[Sequence[Slice]], broken: int) -> bool:
    """Whether long stacks overlap, and are no less even apart."""
    stacks = [part for part in parts if len(part) >= LEAST_SLICES]
    if len(stacks) < 2 or sum(map(_count_breaks, stacks)) + len(parts) - len(stacks) > broken:
        return False
    ends = sorted(
        (places.min(), places.max()) for places in (_list_places(one, stacks[0][0]) for one in stacks)
    )
    return any(after[0] < before[1] for before, after in pairwise(ends))


def _may_stand_alone(part: Sequence[Slice]) -> bool:
    """Whether slices may be a stack, or lie at one place; the few of one turn of the gantry share a time."""
    return len(part) >= LEAST_SLICES or measure_extent(sort_by_place(part)) <= SAME_PLACE_MM


def _are_apart(images: Sequence[Slice]) -> bool:
    return bool((_steps(images)[0] >= SAME_PLACE_MM).all())


def _steps(images: Sequence[Slice]) -> tuple[np.ndarray, np.ndarray]:
    """From slice to slice: along the normal (n - 1,), mm, and aside (n - 1, 3)."""
    ways = np.diff([image.position for image in images], axis=0)
    along = ways @ images[0].normal
    return along, ways - np.outer(along, images[0].normal)


def find_breaks(images: Sequence[Slice]) -> np.ndarray:
    """Which steps (n - 1,) are none of an even stack: unlike the steps about them, or none at all."""
    along, aside = _steps(images)
    breaks, _ = _find_unlike(along, aside, np.median(along), np.median(aside, axis=0))
    if not breaks.any():
        return breaks
    breaks, allowed = _find_unlike(along, aside, _smooth(along), _smooth(aside))
    # Where the step changes, the slice between belongs to the finer side.
    change = ~breaks[1:] & ~breaks[:-1] & (np.abs(np.diff(along)) > 2 * np.minimum(allowed[1:], allowed[:-1]))
    breaks[1:] |= change & (along[1:] > along[:-1])
    breaks[:-1] |= change & (along[:-1] > along[1:])
    return breaks


def _find_unlike(
    along: np.ndarray, aside: np.ndarray, usual: np.ndarray, usual_aside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which steps (n - 1,) are unlike the usual ones, or none; and by how much they may differ, mm."""
    allowed = np.broadcast_to(np.maximum(UNEVEN * usual, ROUNDED_MM), along.shape)
    unlike = (np.abs(along - usual) > allowed) | (along < SAME_PLACE_MM)
    return unlike | (np.linalg.norm(aside - usual_aside, axis=1) > ASIDE_MM + UNEVEN * usual), allowed


def _smooth(steps: np.ndarray) -> np.ndarray:
    """The median of each step and those about it."""
    around = min(_ABOUT, len(steps) - 1)
    ends = [(around, around), *[(0, 0)] * (steps.ndim - 1)]
    padded = np.pad(steps, ends, mode="symmetric" if around else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * around + 1, axis=0)
    return np.median(windows, axis=-1)


def _count_breaks(images: Sequence[Slice]) -> int:
    """How uneven slices are; those that all lie at one place are no stack, and not uneven."""
    ordered = sort_by_place(images)
    return int(find_breaks(ordered).sum()) if measure_extent(ordered) > SAME_PLACE_MM else 0


def measure_extent(ordered: Sequence[Slice]) -> float:
    """From the first slice to the last along their normal, mm."""
    return float(ordered[0].normal @ (ordered[-1].position - ordered[0].position))


def _split_passes(images: list[Slice]) -> list[list[Slice]]:
    """Parts what lies at the same places by the order in which it was made."""
    if _are_apart(images):
        return [images]
    places = group(images, name_place)
    count = len(places[0])
    if all(len(place) == count and len(set(map(order_made, place))) == count for place in places):
        ordered = [sorted(place, key=order_made) for place in places]
        passes = [[place[number] for place in ordered] for number in range(count)]
        if all(map(_is_one_pass, passes)):
            return passes
    return _join(min(map(_find_runs, _list_orders(images)), key=len))


def _is_one_pass(images: Sequence[Slice]) -> bool:
    """Whether times and numbers rise or fall along slices in the order of their place.

    They do not where one of two scans was numbered from its other end, or times began anew at midnight.
    """
    for values in ([image.time for image in images], [image.instance or 0 for image in images]):
        if values not in (rising := sorted(values), rising[::-1]):
            return False
    return True


def order_made(image: Slice) -> tuple[str, int]:
    """By what slices of one place are ordered as they were made: time, then instance number."""
    return image.time, image.instance or 0


def _list_orders(images: list[Slice]) -> Iterator[list[Slice]]:
    """The slices in the orders in which they may have been made."""
    if len({image.time for image in images}) > 1:
        yield sorted(images, key=order_made)
    if len({image.instance for image in images}) > 1:
        yield sorted(images, key=lambda image: image.instance or 0)
    yield sorted(images, key=lambda image: (str(image.file), image.frame))


def _find_runs(ordered: list[Slice]) -> list[list[Slice]]:
    """Cuts slices where one does not lie a step beyond the one before, in the direction of both.

    A few may be lost between. The first slice may go on from the last one: times begin anew at midnight.
    """
    at = _list_places(ordered, ordered[0])
    moves = np.diff(at, append=at[0])
    step = float(np.median(np.abs(moves)[np.abs(moves) >= SAME_PLACE_MM]))
    steps = np.round(np.abs(moves) / step)
    even = np.abs(np.abs(moves) - steps * step) <= max(UNEVEN * step, ROUNDED_MM)
    runs, ways = [[ordered[0]]], [0.0]
    for image, moved, count, is_even in zip(ordered[1:], moves, steps, even, strict=False):
        if is_even and (count == 1 if ways[-1] == 0 else moved * ways[-1] > 0 and count <= _MOST_LOST + 1):
            runs[-1].append(image)
            ways[-1] = moved
        else:
            runs.append([image])
            ways.append(0.0)
    if len(runs) > 1 and even[-1] and steps[-1] == 1 and min(moves[-1] * ways[0], moves[-1] * ways[-1]) > 0:
        runs[0] = runs.pop() + runs[0]
    return [sort_by_place(run) for run in runs]


def _join(runs: list[list[Slice]]) -> list[list[Slice]]:
    """Joins long runs between which slices are lost; what goes on without a loss was made at another time."""
    first = runs[0][0]
    joined: list[tuple[list[Slice], np.ndarray]] = []
    for run in sorted(runs, key=len, reverse=True):
        places = _list_places(run, first)
        beyond = 1.5 * np.ptp(places) / max(1, len(run) - 1)
        low, high = places.min() - beyond, places.max() + beyond
        free = (number for number, (_, taken) in enumerate(joined) if ((taken < low) | (taken > high)).all())
        number = next(free, None) if len(run) >= LEAST_SLICES else None
        if number is None:
            joined.append((run, places))
        else:
            stack, taken = joined[number]
            joined[number] = (stack + run, np.append(taken, places))
    return [sort_by_place(stack) for stack, _ in joined]


def _list_places(images: Sequence[Slice], first: Slice) -> np.ndarray:
    """Where slices lie along the normal of the first, mm (n,)."""
    return np.array([image.position for image in images]) @ first.normal


def sort_by_place(images: Iterable[Slice]) -> list[Slice]:
    """Parallel slices in the order of their place along their normal."""
    normal = next(iter(images)).normal
    return sorted(images, key=lambda image: float(normal @ image.position))


def group(slices: Iterable[Slice], key: Callable[[Slice], Hashable]) -> list[list[Slice]]:
    """Slices by the value of a key, in the order in which the values first come."""
    groups: dict[Hashable, list[Slice]] = {}
    for image in slices:
        groups.setdefault(key(image), []).append(image)
    return list(groups.values())


def name_place(image: Slice) -> Hashable:
    """The same for two slices of one place, to a hundredth of a mm."""
    return tuple(np.round(image.position, 2).tolist())
