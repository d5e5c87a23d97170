"""Reads NIfTI files: checked to their last byte, in pieces, so that no second copy of a CT is ever held."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import Image, check_extent, find_fault, round_into, take_pages, to_ras

_PIECE_BYTES = 1 << 16
# The library's declarations call the class an instance.
_DAMAGED = cast("type[Exception]", isal_zlib.error)
_GZIP = b"\x1f\x8b"
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
# Deflate makes at most 258 bytes of 2 bits (RFC 1951, section 3.2.5).
_MOST_DEFLATED = 1032
_AGAIN = "Copy the file again, or export the series again."


def read_nifti(path: Path, dtype: type[np.integer]) -> Image:
    """Reads a .nii or .nii.gz file.

    Whole numbers of the wanted type in an uncompressed file are mapped, not read: the system fetches the
    bytes that are used.

    Args:
        path: The file.
        dtype: int16 for HU, uint16 for labels; values are scaled, rounded and clipped to it.

    Raises:
        CtError: It is no NIfTI file, is damaged or cut, is no single scalar volume, or has no certain place
            in the patient.
        OSError: It cannot be read now.
    """
    _check_start(path)
    header, voxels = _open(path)
    stored = voxels.dtype
    if stored.kind not in "iuf":
        count = len(stored.names) if stored.names else 2
        raise CtError(path.name, f"it has {count} values per voxel", "Give a CT with one value per voxel.")
    shape = check_extent(header.get_data_shape(), path.name)
    matrix, warnings = place(header, path.name)
    _check_size(path, voxels)
    if stored == dtype and not _is_scaled(voxels) and not _is_gzip(path):
        return Image(np.memmap(path, stored, "r", voxels.offset, shape, "F"), matrix, warnings)
    values = take_pages((int(np.prod(shape)),), dtype)
    missing = _fill(values, path, voxels)
    if missing:
        warnings += (f"{100 * missing / values.size:.2g} % of the voxels are not finite: taken as air",)
    return Image(values.reshape(shape, order="F"), matrix, warnings)


def place(header: Any, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The 4 x 4 ras_from_ijk of a NIfTI header, and what was corrected.

    The file may say it twice, as sform and as qform. They must agree to half a voxel; one that is singular
    does not count beside one that is not. Lengths in metres or micrometres are read where the header says
    so and the voxels are then, and only then, those of a CT.

    Raises:
        CtError: There is none, or the two disagree: which one is right, the file does not say.
    """
    said: dict[str, np.ndarray] = {}
    faults: dict[str, str] = {}
    notes: list[str] = []
    unit = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    for name, get in (("sform", header.get_sform), ("qform", header.get_qform)):
        if header[f"{name}_code"] <= 0:
            continue
        matrix = _call(get)
        if find_fault(matrix) and not find_fault(_scale(matrix, unit)):
            matrix = _scale(matrix, unit)
            notes.append(f"the {name} was in units of {unit:g} mm")
        faults[name] = find_fault(matrix)
        if not faults[name]:
            said[name] = matrix
    if not said:
        raise CtError(
            where,
            "; ".join(f"{name}: {fault}" for name, fault in faults.items())
            or "it does not say how it lies in the patient (its sform and qform codes are 0)",
            "Left and right cannot be told: export the series again with its orientation and voxel size.",
        )
    _compare(said, header.get_data_shape()[:3], where)
    notes += [f"the {name} is unusable: the other form was taken" for name in faults.keys() - said.keys()]
    return next(iter(said.values())), tuple(notes)


def _call(get: Any) -> np.ndarray:
    try:
        return np.asarray(get(), float)
    except (ValueError, HeaderDataError):
        # A quaternion of more than unit length.
        return np.full((4, 4), np.nan)


def _scale(matrix: np.ndarray, factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1.0]) @ matrix


def _compare(said: dict[str, np.ndarray], shape: tuple[int, ...], where: str) -> None:
    if len(said) < 2:
        return
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    away = np.linalg.norm(to_ras(said["sform"], ends) - to_ras(said["qform"], ends), axis=1).max()
    if away > 0.5 * np.linalg.norm(said["sform"][:3, :3], axis=0).min():
        turned = np.linalg.det(said["sform"][:3, :3]) * np.linalg.det(said["qform"][:3, :3]) < 0
        raise CtError(
            where,
            f"its sform and qform place the same voxel up to {away:.1f} mm apart"
            + (" and exchange left and right" if turned else ""),
            "Find out which one is right and set the code of the other one to 0, or export the series again.",
        )


def _check_start(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(2)
    found = ""
    if not start:
        found = "the file is empty"
    elif (start == _GZIP) != _is_gzip(path):
        kinds = ("not compressed", "compressed")
        named, real = kinds[_is_gzip(path)], kinds[start == _GZIP]
        found = f"the file cannot be read as an image: by its name it is {named}, by its content {real}"
    if found:
        raise CtError(path.name, found, f"{_AGAIN} A compressed NIfTI ends in .nii.gz, a plain one in .nii.")


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _open(path: Path) -> tuple[Any, Any]:
    """The header, and where and how its voxels are stored (nibabel's array proxy; they are not read)."""
    try:
        image: Any = nib.load(path)
    except HeaderDataError:
        raise CtError(
            path.name, "its NIfTI header contradicts itself in size, type or scaling", _AGAIN
        ) from None
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError, ImageFileError):
        raise CtError(
            path.name, "the file cannot be read as an image: it has no whole NIfTI header", _AGAIN
        ) from None
    return image.header, image.dataobj


def _is_scaled(voxels: Any) -> bool:
    return (voxels.slope, voxels.inter) != (1, 0)


def _check_size(path: Path, voxels: Any) -> None:
    """Refuses a header that promises more than the file can hold, before memory is taken for it."""
    needed = voxels.dtype.itemsize * int(np.prod(voxels.shape, dtype=np.int64))
    size = path.stat().st_size
    held = (size * _MOST_DEFLATED if _is_gzip(path) else size) - voxels.offset
    if held < needed:
        _refuse_cut(path, max(0, held), needed)


def _refuse_cut(path: Path, held: int, needed: int) -> None:
    share = min(99, int(100 * held / needed))
    raise CtError(path.name, f"the file is cut: it holds {share} % of its voxels or less", _AGAIN)


def _fill(values: np.ndarray, path: Path, voxels: Any) -> int:
    """Fills values (n,) from the file; how many were not finite."""
    stored, skip = voxels.dtype, int(voxels.offset)
    rest, done, missing = b"", 0, 0
    for piece in _inflate(path) if _is_gzip(path) else _pieces(path):
        drop = min(skip, len(piece))
        skip -= drop
        piece = rest + piece[drop:]
        count = min(len(piece) // stored.itemsize, values.size - done)
        part = np.frombuffer(piece, stored, count)
        if _is_scaled(voxels):
            part = part * voxels.slope + voxels.inter
        values[done : done + count], bad = round_into(part, values.dtype.type)
        done, missing = done + count, missing + bad
        rest = piece[count * stored.itemsize :] if done < values.size else b""
    if done < values.size:
        _refuse_cut(path, done, values.size)
    return missing


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _inflate(path: Path) -> Iterator[bytes]:
    """The content of a gzip file; a wrong checksum or a missing end is an error, unlike in ITK.

    By Intel's ISA-L, in half the time that zlib takes.

    Raises:
        CtError: It is damaged or cut.
    """
    stream = isal_zlib.decompressobj(31)
    try:
        for piece in _pieces(path):
            yield stream.decompress(piece)
            while stream.eof and stream.unused_data:
                # Further members: bgzip writes many; zeros at the end are padding.
                more = stream.unused_data.lstrip(b"\0")
                stream = isal_zlib.decompressobj(31) if more else stream
                if not more:
                    break
                yield stream.decompress(more)
    except _DAMAGED:
        raise CtError(
            path.name, "the file is damaged: its compressed data contradict themselves", _AGAIN
        ) from None
    if not stream.eof:
        raise CtError(path.name, "the file is cut: its compressed data end too early", _AGAIN)
