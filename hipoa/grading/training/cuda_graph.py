"""A training step as a CUDA graph: its thousand kernels take longer to launch than to run."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor], Tensor]

WARM_UP = 3
"""Steps before the capture: libraries choose their kernels, and the optimiser makes its state."""


class GraphedStep:
    """A step from images (b, ...) and targets (b, ...) to a loss; on a GPU, after a few, as a CUDA graph.

    The graph runs the same kernels on the same memory. So all that changes from step to step must come from
    the two arguments, or lie in memory that stays where it is, such as weights and learning rate. A step
    during which the CPU waits for the GPU cannot be captured, and always runs eagerly, as all do on a CPU.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step = step
        self._may_capture = device.type == "cuda"
        self._seen: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, _Graph] = {}
        self._pool: Any = None

    @property
    def n_graphs(self) -> int:
        """How many shapes of images have a graph."""
        return len(self._graphs)

    def __call__(self, images: Tensor, targets: Tensor) -> Tensor:
        """The loss of one step."""
        if not self._may_capture:
            return self._step(images, targets)
        shape = images.shape
        if shape not in self._graphs:
            self._seen[shape] += 1
            if self._seen[shape] <= WARM_UP:
                return self._warm_up(images, targets)
            # One memory pool for all graphs: no two of them run at once.
            self._graphs[shape] = graph = _Graph(self._step, images, targets, self._pool)
            self._pool = graph.pool
        return self._graphs[shape].replay(images, targets)

    def _warm_up(self, images: Tensor, targets: Tensor) -> Tensor:
        """An eager step, on a side stream as in a capture; notes whether the CPU waits."""
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught, torch.cuda.stream(side):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                loss = self._step(images, targets)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        current.wait_stream(side)
        if any("called a synchronizing" in str(warning.message) for warning in caught):
            self._may_capture = False
        return loss


class _Graph:
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
