"""The inner split: patients on whom a training is watched, taken from those that it may see."""

from __future__ import annotations

import numpy as np


def hold_back(patients: np.ndarray, target: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which hips are held back: those of about one patient in ``folds``, with all grades in proportion.

    Args:
        patients: (n,) one per hip.
        target: (n, heads) classes.
        folds: The setting inner_folds; 0 holds nobody back.
        seed: What the draw depends on.

    Returns:
        (n,) bool

    Raises:
        CohortError: There are too few patients.
    """
    if not folds:
        return np.zeros(len(patients), dtype=bool)
    # Imported where it is used: scikit-learn takes a second, and few trainings have an inner split.
    from hipoa.grading.data.stratified_split import split_patients

    _, kinds = np.unique(target, axis=0, return_inverse=True)
    fold_of = split_patients(patients.tolist(), kinds.ravel().tolist(), folds, [seed], "inner_folds")
    return np.array([fold_of[patient] == 0 for patient in patients.tolist()], dtype=bool)
