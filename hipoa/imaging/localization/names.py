"""What the names of landmarks and segments mean: femoral head, socket, femur or hip bone, and the side.

A name counts only if every word of it is known: whoever marks hips marks spines and trochanters beside them,
and beside femora and hip bones lie their muscles and vessels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hipoa.core.constants import SIDE_NAMES
from hipoa.core.identifiers import strip_accents
from hipoa.core.tables.words import SIDE_WORDS, WEAK_SIDES, read_side


def _compile_words(words: Mapping[str, str]) -> re.Pattern[str]:
    """A pattern that matches one word, or a side as tables have it, and names its kind."""
    # "der" of a German name is no side.
    sides = {side: {*map(strip_accents, found)} - WEAK_SIDES for side, found in SIDE_WORDS.items()}
    said = {side: "|".join(sorted(found, key=len, reverse=True)) for side, found in sides.items()}
    # L5 is a vertebra, R2 a ray. Sides stand behind all other words.
    kinds = {"unknown": r"[lr]\d+", **words, **said}
    return re.compile("|".join(f"(?P<{kind}>{strip_accents(pattern)})" for kind, pattern in kinds.items()))


# English, German, Japanese, Chinese; heads in French, Spanish and Italian too. What begins with another word
# stands before it; umlauts lost their dots.
_HEAD_OF_FEMUR = "(?:huft|femur|oberschenkel)kopf(?:e?s)?|大腿骨頭|股骨頭|股骨头"
_LANDMARK_WORDS = _compile_words({
    "number": r"\d+",
    "socket": "sockets?|acetabulum|acetabular|acetabuli|(?:huft)?pfannen?|寛骨臼|臼蓋|髖臼|髋臼",
    "head": f"fhc|fh|heads?|caput|tete|cabeza|testa|{_HEAD_OF_FEMUR}|骨頭",
    "hip": "hjc|hips?|hufte|huft(?:gelenks?)?|股関節|髖關節|髋关节",
    "femur": "femorale?|femoris|femur|ossis",
    "other": "joint|center|centre|zentrum|mittelpunkt|mitte|native|true|landmark|marker|mark|point|of|the|"
    r"des\b|中心|側|の",
})  # fmt: skip
_BONE_WORDS = _compile_words({
    "femoral_head": _HEAD_OF_FEMUR,
    "head": "heads?|caput|tete|cabeza|testa",
    "femur": "femorale|femoral|femora|femurs?|femoris|ossis|thighbones?|oberschenkel(?:knochens?)?|"
    "大腿骨|股骨",
    "hip": "hips?|hemipelvis|innominat(?:e|um)|coxa[el]?|huft(?:beins?|knochens?|e)|beckenhalfte|"
    "寛骨|髖骨|髋骨",
    "pelvis": "pelvis|pelvic|becken(?:knochens?)?|骨盤|骨盆",
    "other": "bones?|os|structure|of|the|entire|whole|proximal(?:e[rs]?)?|knochen|masks?|seg|segment|"
    "segmentation|labels?|側|の",
})  # fmt: skip
# Alone, "LT" may be a lesser trochanter and "re" anything.
_SIDE_ALONE = re.compile("links|left|l|左|rechts|right|r|右")
KNOWN_LANDMARKS = (
    "such as femoral_head_L, right hip centre, LHJC, Femurkopf links or 左大腿骨頭, or L and R alone"
)
KNOWN_BONES = "such as femur_left, Left femur, Femur L, Femur_Head_L, Oberschenkel links or 左大腿骨"
"""Names that count, for messages."""


@dataclass(frozen=True)
class Meaning:
    """What a landmark's name says."""

    kind: str  # "head", "socket" or, where it is neither, ""
    side: str  # "L" or "R" of the patient; "" where it names none, or both


def read_landmark(name: str, of_side: str = "") -> Meaning:
    """What a landmark's name means; a side alone means a head.

    Case, separators and the form of the letters do not matter: ``FemoralHead-L`` is ``femoral head l``.

    Args:
        name: As it was typed.
        of_side: What stands beside it in a column for the side.
    """
    kinds = {*_find_words(name, _LANDMARK_WORDS), *_read_side_column(of_side)}
    sides = kinds & {"L", "R"}
    side = sides.pop() if len(sides) == 1 else ""
    if "unknown" in kinds:
        return Meaning("", side)
    if "socket" in kinds:
        return Meaning("socket", side)
    # A femur has more than a head.
    named = "head" in kinds or ("hip" in kinds and "femur" not in kinds)
    alone = _SIDE_ALONE.fullmatch(_plain(name)) if name else "number" not in kinds
    return Meaning("head" if named or (side and alone) else "", side)


def read_bone(name: str) -> str:
    """What a segment's name means; case, separators and the form of the letters do not matter.

    Returns:
        "femur", "head" (of a femur) or "hip" (the hip bone) with "_left" or "_right" behind; "pelvis" for
        both hip bones in one; "" where it is none of these, names both sides or none, or has an unknown word.
    """
    kinds = set(_find_words(name, _BONE_WORDS))
    sides = [word for side, word in SIDE_NAMES.items() if side in kinds]
    bone = _name_bone(kinds)
    if "unknown" in kinds or len(sides) > 1 or not bone:
        return ""
    if not sides:
        return bone if bone == "pelvis" else ""
    return f"{'hip' if bone == 'pelvis' else bone}_{sides[0]}"


def _name_bone(kinds: set[str]) -> str:
    of_hip = kinds & {"hip", "pelvis"}
    if kinds & {"femur", "femoral_head", "head"}:
        is_head = "femoral_head" in kinds or {"femur", "head"} <= kinds
        found = "head" if is_head else "femur" if "femur" in kinds else ""
        return "" if of_hip else found
    return "hip" if "hip" in of_hip else "pelvis" if of_hip else ""


def _read_side_column(text: str) -> list[str]:
    """What a column for the side says: a side as tables have it, or a landmark's name."""
    kinds = _find_words(text, _LANDMARK_WORDS)
    try:
        return [read_side(text)] if "unknown" in kinds else kinds
    except ValueError:
        return kinds


def _plain(text: str) -> str:
    """Lower case without accents, words apart."""
    letters = re.sub("([a-z])([A-Z])", r"\1 \2", strip_accents(text)).casefold().replace("hueft", "huft")
    return re.sub(r"[\W_]+", " ", letters).strip()


def _find_words(text: str, word: re.Pattern[str]) -> list[str]:
    """The kinds of the words of a text in its order; where one is unknown, "unknown" alone."""
    kinds = []
    for token in _plain(text).split():
        end = 0
        while end < len(token):
            found = word.match(token, end)
            if found is None:
                return ["unknown"]
            kinds.append(found.lastgroup or "")
            end = found.end()
    return kinds
