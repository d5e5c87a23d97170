"""Reads the headers of an export, in parallel processes, into its index."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from tqdm import tqdm

from hipoa.cases.index import BAD_ZIP, UNREADABLE, File, Index
from hipoa.cases.people import name_person
from hipoa.core.ct_files import SUFFIXES, walk
from hipoa.core.errors import CtError
from hipoa.imaging.ct.acquisition import Acquisition
from hipoa.imaging.ct.dicom.gather import gather
from hipoa.imaging.ct.dicom.headers import Header, Pixels, Slice, read_header
from hipoa.imaging.worker_pool import read_ahead

# Files that are not DICOM but may hold CTs, by the end of their name.
_OTHERS = {
    (".zip",): BAD_ZIP,
    SUFFIXES: "CTs or maps as NIfTI, MetaImage or NRRD: write their rows yourself",
    (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".iso"): "archives that are not read: unpack them",
}
# For the crosswalk, and for the part of the body.
_ABOUT = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "accession": "AccessionNumber",
    "study_date": "StudyDate",
    "body_part": "BodyPartExamined",
    "protocol": "ProtocolName",
    "description": "SeriesDescription",
}
# Smaller portions cost more communication; of larger ones more is lost when a run is stopped.
PORTION_FILES = 200
# So many headers are read faster in this process than others start.
FEW_FILES = 1000
# For a portion of files on a drive that sleeps.
_TIMEOUT_S = 600.0

Source = Path | zipfile.Path


def find_files(folder: Path) -> Iterator[File]:
    """Every file of an export, and the members of its zip files; links are followed, each folder once."""
    faults: list[OSError] = []
    for path in walk(os.path.abspath(folder), fail=faults.append):  # noqa: PTH100
        try:
            state = os.stat(path)  # noqa: PTH116 - faster than parsing a million paths
        except OSError as fault:  # a broken link
            faults.append(fault)
            continue
        if stat.S_ISREG(state.st_mode):  # opening a pipe would block
            members = _list_members(path) if path.lower().endswith(".zip") else [""]
            yield from (File(path, member, state.st_size, state.st_mtime_ns) for member in members)
    yield from (File(str(fault.filename), "", -1, 0) for fault in faults)


def _list_members(path: str) -> list[str]:
    try:
        files = gather(Path(path)) if zipfile.is_zipfile(path) else []
    except (CtError, OSError):  # a zip file that `project` would refuse
        files = []
    return [file.at for file in files if isinstance(file, zipfile.Path)] or [""]


def read_export(index: Index, files: Sequence[File], processes: int) -> None:
    """Reads the headers that are not in the index yet, portion by portion."""
    unread = [file for file in files if file not in index.entries]
    portions = (unread[at : at + PORTION_FILES] for at in range(0, len(unread), PORTION_FILES))
    workers = processes if len(unread) > FEW_FILES else 0
    read = read_ahead(read_files, portions, _give_up, workers=workers, timeout_s=_TIMEOUT_S)
    start = len(files) - len(unread)
    with (
        closing(read) as found,
        tqdm(total=len(files), initial=start, desc="headers", unit=" files", disable=None) as bar,
    ):
        for records in found:
            index.add(records)
            bar.update(len(records))


def _give_up(files: Sequence[File], _why: str) -> list[dict[str, Any]]:
    # Perhaps another person's: a folder that holds it is nobody's alone.
    return [_make_record(file, Header(), UNREADABLE, "?") for file in files]


def read_files(files: Sequence[File]) -> list[dict[str, Any]]:
    """The index's records of some files."""
    by_path = groupby(files, key=lambda file: file.path)
    return [record for path, members in by_path for record in _read_members(path, list(members))]


def _read_members(path: str, files: Sequence[File]) -> list[dict[str, Any]]:
    if not files[0].member:
        return [_read(file, Path(path)) for file in files]
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read(file, zipfile.Path(archive, file.member)) for file in files]
    except (OSError, zipfile.BadZipFile):
        return _give_up(files, "")


def _read(file: File, source: Source) -> dict[str, Any]:
    try:
        header = read_header(source)
    except Exception:  # a zip file may be locked or damaged in many ways
        return _give_up([file], "")[0]
    if header.frames:
        return _make_record(file, header, "", name_person(header.identity, header.frames[0].series))
    name = source.name.lower()
    kinds = (kind for ends, kind in _OTHERS.items() if name.endswith(ends))
    other = header.other if header.identity.study else next(kinds, header.other)
    return _make_record(file, header, other, name_person(header.identity, ""))


def _make_record(file: File, header: Header, other: str, person: str) -> dict[str, Any]:
    identity = header.identity
    study = identity.study or (identity.study_date and f"of {identity.study_date}")
    return {
        "file": file,
        "other": other,
        "person": person,
        "study": study.encode("ascii", "backslashreplace").decode(),
        "series": header.frames[0].series if header.frames else "",
        "images": len(header.frames),
        "identity": json.dumps(asdict(identity) | {"name": sorted(identity.name)}),
        "frames": json.dumps(list(map(_pack, header.frames))) if header.frames else "",
    }


def _pack(image: Slice) -> dict[str, Any]:
    fields = {
        name: getattr(image, name) for name in Slice.__slots__ if name not in ("file", "identity", "series")
    }
    arrays = {name: fields[name].tolist() for name in ("position", "across")}
    return fields | arrays | {"acquired": asdict(image.acquired), "pixels": asdict(image.pixels)}


def unpack(frames: str, **common: Any) -> list[Slice]:
    """The CT images of a file from its record; ``common`` are their file, series and identity."""
    return [
        Slice(
            **fields
            | {name: np.array(fields[name]) for name in ("position", "across")}
            | {name: tuple(fields[name]) for name in ("size", "image_type")}
            | {"acquired": Acquisition(**fields["acquired"]), "pixels": Pixels(**fields["pixels"])}
            | common
        )
        for fields in json.loads(frames)
    ]


def read_about(source: Source) -> dict[str, str]:
    """Texts of a header for the crosswalk and the choice of a stack.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with source.open("rb") as stream:
            header = dcmread(stream, stop_before_pixels=True, specific_tags=[*_ABOUT.values()], force=True)
        return {name: str(header.get(tag) or "").strip() for name, tag in _ABOUT.items()}
    except Exception as error:  # as a parser may raise of a damaged header
        raise OSError from error
