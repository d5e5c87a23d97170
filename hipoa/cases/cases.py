"""From what a hospital's PACS exports to a first table of cases, under pseudonyms."""

from __future__ import annotations

import os
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from hipoa.cases.export import describe_export
from hipoa.cases.grades import make_grades, open_grades
from hipoa.cases.headers import find_files, read_export, show
from hipoa.cases.index import Index
from hipoa.cases.match import Known
from hipoa.cases.overview import summarise, write_overview
from hipoa.cases.private import Private, open_private, read_crosswalk, write_crosswalk, write_set_aside
from hipoa.cases.table import Table, read_table
from hipoa.core.errors import CtError

SEVERAL = "their patient has several patient_ids in the table: write the right one"
MOVED = "rows name a CT that is not there: mend their paths, or take them out and start again"
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

    Patients get pseudonyms, and cases names made of them: `case_id` and `patient_id` reach file names, tables
    and the report. The folders that `ct` names may hold patients' names: the table is for you alone.

    Args:
        folder: The export: series in any folders or zip files, mixed with whatever else.
        out: The table, ending in .csv; rows that are in it stay, new studies are put below. Beside it an
            overview of all stacks is written.
        private: Where the key of the pseudonyms and the crosswalk to the hospital's numbers lie, readable by
            you alone; beside the table if not named. The same key gives the same pseudonyms again.
        grades: A spreadsheet of grades by the hospital's numbers, of which grades.csv is made beside the
            table.
        sheet: The sheet of its workbook, if not the first.
        processes: How many processes read headers; 0 for one per core.

    Raises:
        CtError: There is no such folder, no file in it, or the table would lie there.
        ConfigError: The private folder cannot be used.
        TableError: What is at `out` is no table of cases, or the spreadsheet cannot be used.
    """
    if not folder.is_dir():
        do = "Unpack it, and name" if zipfile.is_zipfile(folder) else "Name"
        raise CtError(folder.name, "it is no folder", f"{do} the folder that the PACS exported to.")
    if any(path.resolve().is_relative_to(folder.resolve()) for path in filter(None, (out, private))):
        raise CtError(
            folder.name,
            "the table would lie within the export",
            "Name a file elsewhere by --out and --private.",
        )
    table = read_table(out)
    secret = open_private(private or out.with_suffix(".private"))
    of_grades = out.with_name("grades.csv")
    # Before the export, which takes long.
    graded = None if grades is None else open_grades(grades, of_grades, sheet)
    with Index(secret.headers) as index:
        index.note(show(find_files(folder)))
        if not index.count():
            raise CtError(
                folder.name, "the folder holds no file", "Name the folder that the PACS exported to."
            )
        read_export(index, processes or len(os.sched_getaffinity(0)))
        pseudonyms = {name.lower(): row["patient_id"] for name, row in read_crosswalk(secret).items()}
        patients = table.find_patients(pseudonyms)
        found = describe_export(index, secret, table, patients)
        write_set_aside(secret, index.list_others())
    new = [_name_as_before(row, patients) for row in table.find_new(found.cases)]
    found.checks[SEVERAL] += sum(SEVERAL in row["check"] for row in new)
    found.checks[FOREIGN] += len(table.names - set(pseudonyms))
    found.checks[MOVED] += table.count_lost()
    table.add(new)
    write_crosswalk(secret, found.crosswalk)
    write_overview(out.with_name(f"{out.stem}_overview.csv"), found.overview, set(read_crosswalk(secret)))
    secret.headers.unlink()
    print("\n".join(summarise(found, out, len(new), secret.set_aside)))
    if graded is not None:
        known = list_known(read_table(out), secret, found.cases)
        print("\n".join(make_grades(graded, known, of_grades)))


def _name_as_before(row: Mapping[str, str], patients: Mapping[str, Set[str]]) -> dict[str, str]:
    """A new row under the patient_id that the user gave the patient: under two, one would be in two folds."""
    own = patients.get(row["patient_id"], {row["patient_id"]})
    if len(own) == 1:
        return {**row, "patient_id": min(own)}
    return {**row, "check": "; ".join(filter(None, [SEVERAL, row["check"]]))}


def list_known(table: Table, private: Private, made: Sequence[Mapping[str, str]]) -> list[Known]:
    """What the hospital calls each case, as far as the crosswalk has it, and each study that was set aside.

    Args:
        table: The table of cases.
        private: The folder of the crosswalk.
        made: The cases of the export; the user may have named their CTs in rows of own names.
    """
    own = _list_own_names(table, made)
    return [
        Known(
            own.get(name.lower(), name),
            row["hospital_patient_id"],
            row["accession"],
            row["study_date"],
            row["patient_id"],
            in_table=name.lower() in own,
        )
        for name, row in read_crosswalk(private).items()
    ]


def _list_own_names(table: Table, made: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The case_id in the table of each case, by its case_id in lower case: by that name, else by its CT."""
    own = {row["case_id"].lower(): row["case_id"] for row in table.rows}
    of_ct: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        of_ct[table.locate(row)].append(row["case_id"])
    for row in made:
        named = of_ct[table.locate(row)]
        if len(named) == 1:
            own.setdefault(row["case_id"].lower(), named[0])
    return own
