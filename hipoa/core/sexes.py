"""The sex of a patient in the words of tables and headers."""

import unicodedata

_WORDS = {
    "F": ("f", "female", "w", "weiblich", "frau", "woman", "women", "femme", "féminin", "femenino", "mujer"),
    "M": ("m", "male", "männlich", "mann", "man", "men", "homme", "masculin", "masculino", "hombre"),
}
_SIGNS = {"F": ("女", "女性", "여", "여성", "♀"), "M": ("男", "男性", "남", "남성", "♂")}
_SEX_OF = {word: sex for table in (_WORDS, _SIGNS) for sex, words in table.items() for word in words}


def read_sex(text: str) -> str:
    """F or "M"; empty where a text, such as a number, says neither for sure."""
    return _SEX_OF.get(unicodedata.normalize("NFKC", text).strip().rstrip(".").casefold(), "")
