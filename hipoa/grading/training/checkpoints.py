"""Checkpoints from which a killed training goes on to the same result."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hipoa.core.files import replacing


@dataclass(frozen=True)
class Checkpoint:
    """One file, good only for the training with the same key.

    Attributes:
        path: Of the file, outside the declared outputs.
        key: A hash of everything that the training depends on.
    """

    path: Path
    key: str

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved under this key, or None."""
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

    def remove(self) -> None:
        """Removes the file, if there is one."""
        self.path.unlink(missing_ok=True)
