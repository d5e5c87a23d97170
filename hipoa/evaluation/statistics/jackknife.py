"""The jackknife by patient: how much each patient moves a score, and networks trained on others would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def jackknife(sums: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A score of each repeat, and its pseudo-values: n times it less n - 1 times that without a patient.

    The mean of the pseudo-values varies from cohort to cohort of patients as the score does, and for a mean
    over patients they are the patients' own values. A patient is left out with all hips, in all repeats.
    Source: Efron and Stein, Annals of Statistics 1981, 9, 586-596.

    Args:
        sums: (n patients, repeats, ...) sums over a patient's hips from which the score is computed, such as
            (n, repeats, K, K) counts.
        score: Function of (..., repeats, ...) sums over patients to (..., repeats).

    Returns:
        The score (repeats,) and the pseudo-values (n, repeats); NaN where the score is not defined.
    """
    total = sums.sum(axis=0)
    return pseudo_values(score(total), score(total - sums))


def pseudo_values(value: np.ndarray, without: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score (repeats,), and the pseudo-values (n, repeats) from the scores without each patient."""
    n = len(without)
    return value, n * value - (n - 1) * without


def variance_of_training(pseudo: np.ndarray, fold: np.ndarray) -> float:
    """The part of a score's variance from cohort to cohort that the draw of the training patients makes.

    The models of a cross-validation share most of their training patients, so that they differ less than
    models of new patients would. If the score is linear in the training patients, models of two of k folds,
    whose training sets share the part (k - 2) / (k - 1), vary by 1 / (k - 1) of what models of independent
    training sets do. The latter, k - 1 times the variance between models, is taken: it is k / (k - 1) of what
    the mean over the k folds varies by, so that it errs to the careful side (for the overlap see Nadeau and
    Bengio, Machine Learning 2003, 52, 239-281).

    The variance between models is found by the method of moments from the sums of squares between and within
    folds of what is left of the pseudo-values when each patient's mean over the repeats is taken away; with
    one repeat it is that of the one-way analysis of variance.

    Args:
        pseudo: (n patients, repeats) pseudo-values.
        fold: (n, repeats) number of the fold whose model graded the patient.

    Returns:
        The variance, 0 where the models differ no more than by chance; NaN with fewer patients than needed.
    """
    n, repeats = pseudo.shape
    folds, of_patient = np.unique(fold, return_inverse=True)
    k = len(folds)
    if k < 2 or n <= k:
        return float("nan")
    rest = pseudo - (pseudo.mean(axis=1, keepdims=True) if repeats > 1 else pseudo.mean())
    cell = (of_patient.reshape(fold.shape) + k * np.arange(repeats)).ravel()
    count = np.bincount(cell, minlength=k * repeats)
    sums = np.bincount(cell, rest.ravel(), minlength=k * repeats)
    between = float((sums**2 / np.maximum(count, 1)).sum())
    within = float((rest**2).sum()) - between
    # What the two sums of squares hold, on average, of the variance between models and of that within them;
    # a patient's mean holds a part of each.
    if repeats > 1:
        left = repeats - 1
        of_models = n * left * np.array([left + 1 / k, 1 - 1 / k]) / repeats
        of_rest = left * np.array([k, n - k])
    else:
        of_models, of_rest = np.array([n * (k - 1) / k, 0.0]), np.array([k - 1, n - k])
    ratio = of_rest[0] / of_rest[1]
    between_models = (between - ratio * within) / (of_models[0] - ratio * of_models[1])
    return (k - 1) * max(float(between_models), 0.0)
