"""Scores how much sense a few letters make in each encoding."""
# ruff: noqa: RUF001 - other languages' letters are meant

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence, Set

from hipoa.core.tables.words import VOCABULARY

# Letters of languages that are written in these encodings; a word holds those of one language.
_WESTERN = "äöüß àâæçéèêëîïôœùûüÿ áéíóúñü àèéìòóù ãáâàçéêíóõôú åäöé æøåéóö éèëïöüáíó áðéíóúýþæö"
_EASTERN = "áčďéěíňóřšťúůýž áäčďéíľňóôšťúýž ąćęłńóśźż čćđšž áéíóöőúüű äöüß ăâîșțşţ"
_TURKISH = "çğıiöşüâîû"
_ALPHABETS = {
    "cp1252": _WESTERN,
    "mac_roman": _WESTERN,
    "cp850": _WESTERN,
    "cp1250": _EASTERN,
    "cp852": _EASTERN,
    "cp1254": _TURKISH,
    "cp857": _TURKISH,
}
# Of old programs: not meant where an encoding of Windows makes as much sense.
_RARE = ("cp852", "cp857")
# Letters that stand beside each other in no language: they come from another encoding.
_IMPOSSIBLE_PAIR = re.compile("ń[aeiouyóąę]|řr|rř|ľ[eií]|õ(?!e)|ã(?![oes]|$)|(?<![aeiouyäöü])ß")
_SIGNS = re.compile(
    r"(?<![^\W\d_])[°±µ²³½×·§€£–—«„“‘](?![^\W\d_])|(?<=[0-9 ])[°µ]|(?<=m)[²³]"
    r"|(?<!\w)[«„“‘¿¡](?=\w)|(?<=\w)[»”“’…](?!\w)"
)
_CLEAR_SIGN = re.compile(
    r"(?<=[0-9 ])[°±µ²³½–—…](?=[ ,.;:)0-9CF]|$)|“[^”]+”|(?<=[A-Za-z])’(?=[a-z])|(?<!\w)[¿¡](?=\w)"
)
_APOSTROPHE = re.compile(r"(?<=[A-Za-z])’(?=[A-Za-z])")
# Frequent characters of names and of such tables; for Korean, of the tables.
_USUAL = {
    "ja": "左右側患者症例番号性別男女年月日歳齢装置読影評価判定施設病院整形外科放射線医師備考除外部内名前佐"
    "藤鈴木高橋田中伊渡辺山本村小林加吉川口松井上清水斎崎森池阿石前岡後長谷近坂遠青西福太三浦原野竹和"
    "金今島土平大塚安東宮河菊丸増沼久保新古市杉内永武荒関秋広片桐岩成柴黒白星早工千葉横矢堀服樋菅飯馬"
    "桜望月一二四五六八郎子美香恵智由紀和明正雄夫人介真健康博之弘隆信義孝幸樹大翔陽太優結衣奈々希彩花"
    "愛",
    "zh": "左右侧側患者病例号號性别別男女年月日岁歲龄齡医醫生读讀片评評分级級髋髖股骨备備注姓名院科",
    "ko": "좌우왼쪽오른측환자번호성별남여자나이세의사판독비고병원등급",
}
# A cell of two to four characters that begins with a surname is a name.
_SURNAMES = {
    "zh": "王李张張刘劉陈陳杨楊黄赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖"
    "蕭萧田董袁潘于蒋蔣蔡余杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔钟鐘鍾谭譚陆陸汪范廖石金韦韋贾賈夏付方白"
    "邹鄒孟熊秦邱江尹薛闫段雷侯龙龍史陶黎贺賀顾顧毛郝龚龔邵万萬钱錢严嚴覃武戴莫孔向汤湯温康施洪赖賴庄"
    "莊柯翁游詹简簡欧歐司",
    "ko": "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지엄채원천방공"
    "현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국",
}
_CJK = {"cp932": "ja", "euc_jp": "ja", "gb18030": "zh", "big5": "zh", "cp949": "ko"}
# Log-likelihood ratios of the right encoding against another, roughly; the best score must reach the
# threshold and lead by as much.
_KNOWN_WORD, _WESTERN_WORD, _SHIFT_JIS_BYTE = 4.6, 5.0, 3.0
_NAME, _NO_NAME = 3.1, -1.6
_FREQUENT, _OTHER, _EXTENSION, _KANA_CHARACTER = 1.8, -0.8, -3.0, 0.5
_THRESHOLD = 4.0
_IMPOSSIBLE = float("-inf")
_NEUTRAL = re.compile("[\u0000-\u007f\u2160-\u217f\u3000-\u303f\uff01-\uff60○×◎△]+")
_PLAIN_LETTERS = re.compile(r"[\0-\x7fÀ-ÖØ-öø-ſȘ-țͰ-ϿЀ-ӿא-תء-ي]*")
_KANA = re.compile("[\u3041-\u30ff々]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_ANY_KANA = re.compile(f"{_KANA.pattern}|{_HALF_WIDTH.pattern}")
_HALF_WIDTH_WORD = re.compile(  # voicing marks, small kana and long vowels only where they may stand
    "(?:(?:[ｷｼﾁﾆﾋﾐﾘ][ﾞﾟ]?[ｬｭｮ]|[ｳｶ-ﾄﾊ-ﾎ]ﾞ|[ﾊ-ﾎ]ﾟ|[ｱ-ﾝ])[ｯｰ]?){2,}"
)
_FULL_WIDTH = re.compile("[\0-\x7fⅠ-Ⅳ０-９Ａ-Ｚａ-ｚ○]*")
_BASIC_PART = {"gb18030": "gb2312", "cp949": "euc_kr"}


def find_encodings(texts: Mapping[str, list[str]]) -> list[str]:
    """The encodings that may be meant, given the cells in each; a single one where it is certain."""
    others = {name: cells for name, cells in texts.items() if name != "utf-8"}
    if "utf-8" not in texts:
        return _find_likely(others)
    odd = _find_odd_letters(texts["utf-8"])
    if not odd:
        return ["utf-8"]
    east_asian = [name for name in others if name in _CJK] if max(odd) > "\u017f" else []
    return ["utf-8", *(_find_likely(others) or east_asian)]


def _find_odd_letters(cells: Sequence[str]) -> set[str]:
    """Letters that may be valid UTF-8 by chance: a few of two bytes that nobody writes alone."""
    letters = set(re.sub("[\0-\x7f]", "", "".join(cells)))
    by_chance = 0 < len(letters) <= 3 and max(letters) < "\u0800" and not all(map(_is_plain, cells))
    return letters if by_chance else set()


def _is_plain(cell: str) -> bool:
    alone = re.fullmatch(r"\s*[À-ſ]\s*", cell)
    return _PLAIN_LETTERS.fullmatch(_drop_signs(cell)) is not None and not alone


def _drop_signs(text: str) -> str:
    return _APOSTROPHE.sub("", _SIGNS.sub("", text))


def _find_likely(texts: Mapping[str, list[str]]) -> list[str]:
    scores = {name: _score(name, cells) for name, cells in texts.items()}
    best = max(scores.values(), default=_IMPOSSIBLE)
    if best < _THRESHOLD:
        return []
    close = [name for name in scores if scores[name] > best - _THRESHOLD]
    if any(name.startswith("cp125") for name in close):
        close = [name for name in close if name not in _RARE]
    # Encodings that give the same text count as one.
    distinct = {tuple(texts[name]): name for name in reversed(close)}
    return sorted(distinct.values(), key=list(texts).index)


def _score(name: str, cells: Sequence[str]) -> float:
    if name in _CJK:
        score = _score_characters(name, {cell.strip() for cell in cells})
        return score + _SHIFT_JIS_BYTE * (name == "cp932" and any(map(_starts_in_shift_jis, cells)))
    left = list(map(_drop_signs, cells))
    words = {word for cell in left for word in re.findall(r"[^\W\d_]+", cell) if not word.isascii()}
    letters = {unicodedata.category(char) for char in set("".join(left)) if not char.isascii()}
    if letters - {"Lu", "Ll", "Lo"} or not all(_is_likely(word, _ALPHABETS[name]) for word in words):
        return _IMPOSSIBLE
    return _WESTERN_WORD * (sum(len(word) > 2 for word in words) + any(map(_CLEAR_SIGN.search, cells)))


def _is_likely(word: str, alphabets: str) -> bool:
    """Whether a word has the letters of one language, most of them ASCII, and capitals in usual places."""
    accented = {char for char in word.lower() if not char.isascii()} - {"\u0307"}  # İ in lower case
    mostly_plain = sum(map(str.isascii, word)) * 2 >= len(word)
    parts = re.split(r"(?<=[a-z])(?=[A-Z])", word)  # as McDonald
    usual_case = all(part.islower() or part.isupper() or part.istitle() for part in parts)
    known = any(accented <= set(alphabet) for alphabet in alphabets.split())
    return mostly_plain and usual_case and known and not _IMPOSSIBLE_PAIR.search(word.lower())


def _starts_in_shift_jis(cell: str) -> bool:
    """Whether the first letter's lead byte is that of Shift JIS alone."""
    letter = re.search("[^\0-\x7f]", cell)
    return letter is not None and b"\x81" <= letter[0].encode("cp932", "replace")[:1] <= b"\x9f"


def _score_characters(name: str, cells: Set[str]) -> float:
    language = _CJK[name]
    chars = set(_NEUTRAL.sub("", "".join(cells)))
    foreign = language != "ja" and any(map(_KANA.match, chars))
    if foreign or not _is_half_width_kana(cells, chars):
        return _IMPOSSIBLE
    if not chars:
        return _THRESHOLD * all(map(_FULL_WIDTH.fullmatch, cells))
    known = cells & VOCABULARY
    names = {
        cell for cell in cells - known if language != "ja" and 2 <= len(cell) <= 4 and min(cell) > "\u3400"
    }
    rest = set(_NEUTRAL.sub("", "".join(cells - known - names)))
    basic = _BASIC_PART.get(name, name)
    frequent = _USUAL[language] + "ﾞﾟ"  # voicing marks in words, as _is_half_width_kana has checked
    return (
        _KNOWN_WORD * len(known)
        + sum(_NAME if cell[0] in _SURNAMES[language] else _NO_NAME for cell in names)
        + _EXTENSION * sum(not char.encode(basic, "ignore") for char in chars)
        + sum(
            _FREQUENT if char in frequent else _KANA_CHARACTER if _ANY_KANA.match(char) else _OTHER
            for char in rest
        )
    )


def _is_half_width_kana(cells: Set[str], chars: Set[str]) -> bool:
    """Whether half-width kana spell words; on their own, only with a voicing mark."""
    # Bytes of other encodings look like them.
    words = {word for cell in cells for word in cell.split() if _HALF_WIDTH.search(word)}
    proven = not words or not chars.isdisjoint("ﾞﾟ") or not all(map(_HALF_WIDTH.fullmatch, chars))
    return proven and all(map(_HALF_WIDTH_WORD.fullmatch, words))
