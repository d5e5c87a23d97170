"""What a study costs, said beforehand, is what it then costs."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from hipoa.core.errors import ConfigError
from hipoa.workflow import plan
from hipoa.workflow.config import resolve
from hipoa.workflow.study import Study


def ask(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "hipoa", "plan", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_jobs_are_those_of_a_dry_run(unrun):
    unrun.configure(data={"builtin_cohort": True, "shards": 3}, repeats=2)
    config = yaml.safe_load((unrun.folder / "config.yaml").read_text(encoding="utf-8"))
    assert plan.count_jobs(Study(resolve(config))) == unrun.planned()


def test_the_sizes_are_those_of_the_files(finished):
    told = ask(finished.folder, "--steps", "1", "--out", "plan.json")
    facts = json.loads((finished.folder / "plan.json").read_text(encoding="utf-8"))
    results = finished.folder / "results/small"
    for name, cost in facts["experiments"].items():
        for path in (results / "models" / name).glob("*.safetensors"):
            assert path.stat().st_size == pytest.approx(cost["model_bytes"], rel=0.06)
        assert cost["step_s"] > cost["image_s"] > 0
        # four copies of the weights and more
        assert cost["memory_bytes"] > 4 * cost["model_bytes"]
        seen = sum(len(np.load(path)["hip_id"]) for path in (results / "predictions" / name).glob("*/*.npz"))
        assert seen <= cost["predicted"] <= 1.5 * seen
    assert "jobs: " in told
    assert "of the pool" in told


def test_a_study_that_the_disk_cannot_hold_is_refused(unrun, monkeypatch):
    unrun.configure(data={"builtin_cohort": True})
    monkeypatch.chdir(unrun.folder)
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(ConfigError, match=r"^disk: the study needs .* MB and 1 kB are free. Set keep_models"):
        plan.run(steps=0)


SMALL_DISK = """
import shutil

shutil.disk_usage = lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000)
"""


def test_a_run_is_told_what_it_costs_only_where_it_trains(unrun):
    (unrun.folder / "sitecustomize.py").write_text(SMALL_DISK)
    (unrun.folder / "config.yaml").write_text("study: small\npreset: micro\ndata: {builtin_cohort: true}\n")
    done = unrun.snakemake("--until", "weights")
    assert "jobs: " not in done.stdout
    assert list((unrun.folder / "results/small/weights").glob("*.json"))
    done = unrun.snakemake(check=False)
    assert done.returncode == 2
    assert "\njobs: " in done.stdout
    assert "disk: the study needs" in done.stderr
    assert not (unrun.folder / "results/small/phantom").exists()  # nothing was run


@pytest.mark.parametrize(
    ("changes", "smaller"), [({"keep_models": "none"}, 0.5), ({"train": {"half_precision": True}}, 0.6)]
)
def test_settings_that_save_disk(changes, smaller):
    def disk(**given):
        study = Study(resolve({"preset": "published", "data": {"builtin_cohort": True}, **given}))
        hips = plan.count_hips(study)
        costs = {name: plan.estimate(study, name, hips, 0) for name in study.config["experiments"]}
        return plan.sum_disk(study, costs, hips)

    assert disk(**changes) < smaller * disk()


def test_the_published_study_has_180_trainings():
    study = Study(resolve({"preset": "published", "data": {"builtin_cohort": True}}))
    assert plan.count_jobs(study)["train"] == 180
