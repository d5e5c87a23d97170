"""Signed distances and how they fill voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.phantom.anatomy.solids import (
    Cup,
    CutBall,
    Ellipsoid,
    Grid,
    RoundCone,
    Solid,
    ball,
    distance_to,
    fraction,
    merge,
)

SOLIDS: list[Solid] = [
    RoundCone((-8, 2, 1), (9, -3, 4), 5, 7),
    Cup(np.zeros(3), 9, 13, np.array([0, 0, -1.0]), 0.2),
    CutBall(np.array([1.0, 1, 1]), 11, np.array([0, 0.6, 0.8]), 3),
    Ellipsoid((0, 1, 2), (9, 6, 12)),
]


def _grid(step_mm: float = 1.0, half_mm: float = 24) -> Grid:
    edge = np.full(3, half_mm - step_mm / 2)
    return Grid.of_box(-edge, edge + step_mm, step_mm)


@pytest.mark.parametrize("solid", SOLIDS, ids=lambda solid: type(solid).__name__)
def test_a_solid_lies_within_its_bounds(solid: Solid):
    points = _grid().points()
    inside = points[:, solid.distance(points) < 0]
    low, high = solid.bounds()
    assert inside.size
    assert (inside.min(1) >= low - 1e-3).all()
    assert (inside.max(1) <= high + 1e-3).all()


@pytest.mark.parametrize("solid", SOLIDS, ids=lambda solid: type(solid).__name__)
def test_rasterising_a_part_changes_no_surface(solid: Solid):
    grid = _grid()
    window, near = grid.rasterise([solid])
    whole = solid.distance(grid.points())
    np.testing.assert_allclose(near, whole[window], atol=1e-4)
    outside = np.ones(grid.shape, bool)
    outside[window] = False
    assert (whole[outside] > 0).all()


@pytest.mark.parametrize(
    ("solid", "volume_mm3"),
    [
        (ball(np.zeros(3), 12), 4 / 3 * np.pi * 12**3),
        (RoundCone((0, 0, -6), (0, 0, 6), 8, 8), 4 / 3 * np.pi * 8**3 + 12 * np.pi * 8**2),
        # A ball less its cap: pi h2 (3 r - h) / 3.
        (CutBall(np.zeros(3), 12, np.array([0, 0, 1.0]), 5), 4 / 3 * np.pi * 12**3 - np.pi * 25 * 31 / 3),
    ],
)
def test_filled_fractions_add_up_to_the_volume(solid: Solid, volume_mm3: float):
    filled = fraction(_grid().distance([solid]), 1.0).sum()
    assert filled == pytest.approx(volume_mm3, rel=0.01)


@given(st.floats(-20, 20), st.floats(-20, 20), st.just(0.0) | st.floats(0.1, 8))
def test_a_smooth_union_only_adds(a: float, b: float, smooth_mm: float):
    joined = float(merge(np.array(a), np.array(b), smooth_mm))
    assert min(a, b) - smooth_mm / 4 - 1e-6 <= joined <= min(a, b) + 1e-6


def test_the_union_of_two_balls():
    balls = [ball(np.array([x, 0, 0]), 5) for x in (-10, 10)]
    points = np.array([[-10, 0, 10, 20], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(distance_to(balls, points), [-5, 5, -5, 5], atol=1e-5)
