"""Scores of ordinal classes, each as a function of confusion matrices.

A score of resampled patients is the score of a weighted sum of their matrices, so that the
bootstrap needs one matrix product and no loop over resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hipoa.evaluation.predictions import N_GRADES

_DISTANCE = np.abs(np.subtract.outer(np.arange(N_GRADES), np.arange(N_GRADES)))


def count_confusions(cell: np.ndarray, n_cells: int, grade: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """One confusion matrix per cell, such as per repeat and fold.

    Args:
        cell: (n,) number of each row's cell, below ``n_cells``.
        n_cells: How many there are.
        grade: (n,) true class 1-7.
        predicted: (n,) predicted class 1-7.

    Returns:
        (n_cells, 7, 7) counts, true class by predicted class.
    """
    index = (cell * N_GRADES + grade - 1) * N_GRADES + predicted - 1
    counts = np.bincount(index, minlength=n_cells * N_GRADES**2)
    return counts.reshape(n_cells, N_GRADES, N_GRADES).astype(np.float64)


def exact_accuracy(confusion: np.ndarray) -> np.ndarray:
    """ECA, the share of hips whose predicted class is the true one (source: slides of Masuda et al.).

    Args:
        confusion: (..., 7, 7) counts, true class by predicted class.

    Returns:
        (...), NaN where there is no hip.
    """
    return _weighted_share(confusion, _DISTANCE == 0)


def one_neighbour_accuracy(confusion: np.ndarray) -> np.ndarray:
    """ONCA, the share of hips predicted at most one class off; see `exact_accuracy`."""
    return _weighted_share(confusion, _DISTANCE <= 1)


def mean_absolute_error(confusion: np.ndarray) -> np.ndarray:
    """Mean distance of predicted and true class, in classes; see `exact_accuracy`."""
    return _weighted_share(confusion, _DISTANCE)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Mean over the true classes that occur of the share found; see `exact_accuracy`."""
    true = confusion.sum(axis=-1)
    found = np.diagonal(confusion, axis1=-2, axis2=-1)
    share = divide(found, true)
    return divide(np.nansum(share, axis=-1), (true > 0).sum(axis=-1))


def macro_mean_absolute_error(confusion: np.ndarray) -> np.ndarray:
    """Mean over the true classes that occur of their mean absolute error, in classes; see `exact_accuracy`.

    Source: Baccianella, Esuli, Sebastiani, Ninth International Conference on Intelligent Systems Design and
    Applications 2009, 283-287.
    """
    true = confusion.sum(axis=-1)
    error = divide((confusion * _DISTANCE).sum(axis=-1), true)
    return divide(np.nansum(error, axis=-1), (true > 0).sum(axis=-1))


def recall_of(grade: int) -> Callable[[np.ndarray], np.ndarray]:
    """The share found of the hips of one true class 1-7, as a function of confusion matrices."""

    def recall(confusion: np.ndarray) -> np.ndarray:
        return divide(confusion[..., grade - 1, grade - 1], confusion[..., grade - 1, :].sum(axis=-1))

    return recall


def unweighted_kappa(confusion: np.ndarray) -> np.ndarray:
    """Cohen's kappa of the exact class; NaN where all is one class; see `exact_accuracy`."""
    return _kappa(confusion, _DISTANCE > 0)


def quadratic_weighted_kappa(confusion: np.ndarray) -> np.ndarray:
    """Cohen's kappa with squared distances as weights; NaN where all is one class; see `exact_accuracy`."""
    return _kappa(confusion, _DISTANCE**2)


def _kappa(confusion: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = confusion.sum(axis=(-2, -1))
    by_chance = confusion.sum(axis=-1)[..., :, None] * confusion.sum(axis=-2)[..., None, :]
    return 1 - divide(
        (confusion * weight).sum(axis=(-2, -1)) * total, (by_chance * weight).sum(axis=(-2, -1))
    )


SCORES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "ECA": (exact_accuracy, "share"),
    "ONCA": (one_neighbour_accuracy, "share"),
    "balanced accuracy": (balanced_accuracy, "share"),
    "kappa": (unweighted_kappa, "kappa"),
    "quadratic weighted kappa": (quadratic_weighted_kappa, "kappa"),
    "MAE": (mean_absolute_error, "classes"),
    "macro MAE": (macro_mean_absolute_error, "classes"),
}
"""Name to function and unit."""

RECALLS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    f"recall, class {grade}": (recall_of(grade), "share") for grade in range(1, N_GRADES + 1)
}
"""The same for each true class; NaN where it does not occur."""


def find_best_constant(grade: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> int:
    """The class that, predicted for every hip, scores highest; of equal ones the lowest.

    Args:
        grade: (n,) true class 1-7, at least one.
        score: One of the functions of this module of which more is better.
    """
    constants = np.arange(1, N_GRADES + 1)
    cell = np.repeat(constants - 1, len(grade))
    confusion = count_confusions(cell, N_GRADES, np.tile(grade, N_GRADES), cell + 1)
    return int(constants[np.argmax(score(confusion))])


def _weighted_share(confusion: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return divide((confusion * weight).sum(axis=(-2, -1)), confusion.sum(axis=(-2, -1)))


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Element by element; NaN where the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
