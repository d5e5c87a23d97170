"""The scanner: where the patient lies, the voxels, the noise, and the file.

Files are NIfTI in one of several axis orders, always with the affine that says so: whatever the order,
+R is the patient's right. Or they are folders of DICOM slices, named in no order, as hospitals export them;
how the patient lay turns their rows and columns.
"""

from __future__ import annotations

import gzip
import hashlib
import locale
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    ornt_transform,
)
from scipy.spatial.transform import Rotation

from hipoa.core.files import replacing
from hipoa.phantom.anatomy.solids import Grid, fraction

ORDERS = ("RAS", "LPS", "LAS", "RPI", "PSR", "AIL", "SLP")
LOWEST_HU, HIGHEST_HU = -1024, 3071
_SKIN_HU = -600
# About the midpoint of the sockets: the whole body, L4 to 118 mm below the sockets, so that a radiograph
# about a hip ends in no CT, migrated or not; and, under whichever side is down, a part of the table.
_LOW_MM, _HIGH_MM = np.array([-246.0, -160.0, -118.0]), np.array([246.0, 148.0, 172.0])
_UNDER_MM = 14.0
_TABLE_MM = -600.0  # where the scanner's S axis has the sockets, give or take


@dataclass(frozen=True)
class Scanner:
    """A CT scanner.

    Attributes:
        name: Written to the table of cases.
        spacing_mm: Voxel size along R, A, S.
        noise_hu: Standard deviation of the noise in the body.
    """

    name: str
    spacing_mm: tuple[float, float, float]
    noise_hu: float


@dataclass(frozen=True)
class Position:
    """How the patient lies on the table: on the back and head first, unless it says otherwise."""

    prone: bool = False
    feet_first: bool = False

    @property
    def code(self) -> str:
        """As DICOM calls it: HFS, FFS, HFP or FFP."""
        return ("FF" if self.feet_first else "HF") + ("P" if self.prone else "S")


# Shares of the CTs. Ours.
_PRONE_SHARE, _FEET_FIRST_SHARE = 0.05, 0.15
# Half width and rise of the table's edges; cushion, shell of carbon fibre and foam from the top down: the
# depth at which each begins, mm, and its HU. Ours.
_TABLE_HALF_MM, _TABLE_RISE_MM = 208.0, 18.0
_TABLE = ((0.0, -940.0), (10.0, 120.0), (12.5, -955.0))


def draw_position(rng: np.random.Generator) -> Position:
    """Draws how a patient lies."""
    prone, feet_first = rng.random(2) < (_PRONE_SHARE, _FEET_FIRST_SHARE)
    return Position(bool(prone), bool(feet_first))


def draw_pose(rng: np.random.Generator) -> np.ndarray:
    """The patient on the table: matrix (4, 4) from the patient's frame to RAS, mm."""
    pose = np.eye(4)
    turns_deg = np.clip(rng.normal(0, (4, 1.5, 2)), -8, 8)
    pose[:3, :3] = Rotation.from_euler("xyz", turns_deg, degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform(-6, 6, 3) + np.array([0, 0, _TABLE_MM])
    return pose


def lay_grid(scanner: Scanner, pose: np.ndarray, *, prone: bool = False) -> tuple[Grid, np.ndarray]:
    """The voxels about the patient, in the patient's frame, and the affine (4, 4) to RAS."""
    spacing = np.array(scanner.spacing_mm)
    low, high = _LOW_MM.copy(), _HIGH_MM.copy()
    if prone:
        high[1] += _UNDER_MM
    else:
        low[1] -= _UNDER_MM
    shape = np.ceil((high - low) / spacing).astype(int)
    ras_from_ijk = np.diag([*spacing, 1.0])
    # The table's height is not the patient's: the grid's centre is a round number, not the sockets.
    ras_from_ijk[:3, 3] = low + np.array([0, 0, _TABLE_MM])
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), np.linalg.inv(pose) @ ras_from_ijk)
    return grid, ras_from_ijk


def add_table(hu: np.ndarray, ras_from_ijk: np.ndarray, *, prone: bool) -> None:
    """Lays a hollow table under the patient, in place.

    Args:
        hu: HU (I, J, K) along R, A, S without noise; air is -1000.
        ras_from_ijk: Its affine (4, 4), without rotation.
        prone: The patient lies on the belly.
    """
    upwards = hu[:, ::-1] if prone else hu
    across_mm = np.abs(ras_from_ijk[0, 0] * np.arange(hu.shape[0]) + ras_from_ijk[0, 3])
    rise_mm = _TABLE_RISE_MM * (across_mm / _TABLE_HALF_MM) ** 2
    body = np.any(upwards > _SKIN_HU, axis=2)
    width = ras_from_ijk[1, 1]
    skin_mm = np.where(np.any(body, axis=1), body.argmax(1), hu.shape[1]) * width
    top_mm = (skin_mm - rise_mm).min() + rise_mm
    depth_mm = top_mm[:, None] - width * np.arange(hu.shape[1])
    table = np.full(depth_mm.shape, -1000.0, np.float32)
    for begins_mm, value in _TABLE:
        table += fraction(begins_mm - depth_mm, width) * (value - table)
    table[across_mm > _TABLE_HALF_MM] = -1000
    np.maximum(upwards, table[:, :, None], out=upwards)


def add_noise(hu: np.ndarray, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    """What the scanner stores: int16 HU, with less noise in air, where no dose is lost."""
    # Air has a tenth of the noise, which also keeps the file small.
    spread = noise_hu * np.clip(1.1 + hu / 1000, 0.1, 1).astype(np.float32)
    noisy = hu + spread * rng.standard_normal(hu.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def write_ct(path: Path, hu: np.ndarray, ras_from_ijk: np.ndarray, order: str) -> None:
    """Writes a NIfTI file with its axes in this order; equal content is an equal file.

    Args:
        path: Ends in .nii.gz.
        hu: (I, J, K) int16, axes along R, A, S.
        ras_from_ijk: Its affine (4, 4).
        order: Where the stored axes point, such as "LPS".
    """
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    stored = np.ascontiguousarray(apply_orientation(hu, turn))
    image = nib.Nifti1Image(stored, ras_from_ijk @ inv_ornt_aff(turn, hu.shape))
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=2, mtime=0))


def write_dicom(folder: Path, hu: np.ndarray, ras_from_ijk: np.ndarray, position: Position) -> None:
    """Writes a folder with one DICOM file per axial slice; equal content is equal files.

    Args:
        folder: What it held is replaced.
        hu: (I, J, K) int16, axes along R, A, S.
        ras_from_ijk: Its affine (4, 4), without rotation.
        position: How the patient lay.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Seen from the foot of the table, rows run down: on the back to the patient's back. Columns run to
    # the patient's left where the patient lies head first on the back, and change with either turn.
    to_left, to_back = position.prone == position.feet_first, not position.prone
    slices, spacing = hu[:: -1 if to_left else 1, :: -1 if to_back else 1], np.diag(ras_from_ijk)[:3]
    corner = [hu.shape[0] - 1 if to_left else 0, hu.shape[1] - 1 if to_back else 0, 0, 1]
    first = ras_from_ijk @ corner
    turn = f"{1 if to_left else -1}\\0\\0\\0\\{1 if to_back else -1}\\0"
    before = locale.setlocale(locale.LC_ALL)
    try:
        for k in range(hu.shape[2]):
            name = hashlib.sha256(f"{folder.name} {k}".encode()).hexdigest()
            image = sitk.GetImageFromArray(np.ascontiguousarray(slices[..., k].T))
            image.SetSpacing(spacing[:2].tolist())
            place = (-first[0], -first[1], first[2] + k * spacing[2])
            tags = {
                "0008|0008": "DERIVED\\PRIMARY\\AXIAL",
                "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
                "0008|0018": _uid(name),
                "0008|0020": "19000101",
                "0008|0030": "000000",
                "0008|0060": "CT",
                "0010|0010": "Synthetic",
                "0018|0050": f"{spacing[2]:.6g}",
                "0020|000d": _uid(folder.name),
                "0020|000e": _uid(f"{folder.name} series"),
                "0020|0052": _uid(f"{folder.name} frame"),
                "0020|0032": "\\".join(f"{x:.6f}" for x in place),
                "0020|0037": turn,
                "0018|5100": position.code,
                "0028|1052": "-1024",
                "0028|1053": "1",
            }
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            writer = sitk.ImageFileWriter()
            writer.SetImageIO("GDCMImageIO")
            writer.KeepOriginalImageUIDOn()
            writer.SetFileName(str(folder / name[:12]))
            writer.Execute(image)
    finally:
        # GDCM leaves the process in the locale "C", in which text files would be read as ASCII.
        locale.setlocale(locale.LC_ALL, before)


def _uid(text: str) -> str:
    """An identifier of the kind that needs no registration."""
    return f"2.25.{int(hashlib.sha256(text.encode()).hexdigest()[:30], 16)}"
