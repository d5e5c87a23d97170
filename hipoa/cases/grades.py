"""Writes grades.csv from a spreadsheet of grades; rows whose CT is uncertain are listed separately."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hipoa.cases.grade_sheet import GradeSheet, read_grade_sheet
from hipoa.cases.match import Known, match
from hipoa.cases.table import read_rows
from hipoa.core.errors import TableError
from hipoa.core.files import write_csv
from hipoa.core.tables.rows import GRADE_COLUMNS, Reading
from hipoa.core.tables.study_tables import read_grades

_SHOWN = 12


def open_grades(path: Path, out: Path, sheet: str = "") -> GradeSheet:
    """Reads a spreadsheet, or one sheet of it, from which the table of grades ``out`` will be made.

    Raises:
        TableError: It cannot be read, a cell of it is at fault, or it is `out` itself.
    """
    if path.resolve() == out.resolve():
        raise TableError(
            path.name, "the table of grades would be written over it", "Give the spreadsheet another name."
        )
    found = read_grade_sheet(path, sheet)
    found.refuse_faults()
    return found


def make_grades(sheet: GradeSheet, known: Sequence[Known], out: Path) -> list[str]:
    """Writes grades.csv, whose own rows stay; rows without a CT go to ``grades_unmatched.csv`` beside it.

    Returns:
        A summary, a line each, without anything that identifies a patient.

    Raises:
        TableError: No row belongs to a CT, or the rows of `out` cannot be read.
    """
    matched = match(sheet.readings, known)
    if not matched.readings:
        found = f"no row below the headings (row {sheet.heading_row}) holds a grade"
        if matched.unmatched:
            (row, reason), rows = matched.unmatched[0], len({row for row, _ in matched.unmatched})
            found = f"none of {rows} rows with grades belongs to a CT (row {row}: {reason})"
        raise TableError(sheet.path.name, found, "Compare its numbers with the PACS's.")
    own = {_key(reading): reading for reading in (read_grades(out) if out.exists() else [])}
    added = [reading for reading in matched.readings if _key(reading) not in own]
    differ = sum(own.get(_key(reading), reading) != reading for reading in matched.readings)
    if added or not own:
        columns, rows = read_rows(out) if own else ([], [])
        missing = [name for name in GRADE_COLUMNS if name not in columns]
        write_csv(out, [*columns, *missing], [*rows, *map(vars, added)])
    unmatched = out.with_name(f"{out.stem}_unmatched.csv")
    unmatched.unlink(missing_ok=True)  # of an earlier run
    if matched.unmatched:
        rows = ({"row": row, "reason": reason} for row, reason in matched.unmatched)
        write_csv(unmatched, ("row", "reason"), rows)
        unmatched.chmod(0o600)
    graded = {reading.case_id for reading in [*own.values(), *matched.readings]}
    pool = sum(case.in_table and case.case_id not in graded for case in known)
    lines = [f"{sheet.path.name}: {line}" for line in _describe_sheet(sheet)]
    cts, rows = len({one.case_id for one in matched.readings}), len({row for row, _ in matched.unmatched})
    notes = {
        f"{len(matched.readings)} readings of {cts} CTs; {pool} CTs have no grade and form the pool": True,
        f"{rows} rows have no sure CT and are not in it: see {unmatched.name}": rows,
        f"{len(own)} rows were there and stay as they are": own,
        f"{differ} of them have other grades than the spreadsheet: to take its grades, remove {out.name} and "
        "start again; if they are another reader's, give it a column reader": differ,
    }
    return lines + [f"{out.name}: {note}" for note, applies in notes.items() if applies]


def _key(reading: Reading) -> tuple[str, ...]:
    return reading.case_id, reading.side, reading.reader, reading.date


def _describe_sheet(sheet: GradeSheet) -> list[str]:
    kind = f"{sheet.kind}, " if sheet.kind else ""
    unused = {
        "not used": _list([f'"{heading}"' for heading in sheet.ignored]),
        "skipped as notes or sums": _list_rows(sheet.skipped),
        "without a grade": _list_rows(sheet.ungraded),
    }
    lines = [f"{kind}headings in row {sheet.heading_row}: {', '.join(sheet.used)}"]
    lines += [f"{what}: {shown}" for what, shown in unused.items() if shown]
    if sheet.not_gradable:
        lines.append(f"{sheet.not_gradable} cells say that there is nothing to grade (as THA, n/a)")
    return lines


def _list_rows(rows: Sequence[int]) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {_list(list(map(str, rows)))}" if rows else ""


def _list(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
