"""Reads NIfTI files, checked to their last byte and in pieces, so that no second copy of a CT is held."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import (
    Image,
    check_shape,
    find_affine_fault,
    measure_voxels,
    round_into,
    take_pages,
    to_ras,
)

_PIECE_VOXELS = 1 << 15
# isal's declarations call the class an instance.
_DAMAGED = (cast("type[Exception]", isal_zlib.error), gzip.BadGzipFile)
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
        CtError: It is no NIfTI file, is damaged or cut, is no single scalar volume, or has no certain
            position in the patient.
        OSError: It cannot be read now.
    """
    is_gzip = _check_start(path)
    header, stored = _open(path)
    if stored.dtype.kind not in "iuf":
        count = len(stored.dtype.names) if stored.dtype.names else 2
        raise CtError(path.name, f"it has {count} values per voxel", "Give a CT with one value per voxel.")
    shape = check_shape(header.get_data_shape(), path.name)
    matrix, warnings = read_affine(header, path.name)
    # Before memory is taken for what the file cannot hold.
    needed = stored.dtype.itemsize * math.prod(shape)
    held = path.stat().st_size * (_MOST_DEFLATED if is_gzip else 1) - stored.offset
    if held < needed:
        _refuse_cut(path, max(0, held), needed)
    if stored.dtype == dtype and (stored.slope, stored.inter) == (1, 0) and not is_gzip:
        return Image(np.memmap(path, stored.dtype, "r", stored.offset, shape, "F"), matrix, warnings)
    values = take_pages((math.prod(shape),), dtype)
    missing = _fill(values, path, stored, is_gzip)
    if missing:
        warnings += (f"{100 * missing / values.size:.2g} % of the voxels are not finite: taken as air",)
    return Image(values.reshape(shape, order="F"), matrix, warnings)


def read_affine(header: Any, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The 4 x 4 ras_from_ijk of a NIfTI header, and what was corrected.

    A header may hold two, sform and qform. They must agree to half a voxel; one that is singular does not
    count beside one that is not. Lengths in metres or micrometres are accepted if the header says so and
    the voxels are then, and only then, those of a CT.

    Raises:
        CtError: There is none, or the two disagree: the file does not tell which one is right.
    """
    usable: dict[str, np.ndarray] = {}
    faults: dict[str, str] = {}
    notes: list[str] = []
    unit = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    for name, get in (("sform", header.get_sform), ("qform", header.get_qform)):
        if header[f"{name}_code"] <= 0:
            continue
        matrix = _call(get)
        scaled = np.diag([unit, unit, unit, 1.0]) @ matrix
        if find_affine_fault(matrix) and not find_affine_fault(scaled):
            matrix = scaled
            notes.append(f"the {name} was in units of {unit:g} mm")
        faults[name] = find_affine_fault(matrix)
        if not faults[name]:
            usable[name] = matrix
    if not usable:
        found = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        found = found or "it does not say how it lies in the patient (its sform and qform codes are 0)"
        do = "Left and right cannot be told: export the series again with its orientation and voxel size."
        raise CtError(where, found, do)
    if len(usable) == 2:
        _compare(usable["sform"], usable["qform"], header.get_data_shape()[:3], where)
    notes += [f"the {name} is unusable: the other form was taken" for name in faults.keys() - usable.keys()]
    return next(iter(usable.values())), tuple(notes)


def _call(get: Any) -> np.ndarray:
    try:
        return np.asarray(get(), float)
    except (ValueError, HeaderDataError):
        # A quaternion of more than unit length.
        return np.full((4, 4), np.nan)


def _compare(sform: np.ndarray, qform: np.ndarray, shape: tuple[int, ...], where: str) -> None:
    ends = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    away = np.linalg.norm(to_ras(sform, ends) - to_ras(qform, ends), axis=1).max()
    if away > 0.5 * measure_voxels(sform).min():
        mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
        found = f"its sform and qform place the same voxel up to {away:.1f} mm apart"
        found += " and exchange left and right" if mirrored else ""
        do = "Find out which one is right and set the code of the other one to 0, or export the series again."
        raise CtError(where, found, do)


def _check_start(path: Path) -> bool:
    """Whether the file is compressed, which its name and its content must agree on."""
    with path.open("rb") as file:
        start = file.read(2)
    named, real = path.name.lower().endswith(".gz"), start == b"\x1f\x8b"
    if start and named == real:
        return real
    kinds = ("not compressed", "compressed")
    found = f"by its name it is {kinds[named]}, by its content {kinds[real]}"
    raise CtError(
        path.name,
        f"the file cannot be read as an image: {found}" if start else "the file is empty",
        f"{_AGAIN} A compressed NIfTI ends in .nii.gz, a plain one in .nii.",
    )


def _open(path: Path) -> tuple[Any, Any]:
    """The header, and nibabel's array proxy, which tells how the voxels are stored."""
    try:
        image: Any = nib.load(path)
    except HeaderDataError:
        found = "its NIfTI header contradicts itself in size, type or scaling"
        raise CtError(path.name, found, _AGAIN) from None
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError, ImageFileError):
        found = "the file cannot be read as an image: it has no whole NIfTI header"
        raise CtError(path.name, found, _AGAIN) from None
    return image.header, image.dataobj


def _refuse_cut(path: Path, held: int, needed: int) -> None:
    share = min(99, int(100 * held / needed))
    raise CtError(path.name, f"the file is cut: it holds {share} % of its voxels or less", _AGAIN)


def _fill(values: np.ndarray, path: Path, stored: Any, is_gzip: bool) -> int:
    """Fills values (n,) from the file; how many were not finite.

    By Intel's ISA-L, in half the time that zlib takes; a wrong checksum or a missing end is an error.
    """
    done = missing = 0
    try:
        opened: Any = igzip.open(path, "rb") if is_gzip else path.open("rb")
        with opened as file:
            file.seek(stored.offset)
            while piece := file.read(_PIECE_VOXELS * stored.dtype.itemsize):
                count = min(len(piece) // stored.dtype.itemsize, values.size - done)
                part = np.frombuffer(piece, stored.dtype, count)
                if (stored.slope, stored.inter) != (1, 0):
                    part = part * stored.slope + stored.inter
                values[done : done + count], bad = round_into(part, values.dtype.type)
                done, missing = done + count, missing + bad
    except EOFError:
        raise CtError(path.name, "the file is cut: its compressed data end too early", _AGAIN) from None
    except _DAMAGED:
        found = "the file is damaged: its compressed data contradict themselves"
        raise CtError(path.name, found, _AGAIN) from None
    if done < values.size:
        _refuse_cut(path, done, values.size)
    return missing
