"""CT series that are no plain CT: what was computed from two energies or more, by what the header says.

A description may hold a name, and is never told: only the kind that is recognised in it.

Source: DICOM PS3.3, C.11.1.1.2 (Rescale Type) and C.8.15.2.1.1.5 (Image Type of multi-energy CT,
Supplement 188); PS3.17, annex JJJJ. The descriptions are those of Philips ("MonoE 40keV[HU]", "Iodine no
Water[mg/ml]", "Z Effective", "VNC[HU*]", "Calcium Suppression 25 Index[HU*]"), GE ("GSI MD",
"IODINE(WATER)", "VUE") and Siemens ("Monoenergetic Plus", "Rho/Z").
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

# Photons of so many keV show contrast medium as 100 kV (682 HU) and 140 kV (329 HU) do, interpolated between
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
}
_MODIFIED_TYPES = {"MAT_REMOVED", "MAT_MODIFIED"}
_SAID = {
    r"iodine.?(no.?water|density|map|concentration|overlay|\(water)|water.?\((iodine|calcium)|uric.?acid": (
        "the concentration of a material"
    ),
    r"\bz[ _-]?eff|effective.?(atomic|z\b)|\brho ?/ ?z\b": "effective atomic number",
    r"electron.?density|%.?edw": "electron density",
    r"\bca(lcium)?.?supp|\bvnca\b|non.?calcium|(bone|calcium).?remov": "CT without its calcium",
}
_CONTRAST_REMOVED = r"\bvnc\b|\bvue\b|virtual.?(non.?contrast|(un|non).?enhanced)|iodine.?remov"
_MONOENERGETIC = r"\bmono ?e\b|\bmono.?(energetic|chromatic|\+|plus)|\bmonoe|\bvmi\b|\d ?kev\b"
_KEV = re.compile(r"(\d{2,3}(?:\.\d+)?) ?kev\b")
# Monoenergetic Energy Equivalent (0018,937C), of one double, with or without its type.
_KEV_ELEMENT = re.compile(rb"\x18\x00\x7c\x93(?:FD\x08\x00|\x08\x00\x00\x00)(.{8})", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """What was computed.

    Attributes:
        name: As a message says it; empty for plain CT.
        is_hu: Whether its values are about those of a CT of 100 to 140 kV.
    """

    name: str = ""
    is_hu: bool = True


def name_kind(tags: dict[str, str], header: bytes = b"") -> Kind:
    """What kind of CT an image is.

    Args:
        tags: Of the header, such as "0028|1054"; sequences are missing from them.
        header: Its first bytes, in a sequence of which the energy may stand.
    """
    units = re.sub("[^A-Z]", "", tags.get("0028|1054", "").upper())
    types = [value.strip() for value in tags.get("0008|0008", "").upper().split("\\")]
    said = re.sub(r"[_\s]+", " ", f"{tags.get('0008|103e', '')} {tags.get('0020|4000', '')}").lower()
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
    if re.search(_MONOENERGETIC, said) or any(
        re.match("VMI|(GSI )?MONO(?!CHROME)", value) for value in types
    ):
        return _name_energy(said, header)
    return Kind()


def _name_energy(said: str, header: bytes) -> Kind:
    element, text = _KEV_ELEMENT.search(header), _KEV.search(said)
    if element:
        kev = float(struct.unpack("<d", element[1])[0])
    elif text:
        kev = float(text[1])
    else:
        return Kind("monoenergetic, of unknown energy", is_hu=False)
    return Kind(f"monoenergetic, {kev:g} keV", is_hu=CT_KEV[0] <= kev <= CT_KEV[1])
