"""What no row of today's tables owns: images, kept projections and tables of cases that left a study.

Snakemake forgets an output that no rule asks for; it stays on the disk, and with it someone who withdrew
consent. Files that hipoa does not write are never looked at: a name says what a file is of.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import ast
import csv
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hipoa.core.errors import HipoaError
from hipoa.core.tables.rows import COHORTS
from hipoa.workflow.study import Study

TEMPORARY = re.compile(r"\.[0-9a-f]{12}\..+")
"""What `hipoa.core.files.replacing` writes to."""
KILLED = "files of killed jobs"
"""What such a file is when no job goes on: part of a shard, it may be anyone's."""

CACHES = ("project", "view")
ENTRY = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}\.npz")
IMAGE = re.compile(r"(?P<case>.+)_(L|R|pelvis)\.png")
SYNTHETIC = re.compile(r"(?P<case>phantom-[a-z]\d{3}(-2)?)\.(nii\.gz|csv)")
_FORMER_ENTRY = re.compile(r"[0-9a-f]{64}\.npz")
_SHARD = re.compile(r"(?P<shard>(phantom)?\d+)(\.(cases|grades|truth|ceiling))?\.(csv|npz|json)")

_SHARDED = {"phantom": "phantom", "project": "projections", "develop": "radiographs", "view": "views"}
_OPTIONAL = {"folds": "folds", "predict": "predictions", "uncertainty": "uncertainty"} | {
    "explain": "explanations"
}
_FOLDERS = {**_SHARDED, "hips": "hips", **_OPTIONAL}
"""Where a rule with many jobs writes; its logs and benchmarks lie likewise below its own name."""

_SUFFIXES = {"phantom": ".cases.csv", "predictions": ".npz", "explanations": ".npz"}


def remove_leftovers(study: Study, home: Path = Path()) -> list[str]:
    """Removes what today's tables do not own, after a run that ended well.

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
        path.unlink(missing_ok=True)
        remove_empty(path.parent)
    return [f"Removed what no row of the tables owns ({count_kinds(found.values())})."] if found else []


def count_kinds(kinds: Iterable[str]) -> str:
    """How many of what."""
    return ", ".join(f"{kind}: {count}" for kind, count in Counter(kinds).items())


def remove_empty(folder: Path) -> None:
    """Removes a folder if nothing is left in it, and those above it likewise."""
    while not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def find_leftovers(study: Study, home: Path) -> Iterator[tuple[str, Path]]:
    """What kind of file it is, in the plural, and the path of each file that no row owns."""
    owned = _Owned(study, home / study.results)
    for path in walk(owned.results):
        if kind := owned.name_leftover(path.relative_to(owned.results).parts):
            yield kind, path
    for name in CACHES:
        cache = home / "cache" / name
        for path in walk(cache / study.config["study"]):
            if kind := owned.name_kept(path):
                yield kind, path
        # A former version kept them without saying of whom: nothing reads them.
        former = (path for path in cache.glob("[0-9a-f][0-9a-f]/*.npz") if _FORMER_ENTRY.fullmatch(path.name))
        yield from (("kept projections", path) for path in former)


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, as far as there is one."""
    for parent, _, names in os.walk(folder, followlinks=True):  # a part may lie on a larger disk
        yield from (Path(parent) / name for name in names)


@dataclass(frozen=True)
class _Owned:
    """What of a study's results belongs to a case of today's tables."""

    study: Study
    results: Path

    @cached_property
    def all_cases(self) -> set[str]:
        return set(self.study.case_ids())

    @cached_property
    def cases(self) -> dict[str, set[str]]:
        return {cohort: set(self.study.case_ids(cohort)) for cohort in COHORTS}

    @cached_property
    def asked(self) -> set[str]:
        """Of the tables that a setting can turn off those that a run makes."""
        return {str(Path(path).relative_to(self.study.results)) for path in self.study.lasting_files()}

    def name_leftover(self, parts: tuple[str, ...]) -> str:
        """What a file of the results is, by its path in them; "" if it is owned, or not hipoa's."""
        if TEMPORARY.fullmatch(parts[-1]):
            return KILLED
        if parts[0] in ("logs", "benchmarks"):
            return "logs" if self._is_log_of_gone(parts[1:]) else ""
        if len(parts) == 4 and parts[2] in ("png", "ct", "landmarks") and parts[1] in COHORTS:
            pattern = IMAGE if parts[2] == "png" else SYNTHETIC
            match = pattern.fullmatch(parts[3])
            kind = "images" if parts[2] == "png" else "synthetic CTs"
            return kind if match and match["case"] not in self.cases[parts[1]] else ""
        return "tables and stacks" if self._is_gone(parts) else ""

    def name_kept(self, path: Path) -> str:
        """The same of a file of the study's cache."""
        if TEMPORARY.fullmatch(path.name):
            return KILLED
        gone = ENTRY.fullmatch(path.name) and path.parent.name not in self.all_cases
        return "kept projections" if gone else ""

    def _is_log_of_gone(self, parts: tuple[str, ...]) -> bool:
        if len(parts) < 2 or parts[0] not in _FOLDERS:
            return False
        folder, stem = _FOLDERS[parts[0]], Path(parts[-1]).stem
        table = (folder, *parts[1:-1], stem + _SUFFIXES.get(folder, ".csv"))
        return self._is_gone(table)

    def _is_gone(self, parts: tuple[str, ...]) -> bool:
        """Whether a table or a stack is of a shard or a cohort without cases, or names a stranger unasked."""
        folder, stem = parts[0], Path(parts[-1]).stem
        if folder in _SHARDED.values():
            return self._is_of_gone_shard(parts) or (folder == "views" and self._names_a_stranger(parts))
        if folder in ("hips", "predictions") and stem in COHORTS and stem not in self.study.used_cohorts:
            return True
        return folder in _OPTIONAL.values() and self._names_a_stranger(parts)

    def _is_of_gone_shard(self, parts: tuple[str, ...]) -> bool:
        match = _SHARD.fullmatch(parts[-1])
        if not match or len(parts) != 3 or parts[1] not in COHORTS:
            return False
        return match["shard"] not in self.study.shards[parts[1]]

    def _names_a_stranger(self, parts: tuple[str, ...]) -> bool:
        """Whether what no run makes any more, as of a former experiment, names a case that left."""
        path = self.results.joinpath(*parts)
        if str(Path(*parts)) in self.asked or path.suffix not in (".csv", ".npz"):
            return False
        patients = {case.patient_id for case in self.study.cases}
        return not path.is_file() or bool(_read_cases(path) - self.all_cases - patients)


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


def _read_hip_ids(path: Path) -> Iterable[str]:
    """The hips of a stack without numpy, which a bare Snakemake lacks: .npy 1.0, text of fixed width."""
    with zipfile.ZipFile(path) as archive:
        if "hip_id.npy" not in archive.namelist():
            return []
        content = archive.read("hip_id.npy")
    start = 10 + int.from_bytes(content[8:10], "little")
    width = int(ast.literal_eval(content[10:start].decode())["descr"].removeprefix("<U")) or 1
    text = content[start:].decode("utf-32-le")
    return [text[at : at + width].rstrip("\0") for at in range(0, len(text), width)]
