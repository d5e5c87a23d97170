"""Hashes that change when a case, one of its files or a reading is another.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from hipoa.core.ct_files import find_source, list_data_files, walk
from hipoa.core.tables.rows import Case, Reading

_WHOLE_BYTES = 2**16
_BLOCK_BYTES = 1024
_BLOCKS = 16
_FILES_OF_FOLDER = 16
# Steps of the golden ratio are spread evenly and come back to no row or slice, which begin with air.
_STEP = (5**0.5 - 1) / 2


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
    # Many cases may name images of one folder.
    describe_folder = lru_cache(maxsize=1)(_describe_folder)
    prefix = "" if folder == Path() else f"{folder}/"
    for case in sorted(cases, key=lambda case: case.case_id):
        row = [case.case_id, case.patient_id, case.exclude, case.sex, case.age, case.scanner]
        row += [] if not case.series else [f"series {case.series}"]
        files = ["" if path is None else str(path) for path in (case.ct, case.labels, case.landmarks)]
        row += [path.removeprefix(prefix) for path in files]
        digest.update(("\0".join(row) + "\n").encode("utf-8", "surrogateescape"))
        for path in filter(None, files if look else ()):
            digest.update(_describe(path, describe_folder))
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


def _describe(path: str, describe_folder: Callable[[str, bool], bytes]) -> bytes:
    source, nested = find_source(path)
    state = os.stat(source)  # noqa: PTH116, for 100 000 paths need not be taken apart
    if stat.S_ISDIR(state.st_mode):
        return describe_folder(source, nested)
    named = [found for name in list_data_files(path) for found in _look(name)]
    voxels = _describe_files(named, os.path.dirname(path))  # noqa: PTH120
    return _describe_file(state) + _read_blocks(path, state) + voxels


def _describe_folder(folder: str, nested: bool) -> bytes:
    # What cannot be read, the stage says, of that case alone.
    found = sorted(one for name in walk(folder, nested=nested) for one in _look(name))
    return _describe_files(found, folder)


def _describe_files(found: Sequence[tuple[str, os.stat_result]], folder: str) -> bytes:
    """Name, size and time of each, and blocks of some, spread over them: the fewer files, the more blocks."""
    lines = [os.fsencode(name.removeprefix(folder)) + _describe_file(state) for name, state in found]
    some = {at * (len(found) - 1) // (_FILES_OF_FOLDER - 1) for at in range(_FILES_OF_FOLDER if found else 0)}
    blocks = _BLOCKS // max(1, len(some))
    return b"".join([*lines, *(_read_blocks(*found[at], blocks) for at in sorted(some))])


def _describe_file(state: os.stat_result) -> bytes:
    return b"\0%d %d\n" % (state.st_size, state.st_mtime_ns)


def _look(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A file and its state, unless it is none."""
    with suppress(OSError):  # a link that leads nowhere
        state = os.stat(path)  # noqa: PTH116, for 100 000 paths need not be taken apart
        if stat.S_ISREG(state.st_mode):
            yield path, state


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
