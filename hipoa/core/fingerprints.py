"""Hashes that change when a case, one of its files or a reading is another.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from hipoa.tables import Case, Reading

_BLOCK_BYTES = 1024
# Shares of the file; not at whole fractions, where a slice begins, with air.
_PLACES = (0, 0.38, 0.62, 1)
_FILES_OF_FOLDER = 3


def fingerprint(cases: Iterable[Case], folder: Path = Path(), *, look: bool = True) -> str:
    """A hash of rows and files that changes when a case, or one of its files, is another.

    Args:
        cases: The cases of a shard.
        folder: That of their table, from which paths count: a study moved as a whole stays the same.
        look: Take in what the files are: size, time and a few blocks of a file, and of a folder the name,
            size and time of every file in it and blocks of a few; off for file systems on which looking at
            100 000 files is slow.
    """
    digest = hashlib.sha256()
    prefix = "" if folder == Path() else f"{folder}/"
    for case in sorted(cases, key=lambda case: case.case_id):
        row = [case.case_id, case.patient_id, case.exclude, case.sex, case.age, case.scanner]
        row += [] if case.series is None else [f"series {case.series}"]
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
    if not stat.S_ISDIR(state.st_mode):
        return _describe_file(state) + _read_blocks(path, state)
    found = sorted(_walk(path))
    lines = [os.fsencode(name.removeprefix(path)) + _describe_file(state) for name, state in found]
    # The first, the middle and the last: a folder is one series, and its files change together.
    some = {at * (len(found) - 1) // (_FILES_OF_FOLDER - 1) for at in range(_FILES_OF_FOLDER if found else 0)}
    return b"".join([*lines, *(_read_blocks(*found[at]) for at in sorted(some))])


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


def _read_blocks(path: str, state: os.stat_result) -> bytes:
    """Blocks spread over a file, the first and the last among them; nothing of what cannot be read."""
    if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
        return b""
    last = max(0, state.st_size - _BLOCK_BYTES)
    places = sorted({int(last * share) for share in _PLACES})
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(os.pread(file, _BLOCK_BYTES, place) for place in places)
    except OSError:
        return b""
    finally:
        os.close(file)
