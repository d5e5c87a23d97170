"""Folds for cross-validation: stratified by grade, and a patient's hips always together."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from hipoa.errors import CohortError
from hipoa.files import read_csv, write_csv
from hipoa.grading.settings import FoldsSettings

COLUMNS = ("hip_id", "patient_id", "fold")


def run(settings: FoldsSettings, *, hips: Path, repeat: int, out: Path) -> None:
    """Splits the labelled patients into folds.

    Args:
        settings: How many folds, and the seed.
        hips: The table of the labelled cohort.
        repeat: The number of the split, counted from 0.
        out: The table to write.

    Raises:
        CohortError: There are too few patients for so many folds.
    """
    rows = read_csv(hips)
    usable = [row for row in rows if row["status"] == "ok" and row["grade"]]
    grades = [int(row["grade"]) for row in usable]
    patients = [row["patient_id"] for row in usable]
    fold_of = split_patients(patients, grades, settings.folds, [settings.folds_seed, repeat])
    others = {row["patient_id"] for row in rows} - set(patients)
    fold_of |= place_patients(others, fold_of, settings.folds, [settings.folds_seed, repeat, 1])
    _warn_of_rare(grades, patients, settings.folds)
    named = [(row["hip_id"], row["patient_id"]) for row in usable] + [("", other) for other in sorted(others)]
    cells = [{"hip_id": hip, "patient_id": patient, "fold": fold_of[patient]} for hip, patient in named]
    write_csv(out, COLUMNS, cells)


def split_patients(
    patients: Sequence[str], grades: Sequence[int], folds: int, seed: Sequence[int]
) -> dict[str, int]:
    """Gives each patient a fold, so that the grades are spread evenly over the folds.

    Args:
        patients: (n,) one per hip.
        grades: (n,) class 1-7 of the hip.
        folds: How many.
        seed: What the shuffling depends on.

    Returns:
        Patient to fold, counted from 0.

    Raises:
        CohortError: Fewer patients than folds, or no split without an empty fold.
    """
    if len(set(patients)) < folds:
        raise _too_few(f"{len(set(patients))} patients with a graded, usable hip for {folds} folds")
    most = max(Counter(grades).values())
    if most < folds:
        raise _too_few(f"no class has more than {most} hips for {folds} folds")
    state = int(np.random.default_rng(seed).integers(2**31))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # A class rarer than the folds: said in our words by the caller.
        warnings.simplefilter("ignore", UserWarning)
        parts = [test for _, test in splitter.split(np.zeros(len(grades)), grades, patients)]
    if not all(len(part) for part in parts):
        raise _too_few(f"a fold without any of the {len(set(patients))} patients")
    return {patients[int(hip)]: fold for fold, part in enumerate(parts) for hip in part}


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


def _too_few(found: str) -> CohortError:
    return CohortError("folds", found, "Add graded patients, or lower the setting folds.")
