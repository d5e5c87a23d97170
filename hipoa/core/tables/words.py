"""The words of tables in several languages: sides, grades, yes and no, sexes, headings.

A word is read only where it has one meaning. Each ``read_`` function raises a ValueError whose text continues
after the column's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from hipoa.core.constants import ROMAN
from hipoa.core.identifiers import normalise


def _invert(words: Mapping[str, str]) -> dict[str, str]:
    """{word: meaning} of {meaning: its words, "_" standing for a blank within one}."""
    return {word.replace("_", " "): meaning for meaning, found in words.items() for word in found.split()}


# English, German, French, Spanish, Italian, Portuguese, Dutch, Nordic, Slavic, Japanese, Chinese, Korean.
_SIDES = _invert(
    {
        "L": "l lt left li links linke linken linker linkes gauche izq izda izquierda izquierdo sinistra "
        "sinistro sx sinister esquerda esquerdo venstre vänster vasen lewa lewy levá levý "
        "vlevo 左 왼쪽 좌 ひだり",
        "R": "r rt right re rechts rechte rechten rechter rechtes droit droite der dcha derecha derecho "
        "destra destro dx dex dexter direita direito højre høyre höger oikea prawa prawy pravá pravý "
        "vpravo 右 오른쪽 우 みぎ",
        "LR": "lr rl l/r r/l l+r r+l both bilateral beide beidseits bds bilatéral bilatérale ambos ambas "
        "両 両側 左右 双侧 양측",
    }
)
# In a longer text they may mean something else: German "der", English diagnosis and symptoms.
WEAK_SIDES = frozenset(["der", "dx", "sx"])
SIDE_WORDS = {side: [word for word, meant in _SIDES.items() if meant == side] for side in ("L", "R")}
"""The words for each side, in lower case."""
# Letters that stand for a side in one language, and for the other side or a number in the next.
_AMBIGUOUS_LETTERS = {
    "d": "droite, derecha or destra, or the class D",
    "g": "gauche, or a grade",
    "i": "izquierda, or the number 1",
    "s": "sinister or sinistra",
    "e": "esquerda or esquerra",
    "v": "venstre, or the number 5",
    "h": "höger or højre",
    "p": "prawa or pravá",
}
_HIP_OR_SIDE = re.compile(
    r"\b(hip|side|hip joint|hüfte|seite|hanche|côté|cadera|lado|anca|lato|heup)\b"
    "|股関節|髋关节|髋|髖|股|側|侧|측|边"
)
# A cross (×, ✗) means yes in Europe and no in Japan: it is read as neither.
_ANSWERS = _invert(
    {
        "yes": "1 yes y true x ja j oui si sí sim はい 有 あり ○ ◯ ✓ ✔ ☑ 是 예 wahr vrai verdadero vero",
        "no": "0 no n false nein non nee いいえ 無 なし 否 아니오 아니요 falsch faux falso",
    }
)
_SEXES = _invert(
    {
        "F": "f female w weiblich frau woman women femme féminin femenino mujer 女 女性 여 여성 여자 ♀",
        "M": "m h male männlich mann man men homme masculin masculino hombre 男 男性 남 남성 남자 ♂",
    }
)

LOWEST_GRADE = {"crowe": 1, "kl": 0}
HIGHEST_GRADE = 4
_INDICES = {
    "crowe": r"crowe|クロウ",
    "kl": r"k[-/& ]?l|kellgren(?:[-/& ]| and )*lawrence",
}
_ANY_INDEX = "|".join(
    [*_INDICES.values(), r"grades?|gr|grado?|type|typ|tipo|stages?|stadium|stade|classe?|グレード|分類"]
)
_GRADE = re.compile(
    rf"(?P<before>(?:(?:{_ANY_INDEX})[\s.:=_-]*)*)(?P<value>[0-9](?:[.,]0)?|i{{1,3}}|iv)\s*"
    r"(?:度|期|型|群|級|级|등급|급)?"
)
_NUMERALS = {numeral.lower(): grade for grade, numeral in ROMAN.items()}
_NUMBERS = re.compile(r"[0-9]+(?:[.,][0-9]+)?|\b(?:i{1,3}|iv)\b")

_HEADINGS = _invert(
    {
        "case_id": "case_id caseid 症例 症例番号 症例id",
        "patient_id": "patient_id patientid 患者id 患者番号",
        "ct": "ct ct_path ct_file ctファイル",
        "labels": "labels",
        "landmarks": "landmarks",
        "series": "series",
        "exclude": "exclude 除外",
        "sex": "sex gender 性別 性别 성별 geschlecht sexe sexo sesso",
        "age": "age 年齢 年龄 나이 alter âge edad età",
        "scanner": "scanner",
        "side": "side laterality 側 左右 患側 侧 侧别 側別 좌우 seite côté lado lato",
        "crowe": "crowe crowe_grade crowe_type crowe_class crowe_classification crowe分類 crowe分类 "
        "クロウ クロウ分類",
        "kl": "kl k-l k/l k&l kl_grade kl-grade k-l_grade k/l_grade kl分類 kl分级 k-l分類 klグレード "
        "kellgren-lawrence kellgren-lawrence_grade kellgren_lawrence kellgren_and_lawrence",
        "reader": "reader rater observer 読影者 評価者 判定者 阅片者 판독자",
        "date": "date 読影日 評価日 判定日 reading_date read_date",
    }
)
_OTHERS = _invert(
    {
        "side": "左側 右側 左侧 右侧 左股 右股 좌측 우측",
        "unit": "度 級 年 月 日 歳 岁",
        "landmark": "名前 大腿骨頭 左大腿骨頭 右大腿骨頭 左大腿骨頭中心 右大腿骨頭中心 左骨頭 右骨頭 "
        "左股関節 右股関節 左股関節中心 右股関節中心 左寛骨臼 右寛骨臼 左臼蓋 右臼蓋 "
        "左股骨头 右股骨头 左股骨頭 右股骨頭",
    }
)
VOCABULARY = frozenset(
    word for words in (_SIDES, _SEXES, _HEADINGS, _ANSWERS, _OTHERS) for word in words if not word.isascii()
)
"""Words by which the encoding of a table is recognised."""


def find_column(heading: str) -> str:
    """The column that a heading certainly means, such as ``side`` for 側; "" if none."""
    word = _simplify(heading)
    return _HEADINGS.get(word) or _HEADINGS.get(word.replace("_", " "), "")


def quote(text: str) -> str:
    """A cell in quotes and a blank, for a message; "" if it may be a name (in shifted columns) or an ID."""
    shown = len(text) <= 2 or re.fullmatch(r"[+-]?[0-9]{1,3}([.,][0-9]{1,2})?|#[A-Z0/]{1,8}[!?]?", text)
    return f'"{text}" ' if shown else ""


@lru_cache
def read_side(text: str) -> str:
    """The patient's side: "L" or "R"."""
    side = _find_side(text)
    if side in ("L", "R"):
        return side
    if side:
        raise ValueError(f"{quote(text)}is both sides: write a row for each")
    meanings = _AMBIGUOUS_LETTERS.get(_simplify(text))
    may_mean = f": it may mean {meanings}" if meanings else ""
    raise ValueError(f"{quote(text)}is neither L nor R (the patient's side){may_mean}")


@lru_cache
def read_exclusion(text: str) -> str:
    """The sides to leave out: "", "L", "R" or "LR"."""
    side = _find_side(text)
    if not side and _simplify(text):
        raise ValueError(f"{quote(text)}is none of L, R, both")
    return side


def _find_side(text: str) -> str:
    word = re.sub(r"[.()\[\]:,_]+", " ", _simplify(text))
    parts = _HIP_OR_SIDE.sub(" ", word).split()
    side = _SIDES.get(" ".join(word.split())) or _SIDES.get(" ".join(parts), "")
    of_parts = {_SIDES.get(part, "") for part in parts}
    return side or (of_parts.pop() if len(of_parts) == 1 else "")  # one side given twice, as in 右 (R)


def read_sex(text: str) -> str:
    """The patient's sex, "F" or "M"; "" where the text, such as a code, leaves it open."""
    return _SEXES.get(_simplify(text).rstrip("."), "")


@lru_cache
def read_yes(text: str) -> bool:
    """Yes or no; an empty cell is no."""
    word = _simplify(text).removesuffix(".0")
    if word and word not in _ANSWERS:
        raise ValueError(f"{quote(text)}is neither yes nor no")
    return _ANSWERS.get(word) == "yes"


@lru_cache
def read_grade(text: str, index: str) -> int | None:
    """A grade of "crowe" (1-4) or "kl" (0-4) as 2, II, KL2, 2度, Grade II or "KL: 2.0"; None if empty."""
    if not _simplify(text):
        return None
    grade, words = _parse_grade(text, index)
    other = "kl" if index == "crowe" else "crowe"
    if re.search(_INDICES[other], words):
        raise ValueError(f"{quote(text)}is a grade of {other}: columns may have shifted")
    return grade


def is_grade(text: str, index: str) -> bool:
    """Whether a cell holds a grade in the range of this index, even if it names the other index."""
    try:
        _parse_grade(text, index)
    except ValueError:
        return False
    return True


def _parse_grade(text: str, index: str) -> tuple[int, str]:
    """The grade, and the words before it."""
    word = _simplify(text)
    found = _GRADE.fullmatch(word)
    lowest = LOWEST_GRADE[index]
    value = -1 if found is None else _NUMERALS.get(found["value"]) or int(found["value"][0])
    if found is None or not lowest <= value <= HIGHEST_GRADE:
        several = ", it could mean several" if not found and len(_NUMBERS.findall(word)) > 1 else ""
        raise ValueError(f"{quote(text)}is not one of {lowest}-{HIGHEST_GRADE}{several}")
    return value, found["before"]


def _simplify(text: str) -> str:
    return normalise(text).casefold()
