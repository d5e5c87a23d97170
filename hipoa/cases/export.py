"""What becomes of each study of an export: a case of the table, or set aside with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path

from hipoa.cases.index import Index
from hipoa.cases.overview import Found, describe_stack, list_others, list_stacks
from hipoa.cases.people import SHARED, check_person, doubt_person, parse_identity
from hipoa.cases.private import Private
from hipoa.cases.studies import Study, describe_study
from hipoa.cases.table import COLUMNS, Table, name_path
from hipoa.core.tables.sheet import parse_existing

UNWRITABLE = "its path cannot stand in a table: rename its folders"
_SEVERAL = "patients have several studies"
_IN_TABLE = "in the table"


def describe_export(index: Index, private: Private, table: Table, patients: Mapping[str, Set[str]]) -> Found:
    """Describes all studies, one by one: of a large export no more is in memory.

    Args:
        index: Of the export, all read.
        private: The key.
        table: Of cases, from whose folder paths count, and which patients of former exports stand in.
        patients: What the table calls each patient.
    """
    found = Found(others=index.count_others())
    shared, sexes = index.list_shared_studies(), table.find_sexes()
    # In the order of the pseudonyms: that of the hospital's numbers would say who came first.
    for person in sorted(index.list_people(), key=private.name_patient):
        studies = index.list_studies(person)
        patient = private.name_patient(person)
        known = (sexes.get(name, set()) for name in patients.get(patient, ()))
        doubt = _doubt(index, person, studies, set().union(*known))
        for study in studies:
            names = {"case_id": private.name_case(person, study), "patient_id": patient}
            described = describe_study(index, person, study)
            aside = doubt or (SHARED if study in shared else "") or described.aside
            _take(found, names, described, _write_path(described.ct, table.path), aside, check_person(person))
            found.overview += [names | row for row in list_others(index.count_others(person, study))]
        found.checks[_SEVERAL] += len(studies) > 1
    found.counts.update(files=index.count(), people=len(index.list_people()))
    found.overview += list_others(found.others)
    return found


def _doubt(index: Index, person: str, studies: list[str], sexes: Iterable[str]) -> str:
    identities = [parse_identity(text) for text in index.list_identities(person)]
    identities += [replace(identities[0], sex=sex) for sex in sexes]
    about = (texts for study in studies for texts in index.list_series(person, study).values())
    return doubt_person(person, identities, (json.loads(texts)["issuer"] for texts in about))


def _take(found: Found, names: dict[str, str], study: Study, ct: str, aside: str, check: str) -> None:
    aside = aside or ("" if ct else UNWRITABLE)
    checks = list(filter(None, [check, study.check]))
    if aside:
        found.aside[aside] += 1
    else:
        found.cases.append(_make_case(names, study, ct, checks))
        found.checks.update(checks)
    found.counts.update(studies=1, images=study.images, stacks=len(study.stacks))
    found.overview += [names | row for row in list_stacks(study, aside)]
    found.crosswalk.append(_identify(names, study, aside or _IN_TABLE))


def _make_case(names: dict[str, str], study: Study, ct: str, checks: list[str]) -> dict[str, str]:
    stack = study.stacks[0]
    acquired = stack.slices[0].acquired
    row = {
        "sex": acquired.sex,
        "age": acquired.age,
        "ct": ct,
        "series": study.series,
        "check": "; ".join(checks),
    }
    row["scanner"] = " ".join(dict.fromkeys(filter(None, (acquired.manufacturer, acquired.model))))
    of_stack = describe_stack(stack) | {"slices": str(len(stack.slices))}
    if not study.is_sure:  # which stack it will be is not known yet
        of_stack = {name: of_stack[name] for name in ("manufacturer", "model")}
    return dict.fromkeys(COLUMNS, "") | of_stack | row | names


def _identify(names: Mapping[str, str], study: Study, status: str) -> dict[str, str]:
    about = study.about
    return {
        **names,
        "hospital_patient_id": about.get("patient_id", ""),
        "issuer": about.get("issuer", ""),
        "accession": about.get("accession", ""),
        "study_date": about.get("study_date", ""),
        "status": status,
        "folder": str(study.place),
    }


def _write_path(path: Path, table: Path) -> str:
    """The cell of a path; empty if the table would not be read back to it."""
    cell = name_path(path, table)
    try:
        cell.encode()
        is_read = cell == " ".join(cell.splitlines()).strip() and parse_existing(table.parent, cell).samefile(
            path
        )
    except (ValueError, OSError):
        is_read = False
    return cell if is_read else ""
