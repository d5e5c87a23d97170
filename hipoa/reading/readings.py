"""Derives a table of grades from the log of readings, by a rule."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path

from hipoa.core.errors import ConfigError, ReadingError
from hipoa.core.files import read_csv, write_csv
from hipoa.core.identifiers import normalise
from hipoa.core.tables.rows import COHORTS, CONSENSUS, Reading, hip_id, write_grades
from hipoa.core.tables.study_tables import read_grades
from hipoa.grading.data.hips import grade_hips
from hipoa.grading.data.labels import find_unused
from hipoa.grading.data.persistent_folds import keep_folds
from hipoa.reading.agreement import COLUMNS as AGREEMENT_COLUMNS
from hipoa.reading.agreement import measure_agreement
from hipoa.reading.log import read_log
from hipoa.reading.measurements import COLUMNS, list_measurements
from hipoa.reading.read import find_log
from hipoa.reading.records import ReadingIndex, Record, agree
from hipoa.reading.settings import DeriveSettings
from hipoa.reading.worklist import read_rule, read_worklist


def run(
    settings: DeriveSettings,
    *,
    study: Path,
    out: Path,
    grades: Path | None = None,
    log: Path | None = None,
    records: Path | None = None,
    measurements: Path | None = None,
    agreement: Path | None = None,
) -> None:
    """Writes a table of grades from the readings of a study, after the rows of the user's own table.

    Where it holds newly graded hips, the folds of the study are kept for its next run.

    Args:
        settings: The rule.
        study: The study's folder of results.
        out: The table of grades to write.
        grades: The user's own table of grades, whose rows are all kept; it may not be the table to write.
        log: The log of readings; by default history/NAME/readings.jsonl.
        records: A table to write with every reading that was not undone.
        measurements: A table to write with every measurement of these readings, one row each.
        agreement: A table to write with the inter- and intra-reader kappas.

    Raises:
        ReadingError: There is no log, or a line of it cannot be read.
        ConfigError: The rule senior has no reader, or a table would be merged into itself.
    """
    path = log or find_log(study)
    if not path.is_file():
        raise ReadingError(
            path.name, "there are no readings", f"Read hips first: python -m hipoa read --study {study}."
        )
    if grades is not None and out.exists() and grades.resolve() == out.resolve():
        raise ConfigError(
            "--grades", "it is the table to be written", "Keep your own table and name another for --out."
        )
    index = ReadingIndex(read_log(path))
    own = read_grades(grades) if grades is not None else []
    derived = derive_grades(index, settings)
    key = attrgetter("case_id", "side", "reader", "date")
    known = set(map(key, own))
    write_grades(out, [*own, *(row for row in derived if key(row) not in known)])
    if records is not None:
        columns = [name for name in Record.model_fields if name != "measurements"]
        write_csv(records, columns, list_records(index))
    if measurements is not None:
        counted = (record for reader in index.readers for record in index.of(reader))
        write_csv(measurements, COLUMNS, list_measurements(counted))
    if agreement is not None:
        listed = read_worklist(study, study / "triage.csv")
        patients = {name: hip.patient for name, hip in listed.by_id.items()}
        write_csv(agreement, AGREEMENT_COLUMNS, measure_agreement(index, patients, listed.classes))
    _say(index, derived, own, settings.rule, out)
    _say_unused(find_unused_grades(study, [*own, *derived]))
    if {hip_id(row.case_id, row.side) for row in derived} - _list_graded(study):
        keep_folds(study)


def find_unused_grades(study: Path, readings: Sequence[Reading]) -> list[tuple[str, str]]:
    """The hips whose grades the next run will not use, each with the reason, as far as the last run tells."""
    tables = (study / f"hips/{cohort}.csv" for cohort in COHORTS)
    rows = [row for path in tables if path.is_file() for row in read_csv(path)]
    unknown = {hip_id(one.case_id, one.side) for one in readings} - {row["hip_id"] for row in rows}
    return [
        *find_unused(grade_hips(rows, readings, "", read_rule(study))),
        *((hip, "not among the hips of the last run") for hip in sorted(unknown)),
    ]


def _list_graded(study: Path) -> set[str]:
    """The hips whose grades the study knows; only others are a reason to keep its folds for a next run."""
    tables = [study / f"hips/{cohort}.csv" for cohort in ("labelled", "external")]
    rows = (row for path in tables if path.is_file() for row in read_csv(path))
    return {row["hip_id"] for row in rows if row["crowe"] or row["kl"]}


def derive_grades(index: ReadingIndex, settings: DeriveSettings) -> list[Reading]:
    """The readings that count by a rule, one per hip (with the rule every, one per hip and reader).

    Hips that cannot be graded have no row.

    Raises:
        ConfigError: The rule senior has no reader of that name.
    """
    if settings.rule == "senior" and settings.senior not in index.readers:
        raise ConfigError(
            "--senior",
            f'"{settings.senior}" has read nothing',
            f"Name one of: {', '.join(index.readers) or 'nobody yet'}.",
        )
    settled = index.consensus()
    rows: list[Reading] = []
    for hip, readings in sorted(index.by_hip().items()):
        rows += [
            Reading(r.case_id, r.side, r.crowe, r.kl, normalise(name), r.time[:10])
            for name, r in _choose(readings, settled.get(hip), settings)
            if not r.reason
        ]
    return rows


def list_records(index: ReadingIndex) -> Iterator[dict[str, object]]:
    """Every reading that counts, as rows for a spreadsheet."""
    for reader in index.readers:
        for record in index.of(reader):
            row = record.model_dump(exclude={"measurements"})
            # A spreadsheet would run a cell that starts like this.
            dangerous = record.comment.startswith(("=", "+", "-", "@"))
            yield {**row, "comment": f"'{record.comment}" if dangerous else record.comment}


def _choose(
    readings: Mapping[str, Record], settled: Record | None, settings: DeriveSettings
) -> Iterator[tuple[str, Record]]:
    """The readings of one hip that count, each with the reader's name for the table."""
    if settings.rule == "every":
        yield from readings.items()
    elif settings.rule == "latest":
        latest = max(filter(None, [*readings.values(), settled]), key=lambda record: record.time)
        yield latest.reader, latest
    elif settings.rule == "senior" and settings.senior in readings:
        yield settings.senior, readings[settings.senior]
    elif settled is not None:
        yield CONSENSUS, settled
    elif agree(readings):
        last = max(readings.values(), key=lambda record: record.time)
        yield (last.reader if len(readings) == 1 else CONSENSUS), last


def _say_unused(unused: Sequence[tuple[str, str]]) -> None:
    if unused:
        print(f"warning: {len(unused)} graded hips will be neither trained on nor scored:", file=sys.stderr)
    for hip, reason in unused:
        print(f"    {hip}: {reason}", file=sys.stderr)


def _say(index: ReadingIndex, derived: list[Reading], own: list[Reading], rule: str, out: Path) -> None:
    of_hip = index.by_hip()
    graded = {f"{row.case_id}_{row.side}" for row in derived}
    differ = [hip for hip, readings in of_hip.items() if hip not in graded and not agree(readings)]
    print(
        f"{out.name}: {len(own)} rows of your own table and {len(derived)} of {len(of_hip)} hips read, by "
        f"the rule {rule}."
    )
    if differ:
        print(
            f"{len(differ)} hips have no row, since readers differ (first {differ[0]}): settle them on the "
            "page, under Disagreements.",
            file=sys.stderr,
        )
