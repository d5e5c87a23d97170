"""Who the people of an export are, and whether one name may stand for two of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom.identity import Identity, check_one_person

SEVERAL = "one patient ID for several people: they differ in sex or date of birth"
ISSUERS = "one patient ID of several issuers, perhaps of several people: make a table of each hospital"
SHARED = "one study for several people"
NOBODY = "neither patient nor study nor series is named"
_CHECKS = {
    "name": "no patient ID: known by name, date of birth and sex",
    "study": "neither patient ID nor name: counted as a person of its own",
}


def name_person(identity: Identity, series: str) -> str:
    """What a patient is known by: the ID, else name, date of birth and sex, else the study or series alone.

    The issuer of an ID is no part of it: many images lack it, and one person would become two.

    Args:
        identity: What a header says.
        series: The series' identifier.

    Returns:
        A JSON list; empty for whom nothing at all is known.
    """
    if identity.patient:
        known = ["ID", identity.patient]
    elif identity.name:
        known = ["name", *sorted(identity.name), identity.birth_date, identity.sex]
    elif identity.study or series:
        known = ["study", identity.study or series]
    else:
        known = []
    return json.dumps(known) if known else ""


def doubt_person(person: str, identities: Iterable[Identity], issuers: Iterable[str]) -> str:
    """Why a person's studies cannot be taken for one person's; empty where they can.

    Args:
        person: As `name_person` names it.
        identities: What the headers of all files say.
        issuers: Of the ID.
    """
    if not person:
        return NOBODY
    found = set(identities)
    try:
        check_one_person(found, "")
    except CtError:
        return SEVERAL
    is_certain = all(len({getattr(one, name) for one in found} - {""}) == 1 for name in ("sex", "birth_date"))
    return ISSUERS if len(set(issuers) - {""}) > 1 and not is_certain else ""


def check_person(person: str) -> str:
    """What a user should look at of how a person is known; empty where there is an ID, or nothing at all."""
    return _CHECKS.get(json.loads(person)[0], "") if person else ""


def parse_identity(text: str) -> Identity:
    """An identity from its JSON."""
    fields: Mapping[str, str] = json.loads(text)
    return Identity(**{**fields, "name": frozenset(fields["name"])})  # pyright: ignore[reportArgumentType]
