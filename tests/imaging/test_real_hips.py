"""The locator on two real hips, in every way that a hospital might have scanned and stored them."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.localization.locator import find_head_near

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SPEC = importlib.util.spec_from_file_location("real_hips", ROOT / "benchmarks" / "real_hips.py")
real_hips = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = real_hips
SPEC.loader.exec_module(real_hips)
crop, find = real_hips.crop, real_hips.find

TRUTH = real_hips.read_truth(DATA / "heads.csv")
STILL_MM = 4.0


@pytest.fixture(scope="module", params=sorted(TRUTH))
def real(request):
    """A CT, the side of its one hip, and where the locator finds it."""
    volume = read_volume(DATA / request.param)
    (side,) = TRUTH[request.param]
    return volume, side, np.array(find(volume).hips[side].centre_ras_mm)


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_the_head_is_where_the_eye_sees_it(name):
    ((side, known),) = TRUTH[name].items()
    found = find(read_volume(DATA / name))
    assert set(found.hips) == {side}
    hip = found.hips[side]
    assert np.linalg.norm(np.subtract(hip.centre_ras_mm, known["centre"])) < 5
    assert hip.radius_mm == pytest.approx(known["radius_mm"], abs=3)
    assert hip.confidence > 0.7
    assert "one hip only in the field of view" in found.missing[real_hips.OTHER_SIDE[side]]


def test_the_finding_stands_still(real):
    """Resampled, turned, mirrored, in air, stored otherwise, noisy, cropped: none is lost."""
    volume, _, _ = real
    moved = {row["variation"]: row["moved_mm"] for row in real_hips.measure_stillness(volume, find(volume))}
    assert len(moved) == 21
    assert {name: far for name, far in moved.items() if far is None or far > STILL_MM} == {}


def test_a_head_of_which_hardly_half_is_left_is_cut_off(real):
    """Refused with its cause; its neighbour, which the CT holds all but the top of, is found."""
    volume, side, centre = real
    low, high = volume.corners_ras_mm.min(0), volume.corners_ras_mm.max(0)
    high[2] = centre[2] + 3
    assert find(crop(volume, low, high)).missing[side].startswith("cut-off head: the CT ends ")
    high[2] = centre[2] + 16
    hip = find(crop(volume, low, high)).hips[side]
    assert np.linalg.norm(np.subtract(hip.centre_ras_mm, centre)) < 6


def test_a_head_whose_centre_lies_outside_the_ct_is_cut_off(real):
    volume, side, centre = real
    low, high = volume.corners_ras_mm.min(0), volume.corners_ras_mm.max(0)
    high[2] = centre[2] - 6
    said = find(crop(volume, low, high)).missing[side]
    assert re.match(r"cut-off head: the CT ends \d+ mm before its middle", said), said


@pytest.mark.parametrize("part", ["above", "below"])
def test_without_the_head_there_is_no_hip(real, part):
    volume, _, centre = real
    low, high = volume.corners_ras_mm.min(0), volume.corners_ras_mm.max(0)
    if part == "above":
        low[2] = centre[2] + 30
    else:
        high[2] = centre[2] - 32
    assert find(crop(volume, low, high)).hips == {}


@pytest.mark.parametrize("off_mm", [0, 4, 12])
def test_a_mark_on_the_head_is_confirmed(real, off_mm):
    volume, side, centre = real
    found = find_head_near(volume, find_body(volume), centre + off_mm * np.array([0.6, 0, -0.8]))
    assert found is not None
    assert found.hip.side == side
    assert found.candidate.side_probability > 0.99
    assert np.linalg.norm(np.subtract(found.hip.centre_ras_mm, centre)) < STILL_MM


@pytest.mark.parametrize("way", [(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0)])
def test_a_mark_elsewhere_does_not_move_the_head(real, way):
    volume, _, centre = real
    found = find_head_near(volume, find_body(volume), centre + 30 * np.array(way))
    assert found is None or np.linalg.norm(np.subtract(found.hip.centre_ras_mm, centre)) < STILL_MM


def test_a_mark_outside_the_ct_is_not(real):
    volume, _, _ = real
    assert find_head_near(volume, find_body(volume), volume.corners_ras_mm.max(0) + 10) is None
