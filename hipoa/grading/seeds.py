"""Seeds of torch's generators."""

from __future__ import annotations

import hashlib


def make_seed(*parts: int | str) -> int:
    """A seed for torch, 0 to 2 ** 63: a hash of a setting and the names of a job, the same everywhere."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
