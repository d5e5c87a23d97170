"""What loses power in the middle goes on through Snakemake to the very same bytes."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

MODEL = "results/small/models/vit/r0f0.safetensors"
CHECKPOINT = "cache/train/small/vit/r0f0.pt"
EPOCHS = 60

HOOK = """
import sys

if "hipoa" in sys.orig_argv and "train" in sys.orig_argv:
    from hipoa.grading.training import fit

    fit.CHECKPOINT_MINUTES = 0
"""
"""Trainings of the run that is killed write a checkpoint after every epoch."""


def kill_in_the_middle(study):
    """Snakemake and all its jobs die at once, after the first checkpoint."""
    hook = study.folder / "sitecustomize.py"
    hook.write_text(HOOK)
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    running = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", MODEL],
        cwd=study.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=inherited,
        start_new_session=True,
    )
    checkpoint, started = study.folder / CHECKPOINT, time.monotonic()
    while not checkpoint.is_file():
        assert running.poll() is None, "it ended before the first checkpoint"
        assert time.monotonic() - started < 300
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    hook.unlink()
    # Jobs may have groups of their own: wait until nothing moves the checkpoint any more.
    epochs = [len(torch.load(checkpoint, weights_only=True)["history"])]
    time.sleep(2)
    epochs.append(len(torch.load(checkpoint, weights_only=True)["history"]))
    assert epochs[0] == epochs[1] < EPOCHS
    return epochs[0]


def test_a_training_killed_with_9_ends_with_the_same_weights(study):
    study.configure(train__epochs=EPOCHS)
    done = kill_in_the_middle(study)
    study.snakemake("--unlock")
    study.snakemake("--rerun-incomplete", "--cores", "1", MODEL)
    log = (study.folder / "results/small/logs/train/vit/r0f0.log").read_text(encoding="utf-8")
    assert f"resumes after epoch {done}/{EPOCHS}" in log
    assert not (study.folder / CHECKPOINT).exists()
    resumed = (study.folder / MODEL).read_bytes()
    study.snakemake("--force", "--cores", "1", MODEL)
    log = (study.folder / "results/small/logs/train/vit/r0f0.log").read_text(encoding="utf-8")
    assert "resumes" not in log
    assert (study.folder / MODEL).read_bytes() == resumed


@pytest.fixture(scope="module")
def kills():
    """The module benchmarks/kills.py, which does this many times."""
    path = Path(__file__).parents[2] / "benchmarks/kills.py"
    spec = importlib.util.spec_from_file_location("kills", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("way", "first", "after_s"), [("all", "models", 12), ("head", "predictions", 9)])
def test_a_run_killed_with_9_ends_with_the_same_results(finished, tmp_path, kills, way, first, after_s):
    hashes = kills.hash_results(finished.folder)
    assert "report.html" in hashes
    number = kills.FOLDERS.index(first)
    rng = random.Random(0)
    one = kills.play(finished.folder, tmp_path / "round", hashes, way, number, after_s, "2", rng)
    assert one["killed"]
    assert one["recovered"]
    assert one["differ"] == []
