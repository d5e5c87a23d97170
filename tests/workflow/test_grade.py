"""One CT graded by a finished study: what the study itself says of it, and warnings where they are due."""

import csv
import json
import subprocess
import sys

import pytest

from hipoa.core.errors import ConfigError
from hipoa.grade import run
from hipoa.imaging.settings import MarkSettings


@pytest.fixture(scope="module")
def unread(finished):
    """A CT of the pool whose patient is in no fold."""
    rows = list(csv.DictReader(finished.read("uncertainty/efficientnet.csv").splitlines()))
    case = next(row["case_id"] for row in rows if row["cohort"] == "pool" and row["n_models"] == "2")
    cases = list(
        csv.DictReader((finished.folder / "my data/cases.csv").read_text(encoding="utf-8").splitlines())
    )
    return next(row for row in cases if row["case_id"] == case), rows


def grade(finished, *arguments):
    command = [sys.executable, "-m", "hipoa", "grade", *map(str, arguments)]
    return subprocess.run(command, cwd=finished.folder, capture_output=True, text=True, check=False)


def test_a_ct_of_the_pool_is_graded_as_in_the_study(finished, unread, tmp_path):
    case, rows = unread
    data = finished.folder / "my data"
    arguments = [data / case["ct"], "--landmarks", data / case["landmarks"]]
    done = grade(finished, *arguments, "--study", "results/small", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert record["models"] == ["efficientnet r0f0", "efficientnet r0f1"]
    for side, hip in record["hips"].items():
        name = f"{case['case_id']}_{side}"
        row = next(row for row in rows if row["hip_id"] == name)
        assert str(hip["grade"]) == row["predicted"]
        assert hip["probabilities"] == pytest.approx([float(row[f"p{k}"]) for k in range(1, 8)], abs=2e-3)
        assert hip["variance"] == pytest.approx(float(row["variance"]), rel=0.05)
        assert f"class {hip['grade']} (Crowe {hip['crowe']}, KL {hip['kl']})" in done.stdout
    assert record["renderer"] == "joseph_cpu"
    assert record["ct"]["slices"] > 8
    assert "were made by" not in done.stderr
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".json"}
    assert "not a medical device" in done.stdout


def test_an_experiment_of_its_own_task_and_one_that_is_not_there(finished, unread, tmp_path):
    case, _ = unread
    data = finished.folder / "my data"
    shared = [data / case["ct"], "--landmarks", data / case["landmarks"], "--study", "results/small"]
    done = grade(finished, *shared, "--experiment", "vit", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert all(1 <= hip["value"] <= 7 for hip in record["hips"].values())
    refused = grade(finished, *shared, "--experiment", "nobody", "--out", tmp_path)
    assert refused.returncode == 2
    assert 'the study has no models of "nobody". Use one of: efficientnet, vit.' in refused.stderr
    nowhere = grade(finished, *shared[:-1], "results", "--out", tmp_path)
    assert "there is no manifest.json. Name the results of a finished study." in nowhere.stderr


def test_a_model_that_is_another_or_gone_is_refused(study, unread, tmp_path):
    case, _ = unread
    data = study.folder / "my data"
    shared = [data / case["ct"], "--landmarks", data / case["landmarks"], "--study", "results/small"]
    model = study.folder / "results/small/models/efficientnet/r0f0.safetensors"
    model.write_bytes(model.read_bytes() + b" ")
    done = grade(study, *shared, "--out", tmp_path)
    assert done.returncode == 2
    assert "r0f0.safetensors: the file is not the one that the manifest lists" in done.stderr
    model.unlink()
    assert (
        "the model is not there. Run the study again with keep_models: all."
        in grade(study, *shared, "--out", tmp_path).stderr
    )


def test_a_study_made_with_a_renderer_that_is_gone_is_to_be_run_again(tmp_path):
    manifest = {"study": "old", "configuration": {"project": {"renderer": "joseph"}}, "models": []}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"renderer: Input should be .*'joseph_cpu'.* Run the study again"):
        run(MarkSettings(), tmp_path / "ct.nii", study=tmp_path, out=tmp_path / "out")
