import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from hipoa.core.constants import HIP_COLUMNS
from hipoa.core.errors import ConfigError
from hipoa.core.files import read_npz, write_csv, write_npz
from hipoa.imaging.develop import develop, run
from hipoa.imaging.projection.geometry import Projection
from hipoa.imaging.settings import DevelopSettings


def settings(**changes):
    return DevelopSettings.model_validate({"crop_mm": 150, "window_low": 0, "window_high": 10} | changes)


def projection(image, mm_per_px=0.5):
    return Projection(np.asarray(image, np.float32), mm_per_px)


def test_the_window_is_fixed_and_clips():
    image = np.linspace(-2, 12, 300)[None].repeat(300, 0)
    shown = develop(projection(image), settings())
    assert shown.dtype == np.uint8
    assert shown[:, :20].max() == 0
    assert shown[:, -20:].min() == 255
    middle = develop(projection(np.full((300, 300), 5.0)), settings())
    assert np.unique(middle).tolist() == [128]


def test_one_bright_pixel_changes_no_far_one():
    image = np.full((300, 300), 4.0)
    other = image.copy()
    other[100, 60] = 500
    change = develop(projection(other), settings()) != develop(projection(image), settings())
    assert 1 <= change.sum() <= 9
    assert change[48:53, 28:33].sum() == change.sum()


def test_what_is_finer_than_a_pixel_does_not_alias():
    checks = np.indices((600, 600)).sum(0) % 2 * 10.0  # of 0.25 mm, where a pixel has 1 mm
    assert np.ptp(develop(projection(checks, 0.25), settings()).astype(int)) <= 1
    sampled = checks[::4, ::4]
    assert sampled.max() == sampled.min()  # every fourth: one colour, and the wrong one
    assert develop(projection(checks, 0.25), settings())[75, 75] == pytest.approx(128, abs=1)


def test_the_crop_is_about_the_middle_and_in_mm():
    image = np.zeros((300, 300))
    image[140:160, 140:160] = 10  # 10 mm wide
    for crop_mm in (150, 75):
        shown = develop(projection(image), settings(crop_mm=crop_mm))
        assert shown.shape == (150, 150)
        assert (shown[75] > 128).sum() == pytest.approx(10 / (crop_mm / 150), abs=1)
        assert np.argwhere(shown > 128).mean(0) == pytest.approx([74.5, 74.5], abs=0.6)


def test_a_crop_larger_than_the_field():
    with pytest.raises(ConfigError, match=r"develop\.crop_mm: 200 mm is more than the 150 mm projected"):
        develop(projection(np.zeros((300, 300))), settings(crop_mm=200))


@pytest.fixture
def shard(tmp_path):
    image = np.zeros((2, 60, 60), np.float32)
    image[:, :, 40:] = 9  # bright at image right
    names = ["a_L", "a_R"]
    rows = [
        {**dict.fromkeys(HIP_COLUMNS, ""), "hip_id": f"a_{side}", "side": side, "status": "ok"}
        for side in "LR"
    ]
    rows.append({**rows[0], "hip_id": "b_L", "status": "refused", "reason": "no hip"})
    write_csv(tmp_path / "p/0.csv", HIP_COLUMNS, rows)
    write_npz(
        tmp_path / "p/0.npz",
        {"hip_id": np.array(names), "line_integral": image, "mm_per_px": np.full(2, 2.5)},
    )
    return tmp_path


def run_shard(folder, **changes):
    paths = {"projections": folder / "p/0.csv", "stack": folder / "p/0.npz", "out": folder / "r/0.csv"}
    run(settings(**changes), **paths, radiographs=folder / "r/0.npz", png=folder / "r/png")
    return list(csv.DictReader((folder / "r/0.csv").open())), read_npz(folder / "r/0.npz")


@pytest.mark.parametrize("mirror", [True, False])
def test_left_hips_are_mirrored_and_say_so(shard, mirror):
    rows, stack = run_shard(shard, mirror_left=mirror)
    left, right = stack["radiograph"]
    assert right[:, -20:].min() > 200
    assert (left[:, :20].min() > 200) == mirror
    assert [row["mirrored"] for row in rows] == ["yes" if mirror else "", "", ""]
    assert [row["status"] for row in rows] == ["ok", "ok", "refused"]
    for row, image in zip(rows, stack["radiograph"], strict=False):
        png = Image.open(shard / "r" / row["png"])
        assert (png.size, png.mode) == ((150, 150), "L")
        source = np.full((60, 60), 0, "<f4")
        source[:, 40:] = 9
        assert png.info == {
            "side": row["side"],
            "mirrored": "yes" if mirror and row["side"] == "L" else "no",
            "mm_per_px": row["mm_per_px"],
            "source_sha256": hashlib.sha256(source.tobytes()).hexdigest(),
        }
        assert np.array_equal(np.asarray(png), image)
        assert float(row["mm_per_px"]) == 1


def test_a_shard_without_hips(tmp_path):
    write_csv(tmp_path / "p/0.csv", HIP_COLUMNS, [])
    empty = {
        "hip_id": np.array([], str),
        "line_integral": np.zeros((0, 60, 60), np.float32),
        "mm_per_px": np.zeros(0),
    }
    write_npz(tmp_path / "p/0.npz", empty)
    rows, stack = run_shard(tmp_path)
    assert rows == []
    assert stack["radiograph"].shape == (0, 150, 150)
    assert (tmp_path / "r/0.csv").read_text().strip().endswith("png,mm_per_px,mirrored")
