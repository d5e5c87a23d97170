"""Interprets one heading of a spreadsheet of grades: patient, side, index, rater or date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hipoa.core.identifiers import normalise
from hipoa.core.tables.words import read_side

GRADES = {"crowe": "Crowe", "kl": "KL"}
KEYS = ("case", "accession", "patient")
NAMES = GRADES | {
    "case": "case_id",
    "accession": "accession number",
    "patient": "patient ID",
    "side": "side",
    "reader": "reader",
    "read_on": "reading date",
    "exam": "date of the CT",
}
"""The name of each role in messages."""

_INDEX_WORD = {
    index: re.compile(rf"(?<![a-z])(?:{pattern})(?:(?![a-z])|(?=grad))", re.IGNORECASE)
    for index, pattern in {
        "kl": r"kellgren\W*(?:and|und|et|y|e|&)?\W*lawrence|kellgren|k\s*[-/&.・]?\s*l|"
        r"ケルグレン(?:\W*ローレンス)?",
        "crowe": r"crowe|クロウ|クロー",
    }.items()
}
_NUMBER = r"(?:id|no|nr|num|number|nummer|code|番号|ナンバー|コード|号|编号|번호)"
# For each role, the most specific patterns first: of several columns of one role, the most specific counts.
# Matched with a heading in lower case without blanks and punctuation.
_ROLES: dict[str, Sequence[str]] = {
    "case": ("caseid",),
    "accession": (rf"accession{_NUMBER}?|acc{_NUMBER}|(?:検査|オーダー|受付|检查|검사|exam|order){_NUMBER}",),
    "patient": (
        rf"(?:(?:患者|病院|診察券|病歴|カルテ|住院|病案|환자|등록|병록|patients?|patienten|pat|pt|hospital|hosp|chart|mr|"
        rf"ur|medicalrecord){_NUMBER})+|"
        r"カルテ|mrn|pid|nip|ipp|nhc|no?(?:patient|dossier)",
        rf"id{_NUMBER}?",
        rf"(?:study|subject|participant|proband(?:en)?|case|研究|被験者|登録|症例){_NUMBER}|pseudonym|patient|患者",
    ),
    "side": (
        r"(?:hip)?side|sideofhip|laterality|lr|rl|rtlt|ltrt|(?:left|right){2}|左右別?|右左|側性?|侧别?|seite|"
        r"körperseite|côté|lado|lato|방향",
        # The grade beside it is of that hip.
        r"hip|affected(?:side|hip)|患側",
    ),
    "reader": (
        r"reader(?:name)?|rater|observer|grader|gradedby|readby|(?:読影|評価|判定|計測)者|読影医|befunder|"
        r"auswerter|lecteur|observateur|阅片者|评估者|판독자|평가자",
    ),
    "read_on": (
        r"(?:reading|read|grading)date|dateof(?:the)?(?:reading|grading)|date(?:read|graded)|"
        r"(?:読影|評価|判定)日|auswertedatum|阅片日期|판독일",
    ),
    "exam": (
        r"(?:date(?:of|du)?)?(?:the)?ct(?:date|datum|撮影日|撮像日|検査日|日)|date(?:of|du)(?:the)?ct|datumct|fechatc",
        r"(?:exam|examination|study|scan|acquisition)date|dateof(?:the)?(?:exam|examination|study|scan)|"
        r"(?:検査|撮影|撮像)日付?|untersuchungsdatum|aufnahmedatum|检查日期|검사일",
        r"date|日付|datum|fecha|data|日期|날짜",
    ),
}
# The format of cells: of a side, of a date, of a rater.
_FORMAT = re.compile(
    r"(?:r|l|rt|lt|re|li|right|left|右|左)(?:\s*(?:[/,|・=]|or)\s*(?:r|l|rt|lt|re|li|right|left|右|左))+|"
    r"[dmyjta]{1,4}(?:[-./ ]?[dmyjta]{1,4}){2}|initials",
    re.IGNORECASE,
)
# With one of these, a heading with Crowe or KL is not that of the grade of a hip.
_NO_GRADE = re.compile(
    r"knee|膝|ankle|足関節|remark|comment|note|date|datum|confiden|bemerkung|備考|コメント|メモ|日付|日$|备注|비고",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"[01i]\s*[-~]\s*(?:4|iv)\b|\b(?:grad(?:e|es|ing)?|class(?:ification)?|score|stage|type|typ|group|hips?|joint|"
    r"of|the|oa|osteoarthritis|side|ap|xp|x-?rays?|radiographs?|pre-?\s?op(?:erative)?|"
    r"klassifikation|hüfte|hanche|cadera)\b|"
    r"術前|単純x線|レントゲン|股関節|髋关节|고관절|股|髋|分類|グレード|等級|分级|分型|分期|病期|側|侧|度|型|级|期|등급",
    re.IGNORECASE,
)
_READER = re.compile(
    r"(?:(?<![a-z])(?:reader|rater|observer|grader|examiner|befunder|untersucher|auswerter|dr|prof)"
    r"(?![a-z])|(?:読影|評価|判定|計測|検)者|読影医)[\s.:]*(?P<after>[^\W_]+)|"
    r"(?P<before>[^\W_]+?)\s*(?:医師|先生)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """What one column holds."""

    at: int  # its index, from 0
    heading: str  # its text, of several rows joined
    role: str = ""  # a key of `NAMES`; "" for a column that is not used
    side: str = ""  # of a grade, if the heading names it, as is the reader
    reader: str = ""
    rank: int = 0  # how specific the heading is for the role; 0 is the most specific

    def __str__(self) -> str:
        """The heading and its interpretation."""
        side = {"L": ", left", "R": ", right"}.get(self.side, "")
        return f'"{self.heading}" ({NAMES[self.role]}{side}{self.reader and f", reader {self.reader}"})'


def parse_heading(text: str, at: int = 0) -> Column:
    """Interprets a heading.

    Raises:
        ValueError: It names Crowe or KL beside an unknown word, which may be another time or measure.
    """
    role, rank = _find_role(text)
    if role:
        return Column(at, text, role, rank=rank)
    indices = _find_indices(text)
    if not indices or _NO_GRADE.search(text):
        return Column(at, text)
    if len(indices) > 1:
        raise ValueError("names Crowe and KL at once")
    reader, sides, unknown = _split(text)
    if len(sides) > 1:
        raise ValueError("names both sides")
    if unknown:
        # Not guessed: a second time, another radiograph and a rater look alike.
        raise ValueError(f'says "{" ".join(unknown)}", which may be a reader, a time or another measure')
    return Column(at, text, indices.pop(), "".join(sides), reader)


def names_side(text: str) -> bool:
    """Whether a heading names a side."""
    return bool(_split(text)[1])


def is_about_grades(text: str) -> bool:
    """Whether a heading names an index, a side or a rater."""
    return bool(_find_indices(text) or _READER.search(text)) or names_side(text)


def _find_role(text: str) -> tuple[str, int]:
    """The role and its rank; brackets may repeat the role or hold the format, as in Side (R/L)."""
    whole = _look_up(text)
    found = re.fullmatch(r"(.+?)\s*[(\[](.+)[)\]]", normalise(text))
    if whole[0] or found is None:
        return whole
    bare, within = _look_up(found[1]), _look_up(found[2])
    return bare if _FORMAT.fullmatch(found[2]) or within[0] == bare[0] else whole


def _look_up(text: str) -> tuple[str, int]:
    word = re.sub(r"[\W_]+", "", normalise(text).casefold())
    for role, patterns in _ROLES.items():
        for rank, pattern in enumerate(patterns):
            if re.fullmatch(pattern, word):
                return role, rank
    return "", 0


def _find_indices(text: str) -> set[str]:
    text = _separate_sides(text)
    return {name for name, pattern in _INDEX_WORD.items() if pattern.search(text)}


def _separate_sides(text: str) -> str:
    """A heading with blanks around sides: RKL, KL右."""
    text = re.sub(r"(?<![a-z])([rl])(kl|crowe)(?![a-z])", r"\1 \2", normalise(text), flags=re.IGNORECASE)
    text = re.sub(r"(?<![a-z])(kl|crowe)([rl])(?![a-z])", r"\1 \2", text, flags=re.IGNORECASE)
    return re.sub(r"([左右])", r" \1 ", text.replace("_", " "))


def _split(text: str) -> tuple[str, set[str], list[str]]:
    """The rater and the sides in a heading, and its unknown words."""
    rest = _separate_sides(text)
    for pattern in _INDEX_WORD.values():
        rest = pattern.sub(" ", rest)
    found = _READER.search(rest)
    reader = "" if found is None else found["after"] or found["before"]
    rest = _FILLER.sub(" ", _READER.sub(" ", rest, count=1))
    sides: set[str] = set()
    unknown: list[str] = []
    # Latin letters, digits and other letters are separate words even without a blank between them.
    for word in re.findall(r"[A-Za-zÀ-ž]+|[0-9]+|[^\W\dA-Za-zÀ-ž]+|[<>=≥≤+%]+", rest):
        try:
            sides.add(read_side(word))
        except ValueError:
            unknown.append(word)
    return reader, sides, unknown
