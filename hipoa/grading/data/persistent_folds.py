"""Folds that stay: a patient once in a fold stays there when others are added.

Split anew with every newly graded patient, the folds would mix: each model would have seen patients on which
the round before was scored, and nothing could be said of what the new grades brought. So the first split is
kept beside the results, and later patients are laid to it one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.files import read_csv, write_csv
from hipoa.core.identifiers import normalise

COLUMNS = ("patient_id", "fold", "grades")
_CLASSES = 7

Grades = Mapping[str, Sequence[int]]


def read_kept(path: Path) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Patient to fold, and to the grades of her hips, as they were kept; nothing if there is no file."""
    rows = {normalise(row["patient_id"]): row for row in (read_csv(path) if path.is_file() else [])}
    fold_of = {patient: int(row["fold"]) for patient, row in rows.items()}
    return fold_of, {patient: tuple(map(int, row["grades"].split())) for patient, row in rows.items()}


def write_kept(path: Path, fold_of: Mapping[str, int], grades_of: Grades) -> None:
    """Keeps the folds for the next run; grades is the classes of a patient's hips, in order."""
    rows = [
        {
            "patient_id": patient,
            "fold": fold,
            "grades": " ".join(map(str, sorted(grades_of.get(patient, ())))),
        }
        for patient, fold in sorted(fold_of.items())
    ]
    write_csv(path, COLUMNS, rows)


def is_same_cohort(kept: Grades, grades_of: Grades) -> bool:
    """Whether kept folds are of these patients: at least half of those in both have the same grades.

    Else a cohort under the same pseudonyms (a synthetic one with another seed) would take over folds
    that are not stratified for it.

    Args:
        kept: Patient to grades, sorted, as they were.
        grades_of: Patient to grades as they are.
    """
    shared = [patient for patient in kept if kept[patient] and grades_of.get(patient)]
    same = sum(tuple(kept[patient]) == tuple(sorted(grades_of[patient])) for patient in shared)
    return bool(shared) and 2 * same >= len(shared)


def add_patients(
    fold_of: Mapping[str, int], grades_of: Grades, folds: int, seed: Sequence[int]
) -> dict[str, int]:
    """Gives each new patient the fold that keeps the grades most evenly spread.

    Patients come in random order, those with most graded hips first, each to the fold that leaves the least
    spread over the folds of each class's share, of equal ones the smallest (the criterion of scikit-learn's
    StratifiedGroupKFold).

    Args:
        fold_of: Patient to fold, of those who stay.
        grades_of: Patient to classes 1-7, of everyone with a graded hip.
        folds: How many.
        seed: What the order depends on.

    Returns:
        Patient to fold, of those of ``grades_of`` alone.
    """
    placed = {patient: fold_of[patient] for patient in grades_of if patient in fold_of}
    counts = np.zeros((folds, _CLASSES))
    for patient, fold in placed.items():
        counts[fold] += _count(grades_of[patient])
    total = np.maximum(1, sum(_count(grades) for grades in grades_of.values()))
    new = np.random.default_rng(seed).permutation(sorted(grades_of.keys() - placed.keys())).tolist()
    for patient in sorted(new, key=lambda patient: -len(grades_of[patient])):
        added = _count(grades_of[patient])
        placed[patient] = min(range(folds), key=lambda fold: (_spread(counts, added, fold, total), fold))
        counts[placed[patient]] += added
    return placed


def _count(grades: Sequence[int]) -> np.ndarray:
    return np.bincount(np.array(grades, dtype=np.int64) - 1, minlength=_CLASSES).astype(np.float64)


def _spread(counts: np.ndarray, added: np.ndarray, fold: int, total: np.ndarray) -> tuple[float, float]:
    after = counts.copy()
    after[fold] += added
    return round(float((after / total).std(axis=0).mean()), 12), float(after[fold].sum())
