"""How the outputs of a network are read: which of them speak for which head, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hipoa.grading.tasks import Head

REGRESSION = "regression"


@dataclass(frozen=True)
class Readout:
    """The outputs of a network that grades some heads, side by side on its one linear classifier.

    A head of a classification has one output per class; that of a regression one output, which is -1 for
    the mildest and 1 for the severest class.

    Attributes:
        heads: In the order of their outputs.
        loss: classification, ordinal (which has a classification's outputs) or regression.
    """

    heads: Sequence[Head]
    loss: str

    @property
    def outputs(self) -> int:
        """How many outputs the network has."""
        return sum(self._widths)

    @property
    def _widths(self) -> list[int]:
        return [1 if self.loss == REGRESSION else head.classes for head in self.heads]

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """The outputs (..., all) of each head, (..., classes) or (..., 1)."""
        names = [head.name for head in self.heads]
        return dict(zip(names, outputs.split(self._widths, dim=-1), strict=True))

    def read(self, outputs: Tensor) -> dict[str, Tensor]:
        """What the outputs say of each head.

        Args:
            outputs: (..., all).

        Returns:
            Head to (..., classes) probabilities, or, of a regression, to (...) unrounded values in classes
            as the table of hips writes them.
        """
        parts = self.split(outputs.float())
        if self.loss != REGRESSION:
            return {name: torch.softmax(part, dim=-1) for name, part in parts.items()}
        return {head.name: _to_value(parts[head.name][..., 0], head) for head in self.heads}

    @property
    def kind(self) -> str:
        """What `read` gives: probability or value."""
        return "value" if self.loss == REGRESSION else "probability"


def scale_target(target: Tensor, head: Head) -> Tensor:
    """The output that a regression should give for classes (n,) counted from 0: -1 to 1."""
    half = (head.classes - 1) / 2
    return target / half - 1


def _to_value(output: Tensor, head: Head) -> Tensor:
    return head.first + (output + 1) * (head.classes - 1) / 2
