"""The jackknife by patient: the standard error of a score that is a function of sums over patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def jackknife(sums: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, int]:
    """A score of all patients, and its standard error from deleting one patient at a time.

    A patient is deleted with all hips, in all repeats; the score is the mean over the repeats of the score
    per repeat. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, equation 11.5.

    Args:
        sums: (patients, repeats, ...) sums over a patient's hips.
        score: Function of (..., repeats, ...) sums over patients to (..., repeats).

    Returns:
        The score, its standard error in the same unit, and its degrees of freedom, one less than the
        patients. The standard error is NaN of fewer than two patients, and where the score without one of
        them is not defined.
    """
    n_patients = len(sums)
    total = sums.sum(axis=0)
    without = score(total - sums).mean(axis=-1)
    spread = ((without - without.mean()) ** 2).mean() if n_patients > 1 else np.nan
    return float(score(total).mean()), float(np.sqrt((n_patients - 1) * spread)), n_patients - 1
