import hashlib

import numpy as np
import pytest
from PIL import Image

from hipoa.core.files import read_csv
from hipoa.imaging import view
from hipoa.imaging.projection.geometry import XrayGeometry
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import ShardOptions

SETTINGS = ProjectSettings.model_validate({})


@pytest.fixture(autouse=True)
def _small_views(monkeypatch):
    for name, value in {"HIP_FIELD_MM": 120, "PELVIS_FIELD_MM": 320, "PELVIS_MM_PER_PX": 2}.items():
        monkeypatch.setattr(view, name, value)


@pytest.fixture
def study(tmp_path, pelvis, landmarks, write_nifti):
    write_nifti(tmp_path / "DOE^JANE.nii.gz", pelvis.hu, pelvis.ras_from_ijk)
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    one = tmp_path / "one.csv"
    one.write_text("\n".join(landmarks.read_text().splitlines()[:2]) + "\n")  # the right hip alone
    rows = [
        "case_id,patient_id,ct,landmarks,exclude",
        f"a,p1,DOE^JANE.nii.gz,{landmarks},",
        f"b,p1,DOE^JANE.nii.gz,{landmarks},L",
        f"c,p1,bad.nii.gz,{landmarks},",
        f"d,p1,DOE^JANE.nii.gz,{one},",
    ]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(folder):
    out = folder / "views/0.csv"
    paths = {"cases": folder / "cases.csv", "out": out, "png": out.parent / "png", "cache": folder / "cache"}
    view.run(SETTINGS, ShardOptions(shards=0, readers=0), cohort="pool", **paths)
    return {row["hip_id"]: row for row in read_csv(out)}


def load(folder, name):
    image = Image.open(folder / "views" / name)
    pixels = np.asarray(image)
    assert pixels.dtype == np.uint16
    return pixels * float(image.info["window_high"]) / 65535, image.info


def test_every_hip_has_a_fine_view_and_its_pelvis(study):
    rows = run(study)
    assert [(name, row["status"]) for name, row in rows.items()] == [
        *(("a_L", "ok"), ("a_R", "ok"), ("b_L", "excluded"), ("b_R", "ok")),
        *(("c_L", "refused"), ("c_R", "refused"), ("d_L", "refused"), ("d_R", "ok")),
    ]
    for row in rows.values():
        assert bool(row["png"]) == (row["status"] == "ok")
        assert bool(row["slices_png"]) == (row["status"] == "ok")
        assert bool(row["pelvis_png"]) == (row["case_id"] != "c")
        assert bool(row["reason"]) == (row["status"] != "ok")
        assert not row["mm_per_px"] or float(row["mm_per_px"]) <= 0.4
    files = {path.relative_to(study / "views").as_posix() for path in (study / "views/png").iterdir()}
    assert files == {row[name] for row in rows.values() for name in ("png", "pelvis_png", "slices_png")} - {
        ""
    }


def test_a_view_says_what_it_shows_and_whose_it_is_not(study):
    rows = run(study)
    pixels, said = load(study, rows["a_R"]["png"])
    assert pixels.shape == (300, 300)
    assert (said["side"], said["mirrored"], said["mm_per_px"]) == ("R", "no", "0.4")
    assert (said["window_low"], float(said["window_high"])) == ("0", float(rows["a_R"]["window_high"]))
    assert len(said["source_sha256"]) == len(hashlib.sha256().hexdigest())
    assert 0 < float(said["shown_low"]) < float(said["shown_high"]) <= pixels.max()
    raw = (study / "views" / rows["a_R"]["png"]).read_bytes() + (study / "views/0.csv").read_bytes()
    assert b"DOE" not in raw
    assert load(study, rows["a_R"]["pelvis_png"])[1]["side"] == "both"


def test_each_hip_has_ct_slices_through_its_head_without_the_patient(study):
    rows = run(study)
    for side in "LR":
        row = rows[f"a_{side}"]
        assert (row["slices_mm_per_px"], row["slices_apart_mm"]) == ("0.8", "4")
        path = study / "views" / row["slices_png"]
        image = Image.open(path)
        assert (image.mode, image.size, image.info) == (
            "L",
            (15 * 180, 3 * 180),
            {"side": side, "mirrored": "no"},
        )
        assert b"DOE" not in path.read_bytes()
        # The ball of bone is in the middle of the middle slice of each plane; metal only below the right one.
        grey = np.asarray(image).reshape(3, 180, 15, 180)
        assert (grey[:, 80:100, 7, 80:100] == round(255 * 1300 / 2000)).all()
        assert (grey[1, 140:, 7].max() == 255) == (side == "R")


def test_the_heads_are_where_the_table_says(study):
    """Each is a ball of bone in water: the brightest round thing about its place."""
    rows = run(study)
    for side in "LR":
        row = rows[f"a_{side}"]
        for name, before, scale in (("png", "", 0.4), ("pelvis_png", "pelvis_", 2)):
            pixels, _ = load(study, row[name])
            x, y = (float(row[f"{before}head_{axis}_px"]) for axis in "xy")
            far_y, far_x = np.indices(pixels.shape, float)
            away_mm = np.hypot(far_x - x, far_y - y) * scale
            upper = far_y < y  # below the right head lies metal
            ring = pixels[(away_mm > 30) & (away_mm < 36) & upper]
            assert pixels[(away_mm < 6) & upper].min() > ring.max() + 0.5
            inside = pixels[upper] - np.median(ring) > 0.25
            centre_x = (far_x[upper] * inside * (away_mm[upper] < 30)).sum() / (
                inside * (away_mm[upper] < 30)
            ).sum()
            assert abs(centre_x - x) * scale < 2.5
    assert float(rows["a_R"]["pelvis_head_x_px"]) < 80 < float(rows["a_L"]["pelvis_head_x_px"])
    assert rows["d_L"]["pelvis_head_x_px"] == ""


def test_no_view_is_mirrored(study):
    """The body's middle lies at image right of the right hip, at image left of the left one."""
    rows = run(study)
    right, left = (load(study, rows[f"a_{side}"]["png"])[0] for side in "RL")
    assert right[:60, -20:].mean() > right[:60, :20].mean()
    assert left[:60, :20].mean() > left[:60, -20:].mean()


def test_views_of_hips_that_are_refused_now_are_taken_away(study):
    before = run(study)
    table = (study / "cases.csv").read_text()
    (study / "cases.csv").write_text(table.replace("a,p1,DOE^JANE", "a,p1,bad"))
    run(study)
    left = {path.name for path in (study / "views/png").iterdir()}
    assert not any(name.startswith("a_") for name in left)
    assert {"b_R.png", "b_pelvis.png"} <= left
    assert before["a_L"]["png"] == "png/a_L.png"


def test_what_was_rendered_is_kept(study, monkeypatch):
    first = run(study)
    monkeypatch.setattr("hipoa.imaging.shard.locate_hips", lambda *_: pytest.fail("a CT was opened"))
    (study / "cases.csv").write_text("\n".join((study / "cases.csv").read_text().splitlines()[:3]) + "\n")
    assert run(study) == {name: row for name, row in first.items() if name[0] in "ab"}


def test_the_window_is_linear_and_ends_at_white():
    image = view.Projection(np.array([[-1, 0, 10, 20, 90]], np.float32), 0.4)
    assert view.quantise(image).tolist() == [[0, 0, 32768, 65535, 65535]]


@pytest.mark.parametrize("beam", ["perspective", "orthographic"])
def test_a_point_is_found_at_the_pixel_whose_ray_meets_it(beam):
    geometry = XrayGeometry(1000, 800, 170, 100, beam, (80.0, -30.0), np.array([86.0, 4.0, -300.0]))
    source, target = geometry.rays_ras_mm()
    for row, column, share in ((3, 90, 0.7), (50, 50, 0.85), (99, 0, 0.9)):
        point = source[row, column] + share * (target - source)[row, column]
        assert geometry.find_in_image(point) == (column, row)
