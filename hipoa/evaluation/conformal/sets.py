"""Ordinal conformal sets: adjacent classes that contain the true one with a stated probability."""

from __future__ import annotations

import numpy as np

from hipoa.evaluation.calibration.temperature import split_by_fold
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.predictions import N_GRADES


def grow_sets(probability: np.ndarray) -> np.ndarray:
    """The probability of the set when each class enters it.

    A set begins with the most probable class and grows by the more probable of its two neighbours, the milder
    of equal ones; so it has no gap, and a larger set contains every smaller one. Source: Lu, Angelopoulos,
    Pomerantz, MICCAI 2022, 545-554.

    Args:
        probability: (n, K), rows that sum to 1.

    Returns:
        (n, K), largest of a row about 1; the set at a threshold is the classes at or below it.
    """
    n, n_classes = probability.shape
    rows = np.arange(n)
    low = high = probability.argmax(axis=1)
    mass = probability[rows, low]
    entered = np.zeros((n, n_classes))
    entered[rows, low] = mass
    padded = np.pad(probability, ((0, 0), (1, 1)), constant_values=-1.0)
    for _ in range(n_classes - 1):
        below, above = padded[rows, low], padded[rows, high + 2]
        milder = below >= above
        low, high = low - milder, high + ~milder
        mass = mass + np.where(milder, below, above)
        entered[rows, np.where(milder, low, high)] = mass
    return entered


def grow_about(value: np.ndarray) -> np.ndarray:
    """How much further from a regression's value (n,) each class lies than the nearest class, (n, 7).

    The set at a threshold is the classes at or below it; since the distance of the nearest class is
    subtracted, no set is empty. Source of the distance as score: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman,
    JASA 2018, 113, 1094-1111.
    """
    distance = np.abs(value[:, None] - np.arange(1, N_GRADES + 1))
    return distance - distance.min(axis=1, keepdims=True)


def order_classes(probability: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The score (n, 7) at which each class enters the set of a hip.

    By `grow_about` of a regression's value (n,), where that is NaN by `grow_sets` of the probability (n, 7).
    """
    return np.where(np.isfinite(value)[:, None], grow_about(value), grow_sets(probability))


def score_true(table: Graded) -> np.ndarray:
    """The score (n,) at which the true class enters the set of a hip."""
    return order_classes(table.probability, table.value)[np.arange(len(table)), table.grade - 1]


def find_threshold(score: np.ndarray, patient: np.ndarray, level: float) -> float:
    """The threshold that the score of a hip of a new patient does not exceed with probability ``level``.

    Every patient has the same weight, shared among the patient's hips, as has the new one; so the hips
    of a patient need not be independent. With one hip per patient it is the split conformal quantile.
    Source: Lee, Barber, Willett, Distribution-free inference with hierarchical data, 2023.

    Args:
        score: (n,) of hips that were not used to train.
        patient: (n,) pseudonyms.
        level: Share, such as 0.9.

    Returns:
        A score; infinite where there are too few patients for the level.
    """
    if not len(score):
        return float("inf")
    number, n_patients = number_cells(patient)
    weight = 1 / np.bincount(number)[number] / (n_patients + 1)
    order = np.argsort(score, kind="stable")
    # Rounding must not lose the patient who just reaches the level.
    reached = np.flatnonzero(weight[order].cumsum() >= level - 1e-12)
    return float(score[order][reached[0]]) if len(reached) else float("inf")


def predict_sets(table: Graded, level: float) -> np.ndarray:
    """The set (n, 7) bool of every hip and repeat, its threshold fitted on hips of other folds.

    Args:
        table: One experiment's graded hips of all cohorts.
        level: The share of hips whose set should contain the true class.
    """
    score = score_true(table)
    threshold = np.full(len(table), np.inf)
    for fit, use in split_by_fold(table):
        threshold[use] = find_threshold(score[fit], table.patient[fit], level)
    return order_classes(table.probability, table.value) <= threshold[:, None]
