"""Reads the unread and the labelled hips, and sets aside unread ones that should not be ranked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_numbers, read_columns
from hipoa.core.constants import UNSURE_BELOW
from hipoa.triage.neighbours import Labelled
from hipoa.triage.settings import TriageSettings

_GRADES = ("crowe", "kl", "grade", "off_table")
_COPIED = (
    *("hip_id", "case_id", "patient_id", "side", "status", "reason"),
    *("method", "confidence", "turn_deg", "cut"),
)
_LARGEST_TURN_DEG, _MOST_CUTS = 20.0, 1
_NOT_MEASURED = {
    "between_model_variance": "one model only: no variance between models",
    "distance": "too few labelled hips to measure a distance",
    "set_size": "too few labelled hips were predicted: no conformal set",
}

Columns = dict[str, np.ndarray]


def read_unread(paths: Sequence[Path]) -> Columns:
    """The unread hips of some tables ``{cohort}.csv``, with their cohort, in the tables' order."""
    tables = []
    for path in paths:
        columns = read_columns(path, (*_COPIED, *_GRADES))
        unread = np.all([columns[name] == "" for name in _GRADES], axis=0)
        columns["cohort"] = np.full(len(unread), path.stem)
        tables.append({name: columns[name][unread] for name in (*_COPIED, "cohort")})
    empty = np.zeros(0, dtype="U1")
    return {
        name: np.concatenate([empty, *(table[name] for table in tables)]) for name in (*_COPIED, "cohort")
    }


def read_labelled(path: Path | None) -> Labelled:
    """The hips with a class and a radiograph of the table of the labelled cohort, if there is one."""
    if path is None:
        return Labelled(*[np.zeros(0, dtype="U1")] * 3)
    columns = read_columns(path, ("hip_id", "patient_id", "grade", "status"), filled="grade")
    ok = columns["status"] == "ok"
    return Labelled(*(columns[name][ok] for name in ("hip_id", "patient_id", "grade")))


def explain_set_aside(hips: Columns, uncertainty: np.ndarray, settings: TriageSettings) -> np.ndarray:
    """Why each hip (n,) is not ranked, "" if it is: the first reason that applies.

    ``uncertainty`` (n,) is NaN where the measure does not apply.
    """
    refused = np.char.add(np.char.add(hips["status"], ": "), hips["reason"])
    why = np.where(hips["reason"] == "", hips["status"], refused)
    ok = hips["status"] == "ok"
    why = np.where(ok, "", why)
    for found, reason in _find_faults(hips, uncertainty, settings):
        why = np.where((why == "") & ok & found, reason, why)
    return why


def _find_faults(
    hips: Columns, uncertainty: np.ndarray, settings: TriageSettings
) -> Iterator[tuple[np.ndarray, str | np.ndarray]]:
    if settings.set_aside_poor:
        confidence, turn_deg, cut = (hips[name] for name in ("confidence", "turn_deg", "cut"))
        unsure = as_numbers(confidence) < UNSURE_BELOW
        yield unsure, np.char.add("poor image: the hip's centre is unsure, confidence ", confidence)
        turned = np.abs(as_numbers(turn_deg)) > _LARGEST_TURN_DEG
        words = np.char.add("poor image: the pelvis is turned by ", turn_deg)
        yield turned, np.char.add(words, " degrees")
        n_cuts = np.where(cut == "", 0, np.char.count(cut, ",") + 1)
        yield n_cuts > _MOST_CUTS, np.char.add("poor image: the CT ends ", cut)
    yield np.isnan(uncertainty), _NOT_MEASURED.get(settings.measure, "not measured")
