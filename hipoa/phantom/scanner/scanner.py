"""The simulated scanner: position on the table, voxels, noise, and the files of a CT.

NIfTI files have one of several axis orders and the affine that says so, with +R always the patient's right.
DICOM folders hold one file per slice, named in no order as hospitals export them; rows and columns follow
the patient's position.
"""

from __future__ import annotations

import gzip
import hashlib
import locale
import shutil
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.orientations import axcodes2ornt, ornt_transform
from scipy.spatial.transform import Rotation

from hipoa.core.files import replacing
from hipoa.phantom.anatomy.solids import Grid, fraction

ORDERS = ("RAS", "LPS", "LAS", "RPI", "PSR", "AIL", "SLP")
_LOWEST_HU, _HIGHEST_HU, _SKIN_HU = -1024, 3071, -600
# About the midpoint of the sockets: the whole body, L4 to 118 mm below the sockets, so that a radiograph
# about a hip ends in no CT, migrated or not; and, under whichever side is down, a part of the table.
_LOW_MM, _HIGH_MM = np.array([-246.0, -160.0, -118.0]), np.array([246.0, 148.0, 172.0])
_UNDER_MM = 14.0
_TABLE_S_MM = -600.0  # where the scanner's S axis has the sockets, give or take
# Half width and rise of the table's edges; cushion, shell of carbon fibre and foam from the top down: the
# depth at which each begins, mm, and its HU. Our choice.
_TABLE_HALF_MM, _TABLE_RISE_MM = 208.0, 18.0
_TABLE = ((0.0, -940.0), (10.0, 120.0), (12.5, -955.0))


class Scanner(NamedTuple):
    """A CT scanner: its name, the voxel size along R, A, S and the noise in the body."""

    name: str
    spacing_mm: tuple[float, float, float]
    noise_hu: float


class Position(NamedTuple):
    """How the patient lies on the table."""

    prone: bool = False
    feet_first: bool = False

    @property
    def code(self) -> str:
        """In DICOM: HFS, FFS, HFP or FFP."""
        return ("FF" if self.feet_first else "HF") + ("P" if self.prone else "S")


def draw_pose(rng: np.random.Generator) -> np.ndarray:
    """The patient on the table: matrix (4, 4) from the patient's frame to RAS, mm."""
    pose = np.eye(4)
    angles_deg = np.clip(rng.normal(0, (4, 1.5, 2)), -8, 8)
    pose[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform(-6, 6, 3) + np.array([0, 0, _TABLE_S_MM])
    return pose


def lay_grid(
    spacing_mm: tuple[float, float, float], pose: np.ndarray, *, prone: bool
) -> tuple[Grid, np.ndarray]:
    """The voxels about the patient, in the patient's frame, and the affine (4, 4) to RAS."""
    low, high = _LOW_MM.copy(), _HIGH_MM.copy()
    if prone:
        high[1] += _UNDER_MM
    else:
        low[1] -= _UNDER_MM
    i, j, k = np.ceil((high - low) / spacing_mm).astype(int).tolist()
    ras_from_ijk = np.diag([*spacing_mm, 1.0])
    # The table's height is not the patient's: the grid's centre is a round number, not the sockets.
    ras_from_ijk[:3, 3] = low + np.array([0, 0, _TABLE_S_MM])
    return Grid((i, j, k), np.linalg.inv(pose) @ ras_from_ijk), ras_from_ijk


def add_table(hu: np.ndarray, ras_from_ijk: np.ndarray, *, prone: bool) -> None:
    """Draws a hollow table under the patient into HU (I, J, K) along R, A, S, in place."""
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
    """The stored int16 HU with noise; air has a tenth of it, which also keeps the file small."""
    spread = noise_hu * np.clip(1.1 + hu / 1000, 0.1, 1).astype(np.float32)
    noisy = hu + spread * rng.standard_normal(hu.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), _LOWEST_HU, _HIGHEST_HU).astype(np.int16)


def write_nifti(path: Path, hu: np.ndarray, ras_from_ijk: np.ndarray, order: str) -> None:
    """Writes int16 HU (I, J, K) along R, A, S as .nii.gz with its axes in an order such as "LPS".

    Equal content is an equal file.
    """
    to_order = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order)).astype(int).tolist()
    image = nib.Nifti1Image(hu, ras_from_ijk).as_reoriented(to_order)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=2, mtime=0))


def write_dicom(folder: Path, hu: np.ndarray, ras_from_ijk: np.ndarray, position: Position) -> None:
    """Writes int16 HU (I, J, K) along R, A, S as a folder with one DICOM file per axial slice.

    What the folder held is replaced; equal content is equal files. The affine is without rotation.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Seen from the foot of the table, rows run down: supine to the patient's back. Columns run to the
    # patient's left in a supine patient, head first, and change with either turn.
    to_left, to_back = position.prone == position.feet_first, not position.prone
    slices, spacing = hu[:: -1 if to_left else 1, :: -1 if to_back else 1], np.diag(ras_from_ijk)[:3]
    corner = [hu.shape[0] - 1 if to_left else 0, hu.shape[1] - 1 if to_back else 0, 0, 1]
    first = ras_from_ijk @ corner
    orientation = f"{1 if to_left else -1}\\0\\0\\0\\{1 if to_back else -1}\\0"
    before = locale.setlocale(locale.LC_ALL)
    try:
        for k in range(hu.shape[2]):
            name = hashlib.sha256(f"{folder.name} {k}".encode()).hexdigest()
            image = sitk.GetImageFromArray(np.ascontiguousarray(slices[..., k].T))
            image.SetSpacing(spacing[:2].tolist())
            lps_mm = (-first[0], -first[1], first[2] + k * spacing[2])
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
                "0020|0032": "\\".join(f"{x:.6f}" for x in lps_mm),
                "0020|0037": orientation,
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
