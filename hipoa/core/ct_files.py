"""Finds the files of a CT that is named by one path."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr")
"""Name endings of the files that hold a whole CT, or its header."""
# Enough of a DICOM file without a preamble to find its SOP class.
START_BYTES = 1 << 14
_DICOM = b"1.2.840.10008."
_DIRECTORY = b"1.2.840.10008.1.3.10"
# The first group of a file without a preamble, little-endian and big-endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
# Files that macOS, Windows and Synology add to folders.
_SYSTEM_FILE = re.compile(r"\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini|@eaDir", re.IGNORECASE)
# Their voxels may be in other files: a name, LIST and one name a line, or a pattern with %03d.
_HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd")
_HEADER_BYTES = 2**16
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file:)(.*)", re.IGNORECASE | re.MULTILINE)


def is_foreign(path: str) -> bool:
    """Whether a part of a path is a file or folder that an operating system adds."""
    return any(map(_SYSTEM_FILE.fullmatch, path.split("/")))


def walk(folder: str, *, nested: bool = True, fail: Callable[[OSError], None] | None = None) -> Iterator[str]:
    """The sorted paths of all files and links in a folder, without those that systems add.

    Links to folders are followed; a folder that is reached twice, as by a link to a parent, is read once.

    Args:
        folder: The folder.
        nested: Include its subfolders.
        fail: Called for a folder that cannot be read; by default it is skipped.
    """
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        state = os.stat(place)  # noqa: PTH116 - faster than parsing paths
        is_new = (state.st_dev, state.st_ino) not in seen
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if nested and is_new and not is_foreign(name))
        if is_new:
            yield from (os.path.join(place, name) for name in sorted(files) if not is_foreign(name))  # noqa: PTH118


def find_source(path: str) -> tuple[str, bool]:
    """The file or folder that a path stands for, and whether subfolders are included.

    A DICOM image stands for its series, whose other images are in its folder; a DICOMDIR for all files in and
    below its folder.
    """
    if path.lower().endswith((*SUFFIXES, ".csv", ".zip")) or not os.path.isfile(path):  # noqa: PTH113
        return path, True
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(START_BYTES)
    except OSError:  # reported by the stage, for this case alone
        return path, True
    folder = os.path.dirname(path) or "."  # noqa: PTH120
    return (folder, is_dicomdir(start)) if is_dicom(start) else (path, True)


def is_dicom(start: bytes) -> bool:
    """Whether a file with these first bytes is DICOM, with or without a preamble."""
    return start[128:132] == b"DICM" or (start[:2] in _FIRST_GROUPS and _DICOM in start)


def is_dicomdir(start: bytes) -> bool:
    """Whether a DICOM file with these first bytes is a DICOMDIR."""
    return _DIRECTORY in start[:1024]


def list_data_files(header: str) -> list[str]:
    """The voxel files that the header of a MetaImage or NRRD names, in its order, existing or not."""
    if not header.lower().endswith(_HEADERS):
        return []
    try:
        with open(header, "rb") as file:  # noqa: PTH123
            text = file.read(_HEADER_BYTES).partition(b"\0")[0]
    except OSError:
        return []
    named = _DATA_FILE.search(text)
    if named is None or named[1].strip().upper() in (b"LOCAL", b""):
        return []
    is_list = named[1].split()[:1] == [b"LIST"]
    lines = text[named.end() :].splitlines() if is_list else [named[1]]
    folder = os.path.dirname(header)  # noqa: PTH120
    names: list[str] = []
    for name in (os.fsdecode(line.strip()) for line in lines):
        pattern = re.sub(r"%\d*d", "*", re.sub(r"(\s+\d+)+$", "", name))  # followed by first, last, step
        names += sorted(glob.glob(pattern, root_dir=folder)) if "%" in name else [name]  # noqa: PTH207
    return [os.path.join(folder, name) for name in names]  # noqa: PTH118
