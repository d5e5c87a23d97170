import numpy as np
import pytest

from hipoa.core.constants import HIP_COLUMNS
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.scan import Scan
from hipoa.imaging.projection.request import request_hip
from hipoa.imaging.settings import ProjectSettings


def describe(volume, side, field_of_view_mm=120, replaced=False, **centres):
    hips = {
        name: Hip(name, tuple(at), 24.0, "labels", 0.91234, replaced=replaced) for name, at in centres.items()
    }
    missing = {name: "no hip found" for name in "LR" if name not in hips}
    scan = Scan(volume, find_body(volume), HipCentres(hips, missing))
    settings = ProjectSettings.model_validate({"field_of_view_mm": field_of_view_mm})
    return request_hip(scan, side, settings)[0]


@pytest.mark.parametrize(
    ("left", "right", "tilt", "turn"),
    [
        ((-85, 0, -300), (85, 0, -300), 0, 0),
        ((-85, 0, -315), (85, 0, -285), np.degrees(np.arctan(30 / 170)), 0),
        ((-85, 20, -300), (85, 0, -300), 0, -np.degrees(np.arctan(20 / 170))),
    ],
)
def test_the_line_through_the_heads(pelvis, left, right, tilt, turn):
    row = describe(pelvis, "R", L=left, R=right)
    assert (row["tilt_deg"], row["turn_deg"]) == pytest.approx((tilt, turn), abs=0.05)


def test_one_head_makes_no_line(pelvis):
    row = describe(pelvis, "L", L=(-85, 0, -300))
    assert (row["tilt_deg"], row["turn_deg"]) == (None, None)


def test_where_the_ct_ends(pelvis, heads):
    assert describe(pelvis, "R", 120, **heads)["cut"] == ""
    assert describe(pelvis, "R", 290, **heads)["cut"] == "above, below, to the right"


def test_every_hip_has_all_cells_in_words_and_numbers(pelvis, heads):
    row = describe(pelvis, "R", L=heads["L"] - [0, 0, 40], R=heads["R"] + [0, 40, 0])
    assert {*HIP_COLUMNS} - {"hip_id", "case_id", "patient_id", "side", "scanner"} == {*row, "renderer"}
    assert (row["method"], row["confidence"], row["implant"]) == ("labels", 0.912, "fixation")
    assert [row[f"spacing_{axis}_mm"] for axis in "ras"] == [4, 4, 4]
    assert row["tilt_deg"] == pytest.approx(13.1, abs=0.05)
    assert row["warnings"].split("; ") == [
        "metal near the hip: nails, screws or plates",
        "the heads differ in height by 13 degrees: a tilted pelvis or a high head",
        "the pelvis is turned by 13 degrees about the body's long axis",
    ]


def test_the_hips_of_a_plain_ct_have_no_warnings(pelvis, heads):
    row = describe(pelvis, "L", **heads)
    assert (row["warnings"], row["cut"], row["tilt_deg"], row["turn_deg"]) == ("", "", 0, 0)


def test_a_metal_head_that_the_locator_fitted_is_a_replacement_however_dim_it_is(pelvis, heads):
    row = describe(pelvis, "L", replaced=True, **heads)
    assert (row["implant"], row["warnings"]) == ("replacement", "metal in or about the head: a replacement")
