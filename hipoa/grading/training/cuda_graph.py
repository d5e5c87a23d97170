"""A step recorded on a GPU and replayed: its thousand kernels take longer to launch than to run."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor], Tensor]

WARM_UP = 3
"""Steps before the recording: libraries choose their kernels, and the optimiser makes its state."""


class ReplayedStep:
    """Does a step as it is; on a GPU, after a few times, by its recording.

    The recording runs the same kernels on the same memory. So all that changes from step to step must come
    from the two arguments, or lie in memory that stays where it is, such as weights and learning rate. A step
    during which the CPU waits for the GPU cannot be recorded, and is always done as it is.

    Args:
        step: From images (b, ...) and targets (b, ...) to a loss.
        device: Where it is done; on a CPU nothing is recorded.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step = step
        self._may_record = device.type == "cuda"
        self._seen: Counter[torch.Size] = Counter()
        self._recordings: dict[torch.Size, _Recording] = {}
        self._pool: Any = None

    @property
    def recorded(self) -> int:
        """How many shapes of images have a recording."""
        return len(self._recordings)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The loss of one step."""
        if not self._may_record:
            return self._step(images, targets)
        shape = images.shape
        if shape not in self._recordings:
            self._seen[shape] += 1
            if self._seen[shape] <= WARM_UP:
                return self._watch(images, targets)
            # One memory for all recordings: no two of them run at once.
            self._recordings[shape] = recording = _Recording(self._step, images, targets, self._pool)
            self._pool = recording.pool
        return self._recordings[shape].replay(images, targets)

    def _watch(self, images: Tensor, targets: Tensor) -> Tensor:
        """The step as it is, on a stream of its own as a recording is; whether the CPU waits is noted."""
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as said, torch.cuda.stream(side):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                loss = self._step(images, targets)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        current.wait_stream(side)
        if any("called a synchronizing" in str(warning.message) for warning in said):
            self._may_record = False
        return loss


class _Recording:
    def __init__(self, step: Step, images: Tensor, targets: Tensor, pool: Any) -> None:
        self._images, self._targets = images.clone(), targets.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._loss = step(self._images, self._targets)
        self.pool = self._graph.pool()

    def replay(self, images: Tensor, targets: Tensor) -> Tensor:
        self._images.copy_(images)
        self._targets.copy_(targets)
        self._graph.replay()
        return self._loss.clone()
