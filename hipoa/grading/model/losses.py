"""What a training makes small: one loss for every head, averaged over the heads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hipoa.grading.model.heads import Readout, scale_target
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import MISSING, Head

_SHARPNESS = 2.0
"""Of the ordinal loss: a class's share of the target falls by exp(-2) per class of distance. Ours."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs of one head (n, outputs) and classes counted from 0 (n,) to the mean loss of the n hips."""


def build_criterion(
    readout: Readout, settings: TrainSettings, targets: np.ndarray, device: torch.device
) -> Loss:
    """The loss of a training.

    Args:
        readout: The heads, and the kind of loss.
        settings: Class weights, label smoothing, sharpness.
        targets: (n, heads) int64, classes counted from 0 of all hips trained on, -1 where not graded.
        device: Where outputs and targets will lie.

    Returns:
        Outputs (b, all) and targets (b, heads) to the mean over the heads of the mean over the hips.
    """
    losses = [
        _build_loss(readout.loss, head, settings, target, device)
        for head, target in zip(readout.heads, targets.T, strict=True)
    ]
    partly = bool((targets == MISSING).any())

    def criterion(outputs: Tensor, target: Tensor) -> Tensor:
        parts = readout.split(outputs).values()
        terms = [
            _mean_of_graded(loss, part, target[:, column]) if partly else loss(part, target[:, column])
            for column, (loss, part) in enumerate(zip(losses, parts, strict=True))
        ]
        return torch.stack(terms).mean()

    return criterion


def weigh_classes(target: np.ndarray, classes: int) -> Tensor:
    """Weights (classes,) by which every class that occurs counts the same; their mean per hip is 1."""
    counts = np.bincount(target, minlength=classes)
    present = np.count_nonzero(counts)
    weights = np.divide(len(target), present * counts, out=np.zeros(classes), where=counts > 0)
    return torch.tensor(weights, dtype=torch.float32)


def _mean_of_graded(loss: Loss, outputs: Tensor, target: Tensor) -> Tensor:
    graded = target != MISSING
    # A batch in which nobody graded this index teaches nothing about it.
    return loss(outputs[graded], target[graded]) if graded.any() else outputs.sum() * 0


def _build_loss(
    kind: str, head: Head, settings: TrainSettings, target: np.ndarray, device: torch.device
) -> Loss:
    graded = target[target != MISSING]
    weight = weigh_classes(graded, head.classes).to(device) if settings.class_weights else None
    if kind == "classification":
        smoothing = settings.label_smoothing
        return lambda logits, classes: functional.cross_entropy(
            logits, classes, weight, label_smoothing=smoothing
        )
    if kind == "ordinal":
        return lambda logits, classes: _ordinal_cross_entropy(logits, classes, weight)
    return lambda outputs, classes: _squared_error(outputs[:, 0], classes, head, weight)


def _ordinal_cross_entropy(logits: Tensor, classes: Tensor, weight: Tensor | None) -> Tensor:
    """Cross-entropy against a target whose shares fall exponentially with the distance of the class.

    Source: Diaz and Marathe, Soft Labels for Ordinal Regression, CVPR 2019.
    """
    distance = (torch.arange(logits.shape[1], device=logits.device) - classes.double()[:, None]).abs()
    target = functional.softmax(-_SHARPNESS * distance, dim=1)
    losses = -(target * functional.log_softmax(logits, dim=1)).sum(1)
    return (losses if weight is None else losses * weight[classes]).mean().float()


def _squared_error(output: Tensor, classes: Tensor, head: Head, weight: Tensor | None) -> Tensor:
    errors = (output - scale_target(classes, head)) ** 2
    return (errors if weight is None else errors * weight[classes]).mean()
