"""Words of tables: sides, grades, yes and no, headings, as people of several languages write them.

A word counts only if it can mean one thing. Standard library only: the Snakefile imports this module from a
bare Snakemake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from hipoa.core.identifiers import normalise

# A table of 100 000 rows has few words.
_KEPT = 256


def _spread(rows: Mapping[str, str]) -> dict[str, str]:
    """{word: meaning} of {meaning: words in one text, with "_" for a blank}."""
    return {word.replace("_", " "): meaning for meaning, words in rows.items() for word in words.split()}


# English, German, French, Spanish, Italian, Portuguese, Dutch, Nordic, Slavic, Japanese, Chinese, Korean.
_SIDES = _spread(
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
# Of a longer text they may be another thing: German "der", English diagnosis and symptoms.
WEAK_SIDES = frozenset(["der", "dx", "sx"])
SIDE_WORDS = {side: [word for word, meant in _SIDES.items() if meant == side] for side in ("L", "R")}
"""How each side is written, in small letters."""
# A letter that is a side in one language and another, or a number, in the next.
_DOUBTFUL = {
    "d": "droite, derecha or destra, or the class D",
    "g": "gauche, or a grade",
    "i": "izquierda, or the number 1",
    "s": "sinister or sinistra",
    "e": "esquerda or esquerra",
    "v": "venstre, or the number 5",
    "h": "höger or højre",
    "p": "prawa or pravá",
}
_OF_A_SIDE = re.compile(
    r"\b(hip|side|hip joint|hüfte|seite|hanche|côté|cadera|lado|anca|lato|heup)\b"
    "|股関節|髋关节|髋|髖|股|側|侧|측|边"
)
# A cross of its own (×, ✗) is a yes here and a no in Japan: it is neither.
_ANSWERS = _spread(
    {
        "yes": "1 yes y true x ja j oui si sí sim はい 有 あり ○ ◯ ✓ ✔ ☑ 是 예 wahr vrai verdadero vero",
        "no": "0 no n false nein non nee いいえ 無 なし 否 아니오 아니요 falsch faux falso",
    }
)
_SEXES = _spread(
    {
        "F": "f female w weiblich frau woman women femme féminin femenino mujer 女 女性 여 여성 여자 ♀",
        "M": "m h male männlich mann man men homme masculin masculino hombre 男 男性 남 남성 남자 ♂",
    }
)

_INDICES = {
    "crowe": r"crowe|クロウ",
    "kl": r"k[-/& ]?l|kellgren(?:[-/& ]| and )*lawrence",
    "": r"grades?|gr|grado?|type|typ|tipo|stages?|stadium|stade|classe?|グレード|分類",
}
_ANY_INDEX = "|".join(_INDICES.values())
_GRADE = re.compile(
    rf"(?P<before>(?:(?:{_ANY_INDEX})[\s.:=_-]*)*)(?P<value>[0-9](?:[.,]0)?|i{{1,3}}|iv)\s*"
    r"(?:度|期|型|群|級|级|등급|급)?"
)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_NUMBERS = re.compile(r"[0-9]+(?:[.,][0-9]+)?|\b(?:i{1,3}|iv)\b")

_HEADINGS = _spread(
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
_OTHER = _spread(
    {
        "side": "左側 右側 左侧 右侧 左股 右股 좌측 우측",
        "unit": "度 級 年 月 日 歳 岁",
        "landmark": "名前 大腿骨頭 左大腿骨頭 右大腿骨頭 左大腿骨頭中心 右大腿骨頭中心 左骨頭 右骨頭 "
        "左股関節 右股関節 左股関節中心 右股関節中心 左寛骨臼 右寛骨臼 左臼蓋 右臼蓋 "
        "左股骨头 右股骨头 左股骨頭 右股骨頭",
    }
)
VOCABULARY = frozenset(
    word for words in (_SIDES, _SEXES, _HEADINGS, _ANSWERS, _OTHER) for word in words if not word.isascii()
)
"""Words that tell in which encoding a table is written."""


def simplify(text: str) -> str:
    """A cell in its one spelling: usual width (NFKC), small letters, single blanks."""
    return normalise(text).casefold()


def find_column(heading: str) -> str:
    """The column that a heading surely means, such as ``side`` of 側; "" if none."""
    word = simplify(heading)
    return _HEADINGS.get(word) or _HEADINGS.get(word.replace("_", " "), "")


@lru_cache(maxsize=_KEPT)
def read_side(text: str) -> str:
    """The patient's side: "L" or "R".

    Raises:
        ValueError: It is neither, both, or could mean either.
    """
    side = _find_side(text)
    if side not in ("L", "R"):
        raise ValueError("is both sides: write a row for each" if side else _doubt_side(text))
    return side


@lru_cache(maxsize=_KEPT)
def read_exclusion(text: str) -> str:
    """The sides to leave out: "", "L", "R" or "LR".

    Raises:
        ValueError: It is none of these.
    """
    side = _find_side(text)
    if not side and simplify(text):
        raise ValueError("is none of L, R, both")
    return side


def _find_side(text: str) -> str:
    word = re.sub(r"[.()\[\]:,_]+", " ", simplify(text))
    bare = _OF_A_SIDE.sub(" ", word).split()
    side = _SIDES.get(" ".join(word.split())) or _SIDES.get(" ".join(bare), "")
    said = {_SIDES.get(one, "") for one in bare}
    return side or (said.pop() if len(said) == 1 else "")  # one side said twice, as in 右 (R)


def _doubt_side(text: str) -> str:
    meant = _DOUBTFUL.get(simplify(text))
    return "is neither L nor R (the patient's side)" + (f": it may mean {meant}" if meant else "")


def read_sex(text: str) -> str:
    """F or "M" of a patient; empty where a text, such as a number, says neither for sure."""
    return _SEXES.get(simplify(text).rstrip("."), "")


@lru_cache(maxsize=_KEPT)
def read_yes(text: str) -> bool:
    """Yes or no; an empty cell is no.

    Raises:
        ValueError: It is neither.
    """
    word = re.sub(r"\.0$", "", simplify(text))
    if word and word not in _ANSWERS:
        raise ValueError("is neither yes nor no")
    return _ANSWERS.get(word) == "yes"


@lru_cache(maxsize=_KEPT)
def read_grade(text: str, low: int, high: int, index: str = "") -> int:
    """A grade such as 2, II, Ⅱ, KL2, 2度, Grade II or "KL: 2.0".

    Args:
        text: The cell.
        low: The lowest grade.
        high: The highest.
        index: "crowe" or "kl": a grade that names the other one is refused.

    Raises:
        ValueError: It is none, out of range, of the other index, or could mean two.
    """
    word = simplify(text)
    found = _GRADE.fullmatch(word)
    if found is None:
        several = len(_NUMBERS.findall(word)) > 1
        raise ValueError(f"is not one of {low}-{high}{', it could mean several' if several else ''}")
    other = next((name for name in ("crowe", "kl") if index not in ("", name) and _names(found, name)), "")
    if other:
        raise ValueError(f"is a grade of {other}: columns may have slipped")
    value = _ROMAN.get(found["value"]) or int(found["value"][0])
    if not low <= value <= high:
        raise ValueError(f"is not one of {low}-{high}")
    return value


def _names(found: re.Match[str], index: str) -> bool:
    return re.search(_INDICES[index], found["before"]) is not None
