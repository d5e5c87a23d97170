"""The text of a file of unknown encoding: decoded where the encoding is certain, else refused, never garbled.

A table has few letters beyond ASCII, mostly in names, sides and headings: too few for statistics. So all
encodings that fit are tried, and one is taken only if its text alone makes sense. Detection libraries guess
(charset_normalizer takes a lone "Müller" in Windows-1252 for GB18030), and may guess differently in the next
version, so that the workflow would be planned on another table than it runs on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from hipoa.core.errors import TableError
from hipoa.core.tables.encoding_scores import find_encodings

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
_SAVE = 'Save it as "CSV UTF-8" or as an Excel workbook (.xlsx).'

_MAX_CELLS = 2000
# In no encoding are these bytes part of a character.
_CELL = re.compile(rb'[^,;\t\r\n"]+')
# A side in a language for which nobody uses Windows-1250 or -1254.
_WESTERN_SIDE = re.compile(
    rb"(?im)(?:^|[,;\t\"])(?:destr[ao]|venstre|links|rechts)(?=[,;\t\r\n\"]|$)"
    rb"|(?:^|[,;\t\" (])(?:gauche|droite?|izquierd[ao]|derech[ao]|sinistr[ao]|esquerd[ao]|direit[ao])"
    rb"(?=[,;\t\r\n\" )]|$)"
)


def decode(data: bytes, where: str) -> tuple[str, str]:
    """The text of a file called ``where``, and the name of its encoding ("" for plain ASCII).

    Raises:
        TableError: It is no text, or its encoding is ambiguous.
    """
    if data.isascii() and b"\0" not in data and b"\x1b" not in data:
        return data.decode("ascii"), ""
    if declared := _decode_declared(data, where):
        return declared
    cells = dict.fromkeys(cell for cell in _CELL.findall(data) if not cell.isascii())
    texts = _decode_all(list(cells)[:_MAX_CELLS])
    if _WESTERN_SIDE.search(data):
        texts = {name: found for name, found in texts.items() if name not in ("cp1250", "cp1254")}
    likely = find_encodings(texts)
    if len(likely) != 1:
        names = " or ".join(_NAMES[name] for name in likely)
        what = f"its letters may be {names}" if names else "the encoding of its letters is not sure"
        raise TableError(where, what, _SAVE)
    name = _NAMES[likely[0]]
    try:
        return data.decode(likely[0]).removeprefix("\ufeff"), name
    except UnicodeDecodeError:
        raise TableError(where, f"it is {name} in parts only", _SAVE) from None


def _decode_declared(data: bytes, where: str) -> tuple[str, str] | None:
    """Text that shows its encoding: by a byte order mark, the zeros of UTF-16, or escape sequences."""
    try:
        if data.startswith(b"\xef\xbb\xbf"):
            return data.decode("utf-8-sig"), "UTF-8"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return _refuse_control(data.decode("utf-16")), "UTF-16"
        if b"\0" in data:
            return _refuse_control(data.decode(_find_byte_order(data))), "UTF-16"
        if b"\x1b" in data:
            return _refuse_control(data.decode("iso2022_jp_ext")), "ISO-2022-JP"
    except (UnicodeDecodeError, LookupError):
        raise TableError(where, "it is no text, or damaged", _SAVE) from None
    return None


def _refuse_control(text: str) -> str:
    if re.search(r"[\0-\x08\x0e-\x1f]", text):
        raise LookupError
    return text


def _find_byte_order(data: bytes) -> str:
    # In UTF-16 without a mark, ASCII letters and line ends have a zero on one side only.
    high, low = data[0::2].count(0), data[1::2].count(0)
    if max(high, low) <= 4 * min(high, low):
        raise LookupError
    return "utf-16-be" if high > low else "utf-16-le"


def _decode_all(cells: Sequence[bytes]) -> dict[str, list[str]]:
    """The cells in every encoding that fits all of them."""
    texts: dict[str, list[str]] = {}
    for name in _NAMES:
        try:
            texts[name] = [unicodedata.normalize("NFC", cell.decode(name)) for cell in cells]
        except UnicodeDecodeError:
            continue
    return texts
