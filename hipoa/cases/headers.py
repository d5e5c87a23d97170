"""Reads the headers of an export, in processes of their own, into its index."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from tqdm import tqdm

from hipoa.cases.index import File, Index, Place, Read
from hipoa.cases.people import name_person, parse_identity
from hipoa.core.ct_files import SUFFIXES, walk
from hipoa.core.errors import CtError
from hipoa.imaging.ct.acquisition import Acquisition
from hipoa.imaging.ct.dicom.gather import gather
from hipoa.imaging.ct.dicom.headers import Header, Pixels, Slice, read_header
from hipoa.imaging.ct.dicom.identity import Identity
from hipoa.imaging.worker_pool import read_ahead

UNREADABLE = "files and folders that cannot be read"
BAD_ZIP = "zip files that are locked, damaged, empty, or within zip files: unpack them"
# What is no DICOM file may hold CTs all the same: by the end of its name.
_OTHERS = {
    (".zip",): BAD_ZIP,
    SUFFIXES: "CTs or maps as NIfTI, MetaImage or NRRD: write their rows yourself",
    (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".iso"): "archives that are not read: unpack them",
}
# What a user looks up, and what says which part of the body it is.
_ABOUT = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "accession": "AccessionNumber",
    "study_date": "StudyDate",
    "body_part": "BodyPartExamined",
    "protocol": "ProtocolName",
    "description": "SeriesDescription",
}
# A process starts in a second or two, in which a thousand headers can be read.
_FEW = 1000
# Of a portion of files on a drive that sleeps.
_TIMEOUT_S = 600.0


def find_files(folder: Path) -> Iterator[File]:
    """Every file of an export, and of zip files in it what they hold; links are followed, each once."""
    faults: list[OSError] = []
    for path in walk(os.path.abspath(folder), fail=faults.append):  # noqa: PTH100
        try:
            state = os.stat(path)  # noqa: PTH116, for a million paths need not be taken apart
        except OSError as fault:  # a link to nothing
            faults.append(fault)
            continue
        if stat.S_ISREG(state.st_mode):  # a pipe would be waited for
            members = _list_members(path) if path.lower().endswith(".zip") else [""]
            yield from ((path, member, state.st_size, state.st_mtime_ns) for member in members)
    yield from ((str(fault.filename), "", -1, 0) for fault in faults)


def _list_members(path: str) -> list[str]:
    try:
        files = gather(Path(path)) if zipfile.is_zipfile(path) else []
    except (CtError, OSError):  # the table would name what the reading of it refuses
        files = []
    return [file.at for file in files if isinstance(file, zipfile.Path)] or [""]


def show(files: Iterable[File]) -> Iterator[File]:
    """The same files, counted on a terminal; in a log tqdm stays silent."""
    yield from tqdm(files, desc="found", unit=" files", disable=None)


def read_export(index: Index, processes: int) -> None:
    """Reads what the index does not know yet; what is read is kept, portion by portion.

    Args:
        index: Of the export's files.
        processes: That read, a count.
    """
    total, unread = index.count(), index.count("other IS NULL")
    workers = processes if unread > _FEW else 0
    read = read_ahead(read_files, index.list_unread(), _give_up, workers=workers, timeout_s=_TIMEOUT_S)
    with (
        closing(read) as portions,
        tqdm(total=total, initial=total - unread, desc="headers", unit=" files", disable=None) as bar,
    ):
        for portion in portions:
            index.store(portion)
            bar.update(len(portion))


def _give_up(places: Sequence[Place], _why: str) -> list[Read]:
    return [_fail(number) for number, _, _ in places]


def _fail(number: int) -> Read:
    # Perhaps another person's: a folder that holds it stands for nobody.
    return Read(number, UNREADABLE, person="?")


def read_files(places: Sequence[Place]) -> list[Read]:
    """Reads the headers of some files."""
    found: list[Read] = []
    told: set[tuple[str, str]] = set()
    for path, members in groupby(places, key=lambda place: place[1]):
        found += _read_members(path, list(members), told)
    return found


def _read_members(path: str, places: Sequence[Place], told: set[tuple[str, str]]) -> list[Read]:
    if not places[0][2]:
        return [_read(number, Path(path), told) for number, _, _ in places]
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read(number, zipfile.Path(archive, member), told) for number, _, member in places]
    except (OSError, zipfile.BadZipFile):
        return _give_up(places, "")


def _read(number: int, file: Path | zipfile.Path, told: set[tuple[str, str]]) -> Read:
    try:
        header = read_header(file)
        if not header.frames:
            return _describe(
                number, header, "", header.other if header.identity.study else _name_kind(file, header)
            )
        # What all images of a series share is read once for all of them.
        series = header.frames[0].series
        person = name_person(header.identity, series)
        about = "" if (person, series) in told else _tell(file)
    except Exception:  # what lies in a zip file may be locked or damaged in many ways
        return _fail(number)
    told.add((person, series))
    return _describe(number, header, about, "")


def _name_kind(file: Path | zipfile.Path, header: Header) -> str:
    name = file.name.lower()
    return next((kind for ends, kind in _OTHERS.items() if name.endswith(ends)), header.other)


def _describe(number: int, header: Header, about: str, other: str) -> Read:
    identity = header.identity
    series = header.frames[0].series if header.frames else ""
    return Read(
        number,
        other,
        person=name_person(identity, series),
        study=_plain(identity.study or (identity.study_date and f"of {identity.study_date}")),
        series=_plain(series),
        images=len(header.frames),
        identity=json.dumps(asdict(identity) | {"name": sorted(identity.name)}),
        about=about,
        frames=_pack(header),
    )


def _tell(file: Path | zipfile.Path) -> str:
    with file.open("rb") as stream:
        header = dcmread(stream, stop_before_pixels=True, specific_tags=[*_ABOUT.values()], force=True)
    return json.dumps({name: str(header.get(tag) or "").strip() for name, tag in _ABOUT.items()})


def _plain(text: str) -> str:
    # Bytes that are no text cannot be stored as such.
    return text.encode("ascii", "backslashreplace").decode()


def _pack(header: Header) -> str:
    if not header.frames:
        return ""
    return json.dumps([_list_fields(one) for one in header.frames])


def _list_fields(one: Slice) -> dict[str, Any]:
    found = {
        name: getattr(one, name) for name in Slice.__slots__ if name not in ("file", "identity", "series")
    }
    arrays = {name: found[name].tolist() for name in ("position", "across")}
    return found | arrays | {"acquired": asdict(one.acquired), "pixels": asdict(one.pixels)}


def unpack(file: Path | zipfile.Path, series: str, identity: str, frames: str) -> list[Slice]:
    """The slices of a file, as they were read."""
    person = parse_identity(identity)
    return [_unpack(fields, file, series, person) for fields in json.loads(frames)]


def _unpack(fields: dict[str, Any], file: Path | zipfile.Path, series: str, identity: Identity) -> Slice:
    made: dict[str, Any] = {name: np.array(fields[name]) for name in ("position", "across")}
    made |= {name: tuple(fields[name]) for name in ("size", "image_type")}
    made |= {"acquired": Acquisition(**fields["acquired"]), "pixels": Pixels(**fields["pixels"])}
    return Slice(**fields | made, file=file, series=series, identity=identity)
