"""The cost of training a network: seconds per step and memory of its activations."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training.cuda_graph import WARM_UP
from hipoa.grading.training.fit import Checkpoint, Training, build_untrained

_CPU_PIXELS = 4 * 224**2
"""Pixels in a measured step where there is no GPU: a whole step of a large network takes minutes there."""

RATED_GPU = "NVIDIA H200"
_RATED_PX = 224
_IMAGES_PER_S = {
    "vit_base_patch16_224.augreg_in1k": 2089.0,
    "vgg16.tv_in1k": 1801.0,
    "densenet161.tv_in1k": 924.0,
}
"""Images in training per second on `RATED_GPU`, 224 x 224 pixels, batches of 32, bfloat16, measured with
``benchmarks/training.py`` (``benchmarks/README.md``)."""

_RATED_IMAGE_S = 0.0009
"""Seconds of one image in a pass there, of the slowest of the three (``benchmarks/mc_dropout.py``)."""


def count_activations(network: nn.Module, settings: TrainSettings, input_px: int) -> int:
    """Bytes that a step keeps for its backward pass, counted without memory on the device "meta"."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[id(tensor)] = tensor
        return tensor

    images = torch.zeros(settings.batch_size, 1, input_px, input_px, device="meta")
    weights = {id(parameter) for parameter in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(images)
    return sum(tensor.nbytes for key, tensor in kept.items() if key not in weights)


def look_up_step(settings: TrainSettings, row: Experiment) -> tuple[float, float] | None:
    """As :func:`measure_step`, on `RATED_GPU`; None for a network or size that was not measured there."""
    rate = _IMAGES_PER_S.get(row.network) if row.input_px == _RATED_PX else None
    return None if rate is None else (settings.batch_size / rate, _RATED_IMAGE_S)


def measure_step(
    settings: TrainSettings, row: Experiment, heads: OutputHeads, steps: int
) -> tuple[float, float]:
    """Seconds of a training step and of an image in a pass, on this machine.

    On a CPU, it is measured on one core, as a job has it, of large images with fewer hips, and scaled to the
    batch; on a GPU, ten times as many steps.
    """
    device = find_device()
    on_gpu = device.type == "cuda"
    torch.set_num_threads(1)
    batch = settings.batch_size
    if not on_gpu:
        batch = min(batch, max(1, _CPU_PIXELS // row.input_px**2))
    n_steps = 10 * steps if on_gpu else steps
    target = np.zeros((batch * n_steps, len(heads.heads)), dtype=np.int64)
    training = Training(
        network=build_untrained(settings, row, heads).to(device),
        radiograph=np.random.default_rng([0]).integers(
            0, 256, (len(target), row.input_px, row.input_px), dtype=np.uint8
        ),
        target=target,
        criterion=build_criterion(heads, settings, target, device),
        settings=settings.model_copy(update={"batch_size": batch}),
        input_px=row.input_px,
        seed=0,
        where="plan",
        checkpoint=Checkpoint(Path("unused"), ""),
    )
    images, targets = training.images[:batch], training.targets[:batch]
    for _ in range(WARM_UP + 1 if on_gpu else 1):
        training.step(images, targets)

    def infer() -> None:
        with torch.inference_mode():
            training.network.eval()(images)

    step_s = _time(lambda: training.run_epoch(0), 1, device) / n_steps
    infer()
    return step_s * settings.batch_size / batch, _time(infer, steps, device) / batch


def _time(work: Callable[[], None], times: int, device: torch.device) -> float:
    on_gpu = device.type == "cuda"
    # On one core the processor's time is that of a machine with nothing else to do.
    clock = time.perf_counter if on_gpu else time.process_time
    seconds = []
    for _ in range(times):
        started = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    return float(np.median(seconds))
