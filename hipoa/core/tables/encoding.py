"""The text of a file whose encoding nobody wrote down: read where it is sure, else refused, never garbled.

A table holds few letters beyond ASCII, mostly in names, sides and headings: too few for statistics. So every
encoding that fits is tried, and one is taken only if its text alone makes sense. No library that guesses is
asked: another version of it could read a table in another way when the workflow is planned and when it runs.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from hipoa.core.errors import TableError
from hipoa.core.tables.encoding_guess import find_encodings

_NAMES = {
    "utf-8": "UTF-8",
    "cp932": "Shift JIS (CP932)",
    "euc_jp": "EUC-JP",
    "gb18030": "GB18030",
    "big5": "Big5",
    "cp949": "CP949",
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "cp1254": "Windows-1254",
    "mac_roman": "Mac Roman",
    "cp850": "DOS (CP850)",
    "cp852": "DOS (CP852)",
    "cp857": "DOS (CP857)",
}
SAVE = 'Save it as "CSV UTF-8" or as an Excel workbook (.xlsx).'

_CELLS = 2000
# No encoding has these bytes within a character.
_BETWEEN = re.compile(rb'[^,;\t\r\n"]+')
# A side in a language that no one writes in Windows-1250 or -1254.
_WESTERN_SIDE = re.compile(
    rb"(?im)(?:^|[,;\t\"])(?:destr[ao]|venstre|links|rechts)(?=[,;\t\r\n\"]|$)"
    rb"|(?:^|[,;\t\" (])(?:gauche|droite?|izquierd[ao]|derech[ao]|sinistr[ao]|esquerd[ao]|direit[ao])"
    rb"(?=[,;\t\r\n\" )]|$)"
)


def decode(data: bytes, where: str) -> str:
    """The text of a file.

    Args:
        data: All of it.
        where: Its name, for messages.

    Raises:
        TableError: It is no text, or one that may be read in several ways.
    """
    return recognise(data, where)[0]


def recognise(data: bytes, where: str) -> tuple[str, str]:
    """As `decode`, and the name of the encoding; "" for plain ASCII."""
    if data.isascii() and b"\0" not in data and b"\x1b" not in data:
        return data.decode("ascii"), ""
    marked = _decode_marked(data, where)
    if marked:
        return marked
    cells = dict.fromkeys(found[0] for found in _BETWEEN.finditer(data) if not found[0].isascii())
    readings = _read_all(list(cells)[:_CELLS])
    if _WESTERN_SIDE.search(data):
        readings = {name: texts for name, texts in readings.items() if name not in ("cp1250", "cp1254")}
    found = find_encodings(readings)
    if len(found) != 1:
        names = " or ".join(_NAMES[name] for name in found)
        what = f"its letters may be {names}" if names else "the encoding of its letters is not sure"
        raise TableError(where, what, SAVE)
    try:
        return data.decode(found[0]).removeprefix("\ufeff"), _NAMES[found[0]]
    except UnicodeDecodeError:
        raise TableError(where, f"it is {_NAMES[found[0]]} in parts only", SAVE) from None


def _decode_marked(data: bytes, where: str) -> tuple[str, str] | None:
    """What says itself in which encoding it is."""
    try:
        if data.startswith(b"\xef\xbb\xbf"):
            return data.decode("utf-8-sig"), "UTF-8"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return _refuse_control(data.decode("utf-16")), "UTF-16"
        if b"\0" in data:
            return _refuse_control(data.decode(_find_order(data))), "UTF-16"
        if b"\x1b" in data:
            return _refuse_control(data.decode("iso2022_jp_ext")), "ISO-2022-JP"
    except (UnicodeDecodeError, LookupError):
        raise TableError(where, "it is no text, or damaged", SAVE) from None
    return None


def _refuse_control(text: str) -> str:
    if re.search(r"[\0-\x08\x0e-\x1f]", text):
        raise LookupError
    return text


def _find_order(data: bytes) -> str:
    """The byte order of UTF-16 without a mark: plain letters and line ends have a zero on one side alone."""
    high, low = data[0::2].count(0), data[1::2].count(0)
    if max(high, low) <= 4 * min(high, low):
        raise LookupError
    return "utf-16-be" if high > low else "utf-16-le"


def _read_all(cells: Sequence[bytes]) -> dict[str, list[str]]:
    """The cells in every encoding that fits them all."""
    readings: dict[str, list[str]] = {}
    for name in _NAMES:
        try:
            readings[name] = [unicodedata.normalize("NFC", cell.decode(name)) for cell in cells]
        except UnicodeDecodeError:
            continue
    return readings
