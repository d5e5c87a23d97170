import numpy as np
import pytest

from hipoa.imaging.localization.head_fit import fit_head_edges
from hipoa.imaging.localization.patch import Blocks

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
    return Blocks(hu.astype(np.float32), matrix)


@pytest.mark.parametrize(("roof", "metal"), [(False, False), (True, False), (True, True)])
def test_the_sphere_is_that_of_the_head(roof, metal):
    """Neither the plate of the roof, which is the steepest edge, nor a screw moves it."""
    found = fit_head_edges(draw(roof=roof, metal=metal), CENTRE + np.array([4, -3, 4]))
    assert found is not None
    assert found.centre_ras_mm == pytest.approx(CENTRE, abs=0.7)
    assert found.radius_mm == pytest.approx(RADIUS, abs=0.7)
    assert found.support > 0.5


def test_without_edges_there_is_no_head():
    blocks = draw()
    assert fit_head_edges(Blocks(np.full_like(blocks.hu, 40), blocks.ras_from_ijk), CENTRE) is None
