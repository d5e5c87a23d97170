"""What becomes of each study of an export: a case of the table, or set aside with a reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from hipoa.cases.index import Export, Index, sort_counts
from hipoa.cases.people import SHARED, check_person, doubt_person, parse_identity
from hipoa.cases.private import Private
from hipoa.cases.studies import Study, describe_study
from hipoa.cases.table import COLUMNS, Table, read_rows
from hipoa.core.files import write_csv
from hipoa.core.tables.sheet import parse_existing
from hipoa.imaging.ct.dicom.stacks import Stack

OVERVIEW_COLUMNS = (
    *("case_id", "patient_id", "what", "series", "images", "step_mm", "extent_mm"),
    *("manufacturer", "model", "kernel", "kv", "status"),
)
UNWRITABLE = "its path cannot stand in a table: rename its folders"
_TAKEN = "in the table"
_NO_STACK = "images of CT in no stack: too few, uneven, or copies"


@dataclass
class Found:
    """Rows of three tables, and counts: of files without CT images, and of what the user should check."""

    cases: list[dict[str, str]] = field(default_factory=list)
    crosswalk: list[dict[str, str]] = field(default_factory=list)
    overview: list[dict[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)


def describe_export(
    index: Index, export: Export, private: Private, table: Table, patients: Mapping[str, Set[str]]
) -> Found:
    """Describes all studies, person by person; ``patients`` are the patient_ids in the table by pseudonym."""
    found = Found(others=Counter(entry.other for entry in export.entries if entry.other))
    shared, sexes = export.list_shared_studies(), table.find_sexes()
    # In the order of the pseudonyms: that of the hospital's numbers would tell who came first.
    for person in sorted(export.cts, key=private.name_patient):
        patient = private.name_patient(person)
        known_sexes = {sex for name in patients.get(patient, ()) for sex in sexes[name]}
        studies = {name: describe_study(index, export, person, name) for name in sorted(export.cts[person])}
        doubt = _doubt(export, person, list(studies.values()), known_sexes)
        for name, study in studies.items():
            names = {"case_id": private.name_case(person, name), "patient_id": patient}
            ct = _write_path(study.ct, table.path)
            aside = doubt or (SHARED if name in shared else "") or study.aside or ("" if ct else UNWRITABLE)
            if not aside:
                check = "; ".join(filter(None, (check_person(person), study.check)))
                found.cases.append(_describe_case(study) | {"ct": ct, "check": check} | names)
            found.crosswalk.append(names | _describe_origin(study) | {"status": aside or _TAKEN})
            rows = [*_list_stacks(study, aside), *_list_others(export.others[person, name])]
            found.overview += [names | row for row in rows]
    found.overview += _list_others(found.others)
    return found


def _doubt(export: Export, person: str, studies: Sequence[Study], sexes: Set[str]) -> str:
    identities = [parse_identity(text) for text in export.identities[person]]
    identities += [replace(identities[0], sex=sex) for sex in sexes]
    return doubt_person(person, identities, {issuer for study in studies for issuer in study.issuers})


def _describe_case(study: Study) -> dict[str, str]:
    stack = study.stacks[0]
    acquired = stack.slices[0].acquired
    row = dict.fromkeys(COLUMNS, "") | {"sex": acquired.sex, "age": acquired.age, "series": study.series}
    row["scanner"] = " ".join(dict.fromkeys(filter(None, (acquired.manufacturer, acquired.model))))
    of_stack = _describe_stack(stack) | {"slices": str(len(stack.slices))}
    decided = of_stack if study.is_decided else ("manufacturer", "model")
    return row | {name: of_stack[name] for name in decided}


def _describe_origin(study: Study) -> dict[str, str]:
    about = {name: study.about.get(name, "") for name in ("issuer", "accession", "study_date")}
    return about | {"hospital_patient_id": study.about.get("patient_id", ""), "folder": str(study.place)}


def _describe_stack(stack: Stack) -> dict[str, str]:
    acquired = stack.slices[0].acquired
    return {
        "step_mm": f"{stack.step_mm:.3g}",
        "extent_mm": f"{stack.extent_mm:.0f}",
        "manufacturer": acquired.manufacturer,
        "model": acquired.model,
        "kernel": acquired.kernel,
        "kv": "" if acquired.kv is None else f"{acquired.kv:g}",
    }


def _list_stacks(study: Study, aside: str) -> Iterator[dict[str, str]]:
    """A row for each stack of a study, the first the one that was taken, and for images in no stack."""
    for number, (stack, name) in enumerate(zip(study.stacks, study.names, strict=True)):
        status = "taken" if number == 0 else "set aside: another stack of the study"
        yield {
            "what": "stack",
            "series": name,
            "images": str(len(stack.slices)),
            "status": aside or (status if study.is_decided else "left to the reading"),
            **_describe_stack(stack),
        }
    alone = study.images - sum(len(stack.slices) for stack in study.stacks)
    if alone or not study.stacks:
        yield {"what": _NO_STACK, "images": str(alone), "status": aside or "set aside"}


def _list_others(others: Counter[str]) -> list[dict[str, str]]:
    return [
        {"what": what, "images": str(count), "status": "set aside"} for what, count in sort_counts(others)
    ]


def _write_path(path: Path, table: Path) -> str:
    """A path as a cell, relative to the table's folder if below it; "" if it would be read differently."""
    place, folder = (Path(os.path.abspath(one)) for one in (path, table.parent))  # noqa: PTH100
    cell = str(place.relative_to(folder) if place.is_relative_to(folder) else place)
    try:
        cell.encode()
        found = parse_existing(table.parent, cell)
        is_same = cell == " ".join(cell.splitlines()).strip() and found.samefile(path)
    except (ValueError, OSError):
        return ""
    return cell if is_same else ""


def write_overview(path: Path, rows: Sequence[Mapping[str, str]], known: Set[str]) -> None:
    """Writes the overview; rows of earlier exports stay if their case is known, that is, in the crosswalk."""
    before = read_rows(path)[1] if path.exists() else []
    others = known - {row.get("case_id") for row in rows}
    kept = [row for row in before if row.get("case_id") in others]
    cells = ({name: row.get(name, "") for name in OVERVIEW_COLUMNS} for row in [*kept, *rows])
    write_csv(path, OVERVIEW_COLUMNS, cells)


def summarise(found: Found, files: int, table: Path, added: int, set_aside: Path) -> list[str]:
    """A summary, line by line, of an export: its files, and the cases that it added to the table."""
    images = sum(int(row["images"]) for row in found.overview if row["what"] in ("stack", _NO_STACK))
    stacks = sum(row["what"] == "stack" for row in found.overview)
    studies = Counter(row["patient_id"] for row in found.crosswalk)
    checks = found.checks + Counter(text for row in found.cases for text in row["check"].split("; ") if text)
    checks["patients have several studies"] = sum(count > 1 for count in studies.values())
    known = len(found.cases) - added
    lists = {
        "studies set aside": Counter(row["status"] for row in found.crosswalk if row["status"] != _TAKEN),
        f"files set aside (where they lie: {set_aside.parent.name}/{set_aside.name})": found.others,
        "to look at": checks,
    }
    lines = [
        f"{files} files: {images} images of CT in {stacks} stacks, of {len(found.crosswalk)} studies of "
        f"{len(studies)} patients",
        f"{table.name}: {added} new cases" + (f", {known} were there and stay as they are" if known else ""),
    ]
    for what, counts in lists.items():
        ordered = sort_counts(counts)
        lines += [f"{what}:"] * bool(ordered) + [f"{number:9d}  {name}" for name, number in ordered]
    return lines
