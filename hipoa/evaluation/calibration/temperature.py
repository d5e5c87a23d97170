"""Temperature scaling: one number that makes a network as sure as it is right.

After 200 epochs a network has memorised its training hips, so that the temperature of a fold is fitted on
what the other folds' models of the same repeat say of hips that they had not seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.probability_scores import LEAST_PROBABILITY, negative_log_likelihood

_LEAST, _LARGEST = 0.05, 20.0
_LEAST_HIPS = 10


def fit_temperature(probability: np.ndarray, grade: np.ndarray) -> float:
    """The temperature of the least negative log likelihood, from 0.05 to 20; 1 of fewer than ten hips.

    Source: Guo et al., ICML 2017, 1321-1330. scikit-learn fits it only of its own classifiers.

    Args:
        probability: (n, K).
        grade: (n,) true class 1-K.
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
    """Probabilities (n, K) as flat as the temperature says: above 1 less sure; the order stays."""
    logits = np.log(np.maximum(probability, LEAST_PROBABILITY))
    return softmax(logits / np.reshape(temperature, (-1, 1)), axis=1)


def split_by_fold(table: Graded) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is fitted on which rows: of each repeat every fold on the others, other cohorts on all labelled.

    Args:
        table: One experiment's graded hips of all cohorts.

    Returns:
        (rows to fit on, rows to apply it to), both (n,) bool; every row is applied to once, unless its
        repeat has no labelled hip.
    """
    labelled = table.cohort == "labelled"
    parts = []
    for repeat in np.unique(table.repeat):
        inside = labelled & (table.repeat == repeat)
        for fold in np.unique(table.fold[inside]):
            here = inside & (table.fold == fold)
            parts.append((inside & ~here, here))
        parts.append((inside, ~labelled & (table.repeat == repeat)))
    return [(fit, use) for fit, use in parts if use.any()]


def scale_crossfitted(table: Graded) -> tuple[Graded, np.ndarray]:
    """The table with scaled probabilities, and the temperature of each row (n,)."""
    temperature = np.ones(len(table))
    for fit, use in split_by_fold(table):
        temperature[use] = fit_temperature(table.probability[fit], table.grade[fit])
    return replace(table, probability=scale(table.probability, temperature)), temperature
