"""The index of an export: what the headers of its files say, kept on the disk so that a run can be resumed.

It holds names and identifiers, so it lies in the private folder until the tables are written.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

UNREADABLE = "files and folders that cannot be read"
BAD_ZIP = "zip files that are locked, damaged, empty, or within zip files: unpack them"


class File(NamedTuple):
    """A file of an export; ``member`` is its name in the zip file at ``path``, or empty."""

    path: str
    member: str
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header of a file says."""

    file: File
    at: int  # where its record starts in the index, bytes
    other: str  # what the file is if it holds no CT image; else empty
    person: str  # the patient, as `hipoa.cases.people.name_person` names one; "?" if unknown
    study: str
    series: str
    images: int
    identity: str  # JSON of an `Identity`

    @property
    def place(self) -> str:
        """The folder or zip file that holds it, or the folder that cannot be read."""
        whole = self.file.member or self.file.size < 0
        return self.file.path if whole else os.path.dirname(self.file.path)  # noqa: PTH120


class Index:
    """The records of the files that were read, in a file to which new ones are appended."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._stream = path.open("rb+")
        self.entries: dict[File, Entry] = {}
        end = 0
        for line in self._stream:
            if line.endswith(b"\n"):  # else an earlier run was stopped while it was written
                self._remember(end, json.loads(line))
                end += len(line)
        self._stream.seek(end)
        self._stream.truncate()

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Appends records: the fields of entries, and the CT images in ``frames``."""
        for record in records:
            self._remember(self._stream.tell(), record)
            self._stream.write(json.dumps(record).encode() + b"\n")
        self._stream.flush()

    def _remember(self, at: int, record: Mapping[str, Any]) -> None:
        file = File(*record["file"])
        texts = {name: intern(record[name]) for name in ("other", "person", "study", "series", "identity")}
        self.entries[file] = Entry(file, at, images=record["images"], **texts)

    def read_frames(self, entry: Entry) -> str:
        """The CT images of a file, as they were added."""
        self._stream.seek(entry.at)
        return json.loads(self._stream.readline())["frames"]


class Export:
    """The files of an export.

    Attributes:
        entries: All files, sorted by path.
        cts: Files with CT images by person and study.
        others: Counts of files without CT images by (person, study), by what they are.
        identities: What the headers say of who each person is.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = sorted(entries, key=lambda entry: (os.fsencode(entry.file.path), entry.file.member))
        self.cts: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        self.identities: dict[str, set[str]] = defaultdict(set)
        self.others: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        # By folder or zip file: (person, study) of CTs in or below it, (person, None) of other files.
        self._owners: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
        self._loose: set[str] = set()
        for entry in self.entries:
            self._add(entry)
        for place, owners in list(self._owners.items()):
            for parent in Path(place).parents:
                self._owners[str(parent)] |= owners
        self._loose |= {str(parent) for place in self._loose for parent in Path(place).parents}

    def _add(self, entry: Entry) -> None:
        if entry.images:
            self.cts[entry.person][entry.study].append(entry)
        self.identities[entry.person].add(entry.identity)
        if entry.other:
            self.others[entry.person, entry.study][entry.other] += 1
        self._owners[entry.place].add((entry.person, entry.study if entry.images else None))
        if not entry.file.member and (entry.person or entry.other == BAD_ZIP):
            self._loose.add(entry.place)

    def list_shared_studies(self) -> set[str]:
        """Studies with CTs of more than one person."""
        people = Counter(study for studies in self.cts.values() for study in studies if study)
        return {study for study, count in people.items() if count > 1}

    def is_shared(self, place: str, person: str, study: str) -> bool:
        """Whether a folder or zip file holds a file of another person or a CT of another study."""
        return any(owner not in ("", person) or of not in (None, study) for owner, of in self._owners[place])

    def has_loose(self, folder: str) -> bool:
        """Whether a folder holds DICOM files outside zip files, or zip files that cannot be read."""
        return folder in self._loose


def sort_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and their counts, the largest first, without zeros."""
    return sorted((one for one in counts.items() if one[1]), key=lambda one: (-one[1], one[0]))
