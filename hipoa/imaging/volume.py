"""CT volumes: int16 Hounsfield units with their place in the patient, whatever the file's axes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813

from hipoa.errors import CtError
from hipoa.imaging.dicom import read_series

HU_MIN, HU_MAX = -1024, 32767
_SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Volume:
    """A CT.

    Attributes:
        hu: int16 Hounsfield units (i, j, k); i runs to the patient's right, j to anterior, k to superior
            as nearly as the scan allows.
        ras_from_ijk: 4 x 4 matrix from voxel indices (voxel centres) to RAS mm.

    Raises:
        CtError: The parts do not make a volume.
    """

    hu: np.ndarray
    ras_from_ijk: np.ndarray

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.int16 or min(self.hu.shape) < 2:
            raise CtError(
                "CT",
                f"the array has shape {self.hu.shape} and type {self.hu.dtype}",
                "Give a three-dimensional int16 array of HU with at least 2 voxels along each axis.",
            )
        check_affine(self.ras_from_ijk, "CT")

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along i, j, k in mm (3,)."""
        return np.linalg.norm(self.ras_from_ijk[:3, :3], axis=0)

    @property
    def corners_ras_mm(self) -> np.ndarray:
        """The outer corners of the corner voxels in RAS mm (8, 3)."""
        ends = [(-0.5, n - 0.5) for n in self.hu.shape]
        return to_ras(self.ras_from_ijk, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))

    def ijk(self, ras_mm: np.ndarray) -> np.ndarray:
        """Voxel indices (..., 3), not rounded, of points in RAS mm (..., 3)."""
        return to_ras(np.linalg.inv(self.ras_from_ijk), ras_mm)

    def contains(self, ras_mm: np.ndarray) -> bool:
        """Whether a point in RAS mm (3,) lies in the volume."""
        index = self.ijk(ras_mm)
        return bool(np.all(index >= -0.5) and np.all(index <= np.array(self.hu.shape) - 0.5))


def to_ras(ras_from_ijk: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Applies a 4 x 4 matrix to points (..., 3)."""
    return np.asarray(points) @ ras_from_ijk[:3, :3].T + ras_from_ijk[:3, 3]


def check_affine(ras_from_ijk: np.ndarray, where: str) -> None:
    """Refuses a matrix that gives voxels no place, or no extent.

    Raises:
        CtError: It is not 4 x 4 and finite, or nearly singular.
    """
    matrix = np.asarray(ras_from_ijk, float)
    found = None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        found = "the voxel-to-patient matrix is not 4 x 4 and finite"
    else:
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if spacing.min() < 1e-3 or abs(np.linalg.det(matrix[:3, :3] / spacing)) < 0.1:
            found = f"the voxel-to-patient matrix is singular (voxel size {np.round(spacing, 4).tolist()} mm)"
    if found:
        raise CtError(where, found, "Export the series again with its orientation and voxel size.")


def stem(path: Path) -> str:
    """The name of a CT: that of the file or folder without its extension."""
    suffix = next((s for s in _SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


def read_volume(path: Path) -> Volume:
    """Reads a CT (.nii, .nii.gz, .mha, .mhd, or a folder with a DICOM series).

    Raises:
        CtError: It cannot be read, is no single scalar volume, or does not hold HU.
    """
    array, ras_from_ijk = read_image(path)
    values = np.nan_to_num(array, nan=HU_MIN) if array.dtype.kind == "f" else array
    _check_hu(values, path.name)
    # DICOM pads with values down to -32768; a radiograph sees them as air.
    hu = np.clip(values, HU_MIN, HU_MAX)
    return Volume(np.rint(hu).astype(np.int16) if hu.dtype.kind == "f" else hu.astype(np.int16), ras_from_ijk)


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a scalar image, its axes turned and flipped to the nearest RAS order.

    Returns:
        The array (i, j, k) as stored, and its 4 x 4 ras_from_ijk.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or has no place in the patient.
    """
    if path.is_dir():
        array, lps_from_ijk = read_series(path)
        ras_from_ijk = _LPS_TO_RAS @ lps_from_ijk
        check_affine(ras_from_ijk, path.name)
        return _canonical(array, ras_from_ijk)
    if not path.name.lower().endswith(_SUFFIXES):
        raise CtError(
            path.name, "this kind of file is not read", f"Convert it to one of {', '.join(_SUFFIXES)}."
        )
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError:
        raise CtError(
            path.name, "the file cannot be read as an image", "Export or convert the series again."
        ) from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise CtError(
            path.name,
            f"it has {image.GetDimension()} dimensions and "
            f"{image.GetNumberOfComponentsPerPixel()} values per voxel",
            "Give one three-dimensional CT with one value per voxel.",
        )
    ras_from_ijk = _affine(image)
    check_affine(ras_from_ijk, path.name)
    array = sitk.GetArrayViewFromImage(image).T
    if array.dtype.kind == "f" and ".nii" in path.name.lower():
        # ITK's NIfTI reader makes 0 HU, which is water, of what is not a number.
        array = np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]
    return _canonical(array.copy(), ras_from_ijk)


def _affine(image: sitk.Image) -> np.ndarray:
    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps_from_ijk[:3, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ lps_from_ijk


def _canonical(array: np.ndarray, ras_from_ijk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # One axis order from here on: the same patient gives the same numbers, however the file was stored.
    turn = nib.orientations.io_orientation(ras_from_ijk)
    matrix = ras_from_ijk @ nib.orientations.inv_ornt_aff(turn, array.shape)
    return np.ascontiguousarray(nib.orientations.apply_orientation(array, turn)), matrix


def _check_hu(values: np.ndarray, where: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low >= 0 or high < 200:
        raise CtError(
            where,
            f"the values run from {low:g} to {high:g}, which is not Hounsfield units of air, fat and bone",
            "Give the CT itself, not rescaled for display or shifted by 1024.",
        )
