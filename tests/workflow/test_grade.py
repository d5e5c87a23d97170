"""One CT graded by a finished study: what the study itself says of it, and warnings where they are due."""

import csv
import json
import subprocess
import sys

import pytest

from hipoa.core.constants import ROMAN, SIDE_NAMES
from hipoa.core.errors import ConfigError
from hipoa.grade import grade as module
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
        if hip["grade"] is None:  # a replaced one, which the study has not predicted either
            continue
        name = f"{case['case_id']}_{side}"
        row = next(row for row in rows if row["hip_id"] == name)
        assert str(hip["grade"]) == row["predicted"]
        assert hip["probabilities"] == pytest.approx([float(row[f"p{k}"]) for k in range(1, 8)], abs=2e-3)
        assert hip["variance"] == pytest.approx(float(row["variance"]), rel=0.05)
        indices = f"Crowe {ROMAN[hip['crowe']]}, KL {hip['kl']} (class {hip['grade']})"
        assert f"{SIDE_NAMES[side].capitalize()} hip: {indices}, probability" in done.stdout
        assert hip["set"] is None or hip["grade"] in hip["set"]
    assert record["renderer"] == "joseph_cpu"
    assert record["ct"]["slices"] > 8
    assert "were made by" not in done.stderr
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".json", ".html"}
    assert "not a medical device" in done.stdout
    # A network of one epoch, on synthetic patients, by a preset for demonstration.
    assert len(record["caveats"]) == 3
    assert all(caveat in done.stdout for caveat in record["caveats"])
    page = next(tmp_path.glob("*.html")).read_text(encoding="utf-8")
    assert "probability" in page
    for secret in (case["case_id"], case["patient_id"], str(tmp_path), str(finished.folder)):
        assert secret not in page


def grade_with_implants(monkeypatch, finished, unread, out, **implants):
    """What the record says where the hips of these sides have such implants."""
    make = module.make_radiographs

    def make_with_implants(*arguments, **options):
        made = make(*arguments, **options)
        for side, row in made.rows.items():
            row["implant"] = implants.get(side, "")
        return made

    monkeypatch.setattr(module, "make_radiographs", make_with_implants)
    data, case = finished.folder / "my data", unread[0]
    marks = {"landmarks": data / case["landmarks"]}
    module.run(MarkSettings(), data / case["ct"], study=finished.folder / "results/small", out=out, **marks)
    return json.loads(next(out.glob("*.json")).read_text(encoding="utf-8"))["hips"]


def test_a_replaced_hip_is_not_graded_and_its_neighbour_is(finished, unread, tmp_path, monkeypatch, capsys):
    hips = grade_with_implants(monkeypatch, finished, unread, tmp_path, R="replacement")
    assert hips["R"]["grade"] is None
    assert "the joint is replaced" in hips["R"]["reason"]
    assert 1 <= hips["L"]["grade"] <= 7
    told = capsys.readouterr()
    assert "Right hip: not graded: the joint is replaced" in told.out
    assert "Left hip: Crowe" in told.out
    assert "There is metal near it" not in told.err
    assert next(tmp_path.glob("*_R.png")).is_file()


def test_nothing_is_predicted_where_both_are_replaced(finished, unread, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_predict", None)
    hips = grade_with_implants(monkeypatch, finished, unread, tmp_path, L="replacement", R="replacement")
    assert [hip["grade"] for hip in hips.values()] == [None, None]


def test_a_hip_with_screws_is_graded_with_a_warning(finished, unread, tmp_path, monkeypatch, capsys):
    hips = grade_with_implants(monkeypatch, finished, unread, tmp_path, L="fixation")
    assert hips["L"]["grade"]
    assert hips["L"]["implant"] == "fixation"
    warnings = [line for line in capsys.readouterr().err.splitlines() if "There is metal near it" in line]
    assert [line.partition(":")[0] for line in warnings] == ["Left hip"]


def test_an_experiment_of_its_own_task_and_one_that_is_not_there(finished, unread, tmp_path):
    case, _ = unread
    data = finished.folder / "my data"
    shared = [data / case["ct"], "--landmarks", data / case["landmarks"], "--study", "results/small"]
    done = grade(finished, *shared, "--experiment", "vit", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(next(tmp_path.glob("*.json")).read_text(encoding="utf-8"))
    assert all(1 <= hip["value"] <= 7 for hip in record["hips"].values() if hip["grade"])
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
        module.run(MarkSettings(), tmp_path / "ct.nii", study=tmp_path, out=tmp_path / "out")
