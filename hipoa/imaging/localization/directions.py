"""Directions spread evenly over the sphere."""

from __future__ import annotations

import numpy as np


def spread_rays(n: int) -> np.ndarray:
    """Unit vectors (n, 3) spread evenly over the sphere (a Fibonacci spiral)."""
    k = np.arange(n) + 0.5
    z, angle = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    return np.c_[np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z]
