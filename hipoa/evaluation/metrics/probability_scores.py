"""Scores of probabilities, one value per hip: a mean of them, over any hips, is the score.

The libraries' functions (scikit-learn's `log_loss` and `brier_score_loss`, dlordinal's
`ranked_probability_score`) give the mean of one cohort; the bootstrap needs that of thousands.
"""

from __future__ import annotations

import numpy as np

LEAST_PROBABILITY = 1e-7
"""What a probability of 0 counts as in a logarithm: below it, float32 cannot tell 1 - p from 1."""


def brier_score(probability: np.ndarray, grade: np.ndarray) -> np.ndarray:
    """Squared distance of the probabilities and the true class, from 0 to 2.

    Args:
        probability: (n, K), rows that add up to 1.
        grade: (n,) true class 1-K.

    Returns:
        (n,). Source: Brier, Monthly Weather Review 1950, 78, 1-3.
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
