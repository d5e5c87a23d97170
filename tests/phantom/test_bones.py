"""Bones of the shape model as solids."""

from __future__ import annotations

import numpy as np
import pytest

from hipoa.phantom.anatomy.bones import Field, Symmetric, Without, build_bones
from hipoa.phantom.anatomy.hip import SOCKET_X_MM, draw_person
from hipoa.phantom.anatomy.solids import Grid, RoundCone

HEIGHT_MM = 214.0
NECK = (0.74, -0.13, -0.66)


def _bones(*shape):
    return build_bones(shape, HEIGHT_MM, SOCKET_X_MM, NECK)


def _inside(solid, step_mm=2.0):
    """Positions (3, n) within a solid, mm."""
    low, high = solid.bounds()
    number = np.ceil((high - low) / step_mm).astype(int)
    frame = np.diag([step_mm, step_mm, step_mm, 1.0])
    frame[:3, 3] = low
    points = Grid((int(number[0]), int(number[1]), int(number[2])), frame).all_points()
    return points[:, solid.distance(points) < 0]


@pytest.mark.parametrize("shape", [(), (1.5, -1.5, 1.5), (0, 0, 0, 1.5, -1.5, 0, 1.5, 1.5)])
def test_the_hip_bone_is_as_high_as_asked_and_beside_the_middle(shape):
    bone = _inside(_bones(*shape).hip_bone, 1.0)
    assert np.ptp(bone[2]) == pytest.approx(HEIGHT_MM, abs=3)
    assert bone[0].min() > -6
    # The model's heads overlap its sockets a little, the more the rarer the shape.
    socket = np.array([[SOCKET_X_MM], [0], [0]])
    assert np.linalg.norm(bone - socket, axis=0).min() > 8


def test_the_neck_points_where_it_should():
    femur = _bones().femur
    points = _inside(femur, 0.1)
    away = np.linalg.norm(points, axis=0)
    neck = points[:, (away > 1.25) & (away < 1.6)].mean(1)
    assert neck @ NECK / np.linalg.norm(neck) > 0.98
    head = points[:, away < 1]
    assert len(head[0]) * 0.1**3 > 0.95 * 4 / 3 * np.pi - 0.3


def test_bones_are_solid():
    """The middle of the shaft is as much bone as its wall, up to the end of the field."""
    points = _inside(_bones().femur, 0.1)
    for height in (-4.0, -5.5):
        slice_ = points[:2, np.abs(points[2] - height) < 0.06]
        centre = slice_.mean(1, keepdims=True)
        radius = np.linalg.norm(slice_ - centre, axis=0).max()
        assert slice_.shape[1] * 0.01 > 0.7 * np.pi * radius**2
        assert np.linalg.norm(slice_ - centre, axis=0).min() < 0.2


def test_a_field_keeps_to_the_solid_it_was_made_of():
    ball = RoundCone((0, 0, 0), (0, 0, 0), 9, 9)
    frame = np.diag([1.0, 1, 1, 1])
    frame[:3, 3] = -20
    grid = Grid((41, 41, 41), frame)
    field = Field(ball.distance(grid.all_points()), np.full(3, -20.0), 1.0)
    at = np.random.default_rng([3]).uniform(-12, 12, (3, 500))
    np.testing.assert_allclose(field.distance(at), ball.distance(at), atol=0.2)
    twice = field.moved(2.0, np.array([5.0, 0, 0]))
    np.testing.assert_allclose(
        twice.distance(2 * at + np.array([[5.0], [0], [0]])), 2 * field.distance(at), atol=1e-3
    )


def test_symmetric_and_without():
    ball = RoundCone((6, 0, 0), (6, 0, 0), 4, 4)
    both = Symmetric(ball)
    at = np.array([[6.0, -6.0, 0.0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(both.distance(at), [-4, -4, 2])
    low, high = both.bounds()
    assert (low[0], high[0]) == (-10, 10)
    cut = Without(ball, [RoundCone((6, 0, 0), (6, 0, 0), 1, 1)])
    np.testing.assert_allclose(cut.distance(at), [1, 8, 2])


def test_patients_differ_in_shape_but_not_beyond_measure():
    shapes = np.array([draw_person(np.random.default_rng([n])).shape for n in range(200)])
    assert np.abs(shapes).max() <= 1.5
    assert shapes.std(0).min() > 0.7
