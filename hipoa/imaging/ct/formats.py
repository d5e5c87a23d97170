"""Reads CTs and label maps of any supported format."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hipoa.core.ct_files import SUFFIXES
from hipoa.core.errors import CtError
from hipoa.core.identifiers import parse_series
from hipoa.imaging.ct.file_kinds import read_start, refuse_kind
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
    """Reads the first CT of :func:`find_volumes`.

    Raises:
        CtError: It cannot be read, is no single scalar volume, or does not hold HU.
    """
    return find_volumes(path, series)[0]().read()


def find_volumes(path: Path, series: str = "") -> list[Callable[[], LazyVolume]]:
    """The CTs of a file or folder, the best candidate first, each as the function that opens it.

    Args:
        path: A file of one of :data:`SUFFIXES`, which holds one CT, or DICOM, named by a folder, zip,
            DICOMDIR or image, which holds one for each stack of slices.
        series: Of DICOM only the series of this number, or the stack of this name.

    Raises:
        CtError: There is none.
    """
    if path.name.lower().endswith(SUFFIXES) and not path.is_dir():
        if series:
            do = "Name a series only for a folder, zip or DICOMDIR of several."
            raise CtError(path.name, f"series {series} was named, but the CT is one file", do)
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


def read_labels(path: Path, *, layers: bool = True) -> Image:
    """Reads a label map or mask, its axes in the nearest RAS order: uint16 (i, j, k[, layers]).

    Raises:
        CtError: It cannot be read, has no position in the patient, or has layers that were not expected.
    """
    image = _read_file(path, np.uint16, layers=layers)
    if layers and image.values.ndim == 3:
        image = replace(image, values=image.values[..., None])
    return to_canonical(image)


def _open_file(path: Path) -> LazyVolume:
    image = to_canonical(_read_file(path, np.int16))
    # A file may hold its axes in any order: slices are axial.
    step_mm = round(float(np.linalg.norm(image.ras_from_ijk[:3, 2])), 3)
    origin = replace(image.origin, slices=image.values.shape[2], step_mm=step_mm)
    image = replace(image, origin=origin)
    return LazyVolume(path.name, image.values.shape, image.ras_from_ijk, image.take)


def _open_stack(stack: Stack, where: str) -> LazyVolume:
    from hipoa.imaging.ct.dicom.series import open_stack

    ct = open_stack(stack, where)
    return replace(ct, load=lambda part: _retry(lambda: ct.load(part), where))


def _read_file(path: Path, dtype: type[np.integer], *, layers: bool = False) -> Image:
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise _retry(lambda: refuse_kind(path.name, read_start(path)), path.name)
    if ".nii" in name[-7:]:
        read = read_nifti
    else:
        from hipoa.imaging.ct.itk import read_metaimage

        read = partial(read_metaimage, layers=layers)
    image = _retry(lambda: read(path, dtype), path.name)
    check_affine(image.ras_from_ijk, path.name)
    return image


def _retry(read: Callable[[], T], where: str) -> T:
    """Reads, and retries after a fault that may pass; one that does not is refused in one line."""
    for pause_s in (*PAUSES_S, None):
        try:
            return read()
        except CtError:
            raise
        except Exception as error:
            # Whatever a reader trips over costs this CT alone. Its own message may hold a name: never shown.
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
