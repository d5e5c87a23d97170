"""Ordinal conformal sets: adjacent classes that contain the true one with a stated probability."""

from __future__ import annotations

import numpy as np

from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.predictions import N_GRADES


def grow_sets(probability: np.ndarray) -> np.ndarray:
    """The score at which each class enters the set of a hip: minus the probability outside the set so far.

    A set begins with the most probable class, whose score is -1, and grows by the more probable of its two
    neighbours, the milder of equal ones. From probabilities (n, K), rows that sum to 1, to (n, K); the set at
    a threshold is the classes at or below it, so it is never empty, has no gap, and contains every set of a
    lower threshold. Source: ordinal adaptive prediction sets, Lu, Angelopoulos, Pomerantz, MICCAI 2022,
    545-554, who grow a set while the probability inside is at most a threshold. It is summed outside here,
    where that of a confident network has all its digits: inside, 1 - 1e-9 and 1 - 1e-20 are almost one.
    """
    rows = np.arange(len(probability))
    low = high = probability.argmax(axis=1)
    entered = [low]
    padded = np.pad(probability, ((0, 0), (1, 1)), constant_values=-1.0)
    for _ in range(probability.shape[1] - 1):
        below, above = padded[rows, low], padded[rows, high + 2]
        milder = below >= above
        low, high = low - milder, high + ~milder
        entered.append(np.where(milder, low, high))
    order = np.column_stack(entered)
    outside = np.take_along_axis(probability, order, axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1]
    outside[:, 0] = 1.0  # rounded probabilities do not sum to 1
    score = np.empty(probability.shape)
    np.put_along_axis(score, order, -outside, axis=1)
    return score


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


def find_thresholds(score: np.ndarray, patient: np.ndarray, level: float) -> np.ndarray:
    """For each hip (n,) the threshold of ``level`` that the hips of all other patients give.

    Every patient, the left-out one too, has the same weight, shared among the patient's hips, which need not
    be independent. With one hip per patient it is the split conformal quantile; it is infinite where the
    other patients are fewer than ``level / (1 - level)``. ``score`` (n,) is that of the true class.

    Out-of-fold scores of one repeat are exchangeable between patients, those of the own fold included: folds
    are drawn at random, so that to permute the patients permutes the scores and leaves their distribution.
    In any cohort the hips at or below the weighted quantile of all scores have a weight of at least
    ``level``, and leaving a patient out can only raise it; so the true class of a hip of a patient lies in
    its set with a probability of at least ``level``. Source of the weights: Lee, Barber, Willett,
    Distribution-free inference with hierarchical data, 2023.
    """
    number, n_patients = number_cells(patient)
    hips = np.bincount(number)
    weight = 1 / hips[number] / n_patients
    order = np.argsort(score, kind="stable")
    total, place = weight[order].cumsum(), np.argsort(order)
    least = level - 1e-12  # rounding must not lose the patient who just reaches the level
    reached = np.full(n_patients, np.searchsorted(total, least))
    for _ in range(hips.max(initial=0)):
        # The patient's own hips up to there count for nothing, which may raise the threshold past another.
        own = np.bincount(number, weight * (place <= reached[number]))
        reached = np.searchsorted(total, least + own)
    return np.append(score[order], np.inf)[reached][number]


def find_threshold(score: np.ndarray, patient: np.ndarray, level: float) -> float:
    """The threshold for a new patient: that of `find_thresholds` for one more patient than these."""
    number, n_patients = number_cells(patient)
    return float(find_thresholds(np.append(score, np.inf), np.append(number, n_patients), level)[-1])


def count_needed(level: float) -> int:
    """The fewest patients whose hips can give a finite threshold; with fewer, every set is of all classes."""
    return int(np.ceil(level / (1 - level) - 1e-9))


def predict_sets(table: Graded, level: float) -> np.ndarray:
    """The sets (n, 7) bool of an experiment's hips of all cohorts, fitted in each repeat on labelled hips.

    Those of a labelled patient are fitted on all other labelled patients. ``level`` is the share of hips
    whose set should contain the true class.
    """
    score, threshold = score_true(table), np.full(len(table), np.inf)
    labelled = table.cohort == "labelled"
    for repeat in np.unique(table.repeat):
        own = table.repeat == repeat
        fit = own & labelled
        threshold[own] = find_threshold(score[fit], table.patient[fit], level)
        threshold[fit] = find_thresholds(score[fit], table.patient[fit], level)
    return order_classes(table.probability, table.value) <= threshold[:, None]
