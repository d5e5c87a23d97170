"""What a network costs: the time of a training step and the memory that it keeps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import Readout
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training.checkpoints import Checkpoint
from hipoa.grading.training.cuda_graph import WARM_UP
from hipoa.grading.training.fit import Training, build_trainee

_CPU_BATCH = 4
"""Hips in a measured step where there is no GPU: a step of a large network takes minutes there."""


def count_activations(network: nn.Module, readout: Readout, settings: TrainSettings, input_px: int) -> int:
    """Bytes that a step keeps for its backward pass; counted on torch's device without memory.

    Args:
        network: On the device "meta".
        readout: Its outputs.
        settings: The batch.
        input_px: Side of the input.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[id(tensor)] = tensor
        return tensor

    images = torch.zeros(settings.batch_size, 1, input_px, input_px, device="meta")
    weights = {id(parameter) for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(images)
    return sum(tensor.nbytes for key, tensor in kept.items() if key not in weights)


def measure_step(
    settings: TrainSettings, row: Experiment, readout: Readout, steps: int
) -> tuple[float, float]:
    """Seconds of a training step and of an image in a pass, on this machine.

    Without a GPU steps of fewer hips are measured and scaled to the batch; on one ten times as many steps.
    """
    device = find_device()
    batch = settings.batch_size if device.type == "cuda" else min(settings.batch_size, _CPU_BATCH)
    n_steps = 10 * steps if device.type == "cuda" else steps
    random = np.random.default_rng([0])
    target = np.zeros((batch * n_steps, len(readout.heads)), dtype=np.int64)
    training = Training(
        network=build_trainee(settings, row, readout).to(device),
        radiograph=random.integers(0, 256, (len(target), row.input_px, row.input_px), dtype=np.uint8),
        target=target,
        criterion=build_criterion(readout, settings, target, device),
        settings=settings.model_copy(update={"batch_size": batch}),
        input_px=row.input_px,
        seed=0,
        where="plan",
        checkpoint=Checkpoint(Path("unused"), ""),
    )
    images, targets = training.images[:batch], training.targets[:batch]
    for _ in range(WARM_UP + 1 if device.type == "cuda" else 1):
        # The first ones make what the others reuse.
        training.step(images, targets)

    def look() -> None:
        with torch.inference_mode():
            training.network.eval()(images)

    step_s = _time(lambda: training.run_epoch(0), 1, device) / n_steps
    look()
    return step_s * settings.batch_size / batch, _time(look, steps, device) / batch


def _time(work: Any, times: int, device: torch.device) -> float:
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))
