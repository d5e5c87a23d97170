"""Scores of ordinal classes, as functions of confusion matrices, and of probabilities, one value per hip.

scikit-learn and dlordinal score one cohort at a time. Here they are functions of
sums over hips, so that thousands of cohorts without one of the patients are scored at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hipoa.evaluation.predictions import N_GRADES

Score = Callable[[np.ndarray], np.ndarray]

LEAST_PROBABILITY = 1e-7
"""Replaces a probability of 0 in a logarithm; below it, float32 cannot tell 1 - p from 1."""

_DISTANCE = np.abs(np.subtract.outer(np.arange(N_GRADES), np.arange(N_GRADES)))


def count_confusions(cell: np.ndarray, n_cells: int, grade: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """One confusion matrix per cell, such as per repeat and fold.

    From (n,) cell numbers, true and predicted classes 1-7 to (n_cells, 7, 7) counts, true by predicted.
    """
    index = (cell * N_GRADES + grade - 1) * N_GRADES + predicted - 1
    counts = np.bincount(index, minlength=n_cells * N_GRADES**2)
    return counts.reshape(n_cells, N_GRADES, N_GRADES).astype(np.float64)


def exact_accuracy(confusion: np.ndarray) -> np.ndarray:
    """ECA, the share of hips whose predicted class is the true one (source: slides of Masuda et al.).

    From (..., 7, 7) counts, true class by predicted class, to (...), NaN where there is no hip.
    """
    return _weighted_share(confusion, _DISTANCE == 0)


def one_neighbour_accuracy(confusion: np.ndarray) -> np.ndarray:
    """ONCA, the share of hips predicted at most one class off; see `exact_accuracy`."""
    return _weighted_share(confusion, _DISTANCE <= 1)


def share_within(classes: int) -> Score:
    """The share of hips whose two classes are no further apart; see `exact_accuracy`."""
    return lambda confusion: _weighted_share(confusion, _DISTANCE <= classes)


def mean_absolute_error(confusion: np.ndarray) -> np.ndarray:
    """Mean distance of predicted and true class, in classes; see `exact_accuracy`."""
    return _weighted_share(confusion, _DISTANCE)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Mean recall over the true classes that occur; see `exact_accuracy`."""
    return _mean_over_classes(confusion, _DISTANCE == 0)


def macro_mean_absolute_error(confusion: np.ndarray) -> np.ndarray:
    """Mean over the true classes that occur of their mean absolute error, in classes; see `exact_accuracy`.

    Source: Baccianella, Esuli, Sebastiani, Ninth International Conference on Intelligent Systems Design and
    Applications 2009, 283-287.
    """
    return _mean_over_classes(confusion, _DISTANCE)


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


SCORES: dict[str, tuple[Score, str]] = {
    "ECA": (exact_accuracy, "share"),
    "ONCA": (one_neighbour_accuracy, "share"),
    "balanced accuracy": (balanced_accuracy, "share"),
    "kappa": (unweighted_kappa, "kappa"),
    "quadratic weighted kappa": (quadratic_weighted_kappa, "kappa"),
    "MAE": (mean_absolute_error, "classes"),
    "macro MAE": (macro_mean_absolute_error, "classes"),
}
"""Name to function and unit."""

OVER_CLASSES = ("balanced accuracy", "macro MAE")
"""Means over the classes that occur, each of which needs enough patients for an interval."""


LOWER_IS_BETTER = ("MAE", "macro MAE", "ranked probability score")


def find_best_constant(grade: np.ndarray, score: Score) -> int:
    """The class that, predicted for every hip, scores highest, the lowest of equal ones.

    ``grade`` is (n,) true class 1-7, at least one; of ``score`` more must be better.
    """
    constants = np.arange(1, N_GRADES + 1)
    cell = np.repeat(constants - 1, len(grade))
    confusion = count_confusions(cell, N_GRADES, np.tile(grade, N_GRADES), cell + 1)
    return int(constants[np.argmax(score(confusion))])


def brier_score(probability: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """Squared distance of the probabilities and the true class, from 0 to 2.

    From (n, K) rows that sum to 1 and (n,) true class 1-K to (n,).
    Source: Brier, Monthly Weather Review 1950, 78, 1-3.
    """
    return ((probability - _one_hot(probability, grade)) ** 2).sum(axis=1)


def negative_log_likelihood(probability: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the true class's probability, nats; see `brier_score`."""
    of_true = probability[np.arange(len(grade)), grade - 1]
    return -np.log(np.maximum(of_true, LEAST_PROBABILITY))


def ranked_probability_score(probability: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """Squared distance of the cumulative probabilities and the true class's, summed over the classes.

    From 0 to K - 1; of a certain prediction it is the absolute error in classes; see `brier_score`.
    Source: Epstein, Journal of Applied Meteorology 1969, 8, 985-987.
    """
    return ((probability - _one_hot(probability, grade)).cumsum(axis=1) ** 2).sum(axis=1)


def _one_hot(probability: np.ndarray, grade: np.ndarray) -> np.ndarray:
    return np.eye(probability.shape[1])[grade - 1]


def _weighted_share(confusion: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return divide((confusion * weight).sum(axis=(-2, -1)), confusion.sum(axis=(-2, -1)))


def _mean_over_classes(confusion: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The mean of `_weighted_share` of each true class that occurs."""
    true = confusion.sum(axis=-1)
    share = divide((confusion * weight).sum(axis=-1), true)
    return divide(np.nansum(share, axis=-1), (true > 0).sum(axis=-1))


def divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Element by element; NaN where the denominator is not positive."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
