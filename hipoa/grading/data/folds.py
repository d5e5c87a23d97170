"""Folds for cross-validation: stratified by grade, a patient's hips together, old patients kept."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, write_csv
from hipoa.grading.data.persistent_folds import add_patients, is_same_cohort, read_kept, write_kept
from hipoa.grading.data.split_check import find_shortage, name_kept
from hipoa.grading.settings import FoldsSettings

COLUMNS = ("hip_id", "patient_id", "fold")


def run(
    settings: FoldsSettings,
    *,
    hips: Path,
    repeat: int,
    seed: int = 0,
    out: Path,
    history: Path | None = None,
) -> None:
    """Splits the labelled patients into folds.

    Args:
        settings: How many folds.
        hips: The table of the labelled cohort.
        repeat: The number of the split, counted from 0.
        seed: The study's; the split is drawn from `numpy.random.default_rng([seed, repeat])`.
        out: The table to write.
        history: A folder in which the split is kept: patients of a former run stay in their folds. Without
            it everyone is split anew.

    Raises:
        CohortError: There are too few patients for so many folds.
    """
    rows = read_csv(hips)
    usable = [row for row in rows if row["status"] == "ok" and row["grade"]]
    grades = [int(row["grade"]) for row in usable]
    patients = [row["patient_id"] for row in usable]
    drawn_from = [seed, repeat]
    kept = history / name_kept(settings.folds, seed, repeat) if history else None
    former = _read_former(kept, patients, grades, settings.folds) if kept else {}
    fold_of = _split(former, patients, grades, settings.folds, drawn_from)
    others = {row["patient_id"] for row in rows} - set(patients)
    stay = {patient: former[patient] for patient in others if patient in former}
    fold_of |= stay | place_patients(others - stay.keys(), fold_of | stay, settings.folds, [*drawn_from, 1])
    if kept:
        write_kept(kept, former | fold_of, _group(patients, grades))
    _warn_of_rare(grades, patients, settings.folds)
    named = [(row["hip_id"], row["patient_id"]) for row in usable] + [("", other) for other in sorted(others)]
    cells = [{"hip_id": hip, "patient_id": patient, "fold": fold_of[patient]} for hip, patient in named]
    write_csv(out, COLUMNS, cells)


def _split(
    former: Mapping[str, int], patients: Sequence[str], grades: Sequence[int], folds: int, seed: Sequence[int]
) -> dict[str, int]:
    if not former:
        return split_patients(patients, grades, folds, seed)
    return add_patients(former, _group(patients, grades), folds, [*seed, 2])


def _read_former(path: Path, patients: Sequence[str], grades: Sequence[int], folds: int) -> dict[str, int]:
    """The folds that were kept, if they are of these patients and none of them would be empty."""
    fold_of, grades_of = read_kept(path)
    present = {fold_of[patient] for patient in patients if patient in fold_of}
    if fold_of and is_same_cohort(grades_of, _group(patients, grades)) and len(present) == folds:
        return fold_of
    if fold_of:
        print("folds: the patients are others than before: all are split anew", file=sys.stderr)
    return {}


def _group(patients: Sequence[str], grades: Sequence[int]) -> dict[str, list[int]]:
    grades_of: dict[str, list[int]] = {}
    for patient, grade in zip(patients, grades, strict=True):
        grades_of.setdefault(patient, []).append(grade)
    return grades_of


def split_patients(
    patients: Sequence[str], grades: Sequence[int], folds: int, seed: Sequence[int], setting: str = "folds"
) -> dict[str, int]:
    """Gives each patient a fold, so that the grades are spread evenly over the folds.

    Args:
        patients: (n,) one per hip.
        grades: (n,) class 1-7 of the hip.
        folds: How many.
        seed: What the shuffling depends on.
        setting: The name of the setting that says how many, for messages.

    Returns:
        Patient to fold, counted from 0.

    Raises:
        CohortError: Fewer patients than folds, or no split without an empty fold.
    """
    shortage = find_shortage(len(set(patients)), max(Counter(grades).values(), default=0), folds)
    if shortage:
        raise _too_few(shortage, setting)
    state = int(np.random.default_rng(seed).integers(2**31))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # A class rarer than the folds: said in our words by the caller.
        warnings.simplefilter("ignore", UserWarning)
        parts = [test for _, test in splitter.split(np.zeros(len(grades)), grades, patients)]
    if not all(len(part) for part in parts):
        raise _too_few(f"a fold without any of the {len(set(patients))} patients", setting)
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


def _too_few(found: str, setting: str) -> CohortError:
    return CohortError(setting, found, f"Add graded patients, or lower the setting {setting}.")
