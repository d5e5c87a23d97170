import numpy as np
import pytest

from hipoa.imaging.localization.head_fit import fit_head_edges, refine_head
from hipoa.imaging.localization.patch import Patch

CENTRE, RADIUS = np.array([3.0, -2.0, 1.0]), 22.0


def draw(*, roof=False, metal=False, spacing=2.0):
    """A head of cancellous bone; above it, if asked for, a roof with a bright plate and no joint space."""
    axis = np.arange(-60, 61, spacing)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1) - CENTRE
    away = np.linalg.norm(points, axis=-1)
    hu = 40 + 260 * np.clip((RADIUS - away) / spacing + 0.5, 0, 1)
    if roof:
        above = (points[..., 2] > 0.5 * away) & (away > RADIUS)
        hu = np.where(above, np.where(away < RADIUS + 4, 700, 170), hu)
    if metal:
        screw = np.linalg.norm(points[..., 1:], axis=-1) < 5
        hu = np.where(screw & (points[..., 0] > -10), 3000, hu)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = -60
    return Patch(hu.astype(np.float32), matrix)


@pytest.mark.parametrize(("roof", "metal"), [(False, False), (True, False), (True, True)])
def test_the_sphere_is_that_of_the_head(roof, metal):
    """Neither the plate of the roof, which is the steepest edge, nor a screw moves it."""
    found = fit_head_edges(draw(roof=roof, metal=metal), CENTRE + np.array([4, -3, 4]))
    assert found is not None
    assert found.centre_ras_mm == pytest.approx(CENTRE, abs=0.7)
    assert found.radius_mm == pytest.approx(RADIUS, abs=0.7)
    assert found.support > 0.5


def test_without_edges_there_is_no_head():
    patch = draw()
    assert fit_head_edges(Patch(np.full_like(patch.hu, 40), patch.ras_from_ijk), CENTRE) is None


def draw_metal(shape, stem_x=0.0, spacing=2.0):
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
    return Patch(hu, matrix)


@pytest.mark.parametrize("stem_x", [20.0, -20.0, 0.0])
def test_the_ball_of_a_replaced_hip(stem_x):
    found = refine_head(draw_metal("ball", stem_x), CENTRE + np.array([5, -3, 6]), RADIUS)
    assert found.replaced
    assert found.centre_ras_mm == pytest.approx(CENTRE, abs=1.0)
    assert found.radius_mm == pytest.approx(16, abs=1.0)


@pytest.mark.parametrize("shape", ["rod", "box"])
def test_metal_that_is_no_ball_is_no_head(shape):
    found = refine_head(draw_metal(shape), CENTRE, RADIUS)
    assert not found.replaced
    assert found.centre_ras_mm == pytest.approx(CENTRE)


def test_a_ball_of_metal_elsewhere_is_not_the_head():
    found = refine_head(draw_metal("ball"), CENTRE + np.array([0, 0, -25]), RADIUS)
    assert not found.replaced
