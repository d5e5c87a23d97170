"""The folder that names patients: the key of their pseudonyms, the crosswalk, the headers that were read."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hipoa.core.errors import ConfigError, TableError
from hipoa.core.files import read_csv, replacing

CROSSWALK_COLUMNS = (
    "case_id",
    "patient_id",
    "hospital_patient_id",
    "issuer",
    "accession",
    "study_date",
    "status",
    "folder",
)
_KEY_BYTES = 32
_LETTERS = 10
_CASE_LETTERS = 6
_OTHERS = 0o077
_PUBLISHED = "results"


@dataclass(frozen=True)
class Private:
    """A folder that its owner alone can read.

    Attributes:
        folder: It.
        key: Of the pseudonyms; who has it can find out whose each is.
    """

    folder: Path
    key: bytes

    @property
    def crosswalk(self) -> Path:
        """The table of who is who."""
        return self.folder / "crosswalk.csv"

    @property
    def set_aside(self) -> Path:
        """Where the files lie that were set aside."""
        return self.folder / "set_aside.csv"

    @property
    def headers(self) -> Path:
        """What was read so far, for a run that goes on where another was stopped."""
        return self.folder / "headers.sqlite"

    def name_patient(self, person: str) -> str:
        """A pseudonym: P and ten letters and digits (50 bits).

        Args:
            person: What the person is known by, in one spelling.
        """
        return f"P{self._hash('patient', person, _LETTERS)}"

    def name_case(self, person: str, study: str) -> str:
        """A name that stays whatever other studies of the patient there are, for it comes from the study.

        Args:
            person: What the person is known by, in one spelling.
            study: What the study is known by.
        """
        return f"{self.name_patient(person)}-{self._hash('study', study, _CASE_LETTERS)}"

    def _hash(self, kind: str, text: str, letters: int) -> str:
        digest = hmac.new(self.key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256)
        return base64.b32encode(digest.digest()).decode()[:letters]


def open_private(folder: Path) -> Private:
    """Opens the folder and reads its key; makes both where there are none yet.

    Args:
        folder: For this use alone.

    Raises:
        ConfigError: Others can read it, it lies among results, or its key is lost or damaged.
    """
    if _PUBLISHED in Path(os.path.abspath(folder)).parts:  # noqa: PTH100
        raise ConfigError(
            "--private",
            f'the folder would lie in "{_PUBLISHED}", which is given to others',
            "Name a folder elsewhere by --private.",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & _OTHERS:
        raise ConfigError(
            "--private",
            "others than you can read the folder, which names patients",
            "Take their rights away (chmod go= FOLDER), or name a new folder by --private, on a disk that "
            "knows such rights.",
        )
    # No git checkout that it may lie in takes it up.
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    return Private(folder, _read_key(folder))


def _read_key(folder: Path) -> bytes:
    path = folder / "key"
    if not path.exists():
        if (folder / "crosswalk.csv").exists():
            raise ConfigError(
                "--private",
                "the folder holds a crosswalk, but its key is gone, so that patients would get other names",
                "Copy the file key back, or name a new folder and a new table by --private and --out.",
            )
        with write_private(path) as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * _KEY_BYTES}}}", text):
        raise ConfigError(
            "--private",
            "the file key is damaged, so that patients would get other names",
            "Copy it back, or name a new folder and a new table by --private and --out.",
        )
    return bytes.fromhex(text)


@contextmanager
def write_private(path: Path) -> Iterator[IO[str]]:
    """A text file that its owner alone can read, put in place when it is whole."""
    with replacing(path) as temporary:
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file


def read_crosswalk(private: Private) -> dict[str, dict[str, str]]:
    """Who is who, by case; empty before the first table.

    Raises:
        TableError: Another program has changed the file.
    """
    path = private.crosswalk
    if not path.exists():
        return {}
    try:
        return {row["case_id"]: {name: row[name] for name in CROSSWALK_COLUMNS} for row in read_csv(path)}
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise TableError(
            path.name,
            "another program has changed the file",
            "Save it as CSV in UTF-8 with commas and its first columns, or move it and the table elsewhere.",
        ) from None


def write_set_aside(private: Private, places: Iterable[tuple[str, str]]) -> None:
    """Writes where files lie that are no image of a CT that can be read: a patient may be among them.

    Args:
        private: The folder.
        places: Folder or zip file, and what it is, of each file.
    """
    with write_private(private.set_aside) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("folder", "what", "files"))
        writer.writerows((*place, count) for place, count in Counter(places).items())


def write_crosswalk(private: Private, rows: Iterable[Mapping[str, str]]) -> None:
    """Writes who is who; rows of before stay, those of the same cases are made anew."""
    known = read_crosswalk(private) | {row["case_id"]: dict(row) for row in rows}
    with write_private(private.crosswalk) as file:
        writer: csv.DictWriter[str] = csv.DictWriter(file, CROSSWALK_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known.values())
