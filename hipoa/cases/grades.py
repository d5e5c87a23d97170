"""From a spreadsheet of grades to grades.csv: what is sure is written, all else is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hipoa.cases.grade_sheet import GradeSheet, read_grade_sheet, refuse_faults
from hipoa.cases.match import Known, Matched, match
from hipoa.cases.table import read_rows
from hipoa.core.errors import TableError
from hipoa.core.files import write_csv
from hipoa.core.tables.reader import read_grades
from hipoa.core.tables.rows import GRADE_COLUMNS, Reading, write_grades

_SHOWN = 12


def open_grades(path: Path, out: Path, sheet: str = "") -> GradeSheet:
    """Reads a spreadsheet of grades.

    Args:
        path: The spreadsheet.
        out: What will be made of it.
        sheet: The name or number of a workbook's sheet, if it is not the first that is shown.

    Raises:
        TableError: It cannot be read, a cell of it is at fault, or it is `out` itself.
    """
    if path.resolve() == out.resolve():
        raise TableError(
            path.name, "the table of grades would be written over it", "Give the spreadsheet another name."
        )
    read = read_grade_sheet(path, sheet)
    refuse_faults(path, read)
    return read


def make_grades(path: Path, known: Sequence[Known], out: Path, sheet: str = "") -> list[str]:
    """Writes grades.csv from a spreadsheet of grades, and beside it which rows belong to no CT.

    Rows that are in grades.csv already stay as they are: they are the user's.

    Args:
        path: The spreadsheet.
        known: What the hospital calls each case.
        out: grades.csv; rows without a CT go to a file beside it, ``grades_unmatched.csv``, if there are any.
        sheet: The name or number of a workbook's sheet, if it is not the first that is shown.

    Returns:
        What was done, a line each, without anything that tells who a patient is.

    Raises:
        TableError: As `open_grades`, or no row belongs to a CT.
    """
    read = open_grades(path, out, sheet)
    matched = match(read.readings, known)
    if not matched.readings:
        raise TableError(path.name, _say_why_none(read, matched), "Compare its numbers with the PACS's.")
    own = read_grades(out) if out.exists() else []
    added, kept = _lay_behind(own, matched.readings)
    if own:
        _append(out, added)
    else:
        write_grades(out, added)
    beside = out.with_name(f"{out.stem}_unmatched.csv")
    _write_unmatched(beside, matched.unmatched)
    said = _say_reading(path, read)
    graded = {reading.case_id for reading in own}
    pool = sum(case not in graded for case in matched.ungraded)
    return [*said, *_say_matching(matched, pool, out, beside), *_say_kept(out, len(own), kept)]


def _lay_behind(own: Sequence[Reading], new: Sequence[Reading]) -> tuple[list[Reading], int]:
    """The new readings that are not there yet, and how many are there with other grades."""
    known = {_name_reading(reading): reading for reading in own}
    added = [reading for reading in new if _name_reading(reading) not in known]
    return added, sum(known.get(_name_reading(reading), reading) != reading for reading in new)


def _append(out: Path, readings: Sequence[Reading]) -> None:
    """Puts readings below a table of grades; its own rows and columns stay, also unknown ones."""
    if not readings:
        return
    columns, rows = read_rows(out)
    missing = [name for name in GRADE_COLUMNS if name not in columns]
    write_csv(out, [*columns, *missing], [*rows, *map(vars, readings)])


def _name_reading(reading: Reading) -> tuple[str, ...]:
    return reading.case_id, reading.side, reading.reader, reading.date


def _write_unmatched(path: Path, unmatched: Sequence[tuple[int, str]]) -> None:
    path.unlink(missing_ok=True)  # that of a run before
    if unmatched:
        write_csv(path, ("row", "reason"), ({"row": row, "reason": reason} for row, reason in unmatched))
        path.chmod(0o600)


def _say_why_none(read: GradeSheet, matched: Matched) -> str:
    if not matched.unmatched:
        return f"no row below the headings (row {read.heading_row}) holds a grade"
    rows = {row for row, _ in matched.unmatched}
    row, reason = matched.unmatched[0]
    return f"none of {len(rows)} rows with grades belongs to a CT (row {row}: {reason})"


def _say_reading(path: Path, read: GradeSheet) -> list[str]:
    kind = f"{read.kind}, " if read.kind else ""
    lines = [f"{path.name}: {kind}headings in row {read.heading_row}: {', '.join(read.used)}"]
    if read.ignored:
        more = f" and {len(read.ignored) - _SHOWN} more" if len(read.ignored) > _SHOWN else ""
        shown = ", ".join(f'"{heading}"' for heading in read.ignored[:_SHOWN])
        lines.append(f"{path.name}: not used: {shown}{more}")
    if read.passed_over:
        lines.append(f"{path.name}: passed over as notes or sums: {_say_rows(read.passed_over)}")
    if read.ungraded:
        lines.append(f"{path.name}: without a grade: {_say_rows(read.ungraded)}")
    if read.replaced:
        lines.append(f"{path.name}: {read.replaced} cells say that there is nothing to grade (as THA, n/a)")
    return lines


def _say_rows(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows[:_SHOWN]))}{more}"


def _say_matching(matched: Matched, pool: int, out: Path, beside: Path) -> list[str]:
    cases = {reading.case_id for reading in matched.readings}
    lines = [
        f"{out.name}: {len(matched.readings)} readings of {len(cases)} CTs; {pool} CTs have no grade and "
        "form the pool"
    ]
    rows = {row for row, _ in matched.unmatched}
    if rows:
        lines.append(f"{out.name}: {len(rows)} rows have no sure CT and are not in it: see {beside.name}")
    return lines


def _say_kept(out: Path, own: int, differ: int) -> list[str]:
    if not own:
        return []
    lines = [f"{out.name}: {own} rows were there and stay as they are"]
    if differ:
        lines.append(
            f"{out.name}: {differ} of them have other grades than the spreadsheet: to take its grades, "
            f"remove {out.name} and start again; if they are another reader's, give it a column reader"
        )
    return lines
