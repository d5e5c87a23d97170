"""Removes a case from the readings, kept folds and rounds, which no run can make again."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from hipoa.core.files import read_csv, read_json, replacing, write_csv, write_json
from hipoa.core.identifiers import normalise
from hipoa.grading.data.persistent_folds import COLUMNS as FOLD_COLUMNS
from hipoa.reading.rounds import drop_hips

Removal = tuple[Path, str, Callable[[], None]]
"""A file, what kind of thing is removed, in the plural, and the function that removes it."""


def count_readings(log: Path, case_id: str) -> int:
    """The lines of a log, or of what was torn off it, that are of a case."""
    return sum(not kept for path in (log, log.with_suffix(".torn")) for _, kept in _sort(path, case_id))


def remove_readings(log: Path, case_id: str) -> None:
    """Takes the lines of a case out of a log, which the caller holds locked; the others stay as they are."""
    for path in (log, log.with_suffix(".torn")):
        lines = list(_sort(path, case_id))
        if not all(kept for _, kept in lines):
            with replacing(path) as temporary:
                temporary.touch(mode=0o600)
                temporary.write_bytes(b"".join(line for line, kept in lines if kept))


def _sort(path: Path, case_id: str) -> Iterator[tuple[bytes, bool]]:
    """Each line with its end, and whether it stays."""
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        try:
            yield line, json.loads(line)["case_id"] != case_id
        except (ValueError, KeyError, TypeError):  # a torn line is no JSON
            yield line, case_id.encode() not in line


def find_rounds(history: Path, hips: Collection[str]) -> Iterator[Removal]:
    """The rounds that know one of these hips."""
    for path in sorted((history / "rounds").glob("[0-9]*.json")):
        one = read_json(path)
        if (left := drop_hips(one, hips)) != one:
            yield path, "rounds", lambda path=path, left=left: write_json(path, left)


def find_folds(history: Path, patient_id: str) -> Iterator[Removal]:
    """The kept folds that know a patient."""
    for path in sorted((history / "folds").glob("*.csv")):
        rows = read_csv(path)
        left = [row for row in rows if normalise(row["patient_id"]) != patient_id]
        if len(left) < len(rows):
            yield path, "kept folds", lambda path=path, left=left: write_csv(path, FOLD_COLUMNS, left)
