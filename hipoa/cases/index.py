"""The index of an export's files, on the disk, for there may be a million: what was found and read.

It holds names and identifiers, so it lies in the private folder and goes when the tables are made.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL, member TEXT NOT NULL, bytes INTEGER, changed_ns INTEGER,
    run INTEGER, other TEXT, person TEXT, study TEXT, series TEXT, images INTEGER, identity TEXT,
    UNIQUE (path, member)
);
CREATE INDEX IF NOT EXISTS by_study ON files (person, study);
CREATE TABLE IF NOT EXISTS images (id INTEGER PRIMARY KEY, frames TEXT);
CREATE TABLE IF NOT EXISTS series (
    person TEXT, study TEXT, series TEXT, about TEXT, PRIMARY KEY (person, study, series)
);
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY);
"""
# Of what is stored: an index of another is begun anew.
_VERSION = 1
# Fewer would be sent from process to process too often, more be lost when a run is stopped.
_CHUNK = 200

_CT = "WHERE images > 0"
_STORE_FILE = (
    "UPDATE files SET other = :other, person = :person, study = :study, series = :series, "
    "images = :images, identity = :identity WHERE id = :number"
)
_STORE_SERIES = "INSERT OR REPLACE INTO series VALUES (:person, :study, :series, :about)"

File = tuple[str, str, int, int]
"""Path, name within a zip file or "", bytes, time of change in ns."""
Place = tuple[int, str, str]
"""Number in the index, path, name within a zip file or ""."""


@dataclass(frozen=True)
class Read:
    """What the header of a file says.

    Attributes:
        number: Of the file in the index.
        other: What it is instead of a CT's image; empty for one.
        person: What the patient is known by.
        study: What the study is known by.
        series: What the series is known by.
        images: Of CT in it, a count.
        identity: JSON of whose it is.
        about: JSON of what all images of a series share; empty where it was told before.
        frames: JSON of the images of CT in it.
    """

    number: int
    other: str
    person: str = ""
    study: str = ""
    series: str = ""
    images: int = 0
    identity: str = ""
    about: str = ""
    frames: str = ""


class Index:
    """The index in a file, of which little is in memory at a time.

    Args:
        path: The file; one of a run that was stopped is gone on with.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self.path = path
        self._base = self._open()
        if self._ask("PRAGMA user_version")[0][0] not in (0, _VERSION):
            self._base.close()
            path.unlink()
            path.touch(mode=0o600)
            self._base = self._open()
        self._base.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path)
        base.execute("PRAGMA synchronous = NORMAL")
        return base

    def _ask(self, question: str, *values: object) -> list[tuple]:
        return self._base.execute(question, values).fetchall()

    def note(self, files: Iterable[File]) -> None:
        """Takes in what lies in the export now: new and changed files are to be read, others are known."""
        run = self._base.execute("INSERT INTO runs DEFAULT VALUES").lastrowid
        with self._base:
            self._base.executemany(
                "INSERT INTO files (path, member, bytes, changed_ns, run) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (path, member) DO UPDATE SET run = excluded.run, "
                "other = iif((bytes, changed_ns) = (excluded.bytes, excluded.changed_ns), other, NULL), "
                "bytes = excluded.bytes, changed_ns = excluded.changed_ns",
                ((os.fsencode(path), member, size, changed, run) for path, member, size, changed in files),
            )
            self._base.execute("DELETE FROM files WHERE run <> ?", (run,))

    def count(self, where: str = "1") -> int:
        """How many files there are of a kind, given in SQL."""
        return self._ask(f"SELECT count(*) FROM files WHERE {where}")[0][0]

    def list_unread(self) -> Iterator[list[Place]]:
        """What is still to be read, in portions."""
        last = 0
        while found := self._ask(
            "SELECT id, path, member FROM files WHERE other IS NULL AND id > ? ORDER BY id LIMIT ?",
            last,
            _CHUNK,
        ):
            last = found[-1][0]
            yield [(number, os.fsdecode(path), member) for number, path, member in found]

    def store(self, found: Sequence[Read]) -> None:
        """Takes in what was read, for good."""
        with self._base:
            for one in found:
                row = {field.name: getattr(one, field.name) for field in fields(Read)}
                self._base.execute(_STORE_FILE, row)
                if one.images:
                    self._base.execute("INSERT OR REPLACE INTO images VALUES (:number, :frames)", row)
                if one.about:
                    self._base.execute(_STORE_SERIES, row)

    def list_people(self) -> list[str]:
        """Everyone of whom there is a CT."""
        rows = self._ask(f"SELECT DISTINCT person FROM files {_CT} ORDER BY person")
        return [person for (person,) in rows]

    def list_studies(self, person: str) -> list[str]:
        """A person's studies that hold a CT."""
        rows = self._ask(f"SELECT DISTINCT study FROM files {_CT} AND person = ? ORDER BY study", person)
        return [study for (study,) in rows]

    def list_shared_studies(self) -> set[str]:
        """Studies that name more than one person."""
        pairs = f"SELECT DISTINCT person, study FROM files {_CT} AND study <> ''"
        rows = self._ask(f"SELECT study FROM ({pairs}) GROUP BY study HAVING count(*) > 1")
        return {study for (study,) in rows}

    def list_identities(self, person: str) -> list[str]:
        """What the headers of a person's files say of who it is, each once."""
        return [text for (text,) in self._ask("SELECT DISTINCT identity FROM files WHERE person = ?", person)]

    def list_images(self, person: str, study: str) -> Iterator[tuple[Place, str, str, str]]:
        """The files with images of CT of a study, by path: place, series, identity and frames of each."""
        rows = self._base.execute(
            "SELECT files.id, path, member, series, identity, frames FROM files JOIN images USING (id) "
            "WHERE person = ? AND study = ? AND images > 0 ORDER BY path, member",
            (person, study),
        )
        for number, path, member, *said in rows:
            yield (number, os.fsdecode(path), member), *said

    def list_series(self, person: str, study: str) -> dict[str, str]:
        """What is known of the series of a study, by series."""
        return dict(
            self._ask("SELECT series, about FROM series WHERE person = ? AND study = ?", person, study)
        )

    def count_others(self, person: str | None = None, study: str = "") -> dict[str, int]:
        """How many files are something else than a CT's image, by what they are: of all, or of a study."""
        mine, values = ("", ()) if person is None else ("AND person = ? AND study = ?", (person, study))
        rows = f"SELECT other, count(*) FROM files WHERE other <> '' {mine} GROUP BY other ORDER BY 2 DESC, 1"
        return dict(self._ask(rows, *values))

    def list_others(self) -> Iterator[tuple[str, str]]:
        """Of each file that is something else than a CT's image the folder or zip file, and what it is."""
        rows = self._base.execute(
            "SELECT path, member <> '' OR bytes < 0, other FROM files WHERE other <> '' ORDER BY path"
        )
        for path, is_place, other in rows:
            place = os.fsdecode(path)
            yield place if is_place else os.path.dirname(place), other  # noqa: PTH120

    def is_shared(self, place: str, person: str, study: str) -> bool:
        """Whether below a folder, or in a zip file, lies somebody else's file or a CT of another study."""
        return self._holds(place, "person NOT IN ('', ?) OR (images > 0 AND study <> ?)", person, study)

    def has_loose(self, folder: str, other: str) -> bool:
        """Whether below a folder lies, in no zip file, a DICOM file or one of another kind."""
        return self._holds(folder, "member = '' AND (person <> '' OR other = ?)", other)

    def _holds(self, place: str, what: str, *values: object) -> bool:
        path = os.fsencode(place.rstrip("/"))
        within = ("path = ?", [path]), ("path >= ? AND path < ?", [path + b"/", path + b"0"])
        return any(
            self._ask(f"SELECT 1 FROM files WHERE {where} AND ({what}) LIMIT 1", *bounds, *values)
            for where, bounds in within
        )

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()
