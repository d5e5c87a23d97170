"""The order in which hips come to a reader, and which of them come a second time."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from hipoa.reading.records import ReadingIndex
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

AGAIN_AFTER = 20
"""Least number of readings between the first and the second of a hip."""


def queue_hips(
    reader: str, worklist: Worklist, index: ReadingIndex, settings: ReadSettings
) -> list[tuple[Hip, bool]]:
    """All hips that will still come to a reader, in order, and whether each is a second reading.

    Second readings that are not due yet are in it too, or the number of hips to go would tell which one is.
    A second reading comes as soon as it is due, but not between the two hips of a patient. Hips that were
    put off come last.
    """
    done = index.current(reader).keys() | _read_by_enough(reader, index, settings.readings_per_hip)
    put_off = index.put_off(reader)
    firsts = deque(hip for hip in worklist.hips if hip.hip_id not in done)
    if put_off:
        firsts = deque(sorted(firsts, key=lambda hip: put_off.get(hip.hip_id, 0)))
    if not settings.again_every:
        return [(hip, False) for hip in firsts]
    returning = dict(_find_returning(reader, worklist, index, settings.again_every))
    last = [place for place, hip in returning.items() if hip.hip_id in put_off]
    delayed = sorted((returning.pop(place) for place in last), key=lambda hip: put_off[hip.hip_id])
    own = index.readings(reader)
    before = worklist.by_id.get(own[-1].hip_id) if own else None
    ahead = _look_ahead(firsts, deque(returning.items()), len(own), before, settings.again_every)
    return [*ahead, *((hip, True) for hip in delayed)]


def _look_ahead(
    firsts: deque[Hip], returning: deque[tuple[int, Hip]], place: int, before: Hip | None, every: int
) -> Iterator[tuple[Hip, bool]]:
    """Plays the list to its end.

    Args:
        firsts: The hips without a reading.
        returning: The hips that come again, each with the place of its first reading.
        place: How many readings there are.
        before: The hip that was read last.
        every: One hip in this many comes again.
    """
    while firsts or (returning and returning[0][0] < place - AGAIN_AFTER):
        due = bool(returning) and returning[0][0] < place - AGAIN_AFTER
        same_patient = bool(firsts) and before is not None and firsts[0].patient == before.patient
        if due and not same_patient:
            _, hip = returning.popleft()
        else:
            due, hip = False, firsts.popleft()
            if _comes_again(hip.hip_id, every):
                returning.append((place, hip))
        yield hip, due
        before, place = hip, place + 1


@lru_cache(65_536)
def _comes_again(hip_id: str, every: int) -> bool:
    """Whether a hip is one of those that are read twice: about one in ``every``, always the same ones."""
    return every > 0 and int(hashlib.sha256(hip_id.encode()).hexdigest(), 16) % every == 0


def _find_returning(
    reader: str, worklist: Worklist, index: ReadingIndex, every: int
) -> Iterator[tuple[int, Hip]]:
    """Hips whose second reading is not done yet, each with the place of the first among the readings.

    Of a hip whose class by the model has been shown, a second reading would not be blind.
    """
    repeats, current, shown = index.repeats(reader), index.current(reader), index.shown(reader)
    for place, record in enumerate(index.readings(reader)):
        once = current.get(record.hip_id) is record and record.hip_id not in repeats.keys() | shown
        if once and _comes_again(record.hip_id, every) and record.hip_id in worklist.by_id:
            yield place, worklist.by_id[record.hip_id]


def _read_by_enough(reader: str, index: ReadingIndex, wanted: int) -> set[str]:
    if not wanted:
        return set()
    by_hip = index.by_hip().items()
    return {hip for hip, readings in by_hip if sum(name != reader for name in readings) >= wanted}
