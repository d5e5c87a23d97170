import csv
import subprocess
import sys

import numpy as np
import pytest

from hipoa.imaging.body import find_body
from hipoa.imaging.locator import locate
from hipoa.imaging.volume import Volume, read_volume


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


def test_soft_tissue_has_no_hip():
    hu = np.full((100, 70, 80), -1000, np.int16)
    hu[8:-8, 8:-8] = np.random.default_rng([1]).normal(40, 20, (84, 54, 80)).astype(np.int16)
    volume = Volume(hu, np.diag([4.0, 4.0, 4.0, 1.0]))
    found = locate(volume, find_body(volume), 0.4)
    assert found.hips == {}
    assert all(reason.startswith("no hip found: ") for reason in found.missing.values())
