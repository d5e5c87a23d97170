"""The append-only log of readings, one line of JSON each.

A line is flushed to the disk before the page says that it is saved. Nothing is ever changed: an undoing is a
line of its own. Only the command `forget` removes lines, those of a case.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from pydantic import ValidationError

from hipoa.core.errors import ReadingError
from hipoa.reading.records import ReadingIndex, Record


class Log:
    """A log that one process writes to; the file stays locked while it is open.

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
        self.index = ReadingIndex(records)

    def append(self, record: Record) -> Record:
        """Writes one line and returns once it is on the disk.

        Returns:
            The record; if its id is known, the one recorded first, and nothing is written.

        Raises:
            ReadingError: It cannot be written; the log is as before.
        """
        with self._lock:
            if record.id in self._known:
                return self._known[record.id]
            self._write((record.model_dump_json() + "\n").encode())
            self._known[record.id] = record
            self.index.add(record)
            return record

    def find(self, record_id: str) -> Record | None:
        """The line of an id."""
        return self._known.get(record_id)

    def close(self) -> None:
        """Unlocks the file."""
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
    """Every complete line of a log; a last line without its end, never acknowledged, is left out.

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
    """Ends a last line that lacks only its end, moves a torn one to another file; says which, or ""."""
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
