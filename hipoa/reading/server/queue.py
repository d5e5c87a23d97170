"""The order in which hips come to a reader, and which of them come a second time."""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hipoa.reading.records import ReadingIndex, Record
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

AGAIN_AFTER = 20
"""Least number of readings between the first and the second of a hip."""


@dataclass(frozen=True)
class _Draw:
    """Draws the readings whose hips come a second time, for one secret and reader always the same ones."""

    key: str
    every: int  # one reading in about so many is drawn

    def comes_again(self, number: int) -> bool:
        """Whether the hip of this first reading, counted from 0, is read again."""
        return _draw_number(self.key, number) % self.every == 0


@lru_cache(65_536)
def _draw_number(key: str, number: int) -> int:
    return int(hmac.new(key.encode(), str(number).encode(), "sha256").hexdigest(), 16)


def queue_hips(
    reader: str, worklist: Worklist, index: ReadingIndex, settings: ReadSettings, secret: str
) -> list[tuple[Hip, bool]]:
    """All hips that will still come to a reader, in order, and whether each is a second reading.

    Second readings that are not due yet are in it too, or the number of hips to go would tell which one is.
    Which hips come again depends on the secret and on how many others were read before, not on the hip: else
    the number of hips to go would tell it when a hip is put off, and who knows the rule could work it out.
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
    draw = _Draw(f"{secret} {reader}", settings.again_every)
    returning = dict(_find_returning(reader, worklist, index, draw))
    last = [place for place, hip in returning.items() if hip.hip_id in put_off]
    delayed = sorted((returning.pop(place) for place in last), key=lambda hip: put_off[hip.hip_id])
    own = index.readings(reader)
    before = worklist.by_id.get(own[-1].hip_id) if own else None
    ahead = _look_ahead(firsts, deque(returning.items()), own, before, draw)
    return [*ahead, *((hip, True) for hip in delayed)]


def _look_ahead(
    firsts: deque[Hip],
    returning: deque[tuple[int, Hip]],
    own: Sequence[Record],
    before: Hip | None,
    draw: _Draw,
) -> Iterator[tuple[Hip, bool]]:
    """Plays the list to its end.

    Args:
        firsts: The hips without a reading.
        returning: The hips that come again, each with the place of its first reading.
        own: The reader's readings.
        before: The hip that was read last.
        draw: Which readings come again.
    """
    place, number = len(own), sum(not record.again for record in own)
    while firsts or (returning and returning[0][0] < place - AGAIN_AFTER):
        due = bool(returning) and returning[0][0] < place - AGAIN_AFTER
        same_patient = bool(firsts) and before is not None and firsts[0].patient == before.patient
        if due and not same_patient:
            _, hip = returning.popleft()
        else:
            due, hip = False, firsts.popleft()
            if draw.comes_again(number):
                returning.append((place, hip))
            number += 1
        yield hip, due
        before, place = hip, place + 1


def _find_returning(
    reader: str, worklist: Worklist, index: ReadingIndex, draw: _Draw
) -> Iterator[tuple[int, Hip]]:
    """Hips whose second reading is not done yet, each with the place of the first among the readings.

    Of a hip whose class by the model has been shown, a second reading would not be blind.
    """
    repeats, current, shown = index.repeats(reader), index.current(reader), index.shown(reader)
    number = 0  # of first readings before this one
    for place, record in enumerate(index.readings(reader)):
        once = current.get(record.hip_id) is record and record.hip_id not in repeats.keys() | shown
        if once and draw.comes_again(number) and record.hip_id in worklist.by_id:
            yield place, worklist.by_id[record.hip_id]
        number += not record.again


def _read_by_enough(reader: str, index: ReadingIndex, wanted: int) -> set[str]:
    if not wanted:
        return set()
    by_hip = index.by_hip().items()
    return {hip for hip, readings in by_hip if sum(name != reader for name in readings) >= wanted}
