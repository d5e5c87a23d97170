"""A linear classifier with dropout on the features of a network that was not trained on any hip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from hipoa.evaluation.passes import HipUncertainty, ModelSummary, combine_models, summarise_passes
from hipoa.evaluation.predictions import N_GRADES
from hipoa.grading.device import find_device
from hipoa.grading.model.networks import build_network, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment

# Chosen on synthetic hips (benchmarks/triage.py): principal coordinates of the features, probability of
# dropping one, weight decay and steps of Adam, its peak learning rate, passes with dropout on.
DIMENSIONS, DROPOUT, WEIGHT_DECAY, STEPS, PASSES = 64, 0.25, 0.01, 200, 50
_RATE = 0.03
_BATCH = 32


def extract_features(radiograph: np.ndarray, row: Experiment, pretrained: Path | None) -> np.ndarray:
    """The features before the classifier, (n, D) float32, with the weights from which training starts.

    Args:
        radiograph: (n, h, w) uint8.
        row: Network and side of its input.
        pretrained: The file of the stage weights; None for random weights, whose features are less useful.
    """
    torch.manual_seed(0)
    network = build_network(
        row.network,
        outputs=1,
        input_px=row.input_px,
        dropout=0.0,
        dropout_where="head",
        pretrained=pretrained,
    )
    network = network.to(find_device()).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(radiograph), _BATCH):
            batch = radiograph[start : start + _BATCH]
            images = prepare_images(batch, row.input_px, network.mean.device)
            parts.append(network.extract(images).cpu())
    return torch.cat(parts).numpy()


def reduce_features(features: np.ndarray, known: np.ndarray, dimensions: int = DIMENSIONS) -> np.ndarray:
    """The first principal coordinates of features, of unit mean variance.

    Args:
        features: (n, D), from a network that was not trained on the hips.
        known: (n,) bool, the hips from which centre, spread and axes are computed.
        dimensions: The largest number of coordinates.

    Returns:
        (n, at most ``dimensions``) float32.
    """
    centre, spread = features[known].mean(axis=0, dtype=np.float64), features[known].std(axis=0)
    scaled = (features - centre) / np.where(spread > 1e-6 * max(spread.max(), 1e-12), spread, np.inf)
    _, size, axes = np.linalg.svd(scaled[known], full_matrices=False)
    used = min(dimensions, int((size > 1e-6 * size[0]).sum())) or 1
    coordinates = scaled @ axes[:used].T
    return (coordinates / max(float(coordinates[known].std()), 1e-12)).astype(np.float32)


def train_and_predict(
    features: np.ndarray, grade: np.ndarray, rows: np.ndarray, seed: list[int]
) -> HipUncertainty:
    """The predictions, with dropout, for all hips of a classifier that is trained on some of them.

    In a pass the same features are dropped for all hips: a pass is one classifier, and costs as much as one.

    Args:
        features: (n, D) float32.
        grade: (n,) class 1-7.
        rows: Of the hips to train on.
        seed: Of the dropout, in training and prediction.
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
    """Trains a linear classifier on features (n, D) float32 and their class (n,) 1-7, with dropout.

    Full-batch Adam with a cosine schedule to 0.
    """
    seen, target = torch.from_numpy(features), torch.from_numpy(grade - 1)
    probe = torch.nn.Linear(features.shape[1], N_GRADES)
    for part in probe.parameters():
        torch.nn.init.zeros_(part)
    groups = [{"params": [probe.weight], "weight_decay": WEIGHT_DECAY}, {"params": [probe.bias]}]
    optimiser = torch.optim.Adam(groups, lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        logits = probe(functional.dropout(seen, DROPOUT))
        functional.cross_entropy(logits, target).backward()
        optimiser.step()
        schedule.step()
    return probe
