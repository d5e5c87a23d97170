"""Makes a first table of cases, under pseudonyms, from what a hospital's PACS exports."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from hipoa.cases.export import describe_export, summarise, write_overview
from hipoa.cases.grades import make_grades, open_grades
from hipoa.cases.headers import find_files, read_export
from hipoa.cases.index import Export, Index
from hipoa.cases.match import Known
from hipoa.cases.private import open_private, read_crosswalk, write_crosswalk, write_set_aside
from hipoa.cases.table import Table, read_table
from hipoa.core.errors import CtError

SEVERAL = "their patient has several patient_ids in the table: write the right one"
MOVED = "rows name a CT that is not there: correct their paths, or take them out and start again"
FOREIGN = "rows of the table are not of this key: whether their patients are among the new ones is not known"


def run(
    folder: Path,
    *,
    out: Path,
    private: Path | None = None,
    grades: Path | None = None,
    sheet: str = "",
    processes: int = 0,
) -> None:
    """Makes a first table of cases from a folder that a PACS exported: a row for each study with a CT.

    Patients get pseudonyms, from which cases are named: `case_id` and `patient_id` appear in file names,
    tables and the report. The folders in `ct` may contain patients' names: keep the table to yourself.

    Args:
        folder: The export: series in any folders or zip files, mixed with any other files.
        out: The table, ending in .csv; its rows stay, new studies are added below. An overview of all stacks
            is written beside it.
        private: The folder, which only you can read, for the key of the pseudonyms and the crosswalk to the
            hospital's numbers; by default beside the table. The same key gives the same pseudonyms.
        grades: A spreadsheet of grades by the hospital's numbers, from which grades.csv is made beside the
            table.
        sheet: The sheet of the workbook with the grades; by default the first.
        processes: Number of processes that read headers; 0 for one per core.

    Raises:
        CtError: There is no such folder, no file in it, or the table would lie there.
        ConfigError: The private folder cannot be used.
        TableError: What is at `out` is no table of cases, or the spreadsheet cannot be used.
    """
    _check_folders(folder, out, private)
    table = read_table(out)
    secret = open_private(private or out.with_suffix(".private"))
    of_grades = out.with_name("grades.csv")
    # Before the export, which takes long.
    grade_sheet = None if grades is None else open_grades(grades, of_grades, sheet)
    headers = secret.folder / "headers.jsonl"
    with closing(Index(headers)) as index:
        # In a log tqdm stays silent.
        files = list(tqdm(find_files(folder), desc="found", unit=" files", disable=None))
        if not files:
            raise CtError(
                folder.name, "the folder holds no file", "Name the folder that the PACS exported to."
            )
        read_export(index, files, processes or len(os.sched_getaffinity(0)))
        export = Export(map(index.entries.__getitem__, files))
        pseudonyms = {name.lower(): row["patient_id"] for name, row in read_crosswalk(secret).items()}
        patients = table.find_patients(pseudonyms)
        found = describe_export(index, export, secret, table, patients)
    write_set_aside(secret, ((entry.place, entry.other) for entry in export.entries if entry.other))
    new = [_keep_patient_id(row, patients) for row in table.find_new(found.cases)]
    found.checks[SEVERAL] += sum(SEVERAL in row["check"] for row in new)
    found.checks[FOREIGN] += len(table.names - set(pseudonyms))
    found.checks[MOVED] += table.count_missing()
    table.add(new)
    crosswalk = write_crosswalk(secret, found.crosswalk)
    write_overview(out.with_name(f"{out.stem}_overview.csv"), found.overview, set(crosswalk))
    headers.unlink()
    print("\n".join(summarise(found, len(files), out, len(new), secret.folder / "set_aside.csv")))
    if grade_sheet is not None:
        known = _list_known(read_table(out), crosswalk, found.cases)
        print("\n".join(make_grades(grade_sheet, known, of_grades)))


def _check_folders(folder: Path, out: Path, private: Path | None) -> None:
    if not folder.is_dir():
        do = "Unpack it, and name" if zipfile.is_zipfile(folder) else "Name"
        raise CtError(folder.name, "it is no folder", f"{do} the folder that the PACS exported to.")
    if any(path.resolve().is_relative_to(folder.resolve()) for path in (out, private) if path):
        raise CtError(
            folder.name,
            "the table would lie within the export",
            "Name a file elsewhere by --out and --private.",
        )


def _keep_patient_id(row: Mapping[str, str], patients: Mapping[str, Set[str]]) -> dict[str, str]:
    """A new row under the user's patient_id: under two ids, one person could be in two folds."""
    own = patients.get(row["patient_id"], {row["patient_id"]})
    if len(own) == 1:
        return {**row, "patient_id": min(own)}
    return {**row, "check": "; ".join(filter(None, [SEVERAL, row["check"]]))}


def _list_known(
    table: Table, crosswalk: Mapping[str, Mapping[str, str]], made: Sequence[Mapping[str, str]]
) -> list[Known]:
    """The hospital's numbers of each case in the crosswalk, also of studies that were set aside.

    A case that the user renamed is found by its CT.
    """
    own = {row["case_id"].lower(): row["case_id"] for row in table.rows}
    of_ct: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        of_ct[table.locate(row)].append(row["case_id"])
    for row in made:
        named = of_ct[table.locate(row)]
        if len(named) == 1:
            own.setdefault(row["case_id"].lower(), named[0])
    return [
        Known(
            own.get(name.lower(), name),
            row["hospital_patient_id"],
            row["accession"],
            row["study_date"],
            row["patient_id"],
            in_table=name.lower() in own,
        )
        for name, row in crosswalk.items()
    ]
