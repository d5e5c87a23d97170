"""What a study costs, said beforehand, is what it then costs; and what its patients can show is said."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from hipoa.cli import main
from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv
from hipoa.workflow import costs, plan
from hipoa.workflow.config import resolve
from hipoa.workflow.durations import Machine, NetworkTime, bound_wall, time_jobs
from hipoa.workflow.study import Study
from hipoa.workflow.summary import measure


def ask(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "hipoa", "plan", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    ).stdout


def test_the_jobs_are_those_of_a_dry_run(unrun):
    unrun.configure(data={"builtin_cohort": True, "shards": 3}, repeats=2)
    config = yaml.safe_load((unrun.folder / "config.yaml").read_text(encoding="utf-8"))
    assert costs.count_jobs(Study(resolve(config))) == unrun.planned()


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
    on_disk = sum(path.stat().st_size for path in results.rglob("*") if path.is_file())
    assert on_disk / 3 < facts["disk_bytes"] < 3 * on_disk
    assert facts["disk_bytes"] < facts["peak_disk_bytes"]


def test_the_times_are_those_of_the_jobs(finished):
    """In wide bounds: a machine with other things to do takes many times longer, for all stages alike."""
    ask(finished.folder, "--steps", "1", "--cores", "2", "--out", "plan.json")
    facts = json.loads((finished.folder / "plan.json").read_text(encoding="utf-8"))
    jobs = measure(finished.folder / "results/small")
    taken = {stage: sum(seconds for seconds, _ in of_stage) for stage, of_stage in jobs.items()}
    told = {stage: sum(seconds) for stage, seconds in facts["job_seconds"].items()}
    assert told.keys() == taken.keys()
    in_all_told, in_all_taken = sum(told.values()), sum(taken.values())
    assert in_all_taken / 40 < in_all_told < 3 * in_all_taken
    for stage in ("project", "train", "predict", "embed"):
        share = taken[stage] / in_all_taken
        assert share / 5 < told[stage] / in_all_told < 5 * share, stage
    assert sum(facts["wall_seconds"].values()) <= in_all_told


def plan_time(**given):
    study = Study(resolve({"preset": "micro", "data": {"builtin_cohort": True}, **given}))
    return study, time_jobs(study, {"efficientnet": NetworkTime(training_s=100, hip_s=1)}, 1)


def test_work_is_shared_by_the_cores_but_no_job_is():
    study, jobs = plan_time()
    assert {stage: len(seconds) for stage, seconds in jobs.items()} == costs.count_jobs(study)
    alone, shared, crowd = (bound_wall(jobs, Machine(cores)) for cores in (1, 2, 1000))
    assert sum(alone.values()) == pytest.approx(sum(map(sum, jobs.values())))
    assert shared["networks"] == pytest.approx(alone["networks"] / 2)
    assert crowd["networks"] == max(jobs["train"])
    assert crowd["evaluation"] == max(jobs["embed"])


def test_gpus_bound_the_networks_alone():
    _, jobs = plan_time()
    alone, with_gpu = bound_wall(jobs, Machine(8)), bound_wall(jobs, Machine(8, gpus=1))
    assert with_gpu["networks"] == pytest.approx(sum(jobs["train"]) + sum(jobs["predict"]))
    assert alone["networks"] < with_gpu["networks"]
    assert {part: alone[part] for part in ("CTs", "evaluation")} == {
        part: with_gpu[part] for part in ("CTs", "evaluation")
    }


def test_a_slow_machine_a_larger_cohort_and_smaller_voxels_take_longer():
    study, jobs = plan_time()
    slow = time_jobs(study, {}, 3)
    assert slow.keys() == jobs.keys() - {"train", "predict"}  # whose time is not known
    assert sum(slow["embed"]) == pytest.approx(3 * sum(jobs["embed"]))
    _, more = plan_time(phantom={"labelled": 60})
    _, finer = plan_time(phantom={"spacing_mm": [2, 2, 2]})
    for other in (more, finer):
        assert sum(other["phantom"]) > 1.5 * sum(jobs["phantom"])


def test_of_a_gpu_that_is_not_here_only_what_was_measured_is_told(tmp_path):
    changes = (
        "experiments: {densenet: null, vgg: null, small: {network: tf_efficientnet_lite0, weights: none}}\n"
    )
    (tmp_path / "config.yaml").write_text(PUBLISHED + "keep_models: none\n" + changes)
    told = ask(tmp_path, "--steps", "0", "--cores", "8", "--gpus", "2", CUDA_VISIBLE_DEVICES="")
    assert "vit: 0.0153 s a step and 0.0009 s an image and pass on NVIDIA H200 (measured elsewhere)" in told
    assert "on 8 cores and 2 GPUs, without the networks of small (CTs" in told
    assert "time of small: not measured; run python -m hipoa plan on a machine like the one" in told
    assert "small: 0" not in told
    without = ask(tmp_path, "--steps", "0", "--cores", "8", "--gpus", "0")
    assert "on 8 cores, without the networks of vit, small (CTs" in without


@pytest.mark.parametrize(("given", "flag"), [({"cores": 0}, "--cores"), ({"gpus": -1}, "--gpus")])
def test_no_core_or_fewer_gpus_than_none_are_refused(given, flag):
    with pytest.raises(ConfigError, match=rf"^{flag}: (0 is fewer than 1|-1 is fewer than 0). Name how many"):
        costs.find_machine(**given)
    assert costs.find_machine(1, 0) == Machine(1)
    assert costs.find_machine(3, 0) == Machine(3)
    assert costs.find_machine().cores >= 1


def test_models_that_are_not_kept_wait_for_their_predictions():
    study = Study(resolve({"preset": "published", "keep_models": "none", "data": {"builtin_cohort": True}}))
    hips = costs.count_hips(study)
    of = {name: costs.estimate(study, name, hips, 0) for name in study.config["experiments"]}
    one, four = (costs.sum_disk(study, of, hips, Machine(8, gpus)) for gpus in (1, 4))
    assert one.kept == four.kept
    assert four.peak - four.kept == 4 * (one.peak - one.kept)


def test_a_study_that_the_disk_cannot_hold_is_refused(unrun, monkeypatch):
    unrun.configure(data={"builtin_cohort": True})
    monkeypatch.chdir(unrun.folder)
    monkeypatch.setattr(costs.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
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
        hips = costs.count_hips(study)
        of = {name: costs.estimate(study, name, hips, 0) for name in study.config["experiments"]}
        return costs.sum_disk(study, of, hips, Machine(2)).kept

    assert disk(**changes) < smaller * disk()


def test_the_published_study_has_180_trainings():
    study = Study(resolve({"preset": "published", "data": {"builtin_cohort": True}}))
    assert costs.count_jobs(study)["train"] == 180


PUBLISHED = "study: big\npreset: published\ndata: {builtin_cohort: true}\nphantom: {population: study}\n"


def test_what_the_patients_can_show_is_said_without_torch(tmp_path):
    (tmp_path / "config.yaml").write_text(PUBLISHED)
    (tmp_path / "torch.py").write_text("raise ImportError")  # found before the real one
    told = ask(tmp_path, "--precision", "--out", "plan.json").splitlines()
    rows = {tuple(line.split("  ")[0:1] + line[10:].split("  ")[0:1]): line for line in told}
    assert "0.590 to 0.705" in rows["labelled", "ECA of 0.65"]
    assert "52" in rows["external", "ONCA of 0.95"]
    assert " 198 " in rows["labelled", "difference in ECA"]
    assert "Assumed: two hips per patient" in told[-1]
    facts = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    needed = facts["expected"][2]["needed"]
    assert rows["labelled", "difference in ECA"].endswith(f" {needed}")
    more = ask(tmp_path, "--precision", "--difference", "0.1")
    assert needed not in more
    assert "one of 0.1." in more


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, r"it cannot be read \(No such file or directory\). Go to the folder that holds config.yaml"),
        ("study: a\npreset: [\n", "it cannot be read as YAML from line 3 on. Correct it"),
        ("a\tb: c: d\n", "it cannot be read as YAML from line 1 on. Correct it"),
        ("- study: a\n", "it holds no settings by name"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path, text, fault, monkeypatch):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"^config.yaml: {fault}"):
        plan.run(precision=True)
    (tmp_path / "config.yaml").write_text("# nothing is set\n")
    assert plan.read_config(tmp_path / "config.yaml") == {}


@pytest.mark.parametrize("difference", ["0", "-0.1", "1", "nan"])
def test_a_difference_that_is_none_is_refused(tmp_path, difference, monkeypatch, capsys):
    (tmp_path / "config.yaml").write_text(PUBLISHED)
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--precision", "--difference", difference]) == 2
    told = capsys.readouterr().err
    assert told == f"difference: {difference} is not between 0 and 1. Give one that matters, such as 0.05.\n"


def test_a_finished_study_is_planned_with_its_own_spread_too(finished):
    told = ask(finished.folder, "--precision")
    differences = read_csv(finished.folder / "results/small/differences.csv")
    row = next(row for row in differences if row["role"] == "primary" and row["cohort"] == "labelled")
    named = f"{row['metric']}, {row['a']} less {row['b']}"
    lines = [line for line in told.splitlines() if named in line]
    assert len(lines) == bool(row["low"])
    for line in lines:
        half = max(
            float(row["high"]) - float(row["difference"]), float(row["difference"]) - float(row["low"])
        )
        assert f"± {half:.2g} " in line


def test_patients_are_counted_once_and_not_those_that_nobody_graded():
    builtin = {"preset": "published", "data": {"builtin_cohort": True}, "phantom": {"population": "study"}}
    assert Study(resolve(builtin)).count_graded_patients() == {"labelled": 198, "external": 52}
