"""The part of a network that is the same in every pass with dropout: computed once per hip, then repeated.

A pass is the same up to where its first random number is drawn. So one pass is watched: a call of a
module that has ended before the state of the random generator moved belongs to the shared part. This
holds for every architecture and every kind of dropout, and the masks are those of whole passes, since
the shared part draws none.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

Call = tuple[nn.Module, int]
"""A module, and which of its calls in a pass, counted from 0."""


def find_shared(network: nn.Module, images: Tensor) -> list[Call]:
    """The outermost calls that end before a pass draws its first random number.

    Args:
        network: With dropout on.
        images: (n, 1, H, W), three or so, by which an output with one row per image is known.
    """
    start = _random_state(images.device)
    found: list[Call] = []
    open_calls: list[tuple[int, int]] = []
    calls: Counter[nn.Module] = Counter()

    def enter(module: nn.Module, _: Any) -> None:
        open_calls.append((len(found), calls[module]))
        calls[module] += 1

    def leave(module: nn.Module, _: Any, output: Any) -> None:
        outside, number = open_calls.pop()
        if _has_row_per_image(output, len(images)) and torch.equal(start, _random_state(images.device)):
            found[outside:] = [(module, number)]

    modules = list(network.modules())
    with _hooked(modules, enter, leave), torch.inference_mode():
        network(images)
    return found


class SharedPart:
    """Keeps the outputs of shared calls of one batch, and gives them back row by row."""

    def __init__(self, calls: list[Call]) -> None:
        self._wanted: dict[nn.Module, set[int]] = {}
        for module, number in calls:
            self._wanted.setdefault(module, set()).add(number)
        self._kept: dict[Call, Any] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Within, one pass over a batch is watched and its shared outputs are kept."""
        calls: Counter[nn.Module] = Counter()
        self._kept = {}

        def leave(module: nn.Module, _: Any, output: Any) -> None:
            if calls[module] in self._wanted[module]:
                # A copy: what follows may work in place.
                self._kept[module, calls[module]] = _map(torch.clone, output)
            calls[module] += 1

        with _hooked(list(self._wanted), None, leave):
            yield

    @contextlib.contextmanager
    def replaying(self, row: int, times: int) -> Iterator[None]:
        """Within, one pass over any batch takes the kept outputs of one row, repeated, for its own."""
        for module in self._wanted:
            # On the instance, which hides the class's.
            module.forward = self._repeater(module, row, times)
        try:
            yield
        finally:
            for module in self._wanted:
                del module.forward

    def _repeater(self, module: nn.Module, row: int, times: int) -> Any:
        forward, numbers = module.forward, count()

        def repeat(*args: Any, **kwargs: Any) -> Any:
            kept = self._kept.get((module, next(numbers)))
            if kept is None:
                return forward(*args, **kwargs)
            # Joined, for that keeps the layout in memory, which a repeat would not.
            return _map(lambda part: torch.cat([part[row : row + 1]] * times), kept)

        return repeat


def _map(change: Any, output: Any) -> Any:
    return _pytree.tree_map_only(Tensor, change, output)


def _has_row_per_image(output: Any, n: int) -> bool:
    leaves = _pytree.tree_leaves(output)
    return all(isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == n for leaf in leaves)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextlib.contextmanager
def _hooked(modules: list[nn.Module], enter: Any, leave: Any) -> Iterator[None]:
    handles = [module.register_forward_hook(leave) for module in modules]
    if enter is not None:
        handles += [module.register_forward_pre_hook(enter) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
