"""The measurements of benchmarks/phantom.py on small cases with known answers."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hipoa.imaging.settings import DevelopSettings, ProjectSettings
from hipoa.phantom.anatomy import build
from hipoa.phantom.anatomy.build import build_hip, junction_drop_mm
from hipoa.phantom.anatomy.disease import draw_disease
from hipoa.phantom.anatomy.hip import Person, draw_person
from hipoa.phantom.anatomy.solids import ball
from hipoa.phantom.cohort.members import plan_cases
from hipoa.phantom.phantom import build_case
from hipoa.phantom.scanner.scanner import draw_pose
from hipoa.phantom.settings import PhantomSettings


def _load():
    path = Path(__file__).parents[2] / "benchmarks/phantom.py"
    spec = importlib.util.spec_from_file_location("benchmark", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    return module


benchmark = _load()
FOLD = np.arange(280) // 70
GRADE = np.tile(np.arange(1, 8), 40)


def test_the_overlap_of_two_balls_is_their_depth():
    low, high = np.full(3, -20.0), np.full(3, 30.0)
    for apart, depth in ((16, 2), (20, 0), (24, -2)):
        one, other = ball(np.zeros(3), 10), ball(np.array([apart, 0, 0]), 10)
        assert benchmark.overlap_mm(one, other, low, high, 1.0) == pytest.approx(depth, abs=0.1)


@pytest.mark.parametrize("grade", [1, 3, 4, 7])
def test_no_two_bones_overlap(grade: int):
    rng = np.random.default_rng([8, grade])
    hip = build_hip(draw_person(rng), draw_disease(rng, grade, 0.9), rng)
    found = benchmark.measure_overlaps(hip)
    assert max(found.values()) < 0.05, found
    if grade > 1:
        assert found["femur_overlap_mm"] > -hip.disease.joint_space_mm - 1  # near the joint there is bone


def test_a_radiograph_reaches_the_farthest_landmark():
    hip = {"centre_r_mm": "90", "centre_a_mm": "0", "centre_s_mm": "-600", "mm_per_px": "1"}
    truth = {f"{point}_{axis}_mm": value for point in ("centre", "junction") for axis, value in zip(
        "ras", ("90", "0", "-600"), strict=True)}  # fmt: skip
    truth |= {"radius_mm": "24", "teardrop_r_mm": "60", "teardrop_a_mm": "80", "teardrop_s_mm": "-660"}
    # 60 mm down and a tenth of the way to the source: 60 / 0.9 of 75 mm.
    assert benchmark.reach_px(hip, truth, 800) == pytest.approx(60 / 0.9 / 75)
    assert benchmark.reach_px(hip, truth | {"radius_mm": "80"}, 800) == pytest.approx(80 / 75)


def _features(images, corner=(0, 0)):
    return np.array([benchmark.describe_grey(image, 1.2, corner) for image in images])


@pytest.mark.slow
@pytest.mark.parametrize("trees", [False, True])
def test_a_shortcut_is_found_where_there_is_one_only(trees: bool):
    rng = np.random.default_rng([9])
    honest = rng.normal(120, 12, (280, 150, 150)) + rng.normal(0, 5, (280, 1, 1))
    found = benchmark.predict_out_of_fold(_features(honest), GRADE, FOLD, trees=trees)
    assert benchmark.score(GRADE, found)["ECA"] < 1 / 7 + 0.08
    for leak in (honest + 4 * GRADE[:, None, None], 120 + (honest - 120) * (1 + GRADE[:, None, None] / 7)):
        found = benchmark.predict_out_of_fold(_features(leak), GRADE, FOLD, trees=trees)
        assert benchmark.score(GRADE, found)["ECA"] > 1 / 7 + 0.1


def test_a_mark_in_a_corner_is_found_in_that_corner():
    images = np.random.default_rng([10]).normal(120, 12, (280, 150, 150))
    images[:, -16:, -16:] += 10 * GRADE[:, None, None]
    images -= images.mean((1, 2), keepdims=True)
    scores = {
        corner: benchmark.score(GRADE, benchmark.predict_out_of_fold(_features(images, corner), GRADE, FOLD))[
            "ECA"
        ]
        for corner in ((1, 1), (1, 0))
    }
    assert scores[1, 1] > 0.9


def _reach_mm(settings: PhantomSettings, case) -> float:
    """How far the landmarks of a case's Crowe IV hips lie from the head's centre on a radiograph, mm."""
    pose = draw_pose(np.random.default_rng([settings.seed, case.number]))
    source_mm, reach_mm = ProjectSettings.model_validate({}).source_to_hip_mm, 0.0
    for hip in build_case(settings, case).values():
        if hip.disease.grade == 7:
            tip = np.asarray(hip.teardrop.b) - [0, 0, hip.teardrop.rb]
            x, y, z = pose[:3, :3] @ (tip - hip.head)
            reach_mm = max(reach_mm, max(abs(x), abs(z)) * source_mm / (source_mm - y))
            assert hip.head[2] - junction_drop_mm(hip.person) > tip[2]
    return reach_mm


def test_the_default_radiograph_shows_every_dislocated_hip(monkeypatch):
    """As drawn: which bones there are, osteophytes and cysts move no landmark, and cost minutes."""
    nothing = SimpleNamespace(hip_bone=None, femur=SimpleNamespace(moved=lambda *_: None))
    monkeypatch.setattr(Person, "bones", nothing)
    monkeypatch.setattr(build, "place_osteophytes", lambda *_: [])
    monkeypatch.setattr(build, "place_cysts", lambda *_: [])
    reach_mm = [
        _reach_mm(PhantomSettings(seed=seed, population="study"), case)
        for seed in range(1, 6)
        for case in plan_cases({"labelled": 198}, "study")["labelled"]
    ]
    assert sum(reach > 0 for reach in reach_mm) > 60
    assert max(reach_mm) < DevelopSettings.model_validate({}).crop_mm / 2
    assert ProjectSettings.model_validate({}).field_of_view_mm >= DevelopSettings.model_validate({}).crop_mm
