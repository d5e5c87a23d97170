"""Too little memory, said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hipoa.core.errors import ResourceError


@contextmanager
def naming_memory(where: str, do: str) -> Iterator[None]:
    """Within, memory that runs out is an error of the user's kind.

    Args:
        where: The name of the job.
        do: What would need less.

    Raises:
        ResourceError: The memory is too small.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On a CPU torch says so in words alone.
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "allocat" not in str(error):
            raise
        device = "GPU" if torch.cuda.is_available() else "machine"
        raise ResourceError(where, f"the memory of the {device} is too small", do) from error
