"""Measures of how much reading a hip is worth, averaged over the repeats, one row per hip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, as_numbers, read_columns
from hipoa.evaluation.conformal.sets import find_threshold, order_classes, score_true
from hipoa.evaluation.graded import average_repeats, read_graded
from hipoa.evaluation.passes import MEASURES, round_value
from hipoa.evaluation.predictions import PROBABILITIES

_SET_LEVEL = 0.9

Measured = dict[str, np.ndarray]


def measure_hips(table: Path) -> Measured:
    """The measures of all n hips of an experiment's ``{experiment}.csv``, graded or not.

    Returns:
        hip_id (n,), sorted; probability (n, 7); predicted (n,) class 1-7 of the largest mean probability, of
        a regression the one nearest to its mean value; `MEASURES` (n,) each, NaN if a repeat has none;
        set_size (n,) classes of the 90 % conformal set, NaN with too few labelled patients; n_models (n,)
        summed over the repeats.
    """
    columns = read_columns(table, ("hip_id", "n_models", "value", *MEASURES, *PROBABILITIES))
    hip_id, hip = np.unique(columns["hip_id"], return_inverse=True)
    repeats = np.bincount(hip, minlength=len(hip_id))

    def average(name: str) -> np.ndarray:
        return np.bincount(hip, as_numbers(columns[name]), minlength=len(hip_id)) / repeats

    probability = np.column_stack([average(name) for name in PROBABILITIES])
    value = average("value")
    nearest = round_value(np.nan_to_num(value))
    n_models = np.bincount(hip, as_integers(columns["n_models"]), minlength=len(hip_id))
    return {
        "hip_id": hip_id,
        "probability": probability,
        "predicted": np.where(np.isnan(value), probability.argmax(axis=1) + 1, nearest),
        **{name: average(name) for name in MEASURES},
        "set_size": _measure_sets(table, probability, value),
        "n_models": n_models.astype(np.int64),
    }


def _measure_sets(table: Path, probability: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The size (n,) of the conformal sets, with the threshold of the labelled hips; NaN if it is infinite.

    A labelled hip has the prediction of one model of each repeat, others the mean of several: nothing is
    promised of the coverage, and the sizes are for ranking.
    """
    labelled = average_repeats(read_graded(table).of_cohort("labelled"))
    threshold = find_threshold(score_true(labelled), labelled.patient, _SET_LEVEL)
    if not np.isfinite(threshold):
        return np.full(len(probability), np.nan)
    return (order_classes(probability, value) <= threshold).sum(axis=1).astype(np.float64)
