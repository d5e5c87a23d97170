"""Recognises files that are not CTs by their first bytes, to tell the user what to do about them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from hipoa.core.ct_files import START_BYTES, SUFFIXES, is_dicom
from hipoa.core.errors import CtError

_UNPACK = "Unpack it and name the folder."
_GIVE = (
    "Give the CT itself: a folder, zip, DICOMDIR or image of DICOM, or a file that ends in "
    f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
)
ZIP_STARTS = (b"PK\3\4", b"PK\5\6", b"PK\7\b")
"""The first bytes of a zip."""
# Pattern of the first bytes: what the file is, and what to do. The first match counts.
_KINDS = {
    rb"%PDF": ("a PDF", _GIVE),
    rb"\x89PNG": ("a picture (PNG)", _GIVE),
    rb"\xff\xd8\xff": ("a picture (JPEG)", _GIVE),
    rb"II\*\0|MM\0\*": ("a picture (TIFF)", _GIVE),
    rb"GIF8|BM.{4}\0{4}": ("a picture", _GIVE),
    rb"\xd0\xcf\x11\xe0": ("a document or table of an office program", _GIVE),
    rb"7z\xbc\xaf": ("a 7z archive", _UNPACK),
    rb"Rar!": ("a RAR archive", _UNPACK),
    rb"\xfd7zXZ|BZh|\x28\xb5\x2f\xfd": ("an archive", _UNPACK),
    rb".{257}ustar": ("a tar archive", _UNPACK),
    rb"\x1f\x8b": (
        "compressed by gzip",
        "If it is NIfTI, let its name end in .nii.gz; else unpack it and name the folder.",
    ),
    rb"MZ|\x7fELF": ("a program", _GIVE),
    rb"\x89HDF|CDF": ("HDF5 or MINC", f"Convert it to one of {', '.join(SUFFIXES)}."),
    rb".{344}n\+1\0|.{4}n\+2\0": ("NIfTI", "Let its name end in .nii."),
    rb".{344}ni1\0": ("the header of a NIfTI pair", "Convert it and its .img to .nii.gz."),
    rb"NRRD": ("NRRD", "Let its name end in .nrrd."),
    rb"(ObjectType|NDims)\s*=": ("MetaImage", "Let its name end in .mha, or .mhd beside a .raw."),
    rb"(?i)\s*(<!doctype html|<html)": ("a web page", _GIVE),
    rb"(\xef\xbb\xbf)?[^\x00-\x08\x0e-\x1a\x1c-\x1f]+\Z": ("a text", _GIVE),
}


def read_start(file: Path | zipfile.Path) -> bytes:
    """The first bytes of a file."""
    with file.open("rb") as stream:
        return stream.read(START_BYTES)


def refuse_kind(where: str, start: bytes) -> CtError:
    """The error that says what a file of this name with these first bytes is."""
    if not start:
        return CtError(where, "the file is empty", "Copy the file again, or export the series again.")
    if is_dicom(start):
        return CtError(where, "it is DICOM", f"Convert it to one of {', '.join(SUFFIXES)}.")
    if start.startswith(ZIP_STARTS):
        return CtError(where, "it is a zip", "Unpack it and name what is in it.")
    for pattern, (kind, do) in _KINDS.items():
        if re.match(pattern, start, re.DOTALL):
            return CtError(where, f"it is {kind}, and this kind of file is not read as a CT", do)
    return CtError(where, "this kind of file is not read", _GIVE)
