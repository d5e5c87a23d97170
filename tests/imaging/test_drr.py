import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hipoa.cli import main
from hipoa.core.files import read_npz


def drr(ct, out, *more):
    return main(["drr", str(ct), "--out", str(out), *map(str, more)])


@pytest.fixture
def ct(tmp_path, pelvis, write_nifti):
    return write_nifti(tmp_path / "case 7.v2.nii.gz", pelvis.hu, pelvis.ras_from_ijk)


def picture(path):
    image = Image.open(path)
    assert (image.size, image.mode) == ((150, 150), "L")
    return np.asarray(image)


def test_two_radiographs_and_a_record(tmp_path, ct, landmarks, heads):
    assert drr(ct, tmp_path / "out", "--landmarks", landmarks) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("case 7.v2.json", "case 7.v2_L.png", "case 7.v2_R.png")
    ]
    record = json.loads((tmp_path / "out/case 7.v2.json").read_text())
    for side in "LR":
        assert record["hips"][side]["centre_ras_mm"] == heads[side].tolist()
        assert record["hips"][side]["method"] == "landmarks"
    assert isinstance(record["warnings"], list)
    told = {"series": None, "slices": 60, "step_mm": 4.0, "set_aside": "", "kv": None, "thickness_mm": None}
    unknown = dict.fromkeys(("manufacturer", "model", "kernel", "kernel_kind", "sex", "age"), "")
    assert record["ct"] == told | unknown
    assert any("R: metal" in warning for warning in record["warnings"])
    right = picture(tmp_path / "out/case 7.v2_R.png")
    # The metal lies below the right head; the body's middle is at image right of the right hip.
    assert right[100:125, 60:90].max() > 1.1 * right[20:40, 60:90].max()
    assert right[:, 145:].mean() > right[:, :5].mean()
    left = picture(tmp_path / "out/case 7.v2_L.png")
    assert left[:, :5].mean() > left[:, 145:].mean()


def test_the_radiograph_is_that_of_the_workflow(tmp_path, ct, landmarks):
    assert drr(ct, tmp_path, "--landmarks", landmarks) == 0
    rows = f"case_id,patient_id,ct,landmarks\na,p,{ct},{landmarks}\n"
    (tmp_path / "cases.csv").write_text(rows)
    files = {"--cases": "cases.csv", "--out": "p.csv", "--stack": "p.npz", "--cache": "cache"}
    paths = [str(part) for flag, name in files.items() for part in (flag, tmp_path / name)]
    assert main(["project", "--cohort", "pool", "--shards", "0", "--readers", "0", *paths]) == 0
    stack = read_npz(tmp_path / "p.npz")
    for name, image in zip(stack["hip_id"], stack["line_integral"], strict=True):
        png = Image.open(tmp_path / f"case 7.v2_{name[-1]}.png")
        assert png.info["source_sha256"] == hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()


def test_one_hip_alone(tmp_path, ct, landmarks, capsys):
    one = tmp_path / "one.csv"
    one.write_text("\n".join(landmarks.read_text().splitlines()[:2]) + "\n")
    assert drr(ct, tmp_path / "out", "--landmarks", one) == 0
    record = json.loads((tmp_path / "out/case 7.v2.json").read_text())
    assert record["hips"]["L"] is None
    assert record["hips"]["R"]["method"] == "landmarks"
    assert any(warning.startswith("L: no hip found") for warning in record["warnings"])
    assert not (tmp_path / "out/case 7.v2_L.png").exists()


@pytest.mark.parametrize("renderer", ["joseph_cpu", "trilinear", "siddon"])
def test_the_renderers_by_name(tmp_path, ct, landmarks, renderer):
    assert drr(ct, tmp_path / renderer, "--landmarks", landmarks, "--renderer", renderer) == 0
    assert json.loads((tmp_path / renderer / "case 7.v2.json").read_text())["renderer"] == renderer


def test_the_record_names_the_renderer_that_ran(tmp_path, ct, landmarks, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert drr(ct, tmp_path, "--landmarks", landmarks) == 0
    assert json.loads((tmp_path / "case 7.v2.json").read_text())["renderer"] == "joseph_cpu"


def test_the_beam_changes_what_is_seen(tmp_path, ct, landmarks):
    options = {"plain": (), "pelvis": ("--beam-centre", "pelvis"), "parallel": ("--beam", "orthographic")}
    options["bone"] = ("--bone-only", "true")
    images = {}
    for name, more in options.items():
        assert drr(ct, tmp_path / name, "--landmarks", landmarks, *more) == 0
        images[name] = picture(tmp_path / name / "case 7.v2_L.png").astype(float)
    for name in ("pelvis", "parallel", "bone"):
        assert np.abs(images[name] - images["plain"]).max() > 20
    assert images["bone"][:30].max() == 0


def test_without_the_other_hip_the_beam_s_centre_is_told(tmp_path, ct, landmarks):
    one = tmp_path / "one.csv"
    one.write_text("\n".join(landmarks.read_text().splitlines()[:2]) + "\n")
    assert drr(ct, tmp_path, "--landmarks", one, "--beam-centre", "pelvis") == 0
    warnings = json.loads((tmp_path / "case 7.v2.json").read_text())["warnings"]
    assert "R: without the other hip the beam is centred on this one, not on the pelvis" in warnings


def test_what_cannot_be_done_is_one_line(tmp_path, ct, landmarks, capsys):
    for arguments, message in (
        ((ct, "--renderer", "magic"), "drr: renderer: Input should be 'auto', 'joseph_cpu'"),
        ((ct, "--renderer", "joseph"), "drr: renderer: Input should be 'auto', 'joseph_cpu', 'trilinear' or"),
        ((tmp_path / "none.nii.gz",), "none.nii.gz: the file cannot be read"),
        ((tmp_path / "NO_SUCH_FOLDER",), "NO_SUCH_FOLDER: there is no such file or folder. Check the path."),
        ((ct, "--landmarks", tmp_path / "NIX.csv"), "NIX.csv: there is no such file. Check the path."),
        ((ct, "--labels", tmp_path / "NIX.nii"), "(No such file or directory). Check the path."),
        ((ct, "--labels", tmp_path), "the folder shows no femur"),
    ):
        assert drr(arguments[0], tmp_path / "out", *arguments[1:]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(st.permutations(range(3)), st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3))
def test_any_order_of_the_axes_gives_the_same_two_radiographs(
    tmp_path_factory, pelvis, landmarks, write_nifti, order, signs
):
    """Left and right are not exchanged, however the CT was stored."""
    folder = tmp_path_factory.mktemp("turned")
    turn = np.stack([order, signs], axis=1)
    stored = nib.orientations.apply_orientation(pelvis.hu, turn)
    affine = pelvis.ras_from_ijk @ nib.orientations.inv_ornt_aff(turn, pelvis.hu.shape)
    write_nifti(folder / "turned.nii", np.ascontiguousarray(stored), affine)
    write_nifti(folder / "plain.nii", pelvis.hu, pelvis.ras_from_ijk)
    for name in ("turned", "plain"):
        assert drr(folder / f"{name}.nii", folder, "--landmarks", landmarks) == 0
    for side in "LR":
        turned, plain = (picture(folder / f"{name}_{side}.png") for name in ("turned", "plain"))
        assert np.array_equal(turned, plain)
    assert not np.array_equal(picture(folder / "plain_L.png"), picture(folder / "plain_R.png"))


MASK_SPHERES = {"R": (87.9, 45.0, 7.9), "L": (30.7, 44.7, 9.4)}
"""Fits to the masks, as voxel indices of 3 mm."""

READ_CENTRES = {"R": (87.0, 44.0, 10.6), "L": (32.5, 43.8, 11.7)}
"""Read on the CT itself, as voxel indices: circles laid by eye on the heads in coronal, sagittal and axial
slices, to 3 mm; The masks of the femora end two to three voxels below the tops of the heads,
so that the spheres fitted to them lie 9-10 mm from here. A sphere through the right mask's surface away from
the hip bone, and one through the CT's edges from bone to soft tissue, both lie within 5 mm of here."""


class TestRealCt:
    def farthest_mm(self, real_ct, out, centres, *labels):
        """The larger distance of the two found centres from these voxels, everything else checked."""
        ct = real_ct / "pelvis_ct_3mm.nii.gz"
        assert drr(ct, out, *labels) == 0
        record = json.loads((out / "pelvis_ct_3mm.json").read_text())
        away = []
        for side, index in centres.items():
            hip = record["hips"][side]
            assert hip["method"] == ("labels" if labels else "locator")
            assert hip["implant"] == ("fixation" if side == "L" else "")
            assert picture(out / f"pelvis_ct_3mm_{side}.png").std() > 15
            truth = nib.affines.apply_affine(nib.load(ct).affine, index)
            away.append(np.linalg.norm(truth - hip["centre_ras_mm"]))
        return max(away)

    def test_by_labels(self, real_ct, tmp_path):
        assert self.farthest_mm(real_ct, tmp_path, MASK_SPHERES, "--labels", real_ct / "masks") < 5

    def test_by_the_locator(self, real_ct, tmp_path):
        assert self.farthest_mm(real_ct, tmp_path, READ_CENTRES) < 5

    def test_the_locator_and_the_masks_agree_on_the_hip(self, real_ct, tmp_path):
        assert self.farthest_mm(real_ct, tmp_path, {"R": MASK_SPHERES["R"]}) < 10
        assert self.farthest_mm(real_ct, tmp_path, MASK_SPHERES) < 12

    def test_a_ct_without_hips(self, real_ct, tmp_path, capsys):
        assert drr(real_ct / "abdomen_no_hips.nii.gz", tmp_path / "out") == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert "no hip found" in lines[0]
        assert not (tmp_path / "out").exists()
