"""Bones of the shape model as solids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from hipoa.imaging.localization.sphere_fit import fit_sphere
from hipoa.phantom.anatomy.bones import (
    LEFT,
    Field,
    Symmetric,
    Without,
    build_bones,
    find_head,
    read_shape_model,
)
from hipoa.phantom.anatomy.hip import SOCKET_X_MM, draw_person
from hipoa.phantom.anatomy.solids import Grid, ball

HEIGHT_MM = 214.0
NECK = (0.74, -0.13, -0.66)


def _bones(*shape):
    return build_bones(shape, HEIGHT_MM, SOCKET_X_MM, NECK)


def _inside(solid, step_mm=2.0):
    """Positions (3, n) within a solid, mm."""
    points = Grid.of_box(*solid.bounds(), step_mm).points()
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
    solid = ball(np.zeros(3), 9)
    nodes = Grid.of_box(np.full(3, -20.0), np.full(3, 21.0), 1.0).points()
    field = Field(solid.distance(nodes), np.full(3, -20.0), 1.0)
    at = np.random.default_rng([3]).uniform(-12, 12, (3, 500))
    np.testing.assert_allclose(field.distance(at), solid.distance(at), atol=0.2)
    twice = field.moved(2.0, np.array([5.0, 0, 0]))
    np.testing.assert_allclose(
        twice.distance(2 * at + np.array([[5.0], [0], [0]])), 2 * field.distance(at), atol=1e-3
    )


def test_symmetric_and_without():
    solid = ball(np.array([6.0, 0, 0]), 4)
    both = Symmetric(solid)
    at = np.array([[6.0, -6.0, 0.0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(both.distance(at), [-4, -4, 2])
    low, high = both.bounds()
    assert (low[0], high[0]) == (-10, 10)
    cut = Without(solid, [ball(np.array([6.0, 0, 0]), 1)])
    np.testing.assert_allclose(cut.distance(at), [1, 8, 2])


def test_the_model_is_symmetric_about_its_middle_plane():
    pelvis = read_shape_model()["pelvis"]
    mirrored = pelvis.vertices[pelvis.body == LEFT] * [-1, 1, 1]
    away, _ = KDTree(pelvis.vertices[pelvis.body == 0]).query(mirrored)
    assert np.median(away) < 3
    # Its right half is tilted against the left one, but no shift or turn of the plane fits better.
    assert abs(mirrored.mean(0)[0] - pelvis.vertices[pelvis.body == 0].mean(0)[0]) < 0.5


def test_the_head_s_vertices_lie_on_a_sphere():
    femur = read_shape_model()["femur"]
    head = femur.vertices[find_head(femur)]
    centre, radius = fit_sphere(head)
    assert len(head) > 500
    assert np.abs(np.linalg.norm(head - centre, axis=1) - radius).max() < 1.05
    assert centre[0] < femur.vertices[:, 0].mean()


def test_patients_differ_in_shape_but_not_beyond_measure():
    shapes = np.array([draw_person(np.random.default_rng([n])).shape for n in range(200)])
    assert np.abs(shapes).max() <= 1.5
    assert shapes.std(0).min() > 0.7
