"""Names of cases, patients and raters: one spelling of each, and none that a spreadsheet has damaged."""

from __future__ import annotations

import re
import unicodedata

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Excel and LibreOffice, also in other languages: #N/A, #NV, #REF!, #WERT!, #DIV/0!, #NAME?, ####, Err:502;
# some programs drop the mark at the end.
_ERROR = re.compile(
    r"#+|#\S*[!?]|#(REF|VALUE|NAME|NUM|NULL|DIV/0|BEZUG|WERT|ZAHL|VALEUR|NOM|VALOR)|#N/?[A-Z]{1,4}|#I/T|Err:\d+"
)
# A long number in scientific notation, with a point or a sign; 1E5 and 12E3 may be pseudonyms.
_ROUNDED = re.compile(r"[+-]?\d{1,3}([.,]\d+[eE][+-]?|[eE]\+)\d+")
# Exactly as programs write them: Nan and Null are people's names.
_MISSING = frozenset(
    ["nan", "NaN", "NAN", "NaT", "NA", "<NA>", "N/A", "n/a", "n.a.", "None", "none", "NONE", "NULL", "null"]
)
# Invisible, though not of the category Cf: fillers, joiner, variation selectors.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_TO_ASCII = str.maketrans("\u2212\u2018\u2019\u201b\u02bc\u2032", "-" + "'" * 5)


def normalise(name: str) -> str:
    """The one spelling of a name: NFKC, visible characters, plain dashes and apostrophes, single blanks."""
    if not name.isascii() or not name.isprintable():
        visible = (c for c in name if c.isspace() or unicodedata.category(c) not in {"Cf", "Cc"})
        name = unicodedata.normalize("NFKC", _INVISIBLE.sub("", "".join(visible)))
        name = "".join("-" if unicodedata.category(c) == "Pd" else c for c in name).translate(_TO_ASCII)
    return " ".join(name.split())


def strip_accents(text: str) -> str:
    """A text without accents and invisible characters, of usual width (NFKD)."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c for c in plain if unicodedata.category(c) not in {"Mn", "Cf"})


def comparison_key(name: str) -> str:
    """A name without what spreadsheets and typists change: leading zeros, a trailing ".0", capitals."""
    bare = name.removesuffix(".0").lstrip("0")
    folded = bare.casefold()
    # Not a second copy of every name: there may be 100 000.
    return bare if folded == bare else folded


def parse_name(text: str) -> str:
    """A name in its one spelling.

    Raises:
        ValueError: It is empty, an error of a spreadsheet, a rounded number or a word for "missing"; the text
            continues after the column's name.
    """
    name = normalise(text)
    if not name:
        raise ValueError("is empty")
    # The cell is not repeated: what is left of a number may still identify a patient.
    if _ERROR.fullmatch(name) or _ROUNDED.fullmatch(name):
        raise ValueError(
            "is a spreadsheet's error or rounded number (as #N/A, 1.23E+10): format the column as text and "
            "paste the names again"
        )
    if name in _MISSING or not any(map(str.isalnum, name)):
        raise ValueError('stands for "missing" (as nan, NULL, -): write the name (a reader may have none)')
    if "\ufffd" in name:
        raise ValueError("holds a character that cannot be read: save the table as UTF-8")
    return name


def parse_safe_name(text: str) -> str:
    """A name that can be used in file names."""
    name = parse_name(text)
    # The text itself may be a person's name: the row's number is enough.
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError('is no safe file name (at most 64 letters, digits, ".", "_", "-")')
    return name


def parse_reader(text: str) -> str:
    """A rater's name, or "" if the cell is empty; NA may be a person's initials."""
    name = normalise(text)
    return name if name in {"", "NA"} else parse_name(name)


def parse_series(text: str) -> str:
    """A CT series by its number, with a letter where it holds several stacks; "" if the cell is empty.

    Case and a trailing ".0" are ignored.

    Raises:
        ValueError: It is no such name.
    """
    found = re.fullmatch(r"(?:0*([0-9]{1,4})(?:\.0+)?)? ?([a-z]{0,2})", normalise(text).casefold())
    if not found:
        raise ValueError("is no name of a series: give its number from 0 to 9999, or a name as 3b or a")
    return (found[1] or "") + found[2]
