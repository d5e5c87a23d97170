"""Summarises the passes with dropout of one or more models as measures of uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from hipoa.grading.tasks import GRADE, Head

MEASURES = ("variance", "entropy", "mutual_information", "max_probability", "between_model_variance")
"""The measures of uncertainty, attributes of `HipUncertainty` and columns of ``{experiment}.csv``."""
_IN_WORDS = {
    "max_probability": "largest probability",
    "distance": "distance from the labelled hips",
    "set_size": "classes in the conformal set",
}

_CHUNK = 4096


def name_measure(measure: str) -> str:
    """A measure of uncertainty in words."""
    return _IN_WORDS.get(measure, measure.replace("_", " "))


@dataclass(frozen=True)
class ModelSummary:
    """Mean and spread over one model's passes for n hips."""

    fold: int  # of the model
    rows: np.ndarray  # (n,) rows of the hips in their cohort's table
    mean: np.ndarray  # (n, K) mean probability
    variance: np.ndarray  # (n, K) variance of the probability, divided by the number of passes
    entropy: np.ndarray  # (n,) mean of the entropy of each pass, nats
    value: np.ndarray  # (n,) mean value of a regression, in classes; NaN of a classification
    value_variance: np.ndarray  # (n,) variance of the value, squared classes


@dataclass(frozen=True)
class HipUncertainty:
    """The measures of the hips of a cohort in one repeat, NaN where no model has predicted the hip."""

    probability: np.ndarray  # (n, K) mean over passes and models
    value: np.ndarray  # (n,) mean over passes and models of a regression's value, in classes; else NaN
    # (n,) class of the largest mean probability, the lowest of equal ones; of a regression the class nearest
    # to its value, halves up.
    predicted: np.ndarray
    # (n,) mean over the models of the variance over the passes, squared probability; of a regression of the
    # variance of its value, squared classes.
    variance: np.ndarray
    entropy: np.ndarray  # (n,) of the mean probability, nats
    mutual_information: np.ndarray  # (n,) entropy less the mean entropy of the single passes, nats
    max_probability: np.ndarray  # (n,) largest mean probability
    # (n,) of the models' mean probability of the predicted class, or of their value; NaN with one model. With
    # ``variance_of`` predicted, it and ``variance`` add up to the variance over all passes of all models.
    between_model_variance: np.ndarray
    n_models: np.ndarray  # (n,) models that have predicted the hip
    fold: np.ndarray  # (n,) the model's fold where there is one model, else -1


def share_value(value: np.ndarray, head: Head) -> np.ndarray:
    """Probabilities (..., K) of the two classes nearest to a value (...), whose mean class is the value."""
    clipped = np.clip(value - head.first, 0, head.classes - 1)[..., None]
    return np.maximum(1 - np.abs(clipped - np.arange(head.classes)), 0)


def round_value(value: np.ndarray, head: Head = GRADE) -> np.ndarray:
    """The class nearest to a regression's value, halves up, as int64 of the same shape."""
    last = head.first + head.classes - 1
    return np.clip(np.floor(value + 0.5), head.first, last).astype(np.int64)


def predict_grade(passes: np.ndarray) -> np.ndarray:
    """The combined class (n,) of one model's passes: (n, passes, 7) probabilities or (n, passes) values."""
    mean = passes.mean(axis=1, dtype=np.float64)
    return mean.argmax(axis=1) + GRADE.first if mean.ndim == 2 else round_value(mean)


def summarise_passes(
    passes: np.ndarray, head: Head = GRADE, fold: int = 0, rows: np.ndarray | None = None
) -> ModelSummary:
    """Mean, variance and entropy over the passes of one model.

    The variance is (1/N) sum (P_i - mean P)^2 over the N passes (source: slides of Masuda et al.). The value
    of a regression counts to the two classes nearest to it, in proportion.
    ``passes`` is (n, passes, K), one softmax per pass, or (n, passes) values in classes;
    without ``rows`` (n,) these are all rows of the table.
    """
    value, value_variance = np.full((2, len(passes)), np.nan)
    if passes.ndim == 2:
        values = passes.astype(np.float64)
        value, value_variance = values.mean(axis=1), values.var(axis=1)
        passes = share_value(values, head)
    mean, variance = np.zeros((2, len(passes), passes.shape[2]))
    entropy = np.zeros(len(passes))
    # In chunks: 100 000 hips x 50 passes in float64, and as much again beside it, fill the memory.
    for start in range(0, len(passes), _CHUNK):
        part = slice(start, start + _CHUNK)
        chunk = passes[part].astype(np.float64)
        mean[part] = chunk.mean(axis=1)
        variance[part] = chunk.var(axis=1)
        entropy[part] = entr(chunk).sum(axis=2).mean(axis=1)
    rows = np.arange(len(passes)) if rows is None else rows
    return ModelSummary(fold, rows, mean, variance, entropy, value, value_variance)


def combine_models(
    models: Sequence[ModelSummary], n_hips: int, variance_of: str = "predicted", head: Head = GRADE
) -> HipUncertainty:
    """Averages one or more models of one repeat, hip by hip of the n_hips rows of a cohort's table.

    ``variance_of`` is "predicted" or "mean_over_classes"; a regression ignores it.
    """
    n_models = np.bincount(np.concatenate([model.rows for model in models]), minlength=n_hips)
    fold = np.full(n_hips, -1)
    for model in models:
        fold[model.rows] = model.fold

    def average(values: Sequence[np.ndarray]) -> np.ndarray:
        return _average([model.rows for model in models], values, n_models)

    probability = average([model.mean for model in models])
    value = average([model.value for model in models])
    likeliest = np.nan_to_num(probability).argmax(axis=1)
    largest = probability[np.arange(n_hips), likeliest]
    within, between = [], []
    for model in models:
        cell = np.arange(len(model.rows)), likeliest[model.rows]
        variance = model.variance[cell] if variance_of == "predicted" else model.variance.mean(axis=1)
        regression = np.isfinite(model.value)
        within.append(np.where(regression, model.value_variance, variance))
        distance = np.where(
            regression, model.value - value[model.rows], model.mean[cell] - largest[model.rows]
        )
        between.append(distance**2)
    entropy = entr(probability).sum(axis=1)
    of_passes = average([model.entropy for model in models])
    return HipUncertainty(
        probability=probability,
        value=value,
        predicted=np.where(
            np.isfinite(value), round_value(np.nan_to_num(value), head), likeliest + head.first
        ),
        variance=average(within),
        entropy=entropy,
        # Never negative but for rounding, since the entropy is concave.
        mutual_information=np.maximum(entropy - of_passes, 0),
        max_probability=largest,
        between_model_variance=np.where(n_models > 1, average(between), np.nan),
        n_models=n_models,
        fold=np.where(n_models == 1, fold, -1),
    )


def _average(rows: Sequence[np.ndarray], values: Sequence[np.ndarray], n_models: np.ndarray) -> np.ndarray:
    """The mean over models of their values at some of the rows; NaN where there is none."""
    total = np.zeros((len(n_models), *values[0].shape[1:]))
    for at, of_model in zip(rows, values, strict=True):
        total[at] += of_model
    divisor = np.where(n_models > 0, n_models, np.nan)
    return (total.T / divisor).T
