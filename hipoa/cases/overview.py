"""What an export holds and what became of it, without a word of who it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from hipoa.cases.studies import Study
from hipoa.cases.table import read_rows
from hipoa.core.files import write_csv
from hipoa.imaging.ct.dicom.stacks import Stack

COLUMNS = (
    *("case_id", "patient_id", "what", "series", "images", "step_mm", "extent_mm"),
    *("manufacturer", "model", "kernel", "kv", "status"),
)
TAKEN = "taken"
ALONE = "images of CT in no stack: too few, uneven, or copies"
LEFT = "left to the reading"


@dataclass
class Found:
    """What became of an export.

    Attributes:
        cases: Rows of the table of cases.
        crosswalk: Rows of who is who.
        overview: Rows of the overview.
        counts: Of files, images, studies, people, stacks.
        aside: Studies that are not in the table, by reason.
        checks: Studies that a user should look at, by reason.
        others: Files that are no image of a CT that can be read, by what they are.
    """

    cases: list[dict[str, str]] = field(default_factory=list)
    crosswalk: list[dict[str, str]] = field(default_factory=list)
    overview: list[dict[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    aside: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    others: Mapping[str, int] = field(default_factory=dict)


def describe_stack(stack: Stack) -> dict[str, str]:
    """The columns of a stack."""
    acquired = stack.slices[0].acquired
    return {
        "step_mm": f"{stack.step_mm:.3g}",
        "extent_mm": f"{stack.extent_mm:.0f}",
        "manufacturer": acquired.manufacturer,
        "model": acquired.model,
        "kernel": acquired.kernel,
        "kv": "" if acquired.kv is None else f"{acquired.kv:g}",
    }


def list_stacks(study: Study, aside: str) -> Iterator[dict[str, str]]:
    """A row for each stack of a study, the first the one that was taken, and for images in no stack."""
    for number, (stack, name) in enumerate(zip(study.stacks, study.names, strict=True)):
        other = "set aside: another stack of the study" if study.is_sure else LEFT
        yield {
            "what": "stack",
            "series": name,
            "images": str(len(stack.slices)),
            "status": aside or (TAKEN if study.is_sure and number == 0 else other),
            **describe_stack(stack),
        }
    alone = study.images - sum(len(stack.slices) for stack in study.stacks)
    if alone or not study.stacks:
        yield {"what": ALONE, "images": str(alone), "status": aside or "set aside"}


def list_others(others: Mapping[str, int]) -> Iterator[dict[str, str]]:
    """A row for each kind of file that is no image of a CT that can be read."""
    for what, count in others.items():
        yield {"what": what, "images": str(count), "status": "set aside"}


def write_overview(path: Path, rows: Sequence[Mapping[str, str]], known: Set[str]) -> None:
    """Writes the overview: a row for each stack of each study, and for what else there was.

    Args:
        path: Of the file; what it says of studies of other exports stays.
        rows: Of this export.
        known: The cases of the crosswalk.
    """
    before = read_rows(path)[1] if path.exists() else []
    others = known - {row.get("case_id") for row in rows}
    kept = [row for row in before if row.get("case_id") in others]
    write_csv(path, COLUMNS, ({name: row.get(name, "") for name in COLUMNS} for row in [*kept, *rows]))


def summarise(found: Found, table: Path, added: int, where: Path) -> list[str]:
    """What is said at the end, line by line.

    Args:
        found: What became of the export.
        table: Of cases.
        added: New cases, a count.
        where: The file that says where the files lie that were set aside.
    """
    count = found.counts
    known = len(found.cases) - added
    lines = [
        f"{count['files']} files: {count['images']} images of CT in {count['stacks']} stacks, "
        f"of {count['studies']} studies of {count['people']} patients",
        f"{table.name}: {added} new cases" + (f", {known} were there and stay as they are" if known else ""),
    ]
    lines += _list_counts("studies set aside", found.aside)
    lines += _list_counts(f"files set aside (where they lie: {where.parent.name}/{where.name})", found.others)
    lines += _list_counts("to look at", found.checks)
    return lines


def _list_counts(what: str, counts: Mapping[str, int]) -> list[str]:
    ordered = sorted(((-count, name) for name, count in counts.items() if count))
    return [f"{what}:", *(f"{-count:9d}  {name}" for count, name in ordered)] if ordered else []
