"""The outputs of a network: which belong to which head, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hipoa.grading.tasks import Head

REGRESSION = "regression"


@dataclass(frozen=True)
class OutputHeads:
    """The outputs of a network that grades some heads, side by side on its one linear classifier.

    A head of a classification has one output per class; that of a regression one output, which is -1 for
    the mildest and 1 for the severest class.
    """

    heads: Sequence[Head]  # in the order of their outputs
    loss: str  # classification, ordinal (which has a classification's outputs) or regression

    @property
    def n_outputs(self) -> int:
        """How many outputs the network has."""
        return sum(self._widths)

    @property
    def kind(self) -> str:
        """What `decode` gives: probability or value."""
        return "value" if self.loss == REGRESSION else "probability"

    @property
    def _widths(self) -> list[int]:
        return [1 if self.loss == REGRESSION else head.classes for head in self.heads]

    def split(self, outputs: Tensor) -> dict[str, Tensor]:
        """The outputs (..., all) of each head, (..., classes) or (..., 1)."""
        names = [head.name for head in self.heads]
        return dict(zip(names, outputs.split(self._widths, dim=-1), strict=True))

    def decode(self, outputs: Tensor) -> dict[str, Tensor]:
        """Predictions of each head from outputs (..., all).

        Returns:
            Head to (..., classes) probabilities, or, of a regression, to (...) unrounded values in classes
            as the table of hips writes them.
        """
        parts = self.split(outputs.float())
        if self.loss != REGRESSION:
            return {name: torch.softmax(part, dim=-1) for name, part in parts.items()}
        return {
            head.name: head.first + (parts[head.name][..., 0] + 1) * (head.classes - 1) / 2
            for head in self.heads
        }
