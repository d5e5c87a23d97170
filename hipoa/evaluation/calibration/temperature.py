"""Temperature scaling of the predicted probabilities, fitted out of fold.

After 200 epochs a network has memorised its training hips. The temperature of a fold is therefore fitted on
the out-of-fold predictions of the other folds of the same repeat.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.scores import LEAST_PROBABILITY, negative_log_likelihood

_LEAST, _LARGEST = 0.05, 20.0
_LEAST_HIPS = 10


def fit_temperature(probability: np.ndarray, grade: np.ndarray) -> float:
    """The temperature of least negative log likelihood, from 0.05 to 20; 1 with fewer than ten hips.

    ``probability`` is (n, K), ``grade`` (n,) true class 1-K. scikit-learn fits only its own classifiers.
    Source: Guo et al., ICML 2017, 1321-1330.
    """
    if len(grade) < _LEAST_HIPS:
        return 1.0
    found = minimize_scalar(
        lambda log: negative_log_likelihood(scale(probability, np.exp(log)), grade).mean(),
        bounds=(np.log(_LEAST), np.log(_LARGEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def scale(probability: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Probabilities (n, K) scaled by temperatures, flatter above 1; the order of the classes stays."""
    logits = np.log(np.maximum(probability, LEAST_PROBABILITY))
    return softmax(logits / np.reshape(temperature, (-1, 1)), axis=1)


def split_by_fold(table: Graded) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit on and rows to apply the fit to, both (n,) bool, of an experiment's hips of all cohorts.

    In each repeat every fold has a fit on the other folds, and other cohorts one on all labelled hips.
    """
    labelled = table.cohort == "labelled"
    parts = []
    for repeat in np.unique(table.repeat):
        inside = labelled & (table.repeat == repeat)
        for fold in np.unique(table.fold[inside]):
            test = inside & (table.fold == fold)
            parts.append((inside & ~test, test))
        parts.append((inside, ~labelled & (table.repeat == repeat)))
    return [(fit, use) for fit, use in parts if use.any()]


def scale_crossfitted(table: Graded) -> tuple[Graded, np.ndarray]:
    """The table with scaled probabilities, and the temperature of each row (n,)."""
    temperature = np.ones(len(table))
    for fit, use in split_by_fold(table):
        temperature[use] = fit_temperature(table.probability[fit], table.grade[fit])
    return replace(table, probability=scale(table.probability, temperature)), temperature
