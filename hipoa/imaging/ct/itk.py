"""Reads MetaImage and NRRD files with ITK."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from hipoa.core.ct_files import list_data_files
from hipoa.core.errors import CtError
from hipoa.imaging.ct.image import LPS_TO_RAS, Image, check_shape, round_into
from hipoa.imaging.ct.quiet import silent

_HEADER_BYTES = 1 << 16
# Without these ITK takes the axes for the patient's, and left and right are a guess.
_ORIENTATION = {
    "MetaImage": (rb"^(TransformMatrix|Rotation|Orientation)\s*=",),
    "NRRD": (
        rb"^space directions:\s*\S",
        rb"^space:\s*((right|left)-(anterior|posterior)-superior|RAS|LAS|LPS)",
    ),
}


def read_metaimage(path: Path, dtype: type[np.integer], *, layers: bool = False) -> Image:
    """Reads a .mha, .mhd, .nrrd or .nhdr file.

    Args:
        path: The file; a header whose voxels lie in another file names that one.
        dtype: int16 for HU, uint16 for labels; values are rounded and clipped to it.
        layers: Several values per voxel are layers of segments: the values are (i, j, k, layers).

    Raises:
        CtError: It is no such file, is no single scalar volume, or does not say how it lies in the patient;
            or the file of its voxels is missing.
        OSError: It cannot be read now.
        RuntimeError: ITK cannot read it, for whatever reason.
    """
    _check_header(path)
    try:
        with silent():
            reader = _read_information(path)
            check_shape(reader.GetSize(), path.name)  # before memory is taken for it
            image = reader.Execute()
    except RuntimeError:
        # Only now: ITK may find a file under another name than we read.
        if all(Path(name).exists() for name in list_data_files(str(path))):
            raise
        found = "it is a header alone: the file of its voxels (as .raw), which it names, is not there"
        do = "Put that file beside it, under the name that it gives."
        raise CtError(path.name, found, do) from None
    components = image.GetNumberOfComponentsPerPixel()
    if components != 1 and not layers:
        do = "Give one three-dimensional CT with one value per voxel."
        raise CtError(path.name, f"it has {components} values per voxel", do)
    if image.GetDimension() == 4:
        image = image[..., 0]
    values, missing = round_into(np.asarray(_SharedArray(image)).T, dtype)
    if components != 1:
        values = np.moveaxis(values, 0, -1)
    warnings = ()
    if missing:
        warnings = (f"{100 * missing / values.size:.2g} % of the voxels are not finite: taken as air",)
    lps_from_ijk = np.eye(4)
    lps_from_ijk[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps_from_ijk[:3, 3] = image.GetOrigin()
    return Image(values, LPS_TO_RAS @ lps_from_ijk, warnings)


def read_header_texts(path: Path) -> dict[str, str]:
    """The keys and values of a header beside the standard ones, such as the segments of 3D Slicer.

    Raises:
        OSError: It cannot be read now.
        RuntimeError: ITK cannot read it, for whatever reason.
    """
    with silent():
        reader = _read_information(path)
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}


def _read_information(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    # By itself, ITK does not recognise a suffix in capitals.
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


class _SharedArray:
    """Gives numpy an image's memory without a copy; the array keeps the image alive."""

    def __init__(self, image: sitk.Image) -> None:
        self.image = image
        view: Any = sitk.GetArrayViewFromImage(image)
        self.__array_interface__ = view.__array_interface__


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        text = file.read(_HEADER_BYTES)
    if not text:
        raise CtError(path.name, "the file is empty", "Copy the file again, or export the series again.")
    kind = "NRRD" if text.startswith(b"NRRD") else "MetaImage"
    end = re.search(rb"\r?\n\r?\n" if kind == "NRRD" else rb"^ElementDataFile", text, re.M)
    header = text[: end.start()] if end else text
    if end and not all(re.search(field, header, re.M | re.I) for field in _ORIENTATION[kind]):
        do = "Left and right cannot be told: export the series again with its orientation."
        raise CtError(path.name, f"its {kind} header does not say how it lies in the patient", do)
