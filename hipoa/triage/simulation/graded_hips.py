"""Reads the graded hips for the simulation and chooses the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, read_npz
from hipoa.grading.data.stratified_split import split_patients

LEAST_PATIENTS = 8
LEAST_TEST_PATIENTS = 10
"""Graded external patients from which on they are the test set."""
_TEST_FOLDS, _SEED = 4, 0


@dataclass(frozen=True)
class Hips:
    """The graded hips of the simulation."""

    hip_id: np.ndarray  # (n,) names
    patient: np.ndarray  # (n,) pseudonyms
    grade: np.ndarray  # (n,) class 1-7
    test: np.ndarray  # (n,) bool, the test set, which is never read
    radiograph: np.ndarray  # (n, 150, 150) uint8
    test_set: str  # the test set in words


def read_graded_hips(hips: Sequence[Path], stacks: Sequence[Path]) -> Hips:
    """The graded hips of the tables and stacks of the labelled and the external cohort.

    The test set is the external cohort where it is large enough, else a quarter of the labelled patients.

    Raises:
        CohortError: An image is missing.
    """
    rows = [row | {"cohort": path.stem} for path in sorted(hips) for row in read_csv(path)]
    rows = [row for row in rows if row["status"] == "ok" and row["grade"]]
    image_of: dict[str, np.ndarray] = {}
    for stack in map(read_npz, stacks):
        image_of |= zip(stack["hip_id"].tolist(), stack["radiograph"], strict=True)
    missing = [row["hip_id"] for row in rows if row["hip_id"] not in image_of]
    if missing:
        raise CohortError(
            "stacks", f"{len(missing)} hips are missing, the first is {missing[0]}", "Run hips again."
        )
    outside = {row["patient_id"] for row in rows if row["cohort"] == "external"}
    rows, test, words = _choose_test(rows, outside)
    return Hips(
        hip_id=np.array([row["hip_id"] for row in rows], dtype=str),
        patient=np.array([row["patient_id"] for row in rows], dtype=str),
        grade=np.array([int(row["grade"]) for row in rows], dtype=np.int64),
        test=np.array([row["patient_id"] in test for row in rows], dtype=bool),
        radiograph=np.array([image_of[row["hip_id"]] for row in rows]),
        test_set=words,
    )


def _choose_test(rows: list[dict[str, str]], outside: set[str]) -> tuple[list[dict[str, str]], set[str], str]:
    """The rows that are used, the patients of the test set, and what it is."""
    if len(outside) >= LEAST_TEST_PATIENTS:
        return rows, outside, "the external cohort"
    rows = [row for row in rows if row["patient_id"] not in outside]
    words = "a fixed quarter of the labelled patients"
    patients, grades = [row["patient_id"] for row in rows], [int(row["grade"]) for row in rows]
    try:
        fold_of = split_patients(patients, grades, _TEST_FOLDS, [_SEED])
    except CohortError:  # too few to split: then nothing is simulated, and the study goes on
        return rows, set(), words
    return rows, {patient for patient, fold in fold_of.items() if fold == 0}, words
