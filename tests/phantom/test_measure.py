"""What was built is what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from hipoa.phantom.hip import Hip
from hipoa.phantom.measure import Measured, measure_hip, reach_mm, surface_along
from hipoa.phantom.phantom import build_case
from hipoa.phantom.plan import PlannedCase
from hipoa.phantom.settings import PhantomSettings
from hipoa.phantom.shapes import Grid, RoundCone, directions

Built = list[tuple[Hip, Measured]]


@pytest.fixture(scope="module")
def built(demo: list[PlannedCase]) -> Built:
    hips = [hip for case in demo for hip in build_case(PhantomSettings(), case).values()]
    # The most severe hip of each class.
    by_severity = sorted(hips, key=lambda hip: hip.disease.severity)
    worst = {hip.disease.grade: hip for hip in by_severity}
    return [(worst[grade], measure_hip(worst[grade])) for grade in range(1, 8)]


def test_every_class_is_measured(built: Built):
    assert [hip.disease.grade for hip, _ in built] == [1, 2, 3, 4, 5, 6, 7]


def test_crowe_follows_from_the_measured_height(built: Built):
    for hip, measured in built:
        assert measured.crowe == hip.disease.crowe
        if hip.disease.height is not None:
            assert measured.height == pytest.approx(hip.disease.height, abs=0.004)


def test_joint_space_osteophytes_plate_sclerosis_and_flattening(built: Built):
    for hip, measured in built:
        drawn = hip.disease
        assert measured.joint_space_mm == pytest.approx(drawn.joint_space_mm, abs=0.05)
        assert measured.osteophyte_mm == pytest.approx(drawn.osteophyte_mm, rel=0.15, abs=0.3)
        assert measured.plate_factor == pytest.approx(drawn.plate_factor, abs=0.06)
        assert measured.sclerosis_hu == pytest.approx(drawn.sclerosis_hu, abs=5)
        assert measured.flattening == pytest.approx(drawn.flattening, abs=0.002)


def test_cysts_are_counted_as_placed(built: Built):
    for hip, measured in built:
        assert measured.cysts == len(hip.cysts) <= len(hip.disease.cyst_mm)


def test_centre_radius_cover_and_lateral_position(built: Built):
    for hip, measured in built:
        np.testing.assert_allclose(measured.centre, hip.head, atol=0.05)
        assert measured.radius_mm == pytest.approx(hip.person.head_radius_mm, abs=0.05)
        assert measured.pelvic_height_mm == pytest.approx(hip.person.pelvic_height_mm, rel=0.02)
        assert measured.centre_edge_deg == pytest.approx(hip.disease.centre_edge_deg, abs=2)
        if hip.disease.height is not None:
            assert measured.lateral_mm == pytest.approx(hip.disease.lateral_mm, abs=0.1)


def test_femur_and_pelvis_overlap_nowhere(built: Built):
    for hip, _ in built:
        frame = np.diag([2.0, 2.0, 2.0, 1.0])
        frame[:3, 3] = hip.head - 60
        points = Grid((60, 60, 60), frame).all_points()
        inside = (hip.femur_distance(points) < -0.2) & (hip.pelvis_distance(points) < -0.2)
        assert not inside.any(), (hip.disease.grade, int(inside.sum()))


def test_rays_leave_a_ball_at_its_radius():
    ball = RoundCone((1, 2, 3), (1, 2, 3), 20, 20)
    ways = directions(200)
    np.testing.assert_allclose(np.linalg.norm(ways, axis=0), 1)
    centre = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(reach_mm(ball.distance, centre[:, None], ways), 20, atol=1e-3)
    surface = surface_along(ball.distance, centre, ways)
    np.testing.assert_allclose(np.linalg.norm(surface - centre[:, None], axis=0), 20, atol=1e-3)
