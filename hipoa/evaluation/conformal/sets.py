"""Ordinal conformal sets: neighbouring classes that hold the true one as often as is promised."""

from __future__ import annotations

import numpy as np

from hipoa.evaluation.calibration.temperature import split_by_fold
from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.predictions import N_GRADES


def grow_sets(probability: np.ndarray) -> np.ndarray:
    """How much probability the set has when each class comes in.

    A set begins with the most probable class and grows by the more probable of its two neighbours, of equal
    ones the milder; so it has no gap, and a larger one holds every smaller one. Source: Lu, Angelopoulos,
    Pomerantz, MICCAI 2022, 545-554.

    Args:
        probability: (n, K), rows that add up to 1.

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


def grow_about(value: np.ndarray, n_classes: int = N_GRADES) -> np.ndarray:
    """How much further from a regression's value than the nearest class each class lies.

    Source of the distance as score: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, JASA 2018, 113, 1094-1111.
    The nearest class is taken off, so that no set is empty.

    Args:
        value: (n,) in classes, counted from 1.
        n_classes: K.

    Returns:
        (n, K) in classes; the set at a threshold is the classes at or below it.
    """
    distance = np.abs(value[:, None] - np.arange(1, n_classes + 1))
    return distance - distance.min(axis=1, keepdims=True)


def order_classes(probability: np.ndarray, value: np.ndarray) -> np.ndarray:
    """When each class comes into the set of a hip (n, 7): by its value where it has one, or by probability.

    Args:
        probability: (n, 7), see `grow_sets`.
        value: (n,), see `grow_about`; NaN of a classification.
    """
    return np.where(np.isfinite(value)[:, None], grow_about(value), grow_sets(probability))


def find_threshold(score: np.ndarray, patient: np.ndarray, level: float) -> float:
    """The threshold of the scores that a hip of a new patient stays below with probability ``level``.

    Every patient counts the same, shared among the patient's hips, and the new one as much as any: then hips
    of a patient need not be independent. Of patients with one hip it is the split conformal quantile.
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
    """The set of every hip and repeat, its threshold fitted on hips of other folds.

    Args:
        table: One experiment's graded hips of all cohorts.
        level: The share of hips whose set is to hold the true class.

    Returns:
        (n, 7) bool.
    """
    entered = order_classes(table.probability, table.value)
    score = entered[np.arange(len(table)), table.grade - 1]
    threshold = np.full(len(table), np.inf)
    for fit, use in split_by_fold(table):
        threshold[use] = find_threshold(score[fit], table.patient[fit], level)
    return entered <= threshold[:, None]
