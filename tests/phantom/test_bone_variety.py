"""Position of the femora and texture of bone vary between patients, independently of the grades."""

from __future__ import annotations

from dataclasses import astuple, replace
from types import SimpleNamespace

import numpy as np
import pytest

from hipoa.phantom import phantom
from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease
from hipoa.phantom.anatomy.hip import Hip, Person, draw_person
from hipoa.phantom.anatomy.solids import Grid
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.members import plan_cases
from hipoa.phantom.cohort.truth import find_faults
from hipoa.phantom.phantom import build_case
from hipoa.phantom.scanner.voxels import CORTICAL_HU, render, render_bones
from hipoa.phantom.settings import PhantomSettings

BONE = ("femur_turn_deg", "cancellous_hu", "head_shell", "trabecular_hu", "trabecula_mm")


def _build(grade: int, **changes) -> Hip:
    rng = np.random.default_rng([21, grade])
    person = replace(draw_person(rng), **changes)
    return build_hip(person, draw_disease(rng, grade, 0.8), rng)


def _about(hip: Hip, half_mm: float, step_mm: float) -> Grid:
    """Voxels about the head, in the hip's frame."""
    return Grid.of_box(hip.head - half_mm, hip.head + half_mm + step_mm, step_mm)


def _shaft_mm(hip: Hip, below_mm: float) -> np.ndarray:
    """The middle (x, y) of the shaft so far below the head's centre, from the head."""
    x, y = np.meshgrid(np.arange(-80, 120, 2.0), np.arange(-100, 120, 2.0), indexing="ij")
    points = np.stack([x, y, np.full_like(x, -below_mm)]) + hip.head[:, None, None]
    inside = hip.femur_distance(points) < 0
    return np.array([x[inside].mean(), y[inside].mean()])


@pytest.mark.parametrize("grade", [1, 4, 7])
def test_flexion_swings_the_shaft_forwards_and_leaves_the_hip(grade: int):
    straight, flexed = (_build(grade, femur_turn_deg=turn) for turn in (0.0, 35.0))
    moved = _shaft_mm(flexed, 100) - _shaft_mm(straight, 100)
    assert moved[1] > 25
    assert 0 < moved[0] < 25  # it is abducted with it
    for before, after in zip(*(astuple(measure_hip(hip)) for hip in (straight, flexed)), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-3)
    assert find_faults(flexed, measure_hip(flexed)) == []


def test_a_stem_follows_the_flexed_shaft():
    hip = _build(1, femur_turn_deg=35.0)
    grid = _about(hip, 110, 3.0)
    hu = render(grid, {"R": hip, "L": hip}, {"R": "nail"}, np.random.default_rng([1]))
    points = grid.points()
    nail = (hu > 2500) & (points[2] < hip.head[2] - 60)
    assert nail.any()
    assert (hip.femur_distance(points[:, nail]) < 0).mean() > 0.9


def test_a_head_may_have_no_bright_shell_and_its_socket_stays():
    hip = _build(1)
    grid = _about(hip, 45, 1.0)
    drawn = []
    for head_shell in (0.0, 1.0):
        drawn.append(np.zeros(grid.shape, np.float32))
        render_bones(drawn[-1], grid, replace(hip, person=replace(hip.person, head_shell=head_shell)))
    dull, bright = drawn
    points = grid.points()
    along = np.tensordot(hip.person.neck_axis, points - hip.head[:, None, None, None], 1)
    femur, pelvis = hip.femur_distance(points), hip.pelvis_distance(points)
    shell = (femur < -0.5) & (femur > -0.7) & (along < 0.6 * hip.person.head_radius_mm)
    assert dull[shell].mean() == pytest.approx(hip.person.cancellous_hu, abs=10)
    assert bright[shell].mean() > CORTICAL_HU - 250
    elsewhere = (pelvis < -0.6) | (along > 1.1 * hip.person.head_radius_mm)
    np.testing.assert_array_equal(dull[elsewhere], bright[elsewhere])


@pytest.mark.parametrize("cancellous_hu", [250.0, 400.0])
@pytest.mark.parametrize("head_shell", [0.0, 1.0])
@pytest.mark.parametrize("grade", [2, 4, 6])
def test_any_bone_measures_as_drawn(grade: int, head_shell: float, cancellous_hu: float):
    hip = _build(grade, head_shell=head_shell, cancellous_hu=cancellous_hu)
    measured = measure_hip(hip)
    assert find_faults(hip, measured) == []
    assert measured.sclerosis_hu == pytest.approx(hip.disease.sclerosis_hu, abs=0.01)


def _trabeculae(hip: Hip, **changes) -> np.ndarray:
    """What trabeculae add within the head, HU (I, J, K)."""
    grid, both = _about(hip, 12, 1.0), []
    for trabecular_hu in (0.0, changes["trabecular_hu"]):
        person = replace(hip.person, **(changes | {"trabecular_hu": trabecular_hu}))
        changed = replace(hip, person=person)
        both.append(render(grid, {"R": changed, "L": changed}, {}, np.random.default_rng([2])))
    return both[1] - both[0]


def test_trabeculae_are_as_strong_and_as_coarse_as_the_patient_s():
    hip = _build(1)
    faint = _trabeculae(hip, trabecular_hu=25.0, trabecula_mm=1.0)
    strong = _trabeculae(hip, trabecular_hu=90.0, trabecula_mm=2.5)
    assert faint.std() == pytest.approx(25, rel=0.1)
    assert strong.std() == pytest.approx(90, rel=0.1)
    likeness = [np.corrcoef(hu[3:].ravel(), hu[:-3].ravel())[0, 1] for hu in (faint, strong)]
    assert likeness[0] < 0.3 < 0.5 < likeness[1]


def _draw(monkeypatch: pytest.MonkeyPatch, population: str) -> list[tuple[Person, int]]:
    """The patients of a labelled cohort and the sums of their two classes; builds no bones."""
    monkeypatch.setattr(
        phantom, "build_hip", lambda person, disease, _: SimpleNamespace(person=person, disease=disease)
    )
    settings = PhantomSettings.model_validate({"population": population})
    found = []
    for case in plan_cases({"labelled": 198}, "study")["labelled"]:
        left, right = build_case(settings, case).values()
        found.append((left.person, left.disease.grade + right.disease.grade))
    return found


def test_what_is_drawn_of_bone_does_not_follow_the_grade(monkeypatch):
    study, demo = (_draw(monkeypatch, population) for population in ("study", "demo"))
    # Other grades of the same patients change no patient.
    assert [person for person, _ in study] == [person for person, _ in demo]
    grades = np.array([grade for _, grade in study])
    assert (grades != [grade for _, grade in demo]).any()
    for name in BONE:
        values = np.array([getattr(person, name) for person, _ in study])
        # The standard error of a correlation of 198 patients is 0.07.
        assert abs(np.corrcoef(values, grades)[0, 1]) < 0.21, name


def test_patients_differ_as_far_as_said():
    people = [draw_person(np.random.default_rng([22, number])) for number in range(400)]
    low, high = ([f(getattr(person, name) for person in people) for name in BONE] for f in (min, max))
    np.testing.assert_allclose(low, (0, 250, 0, 25, 1), atol=3)
    np.testing.assert_allclose(high, (40, 400, 1, 90, 2.5), atol=3)
    far = np.mean([person.femur_turn_deg > 20 for person in people])
    assert far == pytest.approx(0.2, abs=0.06)
