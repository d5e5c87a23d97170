"""Removes every trace of a case from a study, for instance when a patient withdraws consent."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, read_npz, write_csv, write_npz
from hipoa.core.identifiers import normalise, parse_safe_name
from hipoa.core.tables.rows import SIDES, hip_id
from hipoa.reading.log import Log
from hipoa.reading.read import find_log
from hipoa.reading.removal import Removal, count_readings, find_folds, find_rounds, remove_readings
from hipoa.workflow.case_files import (
    CACHES,
    KILLED,
    count_kinds,
    find_named,
    find_temporaries,
    remove_file,
    walk,
)

# A word of a text may be something else's, and a part of a killed job's file may be anyone's.
_NO_PROOF = {KILLED, "figures", "logs", "report"}
_REMADE = ("projections", "radiographs", "views")
"""Folders of shards: a shard is made again from what is kept of its other cases."""


def run(case_id: str, *, study: Path, patient: str = "", readings: str = "") -> None:
    """Removes images, kept projections, rows and predictions of a case, and what shows it; says what remains.

    No run may go on meanwhile. The next one makes anew what was removed: with the case, if its row is still
    in the table of cases.

    Args:
        case_id: The case, as in the table of cases.
        study: The study's folder of results, such as results/demo.
        patient: The case's patient_id, for the kept folds, if no table of the results contains the case.
        readings: remove or keep its readings, which no run can make again; by default you are asked on a
            terminal, and elsewhere they are kept.

    Raises:
        ConfigError: The study does not know the case, or a run works on it.
        ReadingError: The reading page is open.
    """
    # Not resolve(): results/NAME may be a link to a larger disk, cache and history lie beside the link.
    try:
        case_id = parse_safe_name(case_id)
    except ValueError as error:
        raise ConfigError("CASE_ID", f"it {error}", "Write the case_id as in cases.csv.") from None
    trace = _Trace(case_id, Path(os.path.normpath(study.absolute())), normalise(patient))
    trace.check_folder()
    log = find_log(trace.results)
    # Held so that no page writes to it.
    with contextlib.closing(Log(log)) if log.is_file() else contextlib.nullcontext():
        removals = [*trace.find_in_history(), *trace.find_named(), *trace.find_in_results()]
        found = {path: (kind, remove) for path, kind, remove in removals}
        read = count_readings(log, case_id)
        if not read and {kind for kind, _ in found.values()} <= _NO_PROOF:
            do = "Write the case_id as in cases.csv, and name the study's folder in results/."
            raise ConfigError(case_id, f"nothing of it lies in the study {trace.results.name}", do)
        answer = _decide(read, case_id, readings)
        if answer == "remove" and read:
            found[log] = f"logs of readings, with {read} lines", lambda: remove_readings(log, case_id)
        remains = [*trace.describe_remains()]
        if read and answer == "keep":
            remains.append(f"- {read} readings in readings.jsonl: --readings remove takes them out.")
        for _, remove in found.values():
            remove()
    counts = count_kinds(kind for kind, _ in found.values())
    print(f"{case_id}: removed ({counts or 'nothing'}).", *remains, sep="\n")


def _decide(count: int, case_id: str, readings: str) -> str:
    if readings not in ("", "remove", "keep"):
        raise ConfigError("--readings", f'"{readings}" is neither remove nor keep', "Write one of the two.")
    if readings or not count:
        return readings or "keep"
    if not sys.stdin.isatty():
        return "keep"
    text = input(f"{count} readings of {case_id} cannot be made again. Remove them too? [y/N] ")
    return "remove" if text.strip().lower() in ("y", "yes") else "keep"


@dataclass(frozen=True)
class _Trace:
    """Where a case is to be found."""

    case: str  # its case_id
    results: Path  # the study's folder
    given: str  # the patient_id that the user named, or ""

    @property
    def home(self) -> Path:
        return self.results.parent.parent

    @property
    def history(self) -> Path:
        return self.home / "history" / self.results.name

    @cached_property
    def hips(self) -> set[str]:
        return {hip_id(self.case, side) for side in SIDES}

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """What the study knows of its hips, of all cases."""
        paths = [*self.results.glob("hips/*.csv"), *self.results.glob("projections/*/*.csv")]
        return [row | {"in": path.stem} for path in paths for row in read_csv(path)]

    @cached_property
    def patient(self) -> str:
        """The patient_id of the case, unless the patient has other cases here or is not known."""
        known = {row["patient_id"] for row in self.rows if row["case_id"] == self.case} or {self.given}
        others = {row["patient_id"] for row in self.rows if row["case_id"] != self.case}
        return "".join(known - others)

    @cached_property
    def was_labelled(self) -> bool:
        return any(row["case_id"] == self.case and row["in"] == "labelled" for row in self.rows)

    @cached_property
    def word(self) -> re.Pattern[str]:
        """The case or one of its hips as a word of a text, not within another's name."""
        name = re.escape(self.case)
        return re.compile(rf"(?<![\w.-]){name}(_(L|R|pelvis))?(?![\w-]|\.\w)", re.ASCII)

    def check_folder(self) -> None:
        """Raises a ConfigError unless the folder is one of results and no run works in it."""
        # Elsewhere the user's own files lie.
        if self.results.parent.name != "results":
            raise ConfigError(
                "--study", "it is no folder of a study's results", "Name results/NAME, as the run wrote it."
            )
        if any((self.home / ".snakemake/locks").glob("*")):
            do = "Wait until it has ended; after a kill: snakemake --unlock."
            raise ConfigError(self.results.name, "a run works on it, or was killed", do)

    def find_in_history(self) -> Iterator[Removal]:
        yield from find_rounds(self.history, self.hips)
        if self.patient:
            yield from find_folds(self.history, self.patient)
        yield from (_remove(KILLED, path) for path in find_temporaries(self.history))

    def find_named(self) -> Iterator[Removal]:
        named = find_named(self.home, self.results.name)
        yield from (_remove(kind, path) for kind, path, _, case in named if case in ("", self.case))
        for path in walk(self.home / "cache/train" / self.results.name) if self.was_labelled else ():
            yield _remove("checkpoints of trainings", path)

    def find_in_results(self) -> Iterator[Removal]:
        """What the results hold of the case; tables that give the patient come last, for a second attempt."""
        paths = sorted(walk(self.results), key=lambda path: path.parent.name == "hips")
        shown = bool(self.hips & {row["hip_id"] for row in self.rows})
        for path in paths:
            yield from self._find_in_file(path, path.relative_to(self.results).parts, shown=shown)

    def _find_in_file(self, path: Path, parts: tuple[str, ...], *, shown: bool) -> Iterator[Removal]:
        if parts[0] in ("figures", "logs") or parts == ("report.html",):
            drawn = shown and parts[0] != "logs"
            if drawn or self._is_named_in(path):
                yield _remove(parts[0] if len(parts) > 1 else "report", path)
        elif path.suffix == ".csv":
            yield from self._find_in_table(path, parts)
        elif path.suffix == ".npz":
            yield from self._find_in_stack(path, parts)

    def _is_named_in(self, path: Path) -> bool:
        # In the pixels of a PNG any two letters are found.
        return path.suffix != ".png" and bool(
            self.word.search(path.read_text(encoding="utf-8", errors="replace"))
        )

    def _find_in_table(self, path: Path, parts: tuple[str, ...]) -> Iterator[Removal]:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = list(reader.fieldnames or ()), list(reader)
        left = [_drop_neighbours(row, self.hips) for row in rows if not self._is_of(row)]
        if left == rows:
            return
        if parts[0] in _REMADE:
            yield _remove("tables of shards", path)
        else:
            yield path, "tables with rows", lambda: write_csv(path, columns, left)
        stack = path.with_suffix(".npz")
        if parts[0] in (*_REMADE, "hips") and stack.is_file():  # Snakemake sees that it is missing
            yield _remove("stacks", stack)

    def _is_of(self, row: Mapping[str, str]) -> bool:
        if row.get("case_id") or row.get("hip_id"):
            return row.get("case_id") == self.case or row.get("hip_id") in self.hips
        return bool(self.patient) and row.get("patient_id") == self.patient

    def _find_in_stack(self, path: Path, parts: tuple[str, ...]) -> Iterator[Removal]:
        with np.load(path, allow_pickle=False) as archive:
            names = archive["hip_id"] if "hip_id" in archive.files else np.array([], np.str_)
        keep = ~np.isin(names, list(self.hips))
        if not keep.all() and parts[0] in (*_REMADE, "hips"):
            yield _remove("stacks", path)
        elif not keep.all():
            yield path, "stacks with hips", lambda: _write_kept(path, keep)

    def describe_remains(self) -> Iterator[str]:
        """What no command can take back, or not this one."""
        name = self.results.name
        yield "What remains:"
        if self.was_labelled and (self.results / "models").exists():
            yield (
                f"- Models in results/{name}/models that were trained on its hips. The next run trains those "
                "of the configured experiments anew; delete the others."
            )
        known = self.patient or any(row["case_id"] == self.case for row in self.rows)
        if not known and any((self.history / "folds").glob("*.csv")):
            yield f"- The patient's row in history/{name}/folds, if any: --patient PATIENT_ID takes it out."
        others = sorted(path.name for path in self.home.glob("results/*") if self._is_in(path.name))
        if others:
            yield f"- The case in other studies: {', '.join(others)}."
        yield "- Scores and counts that it was part of, until the next run."
        yield "- Your own tables and CTs, copies, backups, and the logs below .snakemake."
        yield "Take its rows out of cases.csv and grades.csv, then run snakemake: with them it comes back."

    def _is_in(self, study: str) -> bool:
        images = self.home.glob(f"results/{study}/radiographs/*/png/{self.case}_[LR].png")
        kept = (self.home / "cache" / part / study / self.case for part in CACHES)
        return study != self.results.name and (any(images) or any(path.exists() for path in kept))


def _remove(kind: str, path: Path) -> Removal:
    return path, kind, lambda: remove_file(path)


def _drop_neighbours(row: dict[str, str], hips: set[str]) -> dict[str, str]:
    """A row of the list without these hips among its neighbours."""
    names = row.get("neighbours", "").split("; ")
    if not hips & set(names):
        return row
    pairs = zip(names, row["neighbour_grades"].split("; "), strict=True)
    kept = [*zip(*(pair for pair in pairs if pair[0] not in hips), strict=True)] or [(), ()]
    return row | {"neighbours": "; ".join(kept[0]), "neighbour_grades": "; ".join(kept[1])}


def _write_kept(path: Path, keep: np.ndarray) -> None:
    arrays = read_npz(path).items()
    write_npz(path, {name: array[keep] if array.shape[:1] == keep.shape else array for name, array in arrays})
