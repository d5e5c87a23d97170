"""What the log of readings adds up to: who read which hip, how, and what of it counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hipoa.reading.record import Record


class Ledger:
    """The readings that count, reader by reader, in the order in which they were made."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._of: dict[str, dict[str, Record]] = {}
        self._seen: dict[str, set[str]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Takes in one more line of the log."""
        own = self._of.setdefault(record.reader, {})
        self._seen.setdefault(record.reader, set()).add(record.hip_id)
        if record.kind == "undo":
            own.pop(record.undoes, None)
        else:
            own[record.id] = record

    @property
    def readers(self) -> list[str]:
        """Everyone who ever recorded anything, by name."""
        return sorted(self._of)

    def of(self, reader: str) -> list[Record]:
        """A reader's own record, undone readings left out."""
        return list(self._of.get(reader, {}).values())

    def seen(self, reader: str) -> set[str]:
        """Every hip that the reader ever read, undone readings too."""
        return self._seen.get(reader, set())

    def standing(self, reader: str) -> dict[str, Record]:
        """Hip to the reader's reading of it: the latest one, repeats that she was not told of left out."""
        return {r.hip_id: r for r in self.of(reader) if r.kind == "reading" and not r.again}

    def repeats(self, reader: str) -> dict[str, Record]:
        """Hip to the reader's second reading of it, where it came again unasked."""
        return {r.hip_id: r for r in self.of(reader) if r.again}

    def by_hip(self) -> dict[str, dict[str, Record]]:
        """Hip to reader to reading."""
        found: dict[str, dict[str, Record]] = {}
        for reader in self.readers:
            for hip, record in self.standing(reader).items():
                found.setdefault(hip, {})[reader] = record
        return found

    def consensus(self) -> dict[str, Record]:
        """Hip to its latest consensus reading."""
        settled = [r for reader in self.readers for r in self.of(reader) if r.kind == "consensus"]
        return {record.hip_id: record for record in sorted(settled, key=lambda record: record.time)}


def same_grade(one: Record, other: Record) -> bool:
    """Whether two readings say the same."""
    return (one.crowe, one.kl, one.reason) == (other.crowe, other.kl, other.reason)


def agree(readings: Mapping[str, Record]) -> bool:
    """Whether all readers of a hip say the same."""
    first, *others = readings.values()
    return all(same_grade(first, other) for other in others)
