"""Which part of the body a series shows, as far as its header says so in words that are known.

Source: DICOM PS3.16, Annex L (defined terms of Body Part Examined).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import IntEnum


class Part(IntEnum):
    """What a series shows, the likelier the hips the lower."""

    HIPS = 0
    UNKNOWN = 1
    ELSEWHERE = 2


_HIPS = re.compile(
    r"\bHIPS?\b|HIPJOINT|PELVI|WHOLE ?BODY|\bCOXA|FEMUR|HUE?FT|BECKEN|HANCHE|BASSIN|CADERA|"
    "股関節|骨盤|大腿|髋|骨盆"
)
_ELSEWHERE = re.compile(
    r"HEAD|BRAIN|SKULL|NECK|CHEST|THORAX|LUNG|HEART|CARDIAC|BREAST|SHOULDER|ELBOW|WRIST|\bHAND\b|FINGER|ARM\b|HUMERUS|"
    r"KNEE|ANKLE|FOOT|\bTOE|CALCANEUS|PATELLA|TIBIA|FIBULA|[CT]SPINE|JAW|MAXILLA|MANDIBLE|ORBIT|SINUS|\bEAR\b"
)


def name_part(about: Mapping[str, str]) -> Part:
    """What a series shows.

    Body Part Examined is often left as the protocol had it, so another part there only makes a series less
    likely; words for hip and pelvis count wherever they stand.

    Args:
        about: Texts of its header: `body_part`, `protocol`, `description`.
    """
    part, *others = (_fold(about.get(name, "")) for name in ("body_part", "protocol", "description"))
    if any(map(_HIPS.search, (part, *others))):
        return Part.HIPS
    return Part.ELSEWHERE if _ELSEWHERE.search(part) else Part.UNKNOWN


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return re.sub(r"[_\W]+", " ", "".join(c for c in plain if not unicodedata.combining(c))).upper()
