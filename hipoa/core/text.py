"""The text of a file whose encoding nobody wrote down: read where it is sure, else refused, never garbled.

A table holds few letters beyond ASCII, mostly in names, sides and headings: too few for statistics. So every
encoding that fits is tried, and one is taken only if its text alone makes sense. No library that guesses is
asked: another version of it could read a table in another way when the workflow is planned and when it runs.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""
# ruff: noqa: RUF001 - other languages' letters are meant

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence, Set

from hipoa.core.words import VOCABULARY
from hipoa.errors import TableError

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
}
SAVE = 'Save it as "CSV UTF-8" or as an Excel workbook (.xlsx).'

# Letters of languages that are written in these encodings; a word holds those of one language.
_WESTERN = "äöüß àâæçéèêëîïôœùûüÿ áéíóúñü àèéìòóù ãáâàçéêíóõôú åäöé æøåéóö éèëïöüáíó áðéíóúýþæö"
_ALPHABETS = {
    "cp1252": _WESTERN,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp1250": "áčďéěíňóřšťúůýž áäčďéíľňóôšťúýž ąćęłńóśźż čćđšž áéíóöőúüű äöüß ăâîșțşţ",
    "cp1254": "çğıiöşüâîû",
}
# What no language writes: what looks so is another letter of another encoding.
_NEVER = re.compile("ń[aeiouyóąę]|řr|rř|õ(?!e)|ã(?![oes]|$)|(?<![aeiouyäöü])ß")
_SIGNS = re.compile(
    r"(?<![^\W\d_])[°±µ²³½×·§€£–—«„“‘](?![^\W\d_])|(?<=[0-9 ])[°µ]|(?<!\w)[«„“‘](?=\w)|(?<=\w)[»”“’…](?!\w)"
)
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])’(?=[A-Za-z])")
# The usual characters of names and of such tables, and of Korean the usual syllables of names.
_USUAL = {
    "ja": "左右側患者症例番号性別男女年月日歳齢装置読影評価判定施設病院整形外科放射線医師備考除外部内名前佐"
    "藤鈴木高橋田中伊渡辺山本村小林加吉川口松井上清水斎崎森池阿石前岡後長谷近坂遠青西福太三浦原野竹和"
    "金今島土平大塚安東宮河菊丸増沼久保新古市杉内永武荒関秋広片桐岩成柴黒白星早工千葉横矢堀服樋菅飯馬"
    "桜望月一二四五六八郎子美香恵智由紀和明正雄夫人介真健康博之弘隆信義孝幸樹大翔陽太優結衣奈々希彩花"
    "愛",
    "zh": "左右侧側患者病例号號性别別男女年月日岁歲龄齡医醫生读讀片评評分级級髋髖股骨备備注姓名院科",
    "ko": "좌우왼쪽오른측환자번호성별남여자나이세의사판독비고병원등급",
}
# A cell of two to four characters that begins with one of these is a name.
_SURNAMES = {
    "ja": "",
    "zh": "王李张張刘劉陈陳杨楊黄赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖"
    "蕭萧田董袁潘于蒋蔣蔡余杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔钟鐘鍾谭譚陆陸汪范廖石金韦韋贾賈夏付方白"
    "邹鄒孟熊秦邱江尹薛闫段雷侯龙龍史陶黎贺賀顾顧毛郝龚龔邵万萬钱錢严嚴覃武戴莫孔向汤湯温康施洪赖賴庄"
    "莊柯翁游詹简簡欧歐司",
    "ko": "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지엄채원천방공"
    "현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국",
}
_CJK = {"cp932": "ja", "euc_jp": "ja", "gb18030": "zh", "big5": "zh", "cp949": "ko"}
_SURE, _UNLIKELY = 0.5, 0.35
_CELLS = 2000
# No encoding has these bytes within a character.
_LETTER_BYTES = re.compile(rb'[^,;\t\r\n"]*[\x80-\xff][^,;\t\r\n"]*')
# A side in a language that no one writes in Windows-1250 or -1254.
_WESTERN_SIDE = re.compile(
    rb"(?im)(?:^|[,;\t\"])(?:gauche|droite?|izquierd[ao]|derech[ao]|sinistr[ao]|destr[ao]|esquerd[ao]|direit[ao]"
    rb"|venstre|links|rechts)(?=[,;\t\r\n\"]|$)"
)
_NEUTRAL = re.compile("[\u0000-\u007f\u2160-\u217f\u3000-\u303f\uff01-\uff60○×◎△]+")
_PLAIN_LETTERS = re.compile(r"[\0-\x7fÀ-ÖØ-öø-ʯͰ-ϿЀ-ӿא-תء-ي]*")
_KANA = re.compile("[\u3041-\u30ff々]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_HALF_WIDTH_WORD = re.compile("(?:(?:[ｳｶ-ﾄﾊ-ﾎ]ﾞ|[ﾊ-ﾎ]ﾟ|[ｱ-ﾝ])[ｧ-ｯ]?ｰ?){2,}")


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
    cells = list(dict.fromkeys(_LETTER_BYTES.findall(data)))[:_CELLS]
    readings = _read_all(cells)
    if _WESTERN_SIDE.search(data):
        readings = {name: texts for name, texts in readings.items() if name not in ("cp1250", "cp1254")}
    found = _choose(readings)
    if len(found) != 1:
        names = " or ".join(_NAMES[name] for name in found)
        what = f"its letters may be {names}" if names else "its letters are in an encoding that is not known"
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
        if re.search(rb"\x1b(\$[@B]|\([BJI])", data):
            return data.decode("iso2022_jp_ext"), "ISO-2022-JP"
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


def _choose(readings: Mapping[str, list[str]]) -> list[str]:
    """The encodings that may be meant; one alone where it is sure."""
    others = {name: texts for name, texts in readings.items() if name != "utf-8"}
    if "utf-8" in readings:
        return ["utf-8", *(_find_likely(others) if _is_chance(readings["utf-8"]) else [])]
    return _find_likely(others)


def _is_chance(texts: Sequence[str]) -> bool:
    """Whether a text may fit UTF-8 by chance: a few signs of two bytes that no one writes."""
    letters = set(re.sub("[\0-\x7f]", "", "".join(texts)))
    odd = not all(map(_PLAIN_LETTERS.fullmatch, texts)) and any(map(_has_odd_sign, texts))
    return len(letters) <= 3 and max(letters) < "\u0800" and odd


def _find_likely(readings: Mapping[str, list[str]]) -> list[str]:
    judged = {name: _judge(name, texts) for name, texts in readings.items()}
    likely = [name for name in judged if judged[name] > _UNLIKELY]
    # A cell that is a whole word of such tables is no chance.
    spoken = [name for name in likely if not VOCABULARY.isdisjoint(map(str.strip, readings[name]))]
    # Encodings that give the same text are one.
    kept = {tuple(readings[name]): name for name in reversed(spoken or likely)}
    unsure = len(kept) == 1 and judged[next(iter(kept.values()))] < _SURE
    return [] if unsure else sorted(kept.values(), key=list(_NAMES).index)


def _judge(name: str, texts: Sequence[str]) -> float:
    """How much of the cells makes sense in this encoding, 0-1."""
    if name in _CJK:
        return _judge_characters(_CJK[name], texts)
    if any(map(_has_odd_sign, texts)):
        return 0.0
    words = {word for text in texts for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()}
    likely = all(_is_likely(word, _ALPHABETS[name]) for word in words)
    return float(likely and (not words or any(len(word) > 2 for word in words)))


def _has_odd_sign(text: str) -> bool:
    left = _APOSTROPHE.sub("", _SIGNS.sub("", text))
    return any(not char.isascii() and unicodedata.category(char) not in ("Lu", "Ll", "Lo") for char in left)


def _is_likely(word: str, alphabets: str) -> bool:
    """Whether a word has letters of one language, mostly plain ones, and capitals where words have them."""
    own = {char for char in word.lower() if not char.isascii()}
    mostly_plain = sum(map(str.isascii, word)) * 2 >= len(word)
    parts = re.split(r"(?<=[a-z])(?=[A-Z])", word)  # as McDonald
    in_case = all(part.islower() or part.isupper() or part.istitle() for part in parts)
    known = any(own <= set(alphabet) for alphabet in alphabets.split())
    return mostly_plain and in_case and known and not _NEVER.search(word.lower())


def _judge_characters(language: str, texts: Sequence[str]) -> float:
    """The share of characters that are usual in the language."""
    cells = {text.strip() for text in texts}
    chars = set(_NEUTRAL.sub("", "".join(cells)))
    if not _is_half_width_sound(cells, chars):
        return 0.0
    kana = f"{_KANA.pattern}|{_HALF_WIDTH.pattern}" if language == "ja" else "(?!)"
    known = {char for char in chars if char in _USUAL[language] or re.fullmatch(kana, char)}
    whole = {cell for cell in cells if cell in VOCABULARY or _is_name(cell, language)}
    if len(chars) == 1 and not whole:  # no proof
        return 0.0
    return len(chars & known.union(*whole)) / len(chars) if chars else 1.0


def _is_half_width_sound(cells: Set[str], chars: Set[str]) -> bool:
    """Whether half-width kana spell words; alone, only with a voiced one."""
    # Bytes of other encodings look like them.
    words = {word for cell in cells for word in cell.split() if _HALF_WIDTH.search(word)}
    proven = not words or not chars.isdisjoint("ﾞﾟ") or not all(map(_HALF_WIDTH.fullmatch, chars))
    return proven and all(map(_HALF_WIDTH_WORD.fullmatch, words))


def _is_name(cell: str, language: str) -> bool:
    return 2 <= len(cell) <= 4 and cell[0] in _SURNAMES[language] and all(char > "\u3400" for char in cell)
