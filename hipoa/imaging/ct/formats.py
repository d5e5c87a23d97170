"""Reads CTs and label maps of any supported format."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hipoa.core.ct_files import START_BYTES, SUFFIXES
from hipoa.core.errors import CtError
from hipoa.core.identifiers import parse_series
from hipoa.imaging.ct.file_kinds import refuse_kind
from hipoa.imaging.ct.image import Image, check_affine, to_canonical
from hipoa.imaging.ct.nifti import read_nifti
from hipoa.imaging.ct.volume import LazyVolume, Volume

if TYPE_CHECKING:
    from hipoa.imaging.ct.dicom.stacks import Stack

# Pauses before retries: a network drive may fail for a moment.
PAUSES_S = (0.2, 1.0)

T = TypeVar("T")


def stem(path: Path) -> str:
    """The name of a CT: its file or folder without extension; for a DICOMDIR that of its folder."""
    path = path.absolute()  # the current folder is named "."
    name = path.parent.name if path.name.upper() == "DICOMDIR" else path.name
    suffixes = (*SUFFIXES, ".zip", ".dcm", ".dicom", ".ima")
    suffix = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)]


def read_volume(path: Path, series: str = "") -> Volume:
    """Reads a CT: a file of one of :data:`SUFFIXES`, or DICOM, named by a folder, zip, DICOMDIR or image.

    Args:
        path: The file or folder.
        series: Of several DICOM series of CT, the name of the one to read; else the first by the rule.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or does not hold HU.
    """
    return find_volumes(path, series)[0]().read()


def find_volumes(path: Path, series: str = "") -> list[Callable[[], LazyVolume]]:
    """The CTs of a file or folder, the best candidate first, each as the function that opens it.

    Args:
        path: A file of one of :data:`SUFFIXES` holds one, DICOM one for each stack of slices.
        series: Only those of the series of this number, or the one of this name.

    Raises:
        CtError: There is none.
    """
    if path.name.lower().endswith(SUFFIXES) and not path.is_dir():
        if series:
            raise CtError(
                path.name,
                f"series {series} was named, but the CT is one file",
                "Name a series only for a folder, zip or DICOMDIR of several.",
            )
        return [partial(_open_file, path)]
    # Here, not above: NIfTI files need no pydicom.
    from hipoa.imaging.ct.dicom.gather import gather
    from hipoa.imaging.ct.dicom.series import find_stacks

    try:
        name = parse_series(series)
    except ValueError as error:
        raise CtError(path.name, f"what was given as series {error}", "Correct it.") from None
    found = _retry(lambda: find_stacks(gather(path), path.name, name), path.name)
    return [partial(_open_stack, stack, path.name) for stack in found]


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a label map or a mask, its axes in the nearest RAS order.

    Returns:
        uint16 (i, j, k) and its 4 x 4 ras_from_ijk.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or has no position in the patient.
    """
    image = to_canonical(_read_file(path, np.uint16))
    return image.values, image.ras_from_ijk


def read_labels(path: Path) -> Image:
    """Reads a label map of one or more layers, its axes in the nearest RAS order.

    Returns:
        Its values are uint16 (i, j, k, layers).

    Raises:
        CtError: It cannot be read, or has no position in the patient.
    """
    image = _read_file(path, np.uint16, layers=True)
    values = image.values if image.values.ndim == 4 else image.values[..., None]
    return to_canonical(replace(image, values=values))


def _open_file(path: Path) -> LazyVolume:
    image = to_canonical(_read_file(path, np.int16))
    # A file may hold its axes in any order: slices are axial.
    step_mm = round(float(np.linalg.norm(image.ras_from_ijk[:3, 2])), 3)
    origin = replace(image.origin, slices=image.values.shape[2], step_mm=step_mm)
    return LazyVolume.hold(path.name, replace(image, origin=origin))


def _open_stack(stack: Stack, where: str) -> LazyVolume:
    from hipoa.imaging.ct.dicom.series import lay_out, read_stack

    shape, matrix = lay_out(stack, where)
    check_affine(matrix, where)
    return LazyVolume.defer(
        where, shape, matrix, lambda part: _retry(lambda: read_stack(stack, where, part), where)
    )


def _read_file(path: Path, dtype: type[np.integer], *, layers: bool = False) -> Image:
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise _retry(lambda: _refuse_file(path), path.name)
    if ".nii" in name[-7:]:
        read = read_nifti
    else:
        from hipoa.imaging.ct.itk import read_metaimage

        read = partial(read_metaimage, layers=layers)
    image = _retry(lambda: read(path, dtype), path.name)
    check_affine(image.ras_from_ijk, path.name)
    return image


def _refuse_file(path: Path) -> CtError:
    if not path.exists():
        return CtError(path.name, "there is no such file or folder", "Check the path.")
    with path.open("rb") as file:
        return refuse_kind(path.name, file.read(START_BYTES))


def _retry(read: Callable[[], T], where: str) -> T:
    """Reads, and retries after a fault that may pass; one that does not is refused in one line."""
    for pause_s in (*PAUSES_S, None):
        try:
            return read()
        except CtError:
            raise
        except Exception as error:
            # Whatever a reader trips over costs this CT alone. Its own message may hold a name: never told.
            if pause_s is None:
                gone = isinstance(error, FileNotFoundError)
                do = "Check the path." if gone else "Copy or export the CT again."
                raise CtError(where, _describe(error), do) from None
        time.sleep(pause_s)
    raise AssertionError


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is too little memory for it"
    if isinstance(error, OSError) and error.strerror:
        return f"the file cannot be read ({error.strerror})"
    if isinstance(error, RuntimeError):
        return "the file, or a slice of the series, cannot be read as an image"
    return f"the reader failed ({type(error).__name__})"
