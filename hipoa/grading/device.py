"""Where networks are computed, and how exactly."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def find_device() -> torch.device:
    """The GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def exact_float32() -> AbstractContextManager[None]:
    """Within, a GPU convolves in whole float32, by the same kernels in every run.

    In TF32, torch's default there, outputs depend in their fourth digit on what else is in the batch.
    """
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
