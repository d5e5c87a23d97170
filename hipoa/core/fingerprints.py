"""Hashes that change when a case, one of its files or a reading is another.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hipoa.tables import Case, Reading

_WHOLE_BYTES = 2**16
_BLOCK_BYTES = 1024
_BLOCKS = 16
_FILES_OF_FOLDER = 16
# Steps of the golden ratio are spread evenly and come back to no row or slice, which begin with air.
_STEP = (5**0.5 - 1) / 2
# Their voxels may lie in other files: one that is named, LIST and a name a line, or a pattern with %03d.
_HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd")
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file:)(.*)", re.IGNORECASE | re.MULTILINE)


def fingerprint(cases: Iterable[Case], folder: Path = Path(), *, look: bool = True) -> str:
    """A hash of rows and files that changes when a case, or one of its files, is another.

    Args:
        cases: The cases of a shard.
        folder: That of their table, from which paths count: a study moved as a whole stays the same.
        look: Take in what the files are: size, time and blocks of a file, and of a folder, or where a header
            names files of voxels, the name, size and time of each and blocks of some; off for file systems
            on which looking at 100 000 files is slow.
    """
    digest = hashlib.sha256()
    prefix = "" if folder == Path() else f"{folder}/"
    for case in sorted(cases, key=lambda case: case.case_id):
        row = [case.case_id, case.patient_id, case.exclude, case.sex, case.age, case.scanner]
        row += [] if not case.series else [f"series {case.series}"]
        files = ["" if path is None else str(path) for path in (case.ct, case.labels, case.landmarks)]
        row += [path.removeprefix(prefix) for path in files]
        digest.update(("\0".join(row) + "\n").encode("utf-8", "surrogateescape"))
        for path in filter(None, files if look else ()):
            digest.update(_describe(path))
    return digest.hexdigest()[:16]


def readings_fingerprint(readings: Iterable[Reading], cases: Iterable[Case]) -> str:
    """A hash of the readings of these cases that changes when one of them is another.

    Args:
        readings: Of any cases, in any order.
        cases: The cases of a cohort.
    """
    mine = {case.case_id for case in cases}
    rows = sorted(repr(tuple(vars(reading).values())) for reading in readings if reading.case_id in mine)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _describe(path: str) -> bytes:
    state = os.stat(path)  # noqa: PTH116, for 100 000 paths need not be taken apart
    if stat.S_ISDIR(state.st_mode):
        return _describe_files(sorted(_walk(path)), path)
    named = _find_data_files(path) if path.lower().endswith(_HEADERS) else []
    voxels = _describe_files([(name, os.stat(name)) for name in named], os.path.dirname(path))  # noqa: PTH116, PTH120
    return _describe_file(state) + _read_blocks(path, state) + voxels


def _describe_files(found: Sequence[tuple[str, os.stat_result]], folder: str) -> bytes:
    """Name, size and time of each, and blocks of some, spread over them: the fewer files, the more blocks."""
    lines = [os.fsencode(name.removeprefix(folder)) + _describe_file(state) for name, state in found]
    some = {at * (len(found) - 1) // (_FILES_OF_FOLDER - 1) for at in range(_FILES_OF_FOLDER if found else 0)}
    blocks = _BLOCKS // max(1, len(some))
    return b"".join([*lines, *(_read_blocks(*found[at], blocks) for at in sorted(some))])


def _find_data_files(header: str) -> list[str]:
    """The files of voxels that a header names, in its order; none that is not there."""
    try:
        with open(header, "rb") as file:  # noqa: PTH123, as above
            text = file.read(_WHOLE_BYTES).partition(b"\0")[0]
    except OSError:
        return []
    named = _DATA_FILE.search(text)
    if named is None:
        return []
    is_list = named[1].split()[:1] == [b"LIST"]
    lines = text[named.end() :].splitlines() if is_list else [named[1]]
    folder = os.path.dirname(header)  # noqa: PTH120
    paths = [path for line in lines for path in _expand(folder, os.fsdecode(line.strip()))]
    return [path for path in paths if os.path.isfile(path)]  # noqa: PTH113


def _expand(folder: str, name: str) -> list[str]:
    if "%" not in name:
        return [os.path.join(folder, name)]  # noqa: PTH118
    pattern = re.sub(r"%\d*d", "*", re.sub(r"(\s+\d+)+$", "", name))  # behind it: first, last, step
    return [os.path.join(folder, found) for found in sorted(glob.glob(pattern, root_dir=folder))]  # noqa: PTH118, PTH207


def _describe_file(state: os.stat_result) -> bytes:
    return b"\0%d %d\n" % (state.st_size, state.st_mtime_ns)


def _walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below a folder and its state; links to folders are not followed, as in reading DICOM."""
    try:
        entries = list(os.scandir(folder))
    except PermissionError:  # the stage says it, of that case alone
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.is_file():
            yield entry.path, entry.stat()


def _read_blocks(path: str, state: os.stat_result, count: int = _BLOCKS) -> bytes:
    """All of a small file, else its first and last block and so many between; nothing if it fails."""
    if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
        return b""
    last = state.st_size - _BLOCK_BYTES
    shares = (0, *((0.5 + number * _STEP) % 1 for number in range(count)), 1)
    whole = state.st_size <= _WHOLE_BYTES
    blocks = [(_WHOLE_BYTES, 0)] if whole else [(_BLOCK_BYTES, int(last * share)) for share in shares]
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(os.pread(file, size, place) for size, place in blocks)
    except OSError:
        return b""
    finally:
        os.close(file)
