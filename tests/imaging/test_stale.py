"""What an earlier run left must not contradict the later one."""

import json

import numpy as np
import pytest

from hipoa.cli import main
from hipoa.core.constants import HIP_COLUMNS
from hipoa.core.files import read_csv, write_csv, write_npz
from hipoa.imaging.develop import run as develop_run
from hipoa.imaging.settings import DevelopSettings


@pytest.fixture
def ct(tmp_path):
    import nibabel as nib

    hu = np.full((60, 40, 40), -1000, np.int16)
    hu[5:-5, 5:-5] = 40
    hu[10:20, 15:25, 15:25] = hu[40:50, 15:25, 15:25] = 600
    path = tmp_path / "case.nii.gz"
    affine = np.diag([5.0, 5, 5, 1])
    affine[:3, 3] = -150, -100, -100
    nib.save(nib.Nifti1Image(hu, affine), path)
    return path


def landmarks(path, *, left, right):
    path.write_text(f"side,r,a,s\nL,{left}\nR,{right}\n")
    return path


def drr(ct, out, marks):
    # Two blocks of bone, which the locator does not take for heads.
    shown = ["--unconfirmed-marks", "warn"]
    return main(["drr", str(ct), "--out", str(out), "--landmarks", str(marks), *shown])


def test_a_hip_outside_the_ct_leaves_the_other_and_no_old_radiograph(ct, tmp_path):
    marks, out = tmp_path / "marks.csv", tmp_path / "out"
    assert drr(ct, out, landmarks(marks, left="-80,0,0", right="80,0,0")) == 0
    assert (out / "case_R.png").is_file()
    assert drr(ct, out, landmarks(marks, left="-80,0,0", right="80,0,900")) == 0
    record = json.loads((out / "case.json").read_text())
    assert record["hips"]["R"] is None
    assert record["hips"]["L"]["method"] == "landmarks"
    assert any(w.startswith("R: the hip centre of the landmarks lies outside") for w in record["warnings"])
    assert sorted(p.name for p in out.iterdir()) == ["case.json", "case_L.png"]


def test_both_hips_outside_the_ct_write_nothing(ct, tmp_path, capsys):
    marks = landmarks(tmp_path / "marks.csv", left="-80,0,900", right="80,0,900")
    assert drr(ct, tmp_path / "out", marks) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert error.startswith("case.nii.gz: L: the hip centre of the landmarks lies outside the CT; R: the hip")
    assert error.endswith("Check its coordinates.\n")
    assert not (tmp_path / "out").exists()


def test_only_radiographs_named_by_the_old_table_are_removed(tmp_path):
    def develop(*hips):
        write_csv(
            tmp_path / "in.csv",
            HIP_COLUMNS,
            [dict.fromkeys(HIP_COLUMNS, "") | {"hip_id": h, "side": h[-1], "status": "ok"} for h in hips],
        )
        arrays = {
            "hip_id": np.array(hips, dtype=np.str_),
            "line_integral": np.ones((len(hips), 300, 300), np.float32),
            "mm_per_px": np.full(len(hips), 190 / 300),
        }
        write_npz(tmp_path / "in.npz", arrays)
        develop_run(
            DevelopSettings.model_validate({}),
            projections=tmp_path / "in.csv",
            stack=tmp_path / "in.npz",
            out=tmp_path / "o" / "0.csv",
            radiographs=tmp_path / "o" / "0.npz",
            png=tmp_path / "o" / "png",
        )

    develop("a_L", "a_R", "b_R")
    # Another shard's radiograph lies in the same folder.
    (tmp_path / "o" / "png" / "other_L.png").write_bytes(b"")
    develop("a_L", "a_R")
    names = sorted(p.name for p in (tmp_path / "o" / "png").iterdir())
    assert names == ["a_L.png", "a_R.png", "other_L.png"]
    assert [row["hip_id"] for row in read_csv(tmp_path / "o" / "0.csv")] == ["a_L", "a_R"]
