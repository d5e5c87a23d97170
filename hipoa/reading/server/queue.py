"""The order in which hips come to a reader, and which of them come a second time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain

from hipoa.reading.records import ReadingIndex
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

AGAIN_AFTER = 20
"""Least number of readings between the first and the second of a hip."""


def queue_hips(
    reader: str, worklist: Worklist, index: ReadingIndex, settings: ReadSettings
) -> tuple[Iterator[tuple[Hip, bool]], int]:
    """The hips still to be read by a reader, second readings first.

    Returns:
        Each hip and whether it is a second reading, lazily, since two of 10 000 are wanted; their number.
    """
    done = index.current(reader).keys() | _read_by_enough(reader, index, settings.readings_per_hip)
    due = [(hip, True) for hip in _find_due(reader, worklist, index, settings.again_every)]
    unread = ((hip, False) for hip in worklist.hips if hip.hip_id not in done)
    return chain(due, unread), len(due) + len(worklist.hips) - len(done & worklist.listed)


def comes_again(hip_id: str, every: int) -> bool:
    """Whether a hip is one of those that are read twice: about one in ``every``, always the same ones."""
    return every > 0 and int(hashlib.sha256(hip_id.encode()).hexdigest(), 16) % every == 0


def _find_due(reader: str, worklist: Worklist, index: ReadingIndex, every: int) -> Iterator[Hip]:
    """Hips whose second reading is due: the first is long enough ago, and it is not done yet."""
    own, repeats, current = index.of(reader), index.repeats(reader), index.current(reader)
    for record in own[: max(0, len(own) - AGAIN_AFTER)]:
        once = current.get(record.hip_id) is record and record.hip_id not in repeats
        if once and comes_again(record.hip_id, every) and record.hip_id in worklist.by_id:
            yield worklist.by_id[record.hip_id]


def _read_by_enough(reader: str, index: ReadingIndex, wanted: int) -> set[str]:
    if not wanted:
        return set()
    by_hip = index.by_hip().items()
    return {hip for hip, readings in by_hip if sum(name != reader for name in readings) >= wanted}
