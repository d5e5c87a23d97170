import numpy as np
import pytest

from hipoa.imaging.hips import Hip, HipCentres
from hipoa.imaging.localization.checks import check_centres


def notes_of(volume, side, centre):
    other = "L" if side == "R" else "R"
    hip = Hip(side, tuple(float(x) for x in centre), 24, "landmarks", 1.0)
    return " ".join(check_centres(volume, HipCentres({side: hip}, {other: "none"})).hips[side].warnings)


def test_a_hip_in_its_head_is_plausible(pelvis, heads):
    for side in "LR":
        assert notes_of(pelvis, side, heads[side]) == ""


@pytest.mark.parametrize(
    ("move_mm", "found"), [((0, 85, 0), "lies in air"), ((0, 0, 70), "hardly any bone about the hip centre")]
)
def test_a_centre_where_no_bone_is(pelvis, heads, move_mm, found):
    assert found in notes_of(pelvis, "R", heads["R"] + np.array(move_mm))


def test_a_lone_hip_on_the_other_side(pelvis, heads):
    assert "beyond the middle of the body: check its side" in notes_of(pelvis, "R", heads["L"])


def test_a_hip_outside_the_ct_has_no_place_to_judge(pelvis):
    assert notes_of(pelvis, "R", (86, 4, 900)) == ""
