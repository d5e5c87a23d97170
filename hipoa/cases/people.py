"""Identifies the patients of an export, and checks that one identifier does not stand for several people."""

from __future__ import annotations

import json
from collections.abc import Iterable

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
    """A JSON list of what identifies a patient: the ID, else name, birth date and sex, else study or series.

    The issuer of the ID does not count: many images lack it, and one person would become two.

    Returns:
        Empty if nothing is known.
    """
    known: list[str] = []
    if identity.patient:
        known = ["ID", identity.patient]
    elif identity.name:
        known = ["name", *sorted(identity.name), identity.birth_date, identity.sex]
    elif identity.study or series:
        known = ["study", identity.study or series]
    return json.dumps(known) if known else ""


def doubt_person(person: str, identities: Iterable[Identity], issuers: Iterable[str]) -> str:
    """Why the files of a person, as `name_person` names one, may be several people's; empty if not."""
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
    """What the user should check about how a person is identified; empty if by an ID, or by nothing."""
    return _CHECKS.get(json.loads(person)[0], "") if person else ""


def parse_identity(text: str) -> Identity:
    """An identity from its JSON in the index."""
    fields = json.loads(text)
    return Identity(**fields | {"name": frozenset(fields["name"])})
