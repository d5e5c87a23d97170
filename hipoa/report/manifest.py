"""What the manifest records: versions, hashes and models, without absolute paths."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import hipoa
from hipoa.core.files import sha256

LIBRARIES = (
    *("torch", "torchvision", "timm", "diffdrr", "kornia", "numpy", "scipy"),
    # for reading CTs and tables
    *("pydicom", "python-gdcm", "simpleitk", "nibabel", "python-calamine"),
    *("scikit-learn", "umap-learn", "captum", "matplotlib", "pydantic", "snakemake"),
)


def find_versions() -> dict[str, str]:
    """The versions of hipoa, Python and the libraries that are installed where this runs."""
    found = {"hipoa": hipoa.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hide_paths(value: Any) -> Any:
    """Settings with absolute paths cut to the file's name: a folder may bear a person's name."""
    if isinstance(value, Mapping):
        return {name: hide_paths(item) for name, item in value.items()}
    if isinstance(value, list):
        return [hide_paths(item) for item in value]
    if isinstance(value, str):
        kind, colon, rest = value.rpartition(":")
        return f"{kind}{colon}{PurePath(rest).name}" if PurePath(rest).is_absolute() else value
    return value


def hash_files(paths: Iterable[Path], results: Path) -> dict[str, str]:
    """SHA-256 by path relative to the results; of a file elsewhere by its folder and name."""
    return {_relative(path, results): sha256(path) for path in sorted(paths)}


def list_models(
    paths: Sequence[Path], records: Sequence[Mapping[str, Any]], results: Path
) -> list[dict[str, Any]]:
    """The trained networks, with the hashes that training recorded: the files may be large, or removed.

    Args:
        paths: The paths of the records, beside the models.
        records: What they hold.
        results: What paths are relative to.
    """
    return [
        {
            **{name: record[name] for name in ("experiment", "repeat", "fold", "sha256")},
            "file": _relative(path.with_name(record["file"]), results),
        }
        for path, record in zip(paths, records, strict=True)
    ]


def _relative(path: Path, results: Path) -> str:
    inside = path.resolve().is_relative_to(results.resolve())
    return (path.resolve().relative_to(results.resolve()) if inside else Path(*path.parts[-2:])).as_posix()
