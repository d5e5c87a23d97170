"""The files of a study that bear the name of a case, for removing them.

Files that hipoa does not write are never looked at. Standard library only: the Snakefile imports this module
from a bare Snakemake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from hipoa.core import ct_files
from hipoa.core.tables.rows import COHORTS

KILLED = "files of killed jobs"
"""Kind of a temporary file of `hipoa.core.files.replacing` when no job runs: part of a shard, of any case."""

CACHES = ("project", "view")
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\..+")
_ENTRY = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}\.npz")
_IMAGE = re.compile(r"(?P<case>.+)_((L|R)(_slices)?|pelvis)\.png")
_SYNTHETIC = re.compile(r"(?P<case>phantom-[a-z]\d{3}(-2)?)\.(nii\.gz|csv)")
_NAMED = {
    "png": ("images", _IMAGE),
    "ct": ("synthetic CTs", _SYNTHETIC),
    "landmarks": ("synthetic CTs", _SYNTHETIC),
}
"""Folder below that of a cohort to the kind of its files, and the case in their names."""


def find_named(home: Path, study: str) -> Iterator[tuple[str, Path, str, str]]:
    """Every file below results and cache that bears a case's name.

    Args:
        home: The folder that results and cache lie in.
        study: The study's name.

    Yields:
        What kind of file it is, in the plural, its path, its cohort ("" in a cache) and its case ("" of a
        killed job's temporary file).
    """
    results = home / "results" / study
    for path in walk(results):
        parts = path.relative_to(results).parts
        kind, pattern = _NAMED.get(parts[-2] if len(parts) == 4 else "", ("", _ENTRY))
        if _TEMPORARY.fullmatch(path.name):
            yield KILLED, path, "", ""
        elif kind and parts[1] in COHORTS and (match := pattern.fullmatch(path.name)):
            yield kind, path, parts[1], match["case"]
    for path in (path for cache in CACHES for path in walk(home / "cache" / cache / study)):
        if _TEMPORARY.fullmatch(path.name):
            yield KILLED, path, "", ""
        elif _ENTRY.fullmatch(path.name):
            yield "kept projections", path, "", path.parent.name


def find_temporaries(folder: Path) -> list[Path]:
    """The temporary files of killed jobs in a folder."""
    return [path for path in walk(folder) if _TEMPORARY.fullmatch(path.name)]


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, as far as there is one."""
    return map(Path, ct_files.walk(str(folder)))  # through links: a part may lie on a larger disk


def remove_file(path: Path) -> None:
    """Removes a file, and the folders above it in which nothing is left."""
    if not path.exists():
        return
    path.unlink()
    folder = path.parent
    while not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def count_kinds(kinds: Iterable[str]) -> str:
    """How many of what."""
    return ", ".join(f"{kind}: {count}" for kind, count in Counter(kinds).items())
