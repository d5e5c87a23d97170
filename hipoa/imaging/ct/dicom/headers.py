"""Headers of DICOM files: position, kind and pixel format of every CT image in them.

A multi-frame image (Enhanced CT, Legacy Converted Enhanced CT) has one slice per frame, in any order.

Source: DICOM PS3.3, A.38, A.70 (Enhanced CT, Legacy Converted Enhanced CT), C.7.6.16 (functional groups).
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from pydicom import Dataset, dcmread

from hipoa.core.ct_files import is_dicom
from hipoa.imaging.ct.acquisition import Acquisition
from hipoa.imaging.ct.dicom.elements import TAGS, list_frames, read_numbers, read_texts, read_whole
from hipoa.imaging.ct.dicom.identity import Identity
from hipoa.imaging.ct.dicom.multi_energy import name_kind
from hipoa.imaging.ct.file_kinds import ZIP_STARTS

File = Path | zipfile.Path

DAMAGED = "damaged CT slices"
COMPUTED = "multi-energy images"
BITS = "CT images whose HighBit is not BitsStored - 1"
_NO_IMAGE = "files that are no DICOM images"
_CT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.2{end}" for end in ("", ".1", ".2"))
# The class of the file itself, and not of what it refers to, as directories and reports do.
_SAID_CT = re.compile(
    rb"(?s)(?:\x02\x00\x02\x00|\x08\x00\x16\x00).{4}(?:%b)\x00"
    % "|".join(map(re.escape, _CT_CLASSES)).encode()
)
_CAPTURE_CLASS = "1.2.840.10008.5.1.4.1.1.7"
_RAW = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXEL_DATA = (0x7FE0, 0x10)
# Holds nearly every header of one image; pydicom parses it in two thirds of the time that a file takes.
_START_BYTES = 1 << 15


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the pixels of an image are stored."""

    offset: int | None  # of the first pixel in the file, bytes; None if they are compressed
    dtype: str  # in numpy's notation, with the byte order
    stored: int  # number of bits per pixel that count, from the lowest
    slope: float = 1.0  # HU per stored value
    intercept: float = 0.0  # HU of the stored value 0


@dataclass(frozen=True, slots=True)
class Slice:
    """What the header says of one image, or of one frame."""

    file: File  # that holds it
    frame: int  # its index in the file
    uid: str  # of the image; a copy has the same
    series: str  # UID of its series, whose number is ``number``; ``instance`` is the image's number in it
    identity: Identity
    number: int | None
    instance: int | None
    acquisition: int | None
    kernel: str  # of the reconstruction, as the header has it; never shown
    image_type: tuple[str, ...]
    time: str  # when it was acquired, or written if only this is known; compared, never shown
    acquired: Acquisition  # acquisition, as far as it may be shown
    size: tuple[int, int]  # columns and rows
    position: np.ndarray  # centre of the first pixel, LPS mm (3,)
    across: np.ndarray  # columns: the directions of rows and columns, times the pixel size, mm (3, 2)
    pixels: Pixels
    kind: str = ""  # what was computed from several energies; empty for plain CT

    @property
    def normal(self) -> np.ndarray:
        """Unit vector (3,) perpendicular to the image."""
        normal = np.cross(self.across[:, 0], self.across[:, 1])
        return normal / np.linalg.norm(normal)


@dataclass(frozen=True)
class Header:
    """What a file holds: the usable CT images, or else what it is instead."""

    frames: tuple[Slice, ...] = ()
    other: str = ""
    identity: Identity = field(default_factory=Identity)


def read_header(file: File) -> Header:
    """Reads a file's header, without its pixels.

    Raises:
        OSError: It cannot be read now.
    """
    with file.open("rb") as stream:
        # A drive that fails now raises, and is not taken for another kind of file.
        start = stream.read(_START_BYTES)
        if start.startswith(ZIP_STARTS):
            return Header(other="zip files")
        if not is_dicom(start):
            return Header(other=_NO_IMAGE)
        # The few headers longer than this are read from the file.
        for source in (BytesIO(start), stream):
            try:
                return _parse(file, source)
            except OSError:
                raise
            except Exception:  # pydicom raises anything
                continue
    return Header(other=DAMAGED if _SAID_CT.search(start) else _NO_IMAGE)


def _parse(file: File, stream: IO[bytes]) -> Header:
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=True, specific_tags=TAGS, force=True)
    common = read_texts(dataset)
    size = file.stat().st_size if isinstance(file, Path) else file.root.getinfo(file.at).file_size
    pixels = _find_pixels(dataset, common, stream, size)
    slices: list[Slice] = []
    others: Counter[str] = Counter()
    identity = Identity.of(common)
    for index, texts in enumerate(list_frames(dataset, common)):
        kind = name_kind(texts)
        other = _name_other(texts) or ("" if kind.is_hu else f"{COMPUTED} ({kind.name})")
        if other:
            others[other] += 1
        else:
            slices.append(_make_slice(file, index, texts, identity, pixels, kind.name))
    # Of a file that holds both, what can be used counts.
    return Header(tuple(slices), "" if slices else others.most_common(1)[0][0], identity)


def _find_pixels(dataset: Dataset, texts: Mapping[str, str], stream: IO[bytes], size: int) -> Pixels:
    """How the pixels after the stream's position are stored; whatever is damaged raises."""
    allocated = int(texts["BitsAllocated"])
    if allocated not in (8, 16, 32):
        raise ValueError("pixels of no whole bytes")
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
    implicit, little_endian = dataset.original_encoding
    dtype = f"{'<' if little_endian else '>'}{'i' if texts.get('PixelRepresentation') == '1' else 'u'}"
    pixels = Pixels(None, f"{dtype}{allocated // 8}", int(texts.get("BitsStored") or allocated))
    if syntax == _DEFLATED:
        return pixels
    head = stream.read(12)
    if len(head) < 12 or struct.unpack(f"{dtype[0]}2H", head[:4]) != _PIXEL_DATA:
        raise ValueError("no pixels")
    if syntax not in _RAW:
        return pixels
    sizes = (texts.get(name) or "1" for name in ("NumberOfFrames", "Rows", "Columns", "SamplesPerPixel"))
    offset = stream.tell() - (4 if implicit else 0)
    if offset + math.prod(map(int, sizes)) * allocated // 8 > size:
        raise ValueError("too few pixels")
    # Pixels of 8 bits are swapped in pairs in big-endian files.
    return replace(pixels, offset=offset if little_endian or allocated == 16 else None)


def _name_other(texts: Mapping[str, str]) -> str:
    kind, modality = texts.get("ImageType", "").upper().split("\\"), texts.get("Modality", "").upper()
    sop_class = texts.get("SOPClassUID", "")
    is_ct = modality == "CT" or (modality in ("", "OT") and sop_class in _CT_CLASSES)
    stored, highest, frames = (
        read_numbers(texts, name) for name in ("BitsStored", "HighBit", "NumberOfFrames")
    )
    counts = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
    others = {
        "images of other modalities": not is_ct,
        "localisers": "LOCALIZER" in kind,
        "captures of screens": sop_class.startswith(_CAPTURE_CLASS)
        or texts.get("SamplesPerPixel", "1") != "1",
        "images of several frames": max(frames, default=1) > 1,
        "projections of several slices": not {"MIP", "MINIP"}.isdisjoint(kind),
        "CT images without position, orientation or pixel size": any(
            len(read_numbers(texts, name)) != count for name, count in counts.items()
        ),
        # Which bits count is uncertain.
        BITS: bool(stored and highest) and highest != [stored[0] - 1],
    }
    return next((name for name, is_so in others.items() if is_so), "")


def _make_slice(
    file: File, index: int, texts: Mapping[str, str], identity: Identity, pixels: Pixels, kind: str
) -> Slice:
    directions = np.array(read_numbers(texts, "ImageOrientationPatient")).reshape(2, 3)
    slope, intercept = read_numbers(texts, "RescaleSlope"), read_numbers(texts, "RescaleIntercept")
    return Slice(
        file,
        index,
        uid=f"{texts['SOPInstanceUID']} {index}" if texts.get("SOPInstanceUID") else "",
        series=texts.get("SeriesInstanceUID", ""),
        identity=identity,
        number=read_whole(texts, "SeriesNumber"),
        instance=read_whole(texts, "InstanceNumber"),
        acquisition=read_whole(texts, "AcquisitionNumber"),
        kernel=texts.get("ConvolutionKernel", ""),
        image_type=tuple(texts.get("ImageType", "").upper().split("\\")),
        time=_find_time(texts),
        acquired=Acquisition.of(texts),
        size=(int(texts["Columns"]), int(texts["Rows"])),
        position=np.array(read_numbers(texts, "ImagePositionPatient")),
        across=directions.T * read_numbers(texts, "PixelSpacing")[::-1],
        # A slope of 0 would leave one value.
        pixels=replace(pixels, slope=next(iter(slope), 0) or 1.0, intercept=next(iter(intercept), 0.0)),
        kind=kind,
    )


def _find_time(texts: Mapping[str, str]) -> str:
    for name in ("FrameAcquisitionDateTime", "FrameReferenceDateTime", "AcquisitionDateTime"):
        if texts.get(name):
            return texts[name]
    acquired = texts.get("AcquisitionTime", "")
    return texts.get("AcquisitionDate", "") + acquired if acquired else texts.get("ContentTime", "")
