import numpy as np
import pytest

from hipoa.imaging.localization.metal import find_metal, measure_metal_head
from hipoa.imaging.localization.patch import Blocks

CENTRE = np.array([5.0, -3.0, 2.0])


def draw(shape, stem_x=0.0, spacing=2.0):
    """A ball, a box or a rod of metal in water, and below it a stem that goes to one side."""
    axis = np.arange(-60, 61, spacing)
    points = np.stack(np.meshgrid(axis, axis, np.arange(-90, 41, spacing), indexing="ij"), -1)
    away = points - CENTRE
    inside = {
        "ball": np.linalg.norm(away, axis=-1) < 16,
        "box": (np.abs(away) < [40, 14, 14]).all(-1),
        "rod": np.linalg.norm(away[..., :2], axis=-1) < 5,
    }[shape]
    stem = np.linalg.norm((away - [stem_x, 0, 0])[..., :2], axis=-1) < 6
    hu = np.where(inside | (stem & (away[..., 2] < -10) & (stem_x != 0)), 3000, 40).astype(np.float32)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = -60, -60, -90
    return Blocks(hu, matrix)


@pytest.mark.parametrize("stem_x", [20.0, -20.0, 0.0])
def test_the_ball_of_a_replaced_hip(stem_x):
    blocks = draw("ball", stem_x)
    (start,) = find_metal(blocks)
    found = measure_metal_head(blocks, start)
    assert found is not None
    assert found.centre_ras_mm == pytest.approx(CENTRE, abs=1.0)
    assert found.radius_mm == pytest.approx(16, abs=1.0)


def test_a_nail_is_no_head():
    assert find_metal(draw("rod")) == []


def test_what_is_thick_but_no_ball_is_no_head():
    blocks = draw("box")
    assert all(measure_metal_head(blocks, start) is None for start in find_metal(blocks))
