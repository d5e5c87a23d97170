"""The training itself: epochs, the learning rate, and going on after a kill."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from hipoa.core.errors import TrainingError
from hipoa.grading.model.heads import Readout
from hipoa.grading.model.losses import Loss
from hipoa.grading.model.networks import GradingNetwork, build_network, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training.augmentation import build_augmentation
from hipoa.grading.training.checkpoints import Checkpoint
from hipoa.grading.training.cuda_graph import ReplayedStep
from hipoa.grading.training.optimise import build_optimiser, rate_factor, set_rate

Epoch = dict[str, float]

CHECKPOINT_MINUTES = 5.0
"""Least time between two checkpoints: what a killed job loses, against the time to write one."""
# Of the gradient, in units of the loss. The usual value for transformers.
_LARGEST_NORM = 1.0

_GPU_AHEAD = 512
"""Images changed at once on a GPU, a count: there a call takes as long for one batch as for many."""


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def build_trainee(
    settings: TrainSettings, row: Experiment, readout: Readout, pretrained: Path | None = None
) -> GradingNetwork:
    """The network of an experiment before it has seen a hip; random weights without ``pretrained``."""
    return build_network(
        row.network,
        outputs=readout.outputs,
        input_px=row.input_px,
        dropout=settings.dropout,
        dropout_where=settings.dropout_where,
        pretrained=pretrained,
    )


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
        inner: Radiographs and targets of the inner split, in the same form, or None; never trained on.
        show: Called with a line about ten times, unless a bar shows the progress on a terminal.
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
    inner: tuple[np.ndarray, np.ndarray] | None = None
    show: Callable[[str], None] = _print

    def __post_init__(self) -> None:
        self.device = self.network.mean.device
        self.optimiser = build_optimiser(self.network, self.settings)
        self.augment = build_augmentation(self.settings)
        self.step = ReplayedStep(self._step, self.device)
        self.images, self.targets = self._place(self.radiograph, self.target)
        self.inner_hips = self._place(*self.inner) if self.inner else None
        self.history: list[Epoch] = []
        self.best: dict[str, Any] = {}
        self.seconds = 0.0
        self.bar: Any = tqdm(disable=True)

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights the network has in the end, counted from 1."""
        return int(self.best["epoch"]) if self.best else len(self.history)

    def run(self) -> None:
        """Trains to the last epoch; ``history`` and ``seconds`` tell of it.

        Raises:
            TrainingError: The loss is not finite.
        """
        self._resume()
        saved = time.monotonic()
        epochs, steps = self.settings.epochs, self._count_steps()
        done = len(self.history)
        # Not on a terminal, as in a log, tqdm stays silent.
        self.bar = tqdm(
            desc=self.where, total=epochs * steps, initial=done * steps, unit="step", disable=None
        )
        for epoch in range(done, epochs):
            started = time.monotonic()
            self.run_epoch(epoch)
            self.seconds += time.monotonic() - started
            self._tell(epoch)
            if time.monotonic() - saved >= 60 * CHECKPOINT_MINUTES and epoch + 1 < epochs:
                self._save()
                saved = time.monotonic()
        self.bar.close()
        if self.best:
            self.network.backbone.load_state_dict(self.best["network"])

    def _place(self, radiograph: np.ndarray, target: np.ndarray) -> tuple[Tensor, Tensor]:
        images = prepare_images(radiograph, self.input_px, self.device)
        return images, torch.from_numpy(target).to(self.device)

    def _count_steps(self) -> int:
        return math.ceil(len(self.target) / self.settings.batch_size)

    def run_epoch(self, epoch: int) -> None:
        """One pass through the hips, counted from 0.

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
            rate = self._set_rate(epoch * self._count_steps() + number)
            total += self.step(images, targets) * len(images)
            self.bar.update()
        entry = {"epoch": epoch + 1, "learning_rate": rate, "loss": float(total) / len(self.target)}
        if self.inner_hips:
            entry["inner_loss"] = self._look_inside(*self.inner_hips)
        self._check(entry)
        self.history.append(entry)
        if self.settings.inner_best and entry["inner_loss"] < self.best.get("loss", math.inf):
            weights = {name: value.clone() for name, value in self.network.backbone.state_dict().items()}
            self.best = {"epoch": epoch + 1, "loss": entry["inner_loss"], "network": weights}

    def _set_rate(self, step: int) -> float:
        settings, steps = self.settings, self._count_steps()
        factor = rate_factor(step, settings.epochs * steps, settings.warmup_epochs * steps, settings.schedule)
        set_rate(self.optimiser, settings.learning_rate * factor)
        return settings.learning_rate * factor

    def _draw(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of changed images and their targets."""
        batches = split_batches(order, self.settings.batch_size)
        ahead = max(1, _GPU_AHEAD // self.settings.batch_size) if self.device.type == "cuda" else 1
        for start in range(0, len(batches), ahead):
            some = batches[start : start + ahead]
            changed = self.augment(self.images[torch.cat(some)]).split([len(batch) for batch in some])
            yield from zip(changed, (self.targets[batch] for batch in some), strict=True)

    def _step(self, images: Tensor, targets: Tensor) -> Tensor:
        """One step on changed images; the mean loss."""
        loss = self._loss(images, targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_NORM)
        self.optimiser.step()
        return loss.detach()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        # Nothing is kept from step to step, so that a step can be recorded.
        on_gpu = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=on_gpu, cache_enabled=False):
            outputs = self.network(images)
        return self.criterion(outputs.float(), targets)

    def _look_inside(self, images: Tensor, targets: Tensor) -> float:
        """The mean loss on the inner split, nothing changed at random."""
        self.network.eval()
        size = self.settings.batch_size
        with torch.inference_mode():
            losses = [
                self._loss(part, graded) * len(part)
                for part, graded in zip(images.split(size), targets.split(size), strict=True)
            ]
        return float(torch.stack(losses).sum()) / len(images)

    def _check(self, entry: Epoch) -> None:
        for name in ("loss", "inner_loss"):
            if not math.isfinite(entry.get(name, 0.0)):
                raise TrainingError(
                    self.where,
                    f"the {name.replace('_', ' ')} is {entry[name]} in epoch {entry['epoch']}",
                    "Lower learning_rate, or raise warmup_epochs.",
                )

    def _tell(self, epoch: int) -> None:
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {self.history[-1]['loss']:.3f}", refresh=False)
        elif epoch + 1 == self.settings.epochs or epoch % max(1, self.settings.epochs // 10) == 0:
            self.show(f"{self.where}: {self._progress()}")

    def _progress(self) -> str:
        last = self.history[-1]
        inner = f", inner loss {last['inner_loss']:.3f}" if "inner_loss" in last else ""
        place = f"epoch {last['epoch']}/{self.settings.epochs}"
        return f"{place}, loss {last['loss']:.3f}{inner}, {self.seconds:.0f} s"

    def _resume(self) -> None:
        state = self.checkpoint.load(self.device)
        if state is not None:
            self.network.backbone.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.history, self.seconds = list(state["history"]), state["seconds"]
            self.best = state["best"]
            self.show(f"{self.where}: goes on after {self._progress()}")

    def _save(self) -> None:
        state = {"network": self.network.backbone.state_dict(), "optimiser": self.optimiser.state_dict()}
        self.checkpoint.save({**state, "best": self.best, "history": self.history, "seconds": self.seconds})


def split_batches(order: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    """Even batches of at most batch_size: a last batch of one would break batch normalisation."""
    return torch.tensor_split(order, math.ceil(len(order) / batch_size))
