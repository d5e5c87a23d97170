"""Marked hips are confirmed by the CT itself, or refused: on two real hips whose flanks are cut off."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hipoa.cli import main
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.checks import confirm_marks
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.settings import ProjectSettings

DATA = Path(__file__).parents[1] / "data"
HEADS = {
    row["file"]: (row["side"], np.array([float(row[axis]) for axis in "ras"]))
    for row in csv.DictReader((DATA / "heads.csv").open(encoding="utf-8"))
}
OTHER = {"L": "R", "R": "L"}
NAMES = {"L": "femur_left", "R": "femur_right"}


@pytest.fixture(scope="module", params=sorted(HEADS))
def real(request):
    """A CT, the side of its one hip, and where the eye sees its centre."""
    volume = read_volume(DATA / request.param)
    return DATA / request.param, volume, *HEADS[request.param]


def confirm(volume, side, centre, method="landmarks", **settings):
    hip = Hip(side, tuple(float(x) for x in centre), 23.0, method, 1.0)
    centres = HipCentres({side: hip}, {OTHER[side]: "no hip found: no landmark of this side"})
    return confirm_marks(volume, find_body(volume), centres, ProjectSettings.model_validate(settings))


def test_a_mark_on_the_head_is_confirmed_without_a_word(real):
    _, volume, side, centre = real
    hip = confirm(volume, side, centre).hips[side]
    assert hip.warnings == ()
    assert hip.centre_ras_mm == tuple(centre)
    assert 0 <= hip.mark_to_head_mm < 4


@pytest.mark.parametrize("method", ["landmarks", "labels"])
def test_a_mark_beside_the_middle_is_taken_with_its_distance(real, method):
    _, volume, side, centre = real
    hip = confirm(volume, side, centre + np.array([0, 0, -10]), method).hips[side]
    assert 7 < hip.mark_to_head_mm < 13
    (note,) = hip.warnings
    assert f"{hip.mark_to_head_mm:.0f} mm from the centre of the head that the CT shows" in note


def test_the_head_of_the_other_side_is_refused(real):
    _, volume, side, centre = real
    found = confirm(volume, OTHER[side], centre)
    assert found.hips == {}
    assert found.missing[OTHER[side]] == "the CT shows the head of the other side at the landmark"
    assert found.advise(OTHER[side]).startswith("Correct the side.")
    assert found.advise(side).startswith("Mark it by landmarks")


@pytest.mark.parametrize("way", [(0, 0, 26), (0, 0, -26), (0, 26, 0), (0, -26, 0)])
def test_a_mark_far_from_the_head_is_refused(real, way):
    _, volume, side, centre = real
    found = confirm(volume, side, centre + np.array(way))
    assert found.hips == {}
    assert " mm from the landmark" in found.missing[side] or "within 15 mm of" in found.missing[side]
    assert "unconfirmed_marks to warn" in found.advise(side)


def test_the_head_that_was_meant_is_named_where_it_is_near(real):
    _, volume, side, centre = real
    found = confirm(volume, side, centre + np.array([0, 0, -20]), "labels")
    assert "the nearest femoral head that the CT shows lies" in found.missing[side]
    assert "Check label_ids" in found.advise(side)
    assert "Without labels the locator looks for the head itself" in found.advise(side)


@pytest.mark.parametrize(("side", "move_mm"), [("same", (0, 0, -30)), ("other", (0, 0, 0))])
def test_who_has_looked_goes_on_with_a_warning(real, side, move_mm):
    _, volume, own, centre = real
    side = own if side == "same" else OTHER[own]
    hip = confirm(volume, side, centre + np.array(move_mm), unconfirmed_marks="warn").hips[side]
    assert len(hip.warnings) == 1
    assert hip.mark_to_head_mm is None


def test_a_marked_head_that_the_ct_cuts_is_refused_as_without_a_mark(real):
    _, volume, side, centre = real
    stop = int(np.floor(volume.ijk(centre)[2])) + 2
    cut = Volume(volume.hu[:, :, :stop], volume.ras_from_ijk)
    found = confirm(cut, side, centre)
    assert found.missing[side].startswith("cut-off head: the CT ends ")
    assert found.advise(side).startswith("Give a CT that holds the head.")


def test_a_mark_outside_the_ct_is_left_as_it_is(real):
    _, volume, side, centre = real
    hip = confirm(volume, side, centre + np.array([0, 0, 900])).hips[side]
    assert (hip.warnings, hip.mark_to_head_mm) == ((), None)


def test_one_refused_mark_leaves_the_other_hip(pelvis, heads):
    hips = {"L": Hip("L", (-86.0, 4.0, -300.0), 24.0, "landmarks", 1.0)}
    hips["R"] = Hip("R", (86.0, 40.0, -230.0), 24.0, "landmarks", 1.0)
    found = confirm_marks(pelvis, find_body(pelvis), HipCentres(hips), ProjectSettings.model_validate({}))
    assert set(found.hips) == {"L"}
    assert found.missing == {"R": "the CT shows no femoral head within 15 mm of the landmark"}


def test_a_head_of_no_sure_side_vetoes_no_side(pelvis, heads):
    """Bare balls of bone have no side."""
    for side in "LR":
        hip = confirm(pelvis, side, heads[side]).hips[side]
        assert hip.warnings == ("the CT does not show of which side the head at the landmark is",)


def write_mask(path, volume, centre, write_nifti):
    """A femur's head and a stick below it."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.hu.shape), indexing="ij"), -1)
    away = index @ volume.ras_from_ijk[:3, :3].T + volume.ras_from_ijk[:3, 3] - centre
    head = np.linalg.norm(away, axis=-1) < 22
    stick = (np.linalg.norm(away[..., :2], axis=-1) < 11) & (away[..., 2] < 0)
    return write_nifti(path, (head | stick).astype(np.uint8), volume.ras_from_ijk)


@pytest.mark.parametrize("kind", ["landmarks", "labels"])
def test_a_wrong_side_writes_no_radiograph_unless_someone_has_looked(
    real, kind, tmp_path, write_nifti, capsys
):
    ct, volume, side, centre = real
    wrong, out = OTHER[side], tmp_path / "out"
    if kind == "landmarks":
        marks = tmp_path / "marks.csv"
        marks.write_text(f"side,r,a,s\n{wrong},{','.join(map(str, centre))}\n")
    else:
        marks = tmp_path / "masks"
        write_mask(marks / f"{NAMES[wrong]}.nii.gz", volume, centre, write_nifti)
    command = ["drr", str(ct), "--out", str(out), f"--{kind}", str(marks)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert "the CT shows the head of the other side" in said
    assert "--unconfirmed-marks warn" in said
    assert not out.exists()
    assert main([*command, "--unconfirmed-marks", "warn"]) == 0
    record = json.loads((out / f"{ct.name.removesuffix('.nii.gz')}.json").read_text())
    assert any("the head of the other side" in warning for warning in record["warnings"])
    assert record["hips"][wrong]["mark_to_head_mm"] is None


@pytest.mark.parametrize(("low_mm", "refused"), [(0, False), (9, False), (22, True)])
def test_masks_that_put_the_head_too_low(real, low_mm, refused, tmp_path, write_nifti):
    ct, volume, side, centre = real
    write_mask(tmp_path / f"masks/{NAMES[side]}.nii.gz", volume, centre - [0, 0, low_mm], write_nifti)
    command = ["drr", str(ct), "--out", str(tmp_path / "out"), "--labels", str(tmp_path / "masks")]
    assert main(command) == (2 if refused else 0)
    if not refused:
        record = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
        assert record["hips"][side]["mark_to_head_mm"] == pytest.approx(low_mm, abs=4)
        assert any("the head of the labels lies" in w for w in record["warnings"]) == (low_mm > 6)
