"""Folds of an earlier run, in which patients stay when others are added.

Split anew with every newly graded patient, the folds would mix: each model would have seen patients on which
the round before was scored, and nothing could be said of what the new grades brought.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, write_csv
from hipoa.core.identifiers import normalise

COLUMNS = ("patient_id", "fold")
_CLASSES = 7


def run(*, study: Path) -> None:
    """Keeps the folds of a study in history/NAME/folds, where the next run finds them.

    Args:
        study: The study's folder of results, such as results/demo.

    Raises:
        ConfigError: The study has no folds yet.
    """
    if not list(study.glob("folds/r*.csv")):
        raise ConfigError("--study", "it has no folds", "Name results/NAME, as a run wrote it.")
    print(f"{keep_folds(study)}: patients of {study.name} stay in these folds.")


def keep_folds(results: Path) -> Path:
    """Copies the folds of a study; a patient who is not in them any more stays in the copy.

    A copy that would not change is not written again, so that no run takes it for another.

    Returns:
        The folder of the copies.
    """
    # Not resolve(): results/NAME may be a link to a larger disk, history lies beside the link.
    results = Path(os.path.normpath(results.absolute()))
    history = results.parents[1] / "history" / results.name / "folds"
    for path in sorted(results.glob("folds/r*.csv")):
        kept = history / path.name
        former = _read(kept) if kept.is_file() else {}
        if (folds := former | _read(path)) != former:
            write_csv(kept, COLUMNS, [{"patient_id": name, "fold": folds[name]} for name in sorted(folds)])
    return history


def _read(path: Path) -> dict[str, str]:
    return {normalise(row["patient_id"]): row["fold"] for row in read_csv(path)}


def add_patients(
    fold_of: Mapping[str, int], grades_of: Mapping[str, Sequence[int]], folds: int, seed: Sequence[int]
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
