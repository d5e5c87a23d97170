"""How a CT was acquired, and of whom, as far as its header tells without identifying the patient."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hipoa.imaging.ct.scanner_names import recognise_kernel, recognise_maker, recognise_model

_KV = (20.0, 200.0)
_THICKNESS_MM = (0.05, 50.0)
# The oldest are so few that an age may identify a person (HIPAA, Safe Harbor).
_MOST_YEARS = 89
# Beyond this age, the date of birth is a dummy written by an anonymiser.
_OLDEST_YEARS = 110
_PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}


@dataclass(frozen=True)
class Acquisition:
    """How a CT was acquired, and of whom.

    Texts come from lists and patterns, are "other" if none matches, and empty if the header does not tell:
    what a hospital wrote is never copied.
    """

    manufacturer: str = ""  # of the scanner
    model: str = ""  # of the scanner
    kernel: str = ""  # of the reconstruction
    kernel_kind: str = ""  # "soft" (standard ones too), "bone", "lung" or "other"
    kv: int | None = None  # peak tube voltage, kV
    thickness_mm: float | None = None  # slice thickness, mm; None if it is not known
    sex: str = ""  # "F", "M" or empty
    age: str = ""  # whole years; "90+" for all beyond 89

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Acquisition:
        """From the texts of a DICOM header by keyword."""

        def read(keyword: str) -> str:
            return texts.get(keyword, "").strip(" \0")

        maker = recognise_maker(read("Manufacturer"), read("ManufacturerModelName"))
        sex, kv = read("PatientSex").upper(), _read_number(read("KVP"), _KV)
        return cls(
            maker,
            recognise_model(read("ManufacturerModelName")),
            *recognise_kernel(read("ConvolutionKernel"), maker),
            kv=None if kv is None else round(kv),
            thickness_mm=_read_number(read("SliceThickness"), _THICKNESS_MM),
            sex=sex if sex in ("F", "M") else "",
            age=_read_age(read("PatientAge"), read("PatientBirthDate"), read("StudyDate")),
        )


def _read_number(text: str, bounds: tuple[float, float]) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if bounds[0] <= value <= bounds[1] else None


def _read_age(stated: str, *dates: str) -> str:
    """The stated age, or that which follows from the dates of birth and study."""
    years = 0
    found = re.fullmatch(r"([0-9]{1,3})([DWMY])", stated.upper())
    born, scanned = (re.sub(r"[.-]", "", date) for date in dates)
    if found and int(found[1]):
        years = int(int(found[1]) / _PER_YEAR[found[2]])
    elif all(re.fullmatch(r"[0-9]{8}", date) for date in (born, scanned)):
        years = (int(scanned) - int(born)) // 10_000
    if not 0 < years <= _OLDEST_YEARS:
        return ""
    return str(years) if years <= _MOST_YEARS else f"{_MOST_YEARS + 1}+"
