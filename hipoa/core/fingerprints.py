"""Hashes that change when a case, one of its files or a reading changes."""

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

_SMALL_FILE_BYTES = 2**16
_SAMPLE_BYTES = 1024
_SAMPLES = 16
_SAMPLED_FILES = 16
# Multiples of the golden ratio are spread evenly and not aligned to rows or slices, which begin with air.
_STEP = (5**0.5 - 1) / 2


def fingerprint(cases: Iterable[Case], folder: Path = Path(), *, look: bool = True) -> str:
    """A hash of cases and their files.

    Args:
        cases: The cases of a shard.
        folder: The folder of their table: paths are taken relative to it, so that a study can be moved.
        look: Include the files: size, modification time and samples of the content. Off for file systems on
            which this is slow for 100 000 files.
    """
    digest = hashlib.sha256()
    # Many cases may name images in one folder.
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
    """A hash of the readings of these cases, in any order; other readings do not count."""
    wanted = {case.case_id for case in cases}
    rows = sorted(repr(tuple(vars(reading).values())) for reading in readings if reading.case_id in wanted)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def _describe(path: str, describe_folder: Callable[[str, bool], bytes]) -> bytes:
    source, nested = find_source(path)
    state = os.stat(source)  # noqa: PTH116 - faster than parsing 100 000 paths
    if stat.S_ISDIR(state.st_mode):
        return describe_folder(source, nested)
    voxels = [found for name in list_data_files(path) for found in _stat_file(name)]
    of_voxels = _describe_files(voxels, os.path.dirname(path))  # noqa: PTH120
    return _describe_file(state) + _sample(path, state) + of_voxels


def _describe_folder(folder: str, nested: bool) -> bytes:
    # What cannot be read is reported by the stage, for this case alone.
    found = sorted(one for name in walk(folder, nested=nested) for one in _stat_file(name))
    return _describe_files(found, folder)


def _describe_files(found: Sequence[tuple[str, os.stat_result]], folder: str) -> bytes:
    """Name, size and time of each file, and samples of some: the fewer files, the more samples of each."""
    lines = [os.fsencode(name.removeprefix(folder)) + _describe_file(state) for name, state in found]
    some = {at * (len(found) - 1) // (_SAMPLED_FILES - 1) for at in range(_SAMPLED_FILES if found else 0)}
    samples = _SAMPLES // max(1, len(some))
    return b"".join([*lines, *(_sample(*found[at], samples) for at in sorted(some))])


def _describe_file(state: os.stat_result) -> bytes:
    return b"\0%d %d\n" % (state.st_size, state.st_mtime_ns)


def _stat_file(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A regular file and its state; nothing for others."""
    with suppress(OSError):  # a broken link
        state = os.stat(path)  # noqa: PTH116 - faster than parsing 100 000 paths
        if stat.S_ISREG(state.st_mode):
            yield path, state


def _sample(path: str, state: os.stat_result, count: int = _SAMPLES) -> bytes:
    """All of a small file, else samples from start to end; nothing if it cannot be read."""
    if not stat.S_ISREG(state.st_mode):  # opening a pipe would block
        return b""
    last = state.st_size - _SAMPLE_BYTES
    shares = (0, *((0.5 + number * _STEP) % 1 for number in range(count)), 1)
    if state.st_size <= _SMALL_FILE_BYTES:
        samples = [(_SMALL_FILE_BYTES, 0)]
    else:
        samples = [(_SAMPLE_BYTES, int(last * share)) for share in shares]
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return b"".join(os.pread(file.fileno(), size, at) for size, at in samples)
    except OSError:
        return b""
