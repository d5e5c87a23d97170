"""Folds for cross-validation, stratified by grade and grouped by patient."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.files import read_csv, write_csv
from hipoa.grading.data.persistent_folds import add_patients
from hipoa.grading.data.split_check import read_folds
from hipoa.grading.data.stratified_split import split_patients
from hipoa.grading.settings import FoldsSettings

COLUMNS = ("hip_id", "patient_id", "fold")


def run(
    settings: FoldsSettings,
    *,
    hips: Path,
    repeat: int,
    seed: int = 0,
    out: Path,
    former: list[Path] | None = None,
) -> None:
    """Splits the labelled patients into folds.

    Args:
        settings: How many folds.
        hips: The table of the labelled cohort.
        repeat: The number of the split, counted from 0.
        seed: The study's; the split is drawn from `numpy.random.default_rng([seed, repeat])`.
        out: The table to write.
        former: The table of the folds that patients of an earlier run keep, or none.

    Raises:
        CohortError: There are too few patients for this number of folds, or other former folds.
    """
    rows = read_csv(hips)
    usable = [row for row in rows if row["status"] == "ok" and row["grade"]]
    grades = [int(row["grade"]) for row in usable]
    patients = [row["patient_id"] for row in usable]
    drawn_from = [seed, repeat]
    old = _read_former(former[0], patients, settings.folds) if former else {}
    fold_of = _split(old, patients, grades, settings.folds, drawn_from)
    others = {row["patient_id"] for row in rows} - set(patients)
    stay = {patient: old[patient] for patient in others if patient in old}
    fold_of |= stay | place_patients(others - stay.keys(), fold_of | stay, settings.folds, [*drawn_from, 1])
    _warn_of_rare(grades, patients, settings.folds)
    named = [(row["hip_id"], row["patient_id"]) for row in usable] + [("", other) for other in sorted(others)]
    cells = [{"hip_id": hip, "patient_id": patient, "fold": fold_of[patient]} for hip, patient in named]
    write_csv(out, COLUMNS, cells)


def _read_former(path: Path, patients: Sequence[str], folds: int) -> dict[str, int]:
    """Patient to fold in an earlier run, if none of the folds would be empty now."""
    fold_of = read_folds(path, folds)
    if len({fold_of[patient] for patient in patients if patient in fold_of}) == folds:
        return fold_of
    print("folds: the patients are others than before: all are split anew", file=sys.stderr)
    return {}


def _split(
    former: Mapping[str, int], patients: Sequence[str], grades: Sequence[int], folds: int, seed: Sequence[int]
) -> dict[str, int]:
    if not former:
        return split_patients(patients, grades, folds, seed)
    grades_of: dict[str, list[int]] = {}
    for patient, grade in zip(patients, grades, strict=True):
        grades_of.setdefault(patient, []).append(grade)
    return add_patients(former, grades_of, folds, [*seed, 2])


def place_patients(
    patients: set[str], fold_of: Mapping[str, int], folds: int, seed: Sequence[int]
) -> dict[str, int]:
    """Gives patients without a usable graded hip a fold: in random order, each to the smallest."""
    sizes = Counter(fold_of.values())
    placed: dict[str, int] = {}
    for patient in np.random.default_rng(seed).permutation(sorted(patients)).tolist():
        fold = min(range(folds), key=lambda fold: (sizes[fold], fold))
        placed[patient] = fold
        sizes[fold] += 1
    return placed


def _warn_of_rare(grades: Sequence[int], patients: Sequence[str], folds: int) -> None:
    holders = Counter(grade for grade, _ in set(zip(grades, patients, strict=True)))
    rare = [f"class {grade}: {n}" for grade, n in sorted(holders.items()) if n < folds]
    if rare:
        print(
            f"folds: warning: fewer patients than the {folds} folds in {', '.join(rare)}; "
            "some folds are tested without these classes",
            file=sys.stderr,
        )
