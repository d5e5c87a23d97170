"""The device that networks run on: its precision and its memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from hipoa.core.errors import ResourceError


def find_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def exact_float32() -> AbstractContextManager[None]:
    """Makes a GPU convolve in full float32, by the same kernels in every run.

    In TF32, torch's default there, outputs depend in their fourth digit on what else is in the batch.
    """
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


@contextmanager
def explain_out_of_memory(where: str, do: str) -> Iterator[None]:
    """Turns an out-of-memory error into a message that names the job and says what would help.

    Raises:
        ResourceError: The memory is too small.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On a CPU torch raises a plain RuntimeError.
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "allocat" not in str(error):
            raise
        device = "GPU" if torch.cuda.is_available() else "machine"
        raise ResourceError(where, f"the memory of the {device} is too small", do) from error
