"""Checks that the images of a folder are of one person and one examination.

What is compared is never part of a message.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from hipoa.core.errors import CtError

_PERSONAL = {"patient": "patient ID", "sex": "sex", "birth_date": "date of birth"}
# What anonymisers write for everyone identifies nobody.
_DUMMIES = {"ANON", "ANONYMOUS", "ANONYMIZED", "ANONYMISED", "ANONYM", "UNBEKANNT"} | {
    *("NONE", "NULL", "N/A", "UNKNOWN", "PATIENT", "TEST")
}


@dataclass(frozen=True)
class Identity:
    """The patient and examination of an image; empty where its header does not tell."""

    patient: str = ""  # patient ID, without leading zeros
    sex: str = ""  # "F", "M" or empty
    birth_date: str = ""  # date of birth, digits
    study: str = ""  # study instance UID
    study_date: str = ""  # study date
    # Frame of reference UID: images that share it were made without moving the patient in between.
    frame: str = ""
    # The words of the patient's name; none if there is a patient ID, which says more.
    name: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Identity:
        """From the texts of a header by keyword."""
        words = _split(tags.get("PatientID", ""))
        patient = " ".join(words).lstrip("0")
        known = patient.strip("0X-_. ") and patient not in _DUMMIES
        sex = tags.get("PatientSex", "").strip().upper()
        name = () if known else _split(tags.get("PatientName", ""))
        return cls(
            patient if known else "",
            sex if sex in ("F", "M") else "",
            re.sub(r"\D", "", tags.get("PatientBirthDate", "")).lstrip("0"),
            *(tags.get(key, "").strip() for key in ("StudyInstanceUID", "StudyDate", "FrameOfReferenceUID")),
            name=frozenset(name) - _DUMMIES - {""},
        )


def check_one_person(images: Iterable[Identity], where: str) -> None:
    """Refuses images that differ in patient ID, sex or date of birth, or, without an ID, in name.

    Raises:
        CtError: There are several people.
    """
    seen = set(images)
    given = {field: {getattr(one, field) for one in seen} - {""} for field in _PERSONAL}
    differ = [_PERSONAL[field] for field, values in given.items() if not _may_agree(field, values)]
    names = {one.name for one in seen if one.name}
    if any(not (one <= other or other <= one) for one, other in combinations(names, 2)):
        differ.append("name")
    if differ:
        found = f"it holds CTs of several people: they differ in {' and '.join(differ)}"
        raise CtError(where, found, "Give each patient a folder of its own.")


def _split(text: str) -> list[str]:
    return re.split(r"[\s^=,]+", unicodedata.normalize("NFKC", text).upper().strip(" \0^=,"))


def _may_agree(field: str, values: Set[str]) -> bool:
    # A hidden date of birth keeps its year, or the first of January.
    year_alone = field == "birth_date" and len({value[:4] for value in values}) == 1
    return sum(not (year_alone and value[4:] in ("", "0101")) for value in values) <= 1


def check_one_exam(
    candidates: Sequence[Identity], where: str, series: str = "", several: bool = False
) -> None:
    """Refuses series of several studies, because a grade belongs to one of them.

    Two studies of one date that share a frame of reference are one examination. Within a study another frame
    of reference may be another person, unless ID, sex and date of birth all say that it is the same one.

    Args:
        candidates: One of each series that may be read.
        where: The folder, for the message.
        series: The number or name that was given, if any.
        several: Whether more than one series has it.

    Raises:
        CtError: They are of several examinations, or may be of several people.
    """
    pairs = list(combinations(dict.fromkeys(candidates), 2))
    studies = any(_is_other_study(*pair) for pair in pairs)
    doubtful = [pair for pair in pairs if not _is_certainly_one(*pair)]
    if not studies and all(len({one.frame, other.frame} - {""}) < 2 for one, other in doubtful):
        return
    found = "several studies" if studies else "several frames of reference within a study"
    named = f"the CT series {series} are" if series else "its CT series are"
    people = "of one person or of several people" if doubtful else "all of one person"
    do = "Give each study a folder of its own."
    if not series:
        do = (
            "A grade belongs to one of them: name its folder, or its series by number "
            "(column series of the table, or --series)."
        )
    elif several:
        do = f"Name one of them ({series}a, {series}b ...), or give each study a folder of its own."
    raise CtError(where, f"{named} of {found}, {people}", do)


def _is_other_study(one: Identity, other: Identity) -> bool:
    dates = {one.study_date, other.study_date} - {""}
    if one.study == other.study:
        return len(dates) > 1
    # An unknown date cannot be the same one.
    same_day = one.study_date == other.study_date != ""
    return not (same_day and one.frame == other.frame != "")


def _is_certainly_one(one: Identity, other: Identity) -> bool:
    return all(getattr(one, field) == getattr(other, field) != "" for field in _PERSONAL)
