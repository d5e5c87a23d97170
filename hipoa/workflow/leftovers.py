"""Removes files of cases that left the tables: images, kept projections, tables, logs.

Snakemake forgets an output that no rule asks for; it stays on the disk, and with it someone who withdrew
consent. Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import csv
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hipoa.core.errors import HipoaError
from hipoa.core.tables.rows import COHORTS
from hipoa.workflow.case_files import count_kinds, find_named, remove_file, walk
from hipoa.workflow.stages import STAGES
from hipoa.workflow.study import Study

_SHARD = re.compile(r"(?P<shard>(phantom)?\d+)(\.(cases|grades|truth|ceiling))?\.(csv|npz|json)")
_FOLDERS = {stage.folder: stage for stage in STAGES.values() if stage.folder}


def remove_leftovers(study: Study, home: Path = Path()) -> list[str]:
    """Removes the files that no row of the present tables owns, after a successful run.

    What another setting made of a case that is still there stays: setting it back costs nothing.

    Args:
        study: As it was when the run began.
        home: The folder that results and cache lie in.

    Returns:
        What was removed, in one line; no line if nothing was.
    """
    try:
        if Study(study.config) != study:
            raise ValueError
    except (HipoaError, ValueError):
        return ["The tables changed while the run went on: the next run removes what they no longer own."]
    found = {path: kind for kind, path in find_leftovers(study, home)}
    for path in found:
        remove_file(path)
    return [f"Removed what no row of the tables owns ({count_kinds(found.values())})."] if found else []


def find_leftovers(study: Study, home: Path) -> Iterator[tuple[str, Path]]:
    """What kind of file it is, in the plural, and the path of each file that no row owns."""
    cases = {cohort: set(study.case_ids(cohort)) for cohort in ("", *COHORTS)}
    for kind, path, cohort, case in find_named(home, study.config["study"]):
        if case not in cases[cohort]:
            yield kind, path
    owned = _Owned(study, home / study.results)
    for path in walk(owned.results):
        parts = path.relative_to(owned.results).parts
        if parts[0] in ("logs", "benchmarks"):
            if owned.is_log_of_gone(parts[1:]):
                yield "logs", path
        elif owned.is_gone(parts):
            yield "tables and stacks", path


@dataclass(frozen=True)
class _Owned:
    """What of a study's results belongs to a case of today's tables."""

    study: Study
    results: Path

    @cached_property
    def asked(self) -> set[str]:
        """The files that a run makes."""
        return {str(Path(path).relative_to(self.study.results)) for path in self.study.lasting_files()}

    @cached_property
    def known(self) -> set[str]:
        """Cases and patients."""
        return {*self.study.case_ids(), *(case.patient_id for case in self.study.cases)}

    def is_log_of_gone(self, parts: tuple[str, ...]) -> bool:
        if len(parts) < 2 or parts[0] not in STAGES:
            return False
        stage = STAGES[parts[0]]
        suffix = stage.outputs[0].rpartition("}")[2]
        return self.is_gone((stage.folder, *parts[1:-1], Path(parts[-1]).stem + suffix))

    def is_gone(self, parts: tuple[str, ...]) -> bool:
        """Whether a table or a stack is of a shard or cohort without cases, or names a case that left."""
        stage, stem = _FOLDERS.get(parts[0]), Path(parts[-1]).stem
        if stage is None:
            return False
        if "shard" in stage.wildcards:
            return self._is_of_gone_shard(parts) or (parts[0] == "views" and self._names_a_stranger(parts))
        if "cohort" in stage.wildcards and stem in COHORTS and stem not in self.study.used_cohorts:
            return True
        return bool({"experiment", "repeat"} & set(stage.wildcards)) and self._names_a_stranger(parts)

    def _is_of_gone_shard(self, parts: tuple[str, ...]) -> bool:
        match = _SHARD.fullmatch(parts[-1])
        if not match or len(parts) != 3 or parts[1] not in COHORTS:
            return False
        return match["shard"] not in self.study.shards[parts[1]]

    def _names_a_stranger(self, parts: tuple[str, ...]) -> bool:
        """Whether a file that no run makes any more, as of a former experiment, names a case that left."""
        path = self.results.joinpath(*parts)
        if str(Path(*parts)) in self.asked or path.suffix not in (".csv", ".npz"):
            return False
        return not path.is_file() or bool(_read_cases(path) - self.known)


def _read_cases(path: Path) -> set[str]:
    """The cases that a table or a stack of hips names, of a row without a hip the patient; of others none."""
    if path.suffix == ".npz":
        try:
            return {name.rpartition("_")[0] for name in _read_hip_ids(path)}
        except (OSError, ValueError, zipfile.BadZipFile):  # not of hipoa
            return set()
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return set(map(_name_row, rows)) if {"hip_id", "case_id"} & set(rows.fieldnames or ()) else set()


def _name_row(row: dict[str, str]) -> str:
    return row.get("case_id") or row.get("hip_id", "").rpartition("_")[0] or row["patient_id"]


def _read_hip_ids(path: Path) -> list[str]:
    """The hips of a stack without numpy, which a bare Snakemake lacks: .npy 1.0, text of fixed width."""
    with zipfile.ZipFile(path) as archive:
        if "hip_id.npy" not in archive.namelist():
            return []
        content = archive.read("hip_id.npy")
    start = 10 + int.from_bytes(content[8:10], "little")
    width = int(ast.literal_eval(content[10:start].decode())["descr"].removeprefix("<U")) or 1
    text = content[start:].decode("utf-32-le")
    return [text[at : at + width].rstrip("\0") for at in range(0, len(text), width)]
