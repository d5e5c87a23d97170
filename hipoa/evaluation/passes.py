"""The passes of one or more models as measures of uncertainty: pure arithmetic on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import entr

from hipoa.grading.tasks import GRADE, Head

MEASURES = ("variance", "entropy", "mutual_information", "max_probability", "between_model_variance")
"""What is known of a hip's uncertainty, named as in `HipUncertainty` and in ``{experiment}.csv``."""
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
class PassSummary:
    """One model's passes, summarised.

    Attributes:
        mean: (n, K) mean probability over the passes.
        variance: (n, K) variance over the passes, divided by their number as in the source.
        entropy: (n,) mean over the passes of the pass's entropy, nats.
        value: (n,) mean value of a regression, in classes; None of a classification.
        value_variance: (n,) of the value over the passes, squared classes.
    """

    mean: np.ndarray
    variance: np.ndarray
    entropy: np.ndarray
    value: np.ndarray | None = None
    value_variance: np.ndarray | None = None


@dataclass(frozen=True)
class ModelSummary:
    """A model's passes for some of a cohort's hips: ``rows`` (n,) are their rows in the table."""

    fold: int
    rows: np.ndarray
    passes: PassSummary


@dataclass(frozen=True)
class HipUncertainty:
    """The measures of the hips of a cohort in one repeat, NaN where no model has seen the hip.

    Attributes:
        probability: (n, K) mean over passes and models.
        value: (n,) mean over passes and models of a regression's value, in classes; else NaN.
        predicted: (n,) class of the largest mean probability, of equal ones the lowest; of a regression the
            class nearest to its value, halves up.
        variance: (n,) mean over the models of the source's variance, squared probability; of a regression
            of the variance of its value, squared classes.
        entropy: (n,) of the mean probability, nats.
        mutual_information: (n,) entropy less the mean entropy of the single passes, nats.
        max_probability: (n,) largest mean probability.
        between_model_variance: (n,) of the models' mean probability of the predicted class, or of their
            value; NaN with one model. With ``variance_of`` predicted, it and ``variance`` add up to the
            variance over all passes of all models.
        n_models: (n,) models that have seen the hip.
        fold: (n,) the model's fold where there is one model, else -1.
    """

    probability: np.ndarray
    value: np.ndarray
    predicted: np.ndarray
    variance: np.ndarray
    entropy: np.ndarray
    mutual_information: np.ndarray
    max_probability: np.ndarray
    between_model_variance: np.ndarray
    n_models: np.ndarray
    fold: np.ndarray


def summarise_values(value: np.ndarray, head: Head = GRADE) -> PassSummary:
    """The same of a regression, whose value counts to the two classes beside it in proportion.

    Args:
        value: (n, passes) in classes.
        head: What is graded.
    """
    values = value.astype(np.float64)
    mean, variance = values.mean(axis=1), values.var(axis=1)
    return replace(summarise_passes(share_value(values, head)), value=mean, value_variance=variance)


def share_value(value: np.ndarray, head: Head) -> np.ndarray:
    """Probabilities (..., K) whose mean class is the value (...); of its two nearest classes alone."""
    place = np.clip(value - head.first, 0, head.classes - 1)[..., None]
    return np.maximum(1 - np.abs(place - np.arange(head.classes)), 0)


def round_value(value: np.ndarray, head: Head = GRADE) -> np.ndarray:
    """The class nearest to a regression's value, halves up, as int64 of the same shape."""
    last = head.first + head.classes - 1
    return np.clip(np.floor(value + 0.5), head.first, last).astype(np.int64)


def predict_grade(passes: np.ndarray) -> np.ndarray:
    """The combined class (n,) of one model's passes: (n, passes, 7) probabilities or (n, passes) values."""
    mean = passes.mean(axis=1, dtype=np.float64)
    return mean.argmax(axis=1) + GRADE.first if mean.ndim == 2 else round_value(mean)


def summarise_passes(probability: np.ndarray) -> PassSummary:
    """Mean, variance and entropy over the passes of one model.

    The variance is (1/N) sum (P_i - mean P)^2 over the N passes (source: slides of Masuda et al.).

    Args:
        probability: (n, passes, K), one softmax per pass.
    """
    mean, variance = np.zeros((2, len(probability), probability.shape[2]))
    entropy = np.zeros(len(probability))
    # In chunks: 100 000 hips x 50 passes in float64, and as much again beside it, fill the memory.
    for start in range(0, len(probability), _CHUNK):
        part = slice(start, start + _CHUNK)
        passes = probability[part].astype(np.float64)
        mean[part] = passes.mean(axis=1)
        variance[part] = passes.var(axis=1)
        entropy[part] = entr(passes).sum(axis=2).mean(axis=1)
    return PassSummary(mean, variance, entropy)


def combine_models(
    models: Sequence[ModelSummary], n_hips: int, variance_of: str = "predicted", head: Head = GRADE
) -> HipUncertainty:
    """Averages the models of one repeat, hip by hip.

    Args:
        models: At least one; each with the rows of the hips that it has seen, every row at most once.
        n_hips: Rows of the cohort's table.
        variance_of: "predicted" or "mean_over_classes"; nothing to a regression.
        head: What is graded.
    """
    n_models, fold = count_models(models, n_hips)
    probability = _average([(model.rows, model.passes.mean) for model in models], n_models)
    predicted = np.nan_to_num(probability).argmax(axis=1)
    largest = probability[np.arange(n_hips), predicted]
    within, between = [], []
    for model in models:
        here = (np.arange(len(model.rows)), predicted[model.rows])
        variance = model.passes.variance
        within.append((model.rows, variance[here] if variance_of == "predicted" else variance.mean(axis=1)))
        between.append((model.rows, (model.passes.mean[here] - largest[model.rows]) ** 2))
    entropy = entr(probability).sum(axis=1)
    of_passes = _average([(model.rows, model.passes.entropy) for model in models], n_models)
    hips = HipUncertainty(
        probability=probability,
        value=np.full(n_hips, np.nan),
        predicted=predicted + head.first,
        variance=_average(within, n_models),
        entropy=entropy,
        # Never negative but for rounding, since the entropy is concave.
        mutual_information=np.maximum(entropy - of_passes, 0),
        max_probability=largest,
        between_model_variance=np.where(n_models > 1, _average(between, n_models), np.nan),
        n_models=n_models,
        fold=np.where(n_models == 1, fold, -1),
    )
    return _take_values(hips, models, head)


def _take_values(hips: HipUncertainty, models: Sequence[ModelSummary], head: Head) -> HipUncertainty:
    """Of a regression the prediction and the variances are those of its value."""
    means = [(model.rows, model.passes.value) for model in models if model.passes.value is not None]
    spreads = [
        (model.rows, model.passes.value_variance)
        for model in models
        if model.passes.value_variance is not None
    ]
    if not means:
        return hips
    value = _average(means, hips.n_models)
    between = _average([(rows, (mean - value[rows]) ** 2) for rows, mean in means], hips.n_models)
    return replace(
        hips,
        value=value,
        predicted=round_value(np.nan_to_num(value), head),
        variance=_average(spreads, hips.n_models),
        between_model_variance=np.where(hips.n_models > 1, between, np.nan),
    )


def count_models(models: Sequence[ModelSummary], n_hips: int) -> tuple[np.ndarray, np.ndarray]:
    """How many models have seen each hip, and the fold of the last of them (-1: of none), both (n_hips,)."""
    n_models = np.zeros(n_hips, dtype=np.int64)
    fold = np.full(n_hips, -1)
    for model in models:
        n_models[model.rows] += 1
        fold[model.rows] = model.fold
    return n_models, fold


def _average(parts: Sequence[tuple[np.ndarray, np.ndarray]], count: np.ndarray) -> np.ndarray:
    """The mean over models of values that stand at some of the rows; NaN where there is none."""
    shape = parts[0][1].shape[1:]
    total = np.zeros((len(count), *shape))
    for rows, values in parts:
        total[rows] += values
    divisor = np.where(count > 0, count, np.nan).reshape(-1, *(1 for _ in shape))
    return total / divisor
