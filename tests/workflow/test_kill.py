"""A training that loses power in the middle goes on through Snakemake to the very same weights."""

import os
import signal
import subprocess
import sys
import time

import torch

MODEL = "results/small/models/vit/r0f0.safetensors"
CHECKPOINT = "cache/train/small/vit/r0f0.pt"
EPOCHS = 60


def kill_in_the_middle(study):
    """Snakemake and all its jobs die at once, after the first checkpoint."""
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
    # Jobs may have groups of their own: wait until nothing moves the checkpoint any more.
    epochs = [len(torch.load(checkpoint, weights_only=True)["history"])]
    time.sleep(2)
    epochs.append(len(torch.load(checkpoint, weights_only=True)["history"]))
    assert epochs[0] == epochs[1] < EPOCHS
    return epochs[0]


def test_a_training_killed_with_9_ends_with_the_same_weights(study):
    study.configure(train__epochs=EPOCHS, train__checkpoint_minutes=0)
    done = kill_in_the_middle(study)
    study.snakemake("--unlock")
    study.snakemake("--rerun-incomplete", "--cores", "1", MODEL)
    log = (study.folder / "results/small/logs/train/vit/r0f0.log").read_text(encoding="utf-8")
    assert f"goes on after epoch {done}/{EPOCHS}" in log
    assert not (study.folder / CHECKPOINT).exists()
    resumed = (study.folder / MODEL).read_bytes()
    study.snakemake("--force", "--cores", "1", MODEL)
    log = (study.folder / "results/small/logs/train/vit/r0f0.log").read_text(encoding="utf-8")
    assert "goes on" not in log
    assert (study.folder / MODEL).read_bytes() == resumed
