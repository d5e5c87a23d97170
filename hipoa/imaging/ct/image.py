"""Images as files store them: whole numbers with their position in the patient."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass, field, replace

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.acquisition import Acquisition

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
EXPORT_AGAIN = "Export the whole series again, with every slice once."
# Voxel sizes of CTs; beyond, the unit is not mm.
_VOXEL_MM = (0.05, 20.0)
# The whole body on the finest scanner has about 3e9; a header that promises more is wrong, or malicious.
_MOST_VOXELS = 4 * 10**9


@dataclass(frozen=True)
class Origin:
    """What a CT was read from, for the record."""

    series: str | None = None  # name of the DICOM stack, if it is one: 3, 3b, a
    slices: int | None = None  # number of slices
    step_mm: float | None = None  # from one slice to the next, mm
    set_aside: str = ""  # what else the folder holds, in words
    # Acquisition and patient, as far as the file tells.
    acquired: Acquisition = field(default_factory=Acquisition)


@dataclass(frozen=True)
class Gap:
    """Missing slices (``lost_mm``, mm) at one end of a CT."""

    near_ras_mm: np.ndarray  # centre of the last slice before the gap, RAS mm (3,)
    far_ras_mm: np.ndarray  # centre of the first slice beyond the gap, RAS mm (3,)
    lost_mm: float

    def reverse(self) -> Gap:
        """The same gap, seen from its other side."""
        return Gap(self.far_ras_mm, self.near_ras_mm, self.lost_mm)


@dataclass(frozen=True)
class Image:
    """An image as it was read."""

    # Whole numbers (i, j, k), in the file's order or a view of it; a label map of several layers has a fourth
    # axis.
    values: np.ndarray
    ras_from_ijk: np.ndarray  # 4 x 4 matrix from voxel indices (voxel centres) to RAS mm
    warnings: tuple[str, ...] = ()  # what was corrected
    origin: Origin = Origin()  # what it was read from
    gaps: tuple[Gap, ...] = ()  # where slices are missing beside it

    def take(self, part: slice) -> Image:
        """A range of k; the matrix is that of the whole."""
        return replace(self, values=self.values[..., part])


def to_ras(ras_from_ijk: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Applies a 4 x 4 matrix to points (..., 3)."""
    return np.asarray(points) @ ras_from_ijk[:3, :3].T + ras_from_ijk[:3, 3]


def check_affine(ras_from_ijk: np.ndarray, where: str) -> None:
    """Refuses a 4 x 4 matrix that gives voxels no position, or not the extent of a CT's.

    Raises:
        CtError: See :func:`find_affine_fault`.
    """
    if fault := find_affine_fault(ras_from_ijk):
        raise CtError(where, fault, "Export the series again with its orientation and voxel size in mm.")


def find_affine_fault(ras_from_ijk: np.ndarray) -> str:
    """What is wrong with a matrix from voxels to RAS mm; empty if nothing is."""
    matrix = np.asarray(ras_from_ijk, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return "the voxel-to-patient matrix is not 4 x 4 and finite"
    side_mm = measure_voxels(matrix)
    sides = " x ".join(f"{side:.4g}" for side in side_mm)
    if side_mm.min() < 1e-3 or abs(np.linalg.det(matrix[:3, :3] / side_mm)) < 0.1:
        return f"the voxel-to-patient matrix is singular (voxel size {sides} mm)"
    if side_mm.min() < _VOXEL_MM[0] or side_mm.max() > _VOXEL_MM[1]:
        return f"the voxels measure {sides} mm, those of a CT {_VOXEL_MM[0]:g} to {_VOXEL_MM[1]:g}"
    return ""


def measure_voxels(ras_from_ijk: np.ndarray) -> np.ndarray:
    """The voxel size along i, j, k in mm (3,), of a 4 x 4 matrix."""
    return np.linalg.norm(ras_from_ijk[:3, :3], axis=0)


class OnGrid:
    """Voxels, with the 4 x 4 matrix from their indices to RAS mm."""

    ras_from_ijk: np.ndarray

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along i, j, k in mm (3,)."""
        return measure_voxels(self.ras_from_ijk)


def check_shape(shape: tuple[int, ...], where: str) -> tuple[int, int, int]:
    """The three sizes of an image; trailing axes of one voxel do not count.

    Raises:
        CtError: It is a single slice, several volumes, or larger than any CT.
    """
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 3 and min(shape) > 1 and math.prod(shape) <= _MOST_VOXELS:
        return shape[0], shape[1], shape[2]
    sizes = " x ".join(map(str, shape))
    if len(shape) > 3:
        found = f"it has {len(shape)} dimensions ({sizes}): several volumes in one file"
        do = "Give one three-dimensional CT with one value per voxel."
    elif len(shape) < 3 or min(shape) < 2:
        found, do = f"it is a single slice ({sizes} voxels)", "Give the whole three-dimensional CT."
    else:
        found, do = f"its header promises {sizes} voxels, more than any CT has", "Cut the CT to the pelvis."
    raise CtError(where, found, do)


def round_into(values: np.ndarray, dtype: type[np.integer]) -> tuple[np.ndarray, int]:
    """Values (any real type and shape) as whole numbers of a type, clipped to its range.

    Returns:
        The whole numbers, and how many were not finite, which get the type's lowest value.
    """
    if values.dtype == dtype:
        return values, 0
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if values.dtype.kind != "f":
        own = np.iinfo(values.dtype)
        return values.clip(max(low, int(own.min)), min(high, int(own.max))).astype(dtype), 0
    finite = np.isfinite(values)
    missing = int(values.size - np.count_nonzero(finite))
    whole = np.rint(np.where(finite, values, low) if missing else values)
    return whole.clip(low, high).astype(dtype), missing


def take_pages(shape: tuple[int, ...], dtype: np.dtype | type[np.generic]) -> np.ndarray:
    """An array of zeros for a whole CT, in memory pages of the system's usual size.

    numpy asks for large ones, and with them it took half a second more to write a CT of 200 MB on a virtual
    machine, as long as it takes to decompress.

    Raises:
        MemoryError: There is too little.
    """
    count = math.prod(shape)
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return np.zeros(shape, dtype)
    try:
        pages = mmap.mmap(-1, max(1, count * np.dtype(dtype).itemsize), flags=mmap.MAP_PRIVATE)
    except OSError:
        raise MemoryError from None
    return np.frombuffer(pages, dtype, count).reshape(shape)


def run_forwards(values: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """A view without negative strides, which numpy reads several times more slowly; and the flipped axes."""
    axes = tuple(axis for axis, stride in enumerate(values.strides) if stride < 0)
    return np.flip(values, axes), axes


def copy_in_pages(values: np.ndarray) -> np.ndarray:
    """A copy in the order of memory, in pages of :func:`take_pages`."""
    order = np.argsort(-np.abs(values.strides), kind="stable")
    copy = take_pages(tuple(np.array(values.shape)[order]), values.dtype).transpose(np.argsort(order))
    copy[...] = values
    return copy


def to_canonical(image: Image) -> Image:
    """The same image without a copy, its axes permuted and flipped to the nearest RAS order."""
    # Here, not above: what works on radiographs alone starts without it.
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    orientation = io_orientation(image.ras_from_ijk)
    matrix = image.ras_from_ijk @ inv_ornt_aff(orientation, image.values.shape)
    return replace(image, values=apply_orientation(image.values, orientation), ras_from_ijk=matrix)
