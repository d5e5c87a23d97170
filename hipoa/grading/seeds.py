"""Seeds that depend on everything that names a job, and on nothing else."""

from __future__ import annotations

import hashlib


def make_seed(*parts: int | str) -> int:
    """A seed for torch from a setting and the names of a job: the same on every machine.

    Returns:
        0 <= seed < 2 ** 63.
    """
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
