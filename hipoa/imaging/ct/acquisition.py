"""How a CT was acquired, and of whom, as far as its header tells without saying who it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hipoa.imaging.ct.scanner_names import recognise_kernel, recognise_maker, recognise_model

if TYPE_CHECKING:
    # NIfTI needs no pydicom.
    from pydicom import Dataset

KEYWORDS = (
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "SliceThickness"),
    *("PatientSex", "PatientAge", "PatientBirthDate", "StudyDate"),
)
"""What is read of a header."""
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_KV = (20.0, 200.0)
_THICKNESS_MM = (0.05, 50.0)
# Of the oldest there are so few that an age may name one (HIPAA, Safe Harbor).
_MOST_YEARS = 89
# Beyond, the date of birth is an anonymiser's.
_OLDEST_YEARS = 110
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}


@dataclass(frozen=True)
class Acquisition:
    """How a CT was acquired, and of whom.

    Texts are names of lists and patterns, "other" for what is none of these, and empty where the header does
    not tell: what a hospital wrote is never copied.

    Attributes:
        manufacturer: Of the scanner.
        model: Of the scanner.
        kernel: Of the reconstruction.
        kernel_kind: "soft" (standard ones too), "bone", "lung" or "other".
        kv: Peak voltage of the tube, kV.
        thickness_mm: Of a slice, mm; None where it is not known.
        sex: "F", "M" or empty.
        age: Whole years; "90+" for all beyond 89.
    """

    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    kernel_kind: str = ""
    kv: int | None = None
    thickness_mm: float | None = None
    sex: str = ""
    age: str = ""

    @classmethod
    def of(cls, header: Dataset | Mapping[str, str], frame: int = 0) -> Acquisition:
        """From a header, or its texts by keyword; of functional groups from those of a frame, by index."""
        texts = {name: _find(header, name, frame) for name in KEYWORDS}
        maker = recognise_maker(texts["Manufacturer"], texts["ManufacturerModelName"])
        sex, kv = texts["PatientSex"].upper(), _read_number(texts["KVP"], _KV)
        return cls(
            maker,
            recognise_model(texts["ManufacturerModelName"]),
            *recognise_kernel(texts["ConvolutionKernel"], maker),
            kv=None if kv is None else round(kv),
            thickness_mm=_read_number(texts["SliceThickness"], _THICKNESS_MM),
            sex=sex if sex in ("F", "M") else "",
            age=_name_age(_find_years(texts)),
        )


def _find(header: Dataset | Mapping[str, str], keyword: str, frame: int) -> str:
    """The text of an element, of the header itself or of its functional groups; several values joined."""
    for place in _list_places(header, frame):
        try:
            value = place.get(keyword)
        except Exception:  # what is no value of its kind; pydicom raises what it meets
            value = None
        if value not in (None, ""):
            many = not isinstance(value, str) and hasattr(value, "__iter__")
            return ("\\".join(map(str, value)) if many else str(value)).strip(" \0")
    return ""


def _list_places(header: Any, frame: int) -> Iterator[Any]:
    yield header
    for name, index in zip(GROUPS, (0, frame), strict=True):
        groups = header.get(name)
        if groups is not None and index < len(groups):
            for element in groups[index]:
                if element.VR == "SQ" and element.value:
                    yield element.value[0]


def _read_number(text: str, bounds: tuple[float, float]) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and bounds[0] <= value <= bounds[1] else None


def _find_years(texts: dict[str, str]) -> int:
    """The age; 0 where it is not known."""
    stated = re.fullmatch(r"([0-9]{1,3})([DWMY])", texts["PatientAge"].upper())
    if stated and int(stated[1]):
        return int(int(stated[1]) / _PER_YEAR[stated[2]])
    born, scanned = (re.sub(r"[.-]", "", texts[name]) for name in ("PatientBirthDate", "StudyDate"))
    if not all(re.fullmatch(r"[0-9]{8}", date) for date in (born, scanned)):
        return 0
    return (int(scanned) - int(born)) // 10_000


def _name_age(years: int) -> str:
    if not 0 < years <= _OLDEST_YEARS:
        return ""
    return str(years) if years <= _MOST_YEARS else f"{_MOST_YEARS + 1}+"
