"""The append-only log of readings: what was acknowledged stays, whatever happens next.

One line of JSON per reading. A line is written and flushed to the disk before the reader is told so;
nothing is ever changed or removed, an undoing is a line of its own.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hipoa.errors import ReadingError

MAX_COMMENT = 1000
MAX_SECONDS = 86_400
REASONS = {
    "implant": "implant or earlier operation",
    "not_in_image": "the joint is cut off",
    "image_quality": "the image is too poor",
    "other_disease": "fracture, tumour, infection",
    "other": "another reason (comment)",
}
"""Why a hip cannot be graded, and how the page says it."""


class Record(BaseModel):
    """One line of the log.

    Attributes:
        id: Of the ticket that came with the hip, so that a second click is no second reading.
        kind: A reading, a consensus of several readers, or the undoing of one of them.
        reader: The name under which the reader has signed in.
        time: When it was recorded, UTC, ISO 8601.
        hip_id: The hip, as in the tables.
        case_id: Its case.
        side: L or R of the patient.
        crowe: 1-4, or None.
        kl: 0-4, or None.
        reason: One of `REASONS` where the hip cannot be graded, else "".
        comment: Free text.
        seconds: How long the hip was looked at, pauses left out, s.
        again: The reader had read the hip before, and it was put before her a second time unasked.
        blind: The reader had not been shown the model's class of this hip.
        image: What was shown: view (16 bits, fine) or radiograph (150 x 150 pixels).
        image_sha256: Of the PNG file that was shown.
        undoes: Of an undoing, the id of the line that no longer counts.
        study: The study whose list it was.
        version: Of hipoa.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=8, max_length=80)
    kind: Literal["reading", "consensus", "undo"]
    reader: str = Field(min_length=1, max_length=40)
    time: str = Field(min_length=10, max_length=40)
    hip_id: str = Field(min_length=1, max_length=80)
    case_id: str = Field(min_length=1, max_length=64)
    side: Literal["L", "R"]
    crowe: int | None = Field(None, ge=1, le=4)
    kl: int | None = Field(None, ge=0, le=4)
    reason: str = ""
    comment: str = Field("", max_length=MAX_COMMENT)
    seconds: float = Field(0, ge=0, le=MAX_SECONDS)
    again: bool = False
    blind: bool = True
    image: str = ""
    image_sha256: str = ""
    undoes: str = ""
    study: str = ""
    version: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        graded = self.crowe is not None and self.kl is not None
        empty = self.crowe is None and self.kl is None
        if self.kind == "undo":
            if not self.undoes:
                raise ValueError("an undoing names no reading")
        elif self.reason and (self.reason not in REASONS or not empty):
            raise ValueError("reason is unknown, or stands beside a grade")
        elif not self.reason and not graded:
            raise ValueError("Crowe and KL are needed, or the reason why the hip cannot be graded")
        return self


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


class Log:
    """A log that one process writes to; it holds the file locked as long as it lives.

    Args:
        path: The file, made with its folder if it is not there.

    Raises:
        ReadingError: Another process writes to it, or a line of it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ReadingError(
                path.name, "another page is open on this log", "Use the address it printed, or end it."
            ) from None
        self.repaired = _repair(self._file, path)
        _sync_folder(path.parent)
        records = read_log(path)
        self._known = {record.id: record for record in records}
        self.ledger = Ledger(records)

    def append(self, record: Record) -> Record:
        """Writes one line and returns when the disk has it.

        Returns:
            The record; of a known id the one that was recorded first, and nothing is written.

        Raises:
            ReadingError: The disk does not take it; the log is as it was.
        """
        with self._lock:
            if record.id in self._known:
                return self._known[record.id]
            self._write((record.model_dump_json() + "\n").encode())
            self._known[record.id] = record
            self.ledger.add(record)
            return record

    def find(self, record_id: str) -> Record | None:
        """The line of an id."""
        return self._known.get(record_id)

    def close(self) -> None:
        """Lets others write."""
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            left = line
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise ReadingError(
                self.path.name, f"the reading cannot be written ({error.strerror})", "Make room on the disk."
            ) from error


def read_log(path: Path) -> list[Record]:
    """Every whole line of a log; a last line without its end, which was never acknowledged, is left out.

    Raises:
        ReadingError: A line is no record.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [_parse(line, f"{path.name} line {number}") for number, line in enumerate(lines, start=1)]


def _parse(line: bytes, where: str) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        raise ReadingError(
            where, "it is no reading", "Someone has edited the log: bring back a copy, or move that line out."
        ) from None


def _repair(file: int, path: Path) -> str:
    """Ends a last line that is whole but for its end, sets a torn one aside; says which."""
    content = path.read_bytes()
    tail = content[content.rfind(b"\n") + 1 :]
    if not tail:
        return ""
    try:
        Record.model_validate_json(tail)
    except ValidationError:
        torn = path.with_suffix(".torn")
        with torn.open("ab") as aside:
            aside.write(tail + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        os.ftruncate(file, len(content) - len(tail))
        os.fsync(file)
        return (
            f"{path.name}: the last line was torn ({len(tail)} bytes, not acknowledged); now in {torn.name}"
        )
    os.write(file, b"\n")
    os.fsync(file)
    return f"{path.name}: the last line lacked its end, which was added; no reading is lost"


def _sync_folder(folder: Path) -> None:
    # Else a new file's name may not survive a power cut, although its content would.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def same_grade(one: Record, other: Record) -> bool:
    """Whether two readings say the same."""
    return (one.crowe, one.kl, one.reason) == (other.crowe, other.kl, other.reason)


def agree(readings: Mapping[str, Record]) -> bool:
    """Whether all readers of a hip say the same."""
    first, *others = readings.values()
    return all(same_grade(first, other) for other in others)
