"""The private folder: the key of the pseudonyms, and the crosswalk to the hospital's numbers."""

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
    *("case_id", "patient_id", "hospital_patient_id", "issuer", "accession", "study_date"),
    *("status", "folder"),
)
_CROSSWALK = "crosswalk.csv"
_KEY_BYTES = 32
_PATIENT_LETTERS = 10
_CASE_LETTERS = 6
_RIGHTS_OF_OTHERS = 0o077
_PUBLISHED = "results"


@dataclass(frozen=True)
class Private:
    """A folder that only its owner can read, and the key in it, which can tell whose each pseudonym is."""

    folder: Path
    key: bytes

    def name_patient(self, person: str) -> str:
        """A pseudonym of P and ten letters and digits (50 bits)."""
        return f"P{self._hash('patient', person, _PATIENT_LETTERS)}"

    def name_case(self, person: str, study: str) -> str:
        """A name that does not depend on the patient's other studies."""
        return f"{self.name_patient(person)}-{self._hash('study', study, _CASE_LETTERS)}"

    def _hash(self, kind: str, text: str, letters: int) -> str:
        digest = hmac.new(self.key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256)
        return base64.b32encode(digest.digest()).decode()[:letters]


def open_private(folder: Path) -> Private:
    """Opens the folder and reads its key; creates both if there are none yet.

    Raises:
        ConfigError: Others can read it, it is among results, or its key is lost or damaged.
    """
    if _PUBLISHED in Path(os.path.abspath(folder)).parts:  # noqa: PTH100
        raise ConfigError(
            "--private",
            f'the folder would lie in "{_PUBLISHED}", which is given to others',
            "Name a folder elsewhere by --private.",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & _RIGHTS_OF_OTHERS:
        raise ConfigError(
            "--private",
            "others than you can read the folder, which names patients",
            "Take their rights away (chmod go= FOLDER), or name a new folder by --private, on a disk that "
            "knows such rights.",
        )
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    return Private(folder, _read_key(folder))


def _read_key(folder: Path) -> bytes:
    path = folder / "key"
    lost = not path.exists() and (folder / _CROSSWALK).exists()
    if not path.exists() and not lost:
        with _write(path) as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
    text = "" if lost else path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * _KEY_BYTES}}}", text):
        found = "folder holds a crosswalk, but its key is gone" if lost else "file key is damaged"
        raise ConfigError(
            "--private",
            f"the {found}, so that patients would get other names",
            "Copy the file key back, or name a new folder and a new table by --private and --out.",
        )
    return bytes.fromhex(text)


@contextmanager
def _write(path: Path) -> Iterator[IO[str]]:
    """A text file that only its owner can read, renamed to ``path`` on success."""
    with replacing(path) as temporary:
        temporary.touch(mode=0o600, exist_ok=False)
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file


def read_crosswalk(private: Private) -> dict[str, dict[str, str]]:
    """The crosswalk's rows by case_id; empty before the first table.

    Raises:
        TableError: Another program has changed the file.
    """
    path = private.folder / _CROSSWALK
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


def write_crosswalk(private: Private, rows: Iterable[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Adds rows to the crosswalk, replacing those of the same cases; returns all."""
    known = read_crosswalk(private) | {row["case_id"]: dict(row) for row in rows}
    with _write(private.folder / _CROSSWALK) as file:
        writer: csv.DictWriter[str] = csv.DictWriter(file, CROSSWALK_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known.values())
    return known


def write_set_aside(private: Private, files: Iterable[tuple[str, str]]) -> None:
    """Writes in which folder or zip file the files lie that hold no CT image, by what each is.

    A patient may be among them, of whom no slice can be read.
    """
    with _write(private.folder / "set_aside.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("folder", "what", "files"))
        writer.writerows((*place, count) for place, count in Counter(files).items())
