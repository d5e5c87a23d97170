"""The micro study through a real Slurm, with the profile as it is shipped."""

import re
import subprocess

import pytest

from hipoa.core.files import read_csv

pytestmark = pytest.mark.slow

WAIT = ("--latency-wait", "15", "--jobs", "8")

HOOK = """
import os, subprocess, sys
from pathlib import Path

if "hipoa" in sys.orig_argv:
    stage = sys.orig_argv[sys.orig_argv.index("hipoa") + 1]
    job = os.environ.get("SLURM_JOB_ID")
    ask = ["squeue", "--noheader", "--jobs", str(job), "--format", "%m"]
    memory = job and subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    names = ("SLURM_JOB_PARTITION", "CUDA_VISIBLE_DEVICES")
    with Path("asked.csv").open("a") as file:
        print(stage, memory, *map(os.environ.get, names), sep=",", file=file)
    if stage == "folds" and not Path("failed once").exists():
        Path("failed once").touch()
        sys.exit("a fault made on purpose")
elif "--workflow-profile" in sys.orig_argv:
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, seconds: None)
"""
"""Every job writes down what Slurm gave it; one fails the first time. Snakemake asks every 2 s how they are,
instead of less and less often; all else but WAIT is the profile's."""


@pytest.fixture(scope="module")
def done(slurm, unrun_module):
    study = unrun_module
    (study.folder / "config.yaml").write_text("study: small\npreset: micro\ndata: {builtin_cohort: true}\n")
    (study.folder / "sitecustomize.py").write_text(HOOK)
    (study.folder / "asked.csv").write_text("stage,memory,partition,gpu\n")
    profile = ("--workflow-profile", "workflow/profiles/slurm")
    study.run = study.snakemake(*profile, *WAIT, PYTHONPATH=str(study.folder))
    return study


def asked(done, stage):
    return [row for row in read_csv(done.folder / "asked.csv") if row["stage"] == stage]


def test_the_micro_study_goes_all_the_way(done):
    assert "The report is results/small/report.html." in done.run.stdout
    assert done.read("report.html")
    assert done.planned() == {}


def test_training_and_prediction_get_a_gpu_and_the_others_none(done):
    for stage in ("train", "predict"):
        jobs = asked(done, stage)
        assert jobs
        assert {job["partition"] for job in jobs} == {"gpu"}
        assert {job["gpu"] for job in jobs} <= {"0", "1"}
    for stage in ("project", "hips", "report"):
        assert {(job["partition"], job["gpu"]) for job in asked(done, stage)} == {("cpu", "None")}


def test_what_needs_internet_runs_where_snakemake_runs(done):
    assert {job["partition"] for job in asked(done, "weights")} == {"None"}


def test_a_job_that_failed_is_tried_again_with_more_memory(done):
    first, second = (int(job["memory"].removesuffix("M")) for job in asked(done, "folds"))
    assert second == 2 * first
    assert re.search(r"^Error in rule folds:", done.run.stderr, re.MULTILINE)
    assert "folds failed" not in done.run.stderr  # it was done in the end


def test_the_queue_is_empty(done):
    assert subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout == ""
