"""What the name of a landmark says: a femoral head, a native socket or neither, and the side of the patient.

A name counts only if every word of it is known: whoever marks hips marks spines and trochanters beside them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from hipoa.core.tables.words import SIDE_WORDS, WEAK_SIDES, read_side


def compile_words(words: Mapping[str, str]) -> re.Pattern[str]:
    """A pattern that matches one word, or a side as tables have it, and names its kind.

    Args:
        words: By kind, the words that belong to it as a pattern: lower case without accents. What begins with
            another word stands before it; sides stand behind all.
    """
    # "der" of a German name is no side.
    sides = {side: {*map(_fold, found)} - WEAK_SIDES for side, found in SIDE_WORDS.items()}
    said = {side: "|".join(sorted(found, key=len, reverse=True)) for side, found in sides.items()}
    return re.compile(
        "|".join(f"(?P<{kind}>{_fold(pattern)})" for kind, pattern in {**words, **said}.items())
    )


def _fold(text: str) -> str:
    """A text without accents, of usual width."""
    return "".join(
        c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) not in {"Mn", "Cf"}
    )


# English, German, Japanese, Chinese; heads in French, Spanish and Italian too. What begins with another word
# stands before it; umlauts lost their dots.
_WORD = compile_words({
    # L5 is a vertebra, R2 a ray.
    "unknown": r"[lr]\d+",
    "number": r"\d+",
    "socket": "sockets?|acetabulum|acetabular|acetabuli|(?:huft)?pfannen?|寛骨臼|臼蓋|髖臼|髋臼",
    "head": "fhc|fh|heads?|caput|tete|cabeza|testa|(?:huft|femur|oberschenkel)kopf(?:e?s)?|大腿骨頭|骨頭|"
    "股骨頭|股骨头",
    "hip": "hjc|hips?|hufte|huft(?:gelenks?)?|股関節|髖關節|髋关节",
    "femur": "femorale?|femoris|femur|ossis",
    "other": "joint|center|centre|zentrum|mittelpunkt|mitte|native|true|landmark|marker|mark|point|of|the|"
    r"des\b|中心|側|の",
})  # fmt: skip
# Alone, "LT" may be a lesser trochanter and "re" anything.
_SIDE_ALONE = re.compile("links|left|l|左|rechts|right|r|右")
KNOWN = "such as femoral_head_L, right hip centre, LHJC, Femurkopf links or 左大腿骨頭, or L and R alone"
"""Names that count, for messages."""


@dataclass(frozen=True)
class Meaning:
    """What a name says.

    Attributes:
        kind: "head", "socket" or, where it is neither, "".
        side: "L" or "R" of the patient; "" where it names none, or both.
    """

    kind: str
    side: str


def read_name(name: str, of_side: str = "") -> Meaning:
    """What a landmark's name means; a side alone means a head.

    Case, separators and the form of the letters do not matter: ``FemoralHead-L`` is ``femoral head l``.

    Args:
        name: As it was typed.
        of_side: What stands beside it in a column for the side.
    """
    kinds = {*find_words(name, _WORD), *_read_column(of_side)}
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


def _read_column(of_side: str) -> list[str]:
    """What a column for the side says: a side as tables have it, or a name."""
    kinds = find_words(of_side, _WORD)
    try:
        return [read_side(of_side)] if "unknown" in kinds else kinds
    except ValueError:
        return kinds


def _plain(text: str) -> str:
    """Lower case without accents, words apart."""
    letters = re.sub("([a-z])([A-Z])", r"\1 \2", _fold(text)).casefold().replace("hueft", "huft")
    return re.sub(r"[\W_]+", " ", letters).strip()


def find_words(text: str, word: re.Pattern[str]) -> list[str]:
    """The kinds of the words of a text in its order; where one is unknown, "unknown" alone.

    Args:
        text: As it was typed; case, separators and the form of the letters do not matter.
        word: Of :func:`compile_words`.
    """
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
