"""Whose turn it is: which hips come to a reader, in which order, and which of them a second time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain

from hipoa.reading.reading_index import Ledger
from hipoa.reading.settings import ReadSettings
from hipoa.reading.worklist import Hip, Worklist

AGAIN_AFTER = 20
"""Least readings between a hip and its coming again."""


def line_up(
    reader: str, worklist: Worklist, ledger: Ledger, settings: ReadSettings
) -> tuple[Iterator[tuple[Hip, bool]], int]:
    """The hips that a reader has before her, and whether each comes again unasked; those go first.

    Args:
        reader: Her name.
        worklist: The list.
        ledger: What has been read.
        settings: How many hips come again, and how many readers a hip needs.

    Returns:
        The hips one by one, since of 10 000 two are wanted, and how many there are.
    """
    passed = ledger.standing(reader).keys() | _read_by_enough(reader, ledger, settings.readings_per_hip)
    due = [(hip, True) for hip in _find_due(reader, worklist, ledger, settings.again_every)]
    unread = ((hip, False) for hip in worklist.hips if hip.hip_id not in passed)
    return chain(due, unread), len(due) + len(worklist.hips) - len(passed & worklist.listed)


def comes_again(hip_id: str, every: int) -> bool:
    """Whether a hip is one of those that are read twice: about one in ``every``, always the same ones."""
    return every > 0 and int(hashlib.sha256(hip_id.encode()).hexdigest(), 16) % every == 0


def _find_due(reader: str, worklist: Worklist, ledger: Ledger, every: int) -> Iterator[Hip]:
    """Hips that come again: read long enough ago, and not yet a second time."""
    own, repeats = ledger.of(reader), ledger.repeats(reader)
    standing = ledger.standing(reader)
    for record in own[: max(0, len(own) - AGAIN_AFTER)]:
        stands = standing.get(record.hip_id) is record and record.hip_id not in repeats
        if stands and comes_again(record.hip_id, every) and record.hip_id in worklist.by_id:
            yield worklist.by_id[record.hip_id]


def _read_by_enough(reader: str, ledger: Ledger, wanted: int) -> set[str]:
    if not wanted:
        return set()
    of_hip = ledger.by_hip().items()
    return {hip for hip, readings in of_hip if sum(name != reader for name in readings) >= wanted}
