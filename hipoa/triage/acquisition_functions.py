"""What is known of a hip's worth for reading: measures averaged over the repeats, one row per hip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hipoa.core.columns import as_integers, as_numbers, read_columns
from hipoa.evaluation.conformal.sets import find_threshold, order_classes
from hipoa.evaluation.graded import average_repeats, read_graded
from hipoa.evaluation.passes import MEASURES, round_value

_PROBABILITIES = tuple(f"p{grade}" for grade in range(1, 8))

Measured = dict[str, np.ndarray]


def measure_hips(table: Path, level: float) -> Measured:
    """The measures of all hips of an experiment, graded or not.

    Args:
        table: ``{experiment}.csv``.
        level: The share of hips whose conformal set is to hold the true class.

    Returns:
        hip_id (n,), sorted; probability (n, 7); predicted (n,) class 1-7 of the largest mean probability, of
        a regression the one nearest to its mean value; `MEASURES` (n,) each, NaN if a repeat has none;
        set_size (n,) classes, NaN without labelled hips; n_models (n,) summed over the repeats.
    """
    columns = read_columns(table, ("hip_id", "n_models", "value", *MEASURES, *_PROBABILITIES))
    hip_id, hip = np.unique(columns["hip_id"], return_inverse=True)
    repeats = np.bincount(hip, minlength=len(hip_id))

    def average(name: str) -> np.ndarray:
        return np.bincount(hip, as_numbers(columns[name]), minlength=len(hip_id)) / repeats

    probability = np.column_stack([average(name) for name in _PROBABILITIES])
    value = average("value")
    nearest = round_value(np.nan_to_num(value))
    n_models = np.bincount(hip, as_integers(columns["n_models"]), minlength=len(hip_id))
    return {
        "hip_id": hip_id,
        "probability": probability,
        "predicted": np.where(np.isnan(value), probability.argmax(axis=1) + 1, nearest),
        **{name: average(name) for name in MEASURES},
        "set_size": measure_sets(table, probability, value, level),
        "n_models": n_models.astype(np.int64),
    }


def measure_sets(table: Path, probability: np.ndarray, value: np.ndarray, level: float) -> np.ndarray:
    """The size (n,) of the conformal sets of hips, their threshold that of the labelled hips.

    NaN where no labelled hip was predicted. Of each hip its probabilities (n, 7) and value (n,), NaN of a
    classification. A labelled hip has the prediction of one model, others the mean
    of several: the promised share holds about.
    """
    labelled = average_repeats(read_graded(table).of_cohort("labelled"))
    if not len(labelled):
        return np.full(len(probability), np.nan)
    entered = order_classes(labelled.probability, labelled.value)
    threshold = find_threshold(entered[np.arange(len(labelled)), labelled.grade - 1], labelled.patient, level)
    return (order_classes(probability, value) <= threshold).sum(axis=1).astype(np.float64)
