"""Recognises CT series that were computed from two energies or more, by their headers.

A description may hold a name, and is never shown: only the kind that is recognised in it.

Source: DICOM PS3.3, C.11.1.1.2 (Rescale Type) and C.8.15.2.1.1.5 (Image Type of multi-energy CT,
Supplement 188); PS3.17, annex JJJJ. The descriptions are those of Philips ("MonoE 40keV[HU]", "Iodine no
Water[mg/ml]", "Z Effective", "VNC[HU*]", "Calcium Suppression 25 Index[HU*]"), GE ("GSI MD",
"IODINE(WATER)", "GSI 40", "VUE") and Siemens ("Monoenergetic Plus", "Rho/Z", "DE_MONO 40"), also in German
and Japanese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

# At these photon energies contrast medium has the HU of 100 kV (682) and 140 kV (329), interpolated between
# 40, 70 and 100 keV (1738, 590 and 295 HU). Bone differs less, for its atoms are lighter than iodine.
# Source: Rad. Res. Pract. 2012, 150980, doi 10.1155/2012/150980, table 1.
CT_KEV = (65.0, 95.0)

_NO_HU = {
    "OD": "optical density",
    "MGML": "the concentration of a material",
    "ZEFF": "effective atomic number",
    "ED": "electron density",
    "EDW": "electron density",
    "PCT": "percentages",
}
_TYPES = {
    "MAT_SPECIFIC": "the concentration of a material",
    "MAT_FRACTIONAL": "the fraction of a material",
    "MAT_VALUE_BASED": "values of a material",
    "EFF_ATOMIC_NUM": "effective atomic number",
    "ELECTRON_DENSITY": "electron density",
    "GSI MD": "the concentration of a material",
    "IODINE": "the concentration of a material",
    "RHO": "electron density",
}
_MODIFIED_TYPES = {"MAT_REMOVED", "MAT_MODIFIED"}
_MATERIAL = "(iodine|water|calcium|hap|fat|gadolinium|uric acid)"
_NOT_OFF = r"\w*\b(?!\W{0,3}(off|aus|no)\b)"
_SAID = {
    rf"iodine.?(no.?water|density|map|concentration|overlay)|\b{_MATERIAL} ?\({_MATERIAL}\)|uric.?acid"
    r"|[ij]od.?(karte|konzentration)|ヨード.?(密度|マップ)": "the concentration of a material",
    r"\bz[ _-]?eff|effective.?(atomic|z\b)|\brho ?/ ?z\b|実効原子番号": "effective atomic number",
    r"electron.?density|%.?edw|elektronendichte|電子密度": "electron density",
    rf"\bca(lcium)?.?supp{_NOT_OFF}|\bvnca\b|non.?calcium|(bone|calcium).?remov{_NOT_OFF}": (
        "CT without its calcium"
    ),
}
_CONTRAST_REMOVED = (
    r"\bvnc\b|\bvue\b|virtual.?(non.?contrast|(un|non).?enhanced)|virtuell.?nativ|仮想(単純|非造影)"
    rf"|iodine.?remov{_NOT_OFF}"
)
# A number that is not followed by the unit of a thickness, a voltage, a current, a dose or a share.
_ENERGY = r"((?:[4-9]\d|1\d\d|200)(?:\.\d+)?)(?![\d.,]| ?(?:mm|cm|kv|ma|ml|ms|%))"
_MONO = rf"(?:\bmono|\bgsi|単色(?:x線)?)[ :=]*{_ENERGY}"
_MONOENERGETIC = (
    rf"{_MONO}|\bmono ?e\b|\bmono.?(energet|chromat|\+|plus)|\bmonoe|\bvmi\b|単色|\bmono\b.*\d ?kev\b"
)
_KEV = re.compile(rf"(\d{{2,3}}(?:\.\d+)?) ?kev\b|\bkev[ :=]*{_ENERGY}|{_MONO}")
# Voltages of tubes, in kV, that are written as energies by mistake.
_TUBE_KV = {80, 100, 120, 135, 140}


@dataclass(frozen=True)
class Kind:
    """What was computed (empty for plain CT), and whether its values are about HU of 100 to 140 kV."""

    name: str = ""
    is_hu: bool = True


def name_kind(texts: Mapping[str, str]) -> Kind:
    """What kind of CT an image is, from the texts of its header by keyword."""
    units = re.sub("[^A-Z]", "", texts.get("RescaleType", "").upper())
    types = [value.strip().removeprefix("DE_") for value in texts.get("ImageType", "").upper().split("\\")]
    said = _read_text(texts.get("SeriesDescription", ""), texts.get("ImageComments", ""), *types)
    name = (
        _NO_HU.get(units)
        or next((_TYPES[value] for value in types if value in _TYPES), "")
        or next((name for pattern, name in _SAID.items() if re.search(pattern, said)), "")
    )
    if name:
        return Kind(name, is_hu=False)
    if re.search(_CONTRAST_REMOVED, said):
        return Kind("virtual non-contrast")
    if units == "HUMOD" or not _MODIFIED_TYPES.isdisjoint(types):
        return Kind("modified HU", is_hu=False)
    found = _KEV.search(said)
    kev = float(next(filter(None, found.groups()))) if found else None
    if not (
        re.search(_MONOENERGETIC, said)
        or any(re.match("VMI|(GSI )?MONO(?!CHROME)", value) for value in types)
        or (kev and kev not in _TUBE_KV)
    ):
        return Kind()
    stated = texts.get("MonoenergeticEnergyEquivalent")
    kev = float(stated) if stated else kev
    if kev is None:
        return Kind("monoenergetic, of unknown energy", is_hu=False)
    return Kind(f"monoenergetic, {kev:g} keV", is_hu=CT_KEV[0] <= kev <= CT_KEV[1])


def _read_text(*texts: str) -> str:
    """Texts in lower case and normal width, without underscores, and with Japanese decoded."""
    text = "; ".join(texts)
    # ISO 2022 IR 87 that the header does not declare; no other non-ASCII characters name a kind.
    if "\x1b" in text:
        text = text.encode("utf-8", "surrogateescape").decode("iso2022_jp", "replace")
    return re.sub(r"[_\s]+", " ", unicodedata.normalize("NFKC", text).lower())
