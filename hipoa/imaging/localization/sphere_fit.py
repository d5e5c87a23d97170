"""Spheres fitted to points, some of which lie on no sphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LEAST_POINTS, _TRIES = 20, 800


@dataclass(frozen=True)
class Sphere:
    """A fitted sphere: its centre (3,), and the share of the points (0-1) that lie on it."""

    centre_mm: np.ndarray
    radius_mm: float
    inliers: float


def spread_directions(n: int) -> np.ndarray:
    """Unit vectors (n, 3) spread evenly over the sphere (a Fibonacci spiral)."""
    k = np.arange(n) + 0.5
    z, angle = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    return np.c_[np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z]


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The algebraic least-squares sphere through points (n, 3), n >= 4: centre (3,) and radius.

    The points are centred first, so that coordinates far from the origin cost no precision.
    """
    middle = points.mean(0)
    q = points - middle
    x, *_ = np.linalg.lstsq(np.c_[2 * q, np.ones(len(q))], (q**2).sum(1), rcond=None)
    return middle + x[:3], float(np.sqrt(max(x[3] + x[:3] @ x[:3], 0.0)))


def fit_sphere_robustly(
    points: np.ndarray, *, radius_mm: tuple[float, float], tolerance_mm: float
) -> Sphere | None:
    """The sphere that most points (n, 3) lie on (RANSAC), refined on those points.

    Returns:
        None if there are too few points, or no sphere between the least and the largest radius.
    """
    if len(points) < _LEAST_POINTS:
        return None
    rng = np.random.default_rng([0, len(points)])
    best, score = None, 0
    for _ in range(_TRIES):
        centre, radius = fit_sphere(points[rng.choice(len(points), 4, replace=False)])
        if radius_mm[0] <= radius <= radius_mm[1]:
            near = find_inliers(points, centre, radius, tolerance_mm)
            if near.sum() > score:
                best, score = near, int(near.sum())
    return None if best is None else _refine(points, best, radius_mm, tolerance_mm)


def find_inliers(points: np.ndarray, centre: np.ndarray, radius_mm: float, tolerance_mm: float) -> np.ndarray:
    """Which of the points (n, 3) lie nearer than the tolerance to a sphere's surface: bool (n,)."""
    return np.abs(np.linalg.norm(points - centre, axis=1) - radius_mm) < tolerance_mm


def _refine(
    points: np.ndarray, near: np.ndarray, radius_mm: tuple[float, float], tolerance_mm: float
) -> Sphere | None:
    centre, radius = fit_sphere(points[near])
    for _ in range(10):
        again = find_inliers(points, centre, radius, tolerance_mm)
        if again.sum() < _LEAST_POINTS or np.array_equal(again, near):
            break
        near = again
        centre, radius = fit_sphere(points[near])
    if near.sum() < _LEAST_POINTS or not radius_mm[0] <= radius <= radius_mm[1]:
        return None
    return Sphere(centre, radius, float(near.mean()))
