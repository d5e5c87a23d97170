"""Belly, bowel and spine differ between patients and leave the hips unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease
from hipoa.phantom.anatomy.hip import draw_person
from hipoa.phantom.anatomy.solids import Grid
from hipoa.phantom.scanner.voxels import render

STEP_MM = 4.0
ORIGIN = np.array([-150.0, -150.0, -60.0])
SHAPE = (75, 90, 58)


@pytest.fixture(scope="module")
def hips():
    rng = np.random.default_rng([12])
    person = replace(draw_person(rng), belly_mm=0.0, lumbar_mm=(0.0, 0.0), spine_hu=200.0)
    hip = build_hip(person, draw_disease(rng, 1, 0.5), rng)
    return {"R": hip, "L": hip}


def _draw(hips, seed=1, **changes):
    frame = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    frame[:3, 3] = ORIGIN
    changed = {side: replace(hip, person=replace(hip.person, **changes)) for side, hip in hips.items()}
    return render(Grid(SHAPE, frame), changed, {}, np.random.default_rng(seed))


def _slice(z_mm):
    return round((z_mm - ORIGIN[2]) / STEP_MM)


def _front_mm(hu, z_mm):
    """Where the skin is in front, in the middle of the body."""
    column = hu[SHAPE[0] // 2, :, _slice(z_mm)]
    return ORIGIN[1] + STEP_MM * np.flatnonzero(column > -500).max()


def test_a_belly_stands_out_above_the_hips_alone(hips):
    flat, stout = _draw(hips), _draw(hips, belly_mm=30.0)
    scale = hips["R"].person.scale
    assert _front_mm(stout, 95 * scale) - _front_mm(flat, 95 * scale) == pytest.approx(30, abs=STEP_MM)
    assert _front_mm(stout, -40 * scale) - _front_mm(flat, -40 * scale) == pytest.approx(0, abs=STEP_MM)


def test_the_lumbar_spine_moves_and_the_hips_do_not(hips):
    here, there = _draw(hips), _draw(hips, lumbar_mm=(8.0, 0.0))
    bone = [np.argwhere(hu[:, : SHAPE[1] // 2, _slice(140) :] > 150).mean(0)[0] for hu in (here, there)]
    assert (bone[1] - bone[0]) * STEP_MM == pytest.approx(8, abs=1.5)
    np.testing.assert_allclose(here[:, :, : _slice(40)], there[:, :, : _slice(40)], atol=5)


def test_a_dense_spine_is_denser(hips):
    middle = (slice(34, 41), slice(35, 40), _slice(110 * hips["R"].person.scale))
    assert _draw(hips, spine_hu=300.0)[middle].max() > _draw(hips)[middle].max() + 50


def test_the_bowel_is_another_in_each_ct_and_ends_above_the_hips(hips):
    one, other = _draw(hips, 1), _draw(hips, 2)
    inside = (slice(20, 55), slice(40, 50))
    assert np.abs(one - other)[(*inside, slice(_slice(90), None))].mean() > 30
    # At the height of the heads only noise-like trabeculae and the gas of the rectum differ.
    heads = np.abs(one - other)[:15, :, _slice(-10) : _slice(10)]
    assert np.median(heads) == 0
