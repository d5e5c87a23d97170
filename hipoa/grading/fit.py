"""The training itself: epochs, the learning rate, and going on after a kill."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from timm.optim import param_groups_weight_decay  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor, nn

from hipoa.errors import TrainingError
from hipoa.grading.augmentation import build_augmentation
from hipoa.grading.checkpoints import Checkpoint
from hipoa.grading.losses import Loss
from hipoa.grading.networks import GradingNetwork, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import TrainSettings

Epoch = dict[str, float]


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass
class Training:
    """One training and all that it needs; :meth:`run` trains the network in place.

    Every epoch draws from a generator seeded by its own number, so a training that goes on from a
    checkpoint ends with the same weights as one that was never stopped.

    The images live on the device, resized once.

    Attributes:
        network: On its device.
        radiograph: (n, h, w) uint8.
        target: (n, heads) int64, classes counted from 0, -1 where not graded.
        criterion: From outputs and targets to the loss.
        settings: How it is trained.
        input_px: Side of the network's input.
        seed: What shuffling, augmentation and dropout depend on.
        where: The name of the job, for messages.
        checkpoint: Where its state is saved.
        show: Called with a line about ten times.
    """

    network: GradingNetwork
    radiograph: np.ndarray
    target: np.ndarray
    criterion: Loss
    settings: TrainSettings
    input_px: int
    seed: int
    where: str
    checkpoint: Checkpoint
    show: Callable[[str], None] = _print

    def __post_init__(self) -> None:
        self.device = self.network.mean.device
        self.optimiser = _build_optimiser(self.network, self.settings)
        self.augment = build_augmentation(self.settings)
        self.images = prepare_images(self.radiograph, self.input_px, self.device)
        self.targets = torch.from_numpy(self.target).to(self.device)
        self.history: list[Epoch] = []
        self.seconds = 0.0

    def run(self) -> None:
        """Trains to the last epoch; ``history`` and ``seconds`` tell of it.

        Raises:
            TrainingError: The loss is not finite, or the memory is too small.
        """
        self._resume()
        saved = time.monotonic()
        epochs = self.settings.epochs
        for epoch in range(len(self.history), epochs):
            started = time.monotonic()
            self._run_epoch(epoch)
            self.seconds += time.monotonic() - started
            if epoch + 1 == epochs or epoch % max(1, epochs // 10) == 0:
                self.show(f"{self.where}: {self._progress()}")
            if time.monotonic() - saved >= 60 * self.settings.checkpoint_minutes and epoch + 1 < epochs:
                self._save()
                saved = time.monotonic()

    def _run_epoch(self, epoch: int) -> None:
        torch.manual_seed(make_seed(self.seed, epoch))
        self.network.train()
        # Drawn on the CPU, so that every device shuffles alike; moved once, so that no step waits for it.
        order = torch.randperm(len(self.target)).to(self.device)
        batches = split_batches(order, self.settings.batch_size)
        total = torch.zeros((), device=self.device)
        rate = 0.0
        for number, batch in enumerate(batches):
            rate = self._set_rate(epoch * len(batches) + number, len(batches))
            total += self._step(batch) * len(batch)
        loss = float(total) / len(self.target)
        if not math.isfinite(loss):
            raise TrainingError(
                self.where,
                f"the loss is {loss} in epoch {epoch + 1}",
                "Lower learning_rate or clip_norm, or raise warmup_epochs.",
            )
        self.history.append({"epoch": epoch + 1, "learning_rate": rate, "loss": loss})

    def _set_rate(self, step: int, steps_per_epoch: int) -> float:
        steps = self.settings.epochs * steps_per_epoch
        factor = rate_factor(step, steps, self.settings.warmup_epochs * steps_per_epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * factor
        return self.settings.learning_rate * factor

    def _step(self, batch: Tensor) -> Tensor:
        """One step on the hips ``batch`` (b,); the mean loss."""
        try:
            loss = self._loss(self.augment(self.images[batch]), self.targets[batch])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
            self.optimiser.step()
        except (RuntimeError, MemoryError) as error:
            # On a CPU torch says so in words alone.
            if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "allocat" not in str(error):
                raise
            device = "GPU" if self.device.type == "cuda" else "machine"
            raise TrainingError(
                self.where, f"the memory of the {device} is too small", "Lower batch_size or input_px."
            ) from error
        return loss.detach()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu):
            outputs = self.network(images)
        return self.criterion(outputs.float(), targets)

    def _progress(self) -> str:
        last = self.history[-1]
        return f"epoch {last['epoch']}/{self.settings.epochs}, loss {last['loss']:.3f}, {self.seconds:.0f} s"

    def _resume(self) -> None:
        state = self.checkpoint.load(self.device)
        if state is not None:
            self.network.backbone.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.history, self.seconds = list(state["history"]), state["seconds"]
            self.show(f"{self.where}: goes on after {self._progress()}")

    def _save(self) -> None:
        state = {"network": self.network.backbone.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.checkpoint.save({**state, "history": self.history, "seconds": self.seconds})


def rate_factor(step: int, steps: int, warmup_steps: float) -> float:
    """The share of the peak learning rate: a linear rise, then half a cosine down to 0.

    Args:
        step: Counted from 0.
        steps: Of the whole training.
        warmup_steps: Of the rise, at most half of the whole counts.
    """
    warmup = min(warmup_steps, steps / 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def split_batches(order: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Even batches of at most batch_size: a last batch of one would break batch normalisation."""
    return torch.tensor_split(order, math.ceil(len(order) / batch_size))


def _build_optimiser(network: GradingNetwork, settings: TrainSettings) -> torch.optim.Optimizer:
    # timm knows which parameters are not to decay: biases, norms, position embeddings.
    spared = network.backbone.no_weight_decay() if hasattr(network.backbone, "no_weight_decay") else ()
    groups: Any = param_groups_weight_decay(
        network.backbone, settings.weight_decay, no_weight_decay_list=tuple(spared)
    )
    return torch.optim.AdamW(groups, lr=settings.learning_rate)
