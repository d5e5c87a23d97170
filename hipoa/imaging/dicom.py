"""Reads a CT from a folder of DICOM files, whatever else lies there.

Slices are ordered by where they are, not by their names or numbers. No identifier of a patient, study or
series, and no date, is ever part of a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from hipoa.errors import CtError

_LEAST_SLICES = 8
_TILT_DEG = 1.0
# Steps between slices may differ by this share, since positions are stored rounded.
_UNEVEN = 0.05
_SAME_PLACE_MM = 0.01


@dataclass(frozen=True)
class Slice:
    """What the header of one image says of its place.

    Attributes:
        path: Of the file.
        series: What the images of one series have in common.
        position: Of the first pixel's middle, LPS mm (3,).
        across: Columns: the directions of rows and columns, times the pixel's size, mm (3, 2).
    """

    path: Path
    series: tuple[object, ...]
    position: np.ndarray
    across: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) at right angles to the image."""
        normal = np.cross(self.across[:, 0], self.across[:, 1])
        return normal / np.linalg.norm(normal)


def read_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the CT series of a folder that shows most of the patient; of equals, that of thinner slices.

    Localisers, other modalities, files that are no DICOM, and subfolders are no obstacle.

    Args:
        folder: It or its subfolders hold the files, with any name.

    Returns:
        Stored values with each slice's own rescaling, (i, j, k), and the 4 x 4 lps_from_ijk.

    Raises:
        CtError: There is no CT series; slices are missing, doubled or unevenly spaced; the gantry is tilted.
    """
    series: dict[tuple[object, ...], list[Slice]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        image = _look(path)
        if image is not None:
            series.setdefault(image.series, []).append(image)
    stacks = [_order(slices) for slices in series.values() if len(slices) >= _LEAST_SLICES]
    if not stacks:
        raise CtError(
            folder.name,
            f"the folder holds no DICOM series of CT with {_LEAST_SLICES} slices or more",
            "Name the folder of the axial series, or convert it to NIfTI.",
        )
    stack = max(stacks, key=lambda slices: (round(_extent_mm(slices)), len(slices)))
    step = _check(stack, folder.name)
    values = np.stack([_read(image.path, folder.name) for image in stack], -1)
    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, :3] = np.column_stack([stack[0].across, step])
    lps_from_ijk[:3, 3] = stack[0].position
    return values, lps_from_ijk


def _look(path: Path) -> Slice | None:
    """The header of a CT's slice; None for everything else."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = {key: reader.GetMetaData(key).strip(" \0") for key in reader.GetMetaDataKeys()}
    kind = tags.get("0008|0008", "").upper()
    place, turn = (_numbers(tags.get(key, "")) for key in ("0020|0032", "0020|0037"))
    if tags.get("0008|0060") != "CT" or "LOCALIZER" in kind or len(place) != 3 or len(turn) != 6:
        return None
    columns, rows = reader.GetSize()[:2]
    across = np.array(turn).reshape(2, 3).T * reader.GetSpacing()[:2]
    common = (tags.get("0020|000e", ""), columns, rows, *np.round(across, 3).ravel().tolist())
    return Slice(path, common, np.array(place), across)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split("\\")] if text else []
    except ValueError:
        return []


def _order(slices: Iterable[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda image: float(image.normal @ image.position))


def _extent_mm(slices: list[Slice]) -> float:
    return float(slices[0].normal @ (slices[-1].position - slices[0].position))


def _check(slices: list[Slice], where: str) -> np.ndarray:
    """The step (3,) from slice to slice, LPS mm."""
    normal = slices[0].normal
    steps = np.diff([float(normal @ image.position) for image in slices])
    usual = float(np.median(steps))
    doubled = int((steps < _SAME_PLACE_MM).sum())
    found = ""
    if doubled:
        found = f"{doubled} slices lie where another one lies"
    elif np.abs(steps - usual).max() > _UNEVEN * usual:
        gaps = steps[np.abs(steps - usual) > _UNEVEN * usual] / usual
        missing = np.round(gaps) - 1
        if (missing > 0).all() and np.abs(gaps - np.round(gaps)).max() < _UNEVEN:
            found = f"{int(missing.sum())} of {len(slices) + int(missing.sum())} slices are missing"
        else:
            found = f"the slices lie {steps.min():.2f} to {steps.max():.2f} mm apart"
    step = (slices[-1].position - slices[0].position) / (len(slices) - 1)
    tilt_deg = float(np.degrees(np.arccos(min(1.0, normal @ step / np.linalg.norm(step)))))
    if not found and tilt_deg > _TILT_DEG:
        found = f"the gantry was tilted by {tilt_deg:.1f} degrees"
    if found:
        raise CtError(where, found, "Export the whole series once, reconstructed evenly and without tilt.")
    return step


def _read(path: Path, where: str) -> np.ndarray:
    try:
        # ITK takes rescale slope and intercept of each file.
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0].T
    except RuntimeError:
        raise CtError(where, "a slice cannot be decoded", "Export the series again.") from None
