"""The hips that no surgeon has graded, and why some of them are set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.columns import as_numbers, read_columns
from hipoa.triage.neighbours import Labelled
from hipoa.triage.settings import TriageSettings

_READ = ("crowe", "kl", "grade", "off_table")
_KEYS = ("hip_id", "case_id", "patient_id", "side", "status", "reason")
_QUALITY = ("implant", "method", "confidence", "turn_deg", "cut")
_IMPLANT = "implant"
# What makes an image poor: a confidence of the hip's centre below the first, a pelvis turned about the long
# axis by more than the second, a CT that ends within the field of view on more sides than the third. Ours.
_LEAST_CONFIDENCE, _LARGEST_TURN_DEG, _MOST_CUTS = 0.6, 20.0, 1
_NOT_MEASURED = {
    "between_model_variance": "one model only: no variance between models",
    "distance": "too few labelled hips to measure a distance",
    "set_size": "no labelled hip was predicted: no conformal set",
}

_LABELLED = ("hip_id", "patient_id", "grade", "status")

Columns = dict[str, np.ndarray]


def read_unread(paths: Sequence[Path]) -> Columns:
    """The unread hips of some tables ``{cohort}.csv``, with their cohort, in the tables' order."""
    tables = []
    for path in paths:
        columns = read_columns(path, (*_KEYS, *_QUALITY, *_READ))
        unread = np.all([columns[name] == "" for name in _READ], axis=0)
        columns["cohort"] = np.full(len(unread), path.stem)
        tables.append({name: column[unread] for name, column in columns.items()})
    empty = np.zeros(0, dtype="U1")
    return {
        name: np.concatenate([empty, *(table[name] for table in tables)])
        for name in (*_KEYS, *_QUALITY, "cohort")
    }


def read_labelled(paths: Sequence[Path]) -> Labelled:
    """The hips with a class and a radiograph of the tables of the labelled cohort."""
    tables = [read_columns(path, ("hip_id", "patient_id", "grade", "status"), "grade") for path in paths]
    empty = np.zeros(0, dtype="U1")
    columns = {name: np.concatenate([empty, *(table[name] for table in tables)]) for name in _LABELLED}
    ok = columns["status"] == "ok"
    return Labelled(*(columns[name][ok] for name in _LABELLED[:3]))


def explain_set_aside(hips: Columns, uncertainty: np.ndarray, settings: TriageSettings) -> np.ndarray:
    """Why each hip is not ranked, "" if it is: the first reason that holds.

    Args:
        hips: As `read_unread` gives them, (n,) text each.
        uncertainty: (n,), NaN where the measure does not apply.
        settings: What is set aside.
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
    if settings.set_aside_implants:
        yield hips["implant"] == "yes", _IMPLANT
    if settings.set_aside_poor:
        unsure = as_numbers(hips["confidence"]) < _LEAST_CONFIDENCE
        yield unsure, _join("poor image: the hip's centre is unsure, confidence ", hips["confidence"])
        turned = np.abs(as_numbers(hips["turn_deg"])) > _LARGEST_TURN_DEG
        yield turned, _join("poor image: the pelvis is turned by ", hips["turn_deg"], " degrees")
        cuts = np.where(hips["cut"] == "", 0, np.char.count(hips["cut"], ",") + 1)
        yield cuts > _MOST_CUTS, _join("poor image: the CT ends ", hips["cut"])

    yield np.isnan(uncertainty), _NOT_MEASURED.get(settings.measure, "not measured")


def _join(before: str, cells: np.ndarray, after: str = "") -> np.ndarray:
    return np.char.add(np.char.add(before, cells), after)
