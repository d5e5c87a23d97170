"""Small classifiers with dropout on frozen features, many of them trained at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from hipoa.evaluation.passes import HipUncertainty, ModelSummary, combine_models, summarise_passes
from hipoa.evaluation.predictions import N_GRADES
from hipoa.triage.settings import SimulateSettings

_RATE = 0.03
_MOMENTS = (0.9, 0.999)


def reduce_features(features: np.ndarray, known: np.ndarray, dimensions: int) -> np.ndarray:
    """The first principal coordinates of features, of unit mean variance.

    Args:
        features: (n, D), without labels of any hip having shaped them.
        known: (n,) bool, the hips that centre, spread and axes are taken of.
        dimensions: How many coordinates at most.

    Returns:
        (n, at most ``dimensions``) float32.
    """
    centre, spread = features[known].mean(axis=0, dtype=np.float64), features[known].std(axis=0)
    scaled = (features - centre) / np.where(spread > 1e-6 * max(spread.max(), 1e-12), spread, np.inf)
    _, size, axes = np.linalg.svd(scaled[known], full_matrices=False)
    used = min(dimensions, int((size > 1e-6 * size[0]).sum())) or 1
    places = scaled @ axes[:used].T
    return (places / max(float(places[known].std()), 1e-12)).astype(np.float32)


def fit_heads(
    features: np.ndarray,
    grade: np.ndarray,
    runs: Sequence[np.ndarray],
    seeds: Sequence[Sequence[int]],
    settings: SimulateSettings,
) -> np.ndarray:
    """Trains one linear classifier per run, dropout before it, by Adam on all hips of the run at once.

    Args:
        features: (n, D).
        grade: (n,) class 1-7.
        runs: The rows that each run learns from.
        seeds: What each run's masks depend on, and nothing else.
        settings: Dropout, decay, steps.

    Returns:
        (runs, D + 1, 7) weights, the last row the bias.
    """
    width = max(map(len, runs))
    rows = np.zeros((len(runs), width), dtype=np.int64)
    share = np.zeros((len(runs), width, 1), dtype=np.float32)
    for run, members in enumerate(runs):
        rows[run, : len(members)] = members
        share[run, : len(members)] = 1 / len(members)
    seen, wanted = features[rows], np.eye(N_GRADES, dtype=np.float32)[grade[rows] - 1]
    generators = [np.random.default_rng(list(seed)) for seed in seeds]
    weights = np.zeros((len(runs), features.shape[1] + 1, N_GRADES), dtype=np.float32)
    moments = np.zeros((2, *weights.shape), dtype=np.float32)
    ones = np.ones((*seen.shape[:2], 1), dtype=np.float32)
    for step in range(settings.head_steps):
        kept = np.stack([one.random(seen.shape[1:], dtype=np.float32) for one in generators])
        inputs = seen * (kept >= settings.head_dropout) / np.float32(1 - settings.head_dropout)
        inputs = np.concatenate([inputs, ones], axis=2)
        error = (softmax(inputs @ weights, axis=2) - wanted) * share
        slope = inputs.transpose(0, 2, 1) @ error
        slope[:, :-1] += settings.head_decay * weights[:, :-1]
        weights -= _step(moments, slope, step, settings.head_steps)
    return weights


def _step(moments: np.ndarray, slope: np.ndarray, step: int, steps: int) -> np.ndarray:
    """Adam's change of the weights, at a rate that falls like half a cosine."""
    first, second = _MOMENTS
    moments[0] += (1 - first) * (slope - moments[0])
    moments[1] += (1 - second) * (slope**2 - moments[1])
    rate = _RATE * (1 + np.cos(np.pi * step / steps)) / 2
    mean, spread = moments[0] / (1 - first ** (step + 1)), moments[1] / (1 - second ** (step + 1))
    return np.float32(rate) * mean / (np.sqrt(spread) + np.float32(1e-8))


def predict_heads(
    features: np.ndarray, weights: np.ndarray, seeds: Sequence[Sequence[int]], settings: SimulateSettings
) -> list[HipUncertainty]:
    """What each run's classifier says of all hips, with dropout on.

    The masks of a pass are the same for all hips: then a pass is one classifier, and costs as much as one.

    Args:
        features: (n, D).
        weights: (runs, D + 1, 7).
        seeds: What each run's masks depend on.
        settings: Dropout and passes.
    """
    return [
        _predict(features, weight, np.random.default_rng([*seed, 1]), settings)
        for weight, seed in zip(weights, seeds, strict=True)
    ]


def _predict(
    features: np.ndarray, weight: np.ndarray, generator: np.random.Generator, settings: SimulateSettings
) -> HipUncertainty:
    shape = (settings.head_passes, features.shape[1], 1)
    kept = (generator.random(shape) >= settings.head_dropout) / (1 - settings.head_dropout)
    sampled = (kept * weight[None, :-1]).astype(np.float32).transpose(1, 0, 2)
    logits = features @ sampled.reshape(len(sampled), -1)
    passes = softmax(logits.reshape(len(features), settings.head_passes, -1) + weight[-1], axis=2)
    every = np.arange(len(features))
    return combine_models([ModelSummary(0, every, summarise_passes(passes))], len(features))
