"""Reading and writing the files between the stages, never half a file.

Every writer writes beside its target and renames at the end, so that a killed job leaves either
the old file or the new one (a rename within a folder is atomic on POSIX).
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hipoa.core.errors import DiskError

if TYPE_CHECKING:
    import numpy as np

_LEAST_FREE_BYTES = 2**16


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path`` and renames it to ``path`` on success.

    Raises:
        DiskError: Whatever else the writer may call it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the process number: two machines may write to the same cache. The suffix stays, writers look at it.
    temporary = path.parent / f".{secrets.token_hex(6)}.{path.name}"
    try:
        yield temporary
        temporary.replace(path)
    except Exception as error:
        if _is_full(path.parent, error):
            raise DiskError(
                f"{path.name}: no space left on the disk. Make room and start again; nothing is lost."
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _is_full(folder: Path, error: Exception) -> bool:
    # Writers in C++ and Rust raise errors of their own: some say so in words, else the disk itself is asked.
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left" in str(error) or shutil.disk_usage(folder).free < _LEAST_FREE_BYTES


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, atomically, with the line ends as given."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, content: object) -> None:
    """Writes JSON with sorted keys, so that equal content is an equal file.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold (a defect of the caller).
    """
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes rows with exactly these columns; None becomes an empty cell.

    Raises:
        ValueError: A row has a column that is not declared (a defect of the caller).
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, extrasaction="raise", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _unbroken(cell) for name, cell in row.items()} for row in rows)
    write_text(path, buffer.getvalue())


def _unbroken(cell: object) -> object:
    # The csv module quotes no lone carriage return before Python 3.13, yet ends the row there on reading.
    return cell.replace("\r\n", "\n").replace("\r", "\n") if isinstance(cell, str) else cell


def read_csv(path: Path) -> list[dict[str, str]]:
    """Reads a table that hipoa itself wrote: every row has every column, cells are text."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a compressed .npz without pickled objects.

    Raises:
        TypeError: An array holds Python objects (a defect of the caller).
    """
    import numpy as np

    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"{path.name}: array {name!r} holds Python objects")
    with replacing(path) as temporary, temporary.open("wb") as file:
        named: dict[str, Any] = dict(arrays)
        np.savez_compressed(file, **named)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads an .npz whole; pickled objects are refused by numpy."""
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
