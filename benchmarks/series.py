"""The CT of the comparisons as a hospital exports it: a folder of DICOM slices, with other things in it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from benchmarks.case import BuiltCase

# What a scanner adds to HU, so that they are not negative.
_INTERCEPT = -1024
_SEED = 4
_NOISE_HU = 12.0


def write_series(folder: Path, case: BuiltCase, *, long: bool = False) -> tuple[Path, Path]:
    """Writes a folder with two scouts, the CT as series 3, every other slice of it as series 4; and a NIfTI.

    Args:
        folder: Where both lie; what an earlier run wrote is reused.
        case: The CT.
        long: With one and a half times as many slices more, half of them below and half above: the last
            ones, again and again.

    Returns:
        The folder, and the same CT as .nii.gz.
    """
    slices, packed = folder / "slices", case.packed
    if long:
        slices, packed = folder / "long", folder / "long.nii.gz"
    if slices.is_dir():
        return slices, packed
    image = nib.load(case.plain)
    hu, matrix = np.asarray(image.dataobj), image.affine
    more = hu.shape[2] // 4 * 3 if long else 0
    last = more + hu.shape[2]
    if long:
        hu, matrix = _lengthen(hu, matrix, more)
        nib.save(nib.Nifti1Image(hu, matrix), packed)
    slices.mkdir(parents=True)
    header = dcmread(get_testdata_file("CT_small.dcm"))
    del header[0xFFFC, 0xFFFC]
    _write(slices, header, hu, matrix, 3)
    _write(slices, header, hu, matrix, 4, range(more, last, 2))
    header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    for number in (1, 2):
        _write(slices, header, hu, matrix, number, range(1))
    return slices, packed


def _lengthen(hu: np.ndarray, matrix: np.ndarray, more: int) -> tuple[np.ndarray, np.ndarray]:
    """So many slices more at either end: the last one there, each with noise of its own."""
    ends = np.repeat(hu[..., :1], more, 2), np.repeat(hu[..., -1:], more, 2)
    rng = np.random.default_rng([_SEED])
    for end in ends:
        for k in range(end.shape[2]):
            end[..., k] += np.rint(rng.normal(0, _NOISE_HU, end.shape[:2])).astype(np.int16)
    moved = matrix.copy()
    moved[:3, 3] -= more * matrix[:3, 2]
    return np.asfortranarray(np.concatenate([ends[0], hu, ends[1]], 2)), moved


def _write(
    folder: Path,
    header: Dataset,
    hu: np.ndarray,
    matrix: np.ndarray,
    number: int,
    part: range | None = None,
) -> None:
    """One file for each slice of a series, not compressed."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    header.SeriesInstanceUID, header.SeriesNumber = generate_uid(entropy_srcs=[str(number)]), str(number)
    header.Columns, header.Rows = hu.shape[:2]
    header.PixelSpacing = [f"{side:.6f}" for side in spacing[::-1]]
    header.ImageOrientationPatient = [f"{x:.6f}" for x in (lps[:3, :2] / spacing).T.ravel()]
    header.RescaleIntercept, header.PixelRepresentation = str(_INTERCEPT), 0
    header[0x0028, 0x0120].VR = "US"
    header.PixelPaddingValue = 0
    for k in range(hu.shape[2]) if part is None else part:
        header.SOPInstanceUID = generate_uid(entropy_srcs=[f"{number} {k}"])
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.InstanceNumber = str(hu.shape[2] - k)
        header.ImagePositionPatient = [f"{x:.4f}" for x in (lps @ [0, 0, k, 1])[:3]]
        header.SliceLocation = header.ImagePositionPatient[2]
        header.PixelData = (hu[..., k].clip(_INTERCEPT, None) - _INTERCEPT).astype("<u2").tobytes("F")
        header.save_as(folder / f"{number}-{hu.shape[2] - k:04d}.dcm")
