"""Parts CT slices that overlap, and finds where they are not even."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import numpy as np

from hipoa.imaging.ct.headers import Slice

LEAST_SLICES = 8
# A step may differ from those about it by this share, or by what two places written with one decimal can.
UNEVEN = 0.05
ROUNDED_MM = 0.11
_ABOUT = 3
SAME_PLACE_MM = 0.01
ASIDE_MM = 0.5


_KEYS: tuple[Callable[[Slice], Hashable], ...] = (
    lambda image: image.image_type,
    lambda image: image.acquisition,
    lambda image: image.acquired.thickness_mm,
    lambda image: image.time,
)


def separate(images: list[Slice]) -> list[list[Slice]]:
    """Parts what overlaps: phases, reconstructions, bolus tracking; each part in the order of its place.

    A scan may number and time every slice apart, so a part by such a value counts only if it is more even.
    """
    broken = _count_breaks(images)
    if not broken:
        return [images]
    for key in _KEYS:
        parts = group(images, key)
        if len(parts) > 1 and sum(map(_count_breaks, parts)) + len(parts) - 1 < broken:
            return [one for part in parts for one in separate(part)]
    return _split_passes(images)


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
    if (_steps(images)[0] >= SAME_PLACE_MM).all():
        return [images]
    places = group(images, name_place)
    count = len(places[0])
    if all(len(place) == count and len(set(map(order_made, place))) == count for place in places):
        ordered = [sorted(place, key=order_made) for place in places]
        return [[place[number] for place in ordered] for number in range(count)]
    return _join(min((_find_runs(order, len(places)) for order in _list_orders(images)), key=len))


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


def _find_runs(ordered: list[Slice], places: int) -> list[list[Slice]]:
    """Cuts slices where one does not lie a step beyond the one before, in the direction of both."""
    at = [float(ordered[0].normal @ image.position) for image in ordered]
    step = (max(at) - min(at)) / (places - 1)
    allowed = max(UNEVEN * step, ROUNDED_MM)
    runs, way = [[ordered[0]]], 0.0
    for before, after, image in zip(at, at[1:], ordered[1:], strict=False):
        moved = after - before
        if abs(abs(moved) - step) <= allowed and moved * way >= 0:
            runs[-1].append(image)
            way = moved
        else:
            runs.append([image])
            way = 0.0
    return [sort_by_place(run) for run in runs]


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
    return [sort_by_place(stack) for stack in joined]


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
