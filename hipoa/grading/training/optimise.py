"""The optimiser and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from timm.optim import param_groups_weight_decay  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor

from hipoa.grading.model.networks import GradingNetwork
from hipoa.grading.settings import TrainSettings

_KINDS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": lambda groups, capturable, **options: torch.optim.SGD(groups, momentum=0.9, **options),
}


def build_optimiser(network: GradingNetwork, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimiser of the settings; biases, norms and position embeddings do not decay."""
    backbone, device = network.backbone, network.mean.device
    # timm knows the names of position embeddings and the like.
    spared = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    groups: Any = param_groups_weight_decay(
        backbone, settings.weight_decay, no_weight_decay_list=tuple(spared)
    )
    on_gpu = device.type == "cuda"
    # On a GPU a tensor, so that a recorded step reads the present rate.
    rate = torch.tensor(settings.learning_rate, device=device) if on_gpu else settings.learning_rate
    # Fused: one pass over all weights instead of several over each, on a CPU too.
    return _KINDS[settings.optimiser](groups, lr=rate, fused=True, capturable=on_gpu)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of the next step."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def rate_factor(step: int, steps: int, warmup_steps: float, schedule: str = "cosine") -> float:
    """The share of the peak learning rate in a step counted from 0.

    A linear rise, in at most half of all steps, then half a cosine down to 0, or ``constant``.
    """
    warmup = min(warmup_steps, steps / 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
