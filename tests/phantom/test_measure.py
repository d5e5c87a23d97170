"""Hips measure as they were drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hipoa.phantom.anatomy.hip import Hip
from hipoa.phantom.anatomy.solids import Grid, ball, fibonacci_sphere
from hipoa.phantom.cohort.measure import Measured, measure_hip, ray_length_mm, surface_along
from hipoa.phantom.cohort.members import PlannedCase, count_patients, plan_cases
from hipoa.phantom.cohort.truth import check_hip, find_faults
from hipoa.phantom.phantom import build_case
from hipoa.phantom.settings import PhantomSettings

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


def test_every_drawn_quantity_is_measured_back(built: Built):
    for hip, measured in built:
        assert find_faults(hip, measured) == []
        # Beside the stage's own bounds, which are those of the coarsest measurement:
        drawn = hip.disease
        assert measured.joint_space_mm == pytest.approx(drawn.joint_space_mm, abs=0.01)
        assert measured.sclerosis_hu == pytest.approx(drawn.sclerosis_hu, abs=0.01)
        assert measured.pelvic_height_mm == pytest.approx(hip.person.pelvic_height_mm, rel=0.01)
        assert measured.cysts == len(drawn.cyst_mm)
        if drawn.height is not None:
            assert measured.height == pytest.approx(drawn.height, abs=0.002)


@pytest.mark.parametrize(("seed", "case_id", "side"), [(1, "phantom-p020", "L"), (2, "phantom-e031", "L")])
def test_the_ilium_does_not_widen_a_false_roof(seed: int, case_id: str, side: str):
    # A false socket close to the true one: the ilium once stood out beyond its rim.
    settings = PhantomSettings(population="study", seed=seed)
    counts = count_patients("study", dict.fromkeys(("labelled", "external", "pool")))
    cases = [case for cohort in plan_cases(counts, "study").values() for case in cohort]
    hip = build_case(settings, next(case for case in cases if case.case_id == case_id))[side]
    assert find_faults(hip, measure_hip(hip)) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joint_space_mm", 0.2),
        ("osteophyte_mm", 3),
        ("plate_factor", 0.2),
        ("sclerosis_hu", 20),
        ("cysts", 1),
        ("flattening", 0.01),
        ("centre_edge_deg", 5),
        ("radius_mm", 0.5),
    ],
)
def test_a_hip_that_is_not_as_drawn_stops_the_run(built: Built, name: str, change: float):
    hip, measured = built[2]
    wrong = replace(measured, **{name: getattr(measured, name) + change})
    assert [fault.split()[0] for fault in find_faults(hip, wrong)] == [name]
    with pytest.raises(RuntimeError, match=rf"a hip is not as drawn: {name} .* instead of"):
        check_hip(hip, wrong, "a hip")


def test_a_wrong_migration_stops_the_run(built: Built):
    hip, measured = built[5]
    wrong = replace(measured, height=measured.height - 0.01, lateral_mm=0.0)
    assert [fault.split()[0] for fault in find_faults(hip, wrong)] == ["height", "lateral_mm"]
    assert find_faults(hip, replace(measured, height=0.1))[0].startswith("crowe 1 instead of 3")


def test_femur_and_pelvis_overlap_nowhere(built: Built):
    for hip, _ in built:
        points = Grid.of_box(hip.head - 60, hip.head + 60, 2.0).points()
        inside = (hip.femur_distance(points) < -0.2) & (hip.pelvis_distance(points) < -0.2)
        assert not inside.any(), (hip.disease.grade, int(inside.sum()))


def test_rays_leave_a_ball_at_its_radius():
    centre, rays = np.array([1.0, 2.0, 3.0]), fibonacci_sphere(200)
    solid = ball(centre, 20)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=0), 1)
    np.testing.assert_allclose(ray_length_mm(solid.distance, centre[:, None], rays), 20, atol=1e-3)
    surface = surface_along(solid.distance, centre, rays)
    np.testing.assert_allclose(np.linalg.norm(surface - centre[:, None], axis=0), 20, atol=1e-3)
