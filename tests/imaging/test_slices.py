"""CT slices about a hip: which way they lie, how large they are and what they show."""

import numpy as np
import pytest

from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.projection.slices import (
    APART_MM,
    HIGH_HU,
    LOW_HU,
    MM_PER_PX,
    PLANES,
    cut_slices,
    lay_out,
)

from .conftest import fill_ball

CENTRE = np.array([86.0, 4.0, -300.0])
WHERE = {"right": (20, 0, 0), "front": (0, 20, 0), "above": (0, 0, 20)}


def make_volume(away):
    """Water with a ball of bone on one side of the centre."""
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = CENTRE - 87
    hu = np.zeros((88, 88, 88), np.int16)
    fill_ball(hu, matrix, CENTRE + away, 7, 900)
    return Volume(hu, matrix)


def find_ball(stack):
    """Where the ball is seen: mm to the image's right, downwards and in the order of the slices."""
    at = np.argwhere(stack == round(255 * 1400 / 2000))
    number, row, column = at.mean(0) - (np.array(stack.shape) - 1) / 2
    return [column * MM_PER_PX, row * MM_PER_PX, number * APART_MM]


# By plane, where it is seen: (right, down, slice).
SEEN = {
    "axial": {"right": (-20, 0, 0), "front": (0, -20, 0), "above": (0, 0, -20)},
    "coronal": {"right": (-20, 0, 0), "front": (0, 0, -20), "above": (0, -20, 0)},
    "sagittal": {"right": (0, 0, -20), "front": (-20, 0, 0), "above": (0, -20, 0)},
}


@pytest.mark.parametrize("name", WHERE)
def test_the_patients_right_is_on_the_left_the_front_and_the_head_end_at_the_top(name):
    slices = cut_slices(make_volume(WHERE[name]), CENTRE)
    assert tuple(SEEN) == PLANES
    for plane, stack in zip(PLANES, slices, strict=True):
        assert find_ball(stack) == pytest.approx(SEEN[plane][name], abs=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_do_not_depend_on_how_the_ct_is_stored(axis):
    volume = make_volume((20, 10, 5))
    matrix = volume.ras_from_ijk.copy()
    matrix[:3, 3] += (volume.hu.shape[axis] - 1) * matrix[:3, axis]
    matrix[:3, axis] *= -1
    turned = Volume(np.flip(volume.hu, axis), matrix)
    assert np.array_equal(cut_slices(turned, CENTRE), cut_slices(volume, CENTRE))


def test_what_the_ct_does_not_reach_is_black_and_the_window_is_that_of_bone():
    volume = make_volume((20, 10, 5))
    assert {LOW_HU, HIGH_HU} == {-500, 1500}
    beside = cut_slices(volume, CENTRE + np.array([80, 0, 0]))
    assert (beside[0][:, :, 0] == 0).all()  # to the patient's right of the CT
    assert (beside[0][7, :, -1] == 64).any()  # water within it


def test_the_planes_lie_below_each_other_and_their_slices_side_by_side():
    slices = np.arange(3 * 2 * 4 * 5).reshape(3, 2, 4, 5)
    image = lay_out(slices)
    assert image.shape == (12, 10)
    assert np.array_equal(image[4:8, 5:10], slices[1, 1])
