"""A small classifier with dropout on frozen features."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from hipoa.evaluation.passes import HipUncertainty, ModelSummary, combine_models, summarise_passes
from hipoa.evaluation.predictions import N_GRADES
from hipoa.grading.seeds import make_seed

# Chosen on synthetic hips (benchmarks/triage.py): principal coordinates of the features, probability of
# dropping one, weight decay and steps of Adam, its peak learning rate, passes with dropout on.
DIMENSIONS, DROPOUT, WEIGHT_DECAY, STEPS, PASSES = 64, 0.25, 0.01, 200, 50
_RATE = 0.03


def reduce_features(features: np.ndarray, known: np.ndarray, dimensions: int = DIMENSIONS) -> np.ndarray:
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


def ask_probe(features: np.ndarray, grade: np.ndarray, rows: np.ndarray, seed: list[int]) -> HipUncertainty:
    """What a linear classifier says of all hips with dropout on, trained on some of them.

    The masks of a pass are the same for all hips: then a pass is one classifier, and costs as much as one.

    Args:
        features: (n, D) float32.
        grade: (n,) class 1-7.
        rows: Of the hips to learn from.
        seed: What the masks depend on, and nothing else.
    """
    torch.manual_seed(make_seed(*seed))
    probe = fit_probe(features[rows], grade[rows])
    with torch.inference_mode():
        masks = functional.dropout(torch.ones(PASSES, 1, features.shape[1]), DROPOUT)
        logits = torch.from_numpy(features) @ (masks * probe.weight).transpose(1, 2)
        passes = (logits + probe.bias).softmax(dim=2).transpose(0, 1).numpy()
    every = np.arange(len(features))
    return combine_models([ModelSummary(0, every, summarise_passes(passes))], len(features))


def fit_probe(features: np.ndarray, grade: np.ndarray) -> torch.nn.Linear:
    """Trains a linear classifier, dropout before it, by Adam on all hips at once at a rate that falls to 0.

    Args:
        features: (n, D) float32.
        grade: (n,) class 1-7.
    """
    seen, wanted = torch.from_numpy(features), torch.from_numpy(grade - 1)
    probe = torch.nn.Linear(features.shape[1], N_GRADES)
    for part in probe.parameters():
        torch.nn.init.zeros_(part)
    groups = [{"params": [probe.weight], "weight_decay": WEIGHT_DECAY}, {"params": [probe.bias]}]
    optimiser = torch.optim.Adam(groups, lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        logits = probe(functional.dropout(seen, DROPOUT))
        functional.cross_entropy(logits, wanted).backward()
        optimiser.step()
        schedule.step()
    return probe
