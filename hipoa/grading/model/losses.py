"""Training losses: one for every head, averaged over the heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import MISSING, Head

_SHARPNESS = 2.0
"""Sharpness of the ordinal loss: a class's share of the target falls by exp(-2) per class. Ours."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs of one head (n, outputs) and classes counted from 0 (n,) to the mean loss of the n hips."""


def build_criterion(
    heads: OutputHeads, settings: TrainSettings, targets: np.ndarray, device: torch.device
) -> Loss:
    """The loss of a training, a mean over the heads of the mean over the hips.

    Args:
        heads: The heads, and the kind of loss.
        settings: Class weights, label smoothing, sharpness.
        targets: (n, heads) int64, classes counted from 0 of all training hips, -1 where not graded.
        device: Of outputs (b, all) and targets (b, heads).
    """
    losses = [
        _build_loss(heads.loss, head, settings, target, device)
        for head, target in zip(heads.heads, targets.T, strict=True)
    ]
    if (targets == MISSING).any():
        losses = [_of_graded(loss) for loss in losses]

    def criterion(outputs: Tensor, target: Tensor) -> Tensor:
        parts = heads.split(outputs).values()
        columns = zip(losses, parts, target.unbind(1), strict=True)
        return torch.stack([loss(part, classes) for loss, part, classes in columns]).mean()

    return criterion


def weigh_classes(target: np.ndarray, classes: int) -> Tensor:
    """Weights (classes,) by which every class that occurs counts the same; their mean per hip is 1."""
    counts = np.bincount(target, minlength=classes)
    present = np.count_nonzero(counts)
    weights = np.divide(len(target), present * counts, out=np.zeros(classes), where=counts > 0)
    return torch.tensor(weights, dtype=torch.float32)


def _of_graded(loss: Loss) -> Loss:
    def loss_of_graded(outputs: Tensor, target: Tensor) -> Tensor:
        graded = target != MISSING
        # A batch in which no hip is graded on this index teaches nothing about it.
        return loss(outputs[graded], target[graded]) if graded.any() else outputs.sum() * 0

    return loss_of_graded


def _build_loss(
    kind: str, head: Head, settings: TrainSettings, target: np.ndarray, device: torch.device
) -> Loss:
    graded = target[target != MISSING]
    weight = weigh_classes(graded, head.classes).to(device) if settings.class_weights else None
    if kind == "classification":
        return partial(functional.cross_entropy, weight=weight, label_smoothing=settings.label_smoothing)
    if kind == "ordinal":
        return partial(_ordinal_cross_entropy, weight=weight)
    return partial(_squared_error, n_classes=head.classes, weight=weight)


def _ordinal_cross_entropy(logits: Tensor, classes: Tensor, weight: Tensor | None) -> Tensor:
    """Cross-entropy against a target whose shares fall exponentially with the distance of the class.

    Source: Diaz and Marathe, Soft Labels for Ordinal Regression, CVPR 2019.
    """
    distance = (torch.arange(logits.shape[1], device=logits.device) - classes.double()[:, None]).abs()
    target = functional.softmax(-_SHARPNESS * distance, dim=1)
    losses = -(target * functional.log_softmax(logits, dim=1)).sum(1)
    return (losses if weight is None else losses * weight[classes]).mean().float()


def _squared_error(output: Tensor, classes: Tensor, n_classes: int, weight: Tensor | None) -> Tensor:
    """Against a target that is -1 for the mildest and 1 for the severest class."""
    errors = (output[:, 0] - (classes / ((n_classes - 1) / 2) - 1)) ** 2
    return (errors if weight is None else errors * weight[classes]).mean()
