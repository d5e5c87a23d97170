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
_SEVERAL_STUDIES = "patients have several studies"


@dataclass
class Found:
    """What became of an export.

    Attributes:
        cases: Rows of the table of cases.
        crosswalk: Rows of the crosswalk.
        overview: Rows of the overview.
        counts: Counts of files, people, studies, stacks, images.
        aside: Counts of studies that are not in the table, by reason.
        checks: Counts of what the user should check, by reason.
        others: Counts of files without a CT image, by what they are.
    """

    cases: list[dict[str, str]] = field(default_factory=list)
    crosswalk: list[dict[str, str]] = field(default_factory=list)
    overview: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    aside: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def add(self, names: Mapping[str, str], study: Study, ct: str, aside: str, check: str) -> None:
        """Adds a study under the names of its case and patient."""
        if aside:
            self.aside[aside] += 1
        else:
            checks = [text for text in (check, study.check) if text]
            self.checks.update(checks)
            self.cases.append(_describe_case(study) | {"ct": ct, "check": "; ".join(checks)} | names)
        self.counts.update(studies=1, images=study.images, stacks=len(study.stacks))
        self.overview += [{**names, **row} for row in _list_stacks(study, aside)]
        self.crosswalk.append(
            {
                **names,
                "hospital_patient_id": study.about.get("patient_id", ""),
                **{name: study.about.get(name, "") for name in ("issuer", "accession", "study_date")},
                "status": aside or "in the table",
                "folder": str(study.place),
            }
        )


def describe_export(
    index: Index, export: Export, private: Private, table: Table, patients: Mapping[str, Set[str]]
) -> Found:
    """Describes all studies, person by person, so that little of a large export is in memory.

    Args:
        index: The index.
        export: The files of the export.
        private: The private folder.
        table: The table of cases.
        patients: The patient_ids in the table by pseudonym.
    """
    others = Counter(entry.other for entry in export.entries if entry.other)
    found = Found(counts=Counter(files=len(export.entries), people=len(export.cts)), others=others)
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
            found.add(names, study, ct, aside, check_person(person))
            found.overview += [names | row for row in _list_others(export.count_others(person, name))]
        found.checks[_SEVERAL_STUDIES] += len(studies) > 1
    found.overview += _list_others(sort_counts(others))
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
    if not study.is_decided:
        of_stack = {name: of_stack[name] for name in ("manufacturer", "model")}
    return row | of_stack


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
        what = "images of CT in no stack: too few, uneven, or copies"
        yield {"what": what, "images": str(alone), "status": aside or "set aside"}


def _list_others(others: Sequence[tuple[str, int]]) -> list[dict[str, str]]:
    return [{"what": what, "images": str(count), "status": "set aside"} for what, count in others]


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
    """Writes a row for each stack of each study, and for what else there was.

    Args:
        path: The file; its rows of studies of other exports stay.
        rows: Of this export.
        known: The cases of the crosswalk.
    """
    before = read_rows(path)[1] if path.exists() else []
    others = known - {row.get("case_id") for row in rows}
    kept = [row for row in before if row.get("case_id") in others]
    cells = ({name: row.get(name, "") for name in OVERVIEW_COLUMNS} for row in [*kept, *rows])
    write_csv(path, OVERVIEW_COLUMNS, cells)


def summarise(found: Found, table: Path, added: int, set_aside: Path) -> list[str]:
    """A summary of the export, line by line.

    Args:
        found: What became of the export.
        table: The table of cases.
        added: Count of new cases.
        set_aside: The table of folders with files that were set aside.
    """
    count, known = found.counts, len(found.cases) - added
    lines = [
        f"{count['files']} files: {count['images']} images of CT in {count['stacks']} stacks, "
        f"of {count['studies']} studies of {count['people']} patients",
        f"{table.name}: {added} new cases" + (f", {known} were there and stay as they are" if known else ""),
    ]
    lists = {
        "studies set aside": found.aside,
        f"files set aside (where they lie: {set_aside.parent.name}/{set_aside.name})": found.others,
        "to look at": found.checks,
    }
    for what, counts in lists.items():
        ordered = sort_counts(counts)
        lines += [f"{what}:"] * bool(ordered) + [f"{number:9d}  {name}" for name, number in ordered]
    return lines
