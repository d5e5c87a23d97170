import numpy as np
import pytest

from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.projection.quality import COLUMNS, describe_hip, find_cuts, measure_lean
from hipoa.imaging.settings import ProjectSettings

SETTINGS = ProjectSettings.model_validate({"field_of_view_mm": 120})


def hips(**centres):
    return {side: Hip(side, tuple(centre), 24.0, "labels", 0.91234) for side, centre in centres.items()}


@pytest.mark.parametrize(
    ("left", "right", "tilt", "turn"),
    [
        ((-85, 0, 0), (85, 0, 0), 0, 0),
        ((-85, 0, -15), (85, 0, 15), np.degrees(np.arctan(30 / 170)), 0),
        ((-85, 20, 0), (85, 0, 0), 0, -np.degrees(np.arctan(20 / 170))),
    ],
)
def test_the_line_through_the_heads(left, right, tilt, turn):
    assert measure_lean(hips(L=left, R=right)) == pytest.approx((tilt, turn), abs=0.05)


def test_one_head_makes_no_line():
    assert measure_lean(hips(L=(-85, 0, 0))) == (None, None)


def test_where_the_ct_ends(pelvis, heads):
    right = tuple(heads["R"])
    assert find_cuts(pelvis, right, 120) == ""
    assert find_cuts(pelvis, right, 290) == "above, below, to the right"


def test_every_hip_has_all_cells_in_words_and_numbers(pelvis, heads):
    centres = HipCentres(hips(L=heads["L"] - [0, 0, 40], R=heads["R"] + [0, 40, 0]))
    row = describe_hip(pelvis, centres, "R", SETTINGS)
    assert tuple(row) == COLUMNS
    assert (row["method"], row["confidence"], row["implant"]) == ("labels", 0.912, "yes")
    assert [row[f"spacing_{axis}_mm"] for axis in "ras"] == [4, 4, 4]
    assert row["tilt_deg"] == pytest.approx(13.1, abs=0.05)
    assert row["warnings"].split("; ") == [
        "metal near the hip: an implant",
        "the heads differ in height by 13 degrees: a tilted pelvis or a high head",
        "the pelvis is turned by 13 degrees about the body's long axis",
    ]


def test_the_hips_of_a_plain_ct_have_no_warnings(pelvis, heads):
    row = describe_hip(pelvis, HipCentres(hips(**heads)), "L", SETTINGS)
    assert (row["warnings"], row["cut"], row["tilt_deg"], row["turn_deg"]) == ("", "", 0, 0)
