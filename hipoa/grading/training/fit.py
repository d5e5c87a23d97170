"""The training loop: epochs, learning rate, validation loss, and resuming from a checkpoint."""

from __future__ import annotations

import math
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hipoa.core.errors import TrainingError
from hipoa.core.files import replacing
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import Loss
from hipoa.grading.model.networks import GradingNetwork, build_network, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training.augmentation import build_augmentation
from hipoa.grading.training.cuda_graph import GraphedStep
from hipoa.grading.training.optimise import build_optimiser, rate_factor, set_rate

CHECKPOINT_MINUTES = 5.0
"""Least time between two checkpoints: what a killed job loses, against the time to write one."""
# Of the gradient, in units of the loss. The usual value for transformers.
_LARGEST_NORM = 1.0
_GPU_AHEAD = 512
"""Images augmented at once on a GPU, a count: there a call takes as long for one batch as for many."""


def build_untrained(
    settings: TrainSettings, row: Experiment, heads: OutputHeads, pretrained: Path | None = None
) -> GradingNetwork:
    """The network of an experiment before training; random weights without ``pretrained``."""
    return build_network(
        row.network,
        outputs=heads.n_outputs,
        input_px=row.input_px,
        dropout=settings.dropout,
        dropout_where=settings.dropout_where,
        pretrained=pretrained,
    )


@dataclass(frozen=True)
class Checkpoint:
    """State of an interrupted training, in one file that is valid only for the same key."""

    path: Path  # outside the declared outputs
    key: str  # a hash of everything that the training depends on

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state that was saved under this key, or None."""
        if not self.path.is_file():
            return None
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):  # a new start costs only time
            return None
        return state if state.get("key") == self.key else None

    def save(self, state: dict[str, Any]) -> None:
        """Saves tensors and plain values, atomically."""
        with replacing(self.path) as temporary:
            torch.save({**state, "key": self.key}, temporary)


@dataclass
class Training:
    """One training and all that it needs; :meth:`run` trains the network in place.

    Every epoch draws from a generator seeded by its own number, so a training that resumes from a
    checkpoint ends with the same weights as one that was never stopped. The images lie on the device, resized
    once.
    """

    network: GradingNetwork  # on its device
    radiograph: np.ndarray  # (n, h, w) uint8
    target: np.ndarray  # (n, heads) int64, classes counted from 0, -1 where not graded
    criterion: Loss
    settings: TrainSettings
    input_px: int
    seed: int  # of shuffling, augmentation and dropout
    where: str  # the name of the job, for messages
    checkpoint: Checkpoint
    validation: tuple[np.ndarray, np.ndarray] | None = None  # radiographs and targets never trained on

    def __post_init__(self) -> None:
        self.device = self.network.mean.device
        self.optimiser = build_optimiser(self.network, self.settings)
        self.augment = build_augmentation(self.settings)
        self.step = GraphedStep(self.train_step, self.device)
        self.images, self.targets = self._to_device(self.radiograph, self.target)
        self.validation_hips = self._to_device(*self.validation) if self.validation else None
        self.n_steps = math.ceil(len(self.target) / self.settings.batch_size)  # of an epoch
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] = {}
        self.seconds = 0.0
        self.bar: Any = tqdm(disable=True)

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights the network has in the end, counted from 1."""
        return int(self.best["epoch"]) if self.best else len(self.history)

    def run(self) -> None:
        """Trains to the last epoch, and records each epoch in ``history``.

        Raises:
            TrainingError: The loss is not finite.
        """
        self._resume()
        saved = time.monotonic()
        epochs, done = self.settings.epochs, len(self.history)
        # Without a terminal, as in a log, tqdm stays silent.
        total, initial = epochs * self.n_steps, done * self.n_steps
        self.bar = tqdm(desc=self.where, total=total, initial=initial, unit="step", disable=None)
        for epoch in range(done, epochs):
            started = time.monotonic()
            self.run_epoch(epoch)
            self.seconds += time.monotonic() - started
            self._report(epoch)
            if time.monotonic() - saved >= 60 * CHECKPOINT_MINUTES and epoch + 1 < epochs:
                self.save()
                saved = time.monotonic()
        self.bar.close()
        if self.best:
            self.network.backbone.load_state_dict(self.best["network"])

    def _to_device(self, radiograph: np.ndarray, target: np.ndarray) -> tuple[Tensor, Tensor]:
        images = prepare_images(radiograph, self.input_px, self.device)
        return images, torch.from_numpy(target).to(self.device)

    def run_epoch(self, epoch: int) -> None:
        """Trains one epoch, counted from 0.

        Raises:
            TrainingError: The loss is not finite.
        """
        torch.manual_seed(make_seed(self.seed, epoch))
        self.network.train()
        # Drawn on the CPU, so that every device shuffles alike; moved once, so that no step waits for it.
        order = torch.randperm(len(self.target)).to(self.device)
        total = torch.zeros((), device=self.device)
        rate = 0.0
        for number, (images, targets) in enumerate(self._draw(order)):
            rate = self._set_rate(epoch * self.n_steps + number)
            total += self.step(images, targets) * len(images)
            self.bar.update()
        entry = {"epoch": epoch + 1, "learning_rate": rate, "loss": float(total) / len(self.target)}
        if self.validation_hips:
            entry["inner_loss"] = self.validation_loss(*self.validation_hips)
        self._check(entry)
        self.history.append(entry)
        if self.settings.inner_best and entry["inner_loss"] < self.best.get("loss", math.inf):
            weights = {name: value.clone() for name, value in self.network.backbone.state_dict().items()}
            self.best = {"epoch": epoch + 1, "loss": entry["inner_loss"], "network": weights}

    def _set_rate(self, step: int) -> float:
        settings, warmup = self.settings, self.settings.warmup_epochs * self.n_steps
        factor = rate_factor(step, settings.epochs * self.n_steps, warmup, settings.schedule)
        set_rate(self.optimiser, settings.learning_rate * factor)
        return settings.learning_rate * factor

    def _draw(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of augmented images and their targets."""
        batches = split_batches(order, self.settings.batch_size)
        ahead = max(1, _GPU_AHEAD // self.settings.batch_size) if self.device.type == "cuda" else 1
        for start in range(0, len(batches), ahead):
            some = batches[start : start + ahead]
            augmented = self.augment(self.images[torch.cat(some)]).split([len(batch) for batch in some])
            yield from zip(augmented, (self.targets[batch] for batch in some), strict=True)

    def train_step(self, images: Tensor, targets: Tensor) -> Tensor:
        """One step on augmented images; the mean loss."""
        loss = self.loss(images, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_NORM)
        self.optimiser.step()
        return loss.detach()

    def loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """The mean loss on images."""
        # Nothing is cached from step to step, so that a step can be captured as a CUDA graph.
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu, cache_enabled=False):
            outputs = self.network(images)
        return self.criterion(outputs.float(), targets)

    def validation_loss(self, images: Tensor, targets: Tensor) -> float:
        """The mean loss on the validation split, without augmentation or dropout."""
        self.network.eval()
        size = self.settings.batch_size
        with torch.inference_mode():
            losses = [
                self.loss(part, graded) * len(part)
                for part, graded in zip(images.split(size), targets.split(size), strict=True)
            ]
        return float(torch.stack(losses).sum()) / len(images)

    def _check(self, entry: dict[str, float]) -> None:
        for name in ("loss", "inner_loss"):
            if not math.isfinite(entry.get(name, 0.0)):
                raise TrainingError(
                    self.where,
                    f"the {name.replace('_', ' ')} is {entry[name]} in epoch {entry['epoch']}",
                    "Lower learning_rate, or raise warmup_epochs.",
                )

    def _report(self, epoch: int) -> None:
        """Shows the loss on the bar, or about ten times in the log."""
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {self.history[-1]['loss']:.3f}", refresh=False)
        elif epoch + 1 == self.settings.epochs or epoch % max(1, self.settings.epochs // 10) == 0:
            self._print_progress()

    def _print_progress(self, text: str = "") -> None:
        last = self.history[-1]
        inner = f", inner loss {last['inner_loss']:.3f}" if "inner_loss" in last else ""
        progress = f"epoch {last['epoch']}/{self.settings.epochs}, loss {last['loss']:.3f}{inner}"
        print(f"{self.where}: {text}{progress}, {self.seconds:.0f} s", file=sys.stderr, flush=True)

    def _resume(self) -> None:
        state = self.checkpoint.load(self.device)
        if state is not None:
            self.network.backbone.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.history, self.seconds = list(state["history"]), state["seconds"]
            self.best = state["best"]
            self._print_progress("resumes after ")

    def save(self) -> None:
        """Writes a checkpoint."""
        state = {"network": self.network.backbone.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.checkpoint.save({**state, "best": self.best, "history": self.history, "seconds": self.seconds})


def split_batches(order: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Even batches of at most batch_size: a last batch of one would break batch normalisation."""
    return torch.tensor_split(order, math.ceil(len(order) / batch_size))
