"""Elements of a DICOM header as texts by keyword, for a file and for each of its frames."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import Dataset, config
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag

# Do not warn the user where a header breaks the standard.
config.settings.reading_validation_mode = config.IGNORE
warnings.filterwarnings("ignore", module="pydicom")

_SHARED, _PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_ENERGY = "MonoenergeticEnergyEquivalent"
_ENERGIES = tuple(
    f"MultienergyCT{name}Sequence" for name in ("Acquisition", "Processing", "Characteristics", "XRaySource")
)
_OF_FILES = (
    *("ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "Modality", "SeriesDescription"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentTime"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "SliceThickness"),
    *("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImageComments"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SamplesPerPixel", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", _ENERGY),
)
_OF_FRAMES = ("FrameType", "FrameAcquisitionNumber", "FrameAcquisitionDateTime", "FrameReferenceDateTime")
_KEYWORDS = {tag_for_keyword(keyword): keyword for keyword in (*_OF_FILES, *_OF_FRAMES)}
TAGS = sorted(BaseTag(tag_for_keyword(name) or 0) for name in (*_OF_FILES, _SHARED, _PER_FRAME, *_ENERGIES))
"""The elements that are read of a file."""
_NUMBERS = {"US": "H", "UL": "I", "SS": "h", "FD": "d"}
_DELIMITERS = set(b"\\^=\r\n\t\f")


def read_texts(dataset: Dataset) -> dict[str, str]:
    """The texts of the elements that are used, by keyword; several values are joined by backslashes."""
    # Values stay as the file has them: one that breaks the rules of its type is no reason to stop.
    # Tags as plain numbers are compared in C.
    return {
        _KEYWORDS[tag]: _read_text(element, dataset)
        for element in dataset.values()
        if (tag := int(element.tag)) in _KEYWORDS
    }


def list_frames(dataset: Dataset, common: dict[str, str]) -> Iterator[dict[str, str]]:
    """The texts of each frame; its functional groups override the file's common elements.

    Raises:
        ValueError: The number of frames differs from what the file says.
    """
    common = common | _find_energy(dataset)
    if _PER_FRAME not in dataset:
        yield common
        return
    shared = _read_groups(next(iter(dataset.get(_SHARED) or []), Dataset()))
    per_frame = dataset[_PER_FRAME].value
    if (read_whole(common, "NumberOfFrames") or len(per_frame)) != len(per_frame):
        raise ValueError("frames without functional groups")
    for groups in per_frame:
        texts = common | shared | _read_groups(groups) | {"NumberOfFrames": "1"}
        for name, of_file in (("FrameType", "ImageType"), ("FrameAcquisitionNumber", "AcquisitionNumber")):
            texts[of_file] = texts.get(name) or texts.get(of_file, "")
        yield texts


def read_numbers(texts: Mapping[str, str], keyword: str) -> list[float]:
    """The numbers of an element; none if it is missing or holds anything else."""
    try:
        return [float(part) for part in texts[keyword].split("\\")] if texts.get(keyword) else []
    except ValueError:
        return []


def read_whole(texts: Mapping[str, str], keyword: str) -> int | None:
    """The first number of an element, if there is one."""
    numbers = read_numbers(texts, keyword)
    return int(numbers[0]) if numbers and abs(numbers[0]) < 2**31 else None


def _read_groups(groups: Dataset) -> dict[str, str]:
    texts = _find_energy(groups)
    for element in groups:
        if element.VR == "SQ" and element.value:
            texts |= read_texts(element.value[0])
    return texts


def _find_energy(dataset: Dataset) -> dict[str, str]:
    """The energy in keV, which may stand deep in the sequences of a multi-energy CT."""
    items = [item for name in _ENERGIES if name in dataset for item in dataset[name].value]
    found = [str(element.value) for item in items for element in item.iterall() if element.keyword == _ENERGY]
    return {_ENERGY: found[0]} if found else {}


def _read_text(element: Any, dataset: Dataset) -> str:
    value = element.value
    if value is None:
        return ""
    if not isinstance(value, bytes):
        single = isinstance(value, str) or not hasattr(value, "__iter__")
        return str(value) if single else "\\".join(map(str, value))
    kind = _NUMBERS.get(element.VR or dictionary_VR(element.tag))
    if kind:
        order = "<" if element.is_little_endian else ">"
        return str(struct.unpack_from(order + kind, value)[0]) if len(value) >= struct.calcsize(kind) else ""
    if (value.isascii() and b"\x1b" not in value) or not (named := dataset.get("SpecificCharacterSet")):
        # Some tools write UTF-8 and do not declare it.
        return value.decode("utf-8", "surrogateescape").strip(" \0")
    return decode_bytes(value, convert_encodings(named), _DELIMITERS).strip(" \0")
