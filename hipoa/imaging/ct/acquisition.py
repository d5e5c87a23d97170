"""How a CT was acquired, and of whom, as far as its header tells without identifying the patient."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hipoa.imaging.ct.scanner_names import recognise_kernel, recognise_maker, recognise_model

KEYWORDS = (
    *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "KVP", "SliceThickness"),
    *("PatientSex", "PatientAge", "PatientBirthDate", "StudyDate"),
)
"""DICOM elements that are read."""
_KV = (20.0, 200.0)
_THICKNESS_MM = (0.05, 50.0)
# Of the oldest there are so few that an age may identify one (HIPAA, Safe Harbor).
_MOST_YEARS = 89
# Beyond, the date of birth is an anonymiser's.
_OLDEST_YEARS = 110
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}


@dataclass(frozen=True)
class Acquisition:
    """How a CT was acquired, and of whom.

    Texts come from lists and patterns, are "other" if none matches, and empty if the header does not tell:
    what a hospital wrote is never copied.

    Attributes:
        manufacturer: Of the scanner.
        model: Of the scanner.
        kernel: Of the reconstruction.
        kernel_kind: "soft" (standard ones too), "bone", "lung" or "other".
        kv: Peak tube voltage, kV.
        thickness_mm: Slice thickness, mm; None if it is not known.
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
    def of(cls, texts: Mapping[str, str]) -> Acquisition:
        """From the texts of a header by keyword."""
        said = {name: texts.get(name, "").strip(" \0") for name in KEYWORDS}
        maker = recognise_maker(said["Manufacturer"], said["ManufacturerModelName"])
        sex, kv = said["PatientSex"].upper(), _read_number(said["KVP"], _KV)
        return cls(
            maker,
            recognise_model(said["ManufacturerModelName"]),
            *recognise_kernel(said["ConvolutionKernel"], maker),
            kv=None if kv is None else round(kv),
            thickness_mm=_read_number(said["SliceThickness"], _THICKNESS_MM),
            sex=sex if sex in ("F", "M") else "",
            age=_name_age(_find_years(said)),
        )


def _read_number(text: str, bounds: tuple[float, float]) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and bounds[0] <= value <= bounds[1] else None


def _find_years(texts: Mapping[str, str]) -> int:
    """The age; 0 if it is not known."""
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
