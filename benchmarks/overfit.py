"""Whether a network can overfit eight images: if not, it is set up wrongly.

    python benchmarks/overfit.py [--network NAME] [--input-px N] [--rate R] [--epochs N] [--threads N]

The weights are random and the images are coarse patterns, not hips. The exact class accuracy (ECA) is that
on the eight images themselves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.model.networks import build_network, prepare_images
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.fit import Checkpoint, Training

UNCHANGED = {"rotate_deg": 0, "zoom": 0, "blur_sigma_px": 0, "brightness_contrast": 0, "holes": 0}
TARGET = np.array([[0], [1], [2], [3], [4], [5], [6], [0]])


def draw_patterns():
    """Eight images (8, 150, 150) uint8 of coarse squares: fine noise would vanish in a small input."""
    grey = np.random.default_rng([5]).integers(0, 256, (8, 5, 5), dtype=np.uint8)
    return np.kron(grey, np.ones((30, 30), np.uint8)).astype(np.uint8)


def overfit(name, *, input_px, rate, epochs, folder):
    """The exact class accuracy on the eight images after training on them."""
    radiograph = draw_patterns()
    settings = TrainSettings(
        epochs=epochs, batch_size=8, learning_rate=rate, warmup_epochs=3, dropout=0.1, **UNCHANGED
    )
    heads = OutputHeads(TASKS["combined"], "classification")
    torch.manual_seed(0)
    network = build_network(
        name, outputs=heads.n_outputs, input_px=input_px, dropout=settings.dropout, dropout_where="head"
    ).to(find_device())
    device = network.mean.device
    training = Training(
        network=network,
        radiograph=radiograph,
        target=TARGET,
        criterion=build_criterion(heads, settings, TARGET, device),
        settings=settings,
        input_px=input_px,
        seed=1,
        where=name,
        checkpoint=Checkpoint(Path(folder) / "c.pt", ""),
    )
    training.run()
    with torch.inference_mode():
        outputs = network.eval()(prepare_images(radiograph, input_px, device))
    return float((outputs.argmax(dim=1).cpu().numpy() == TARGET[:, 0]).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="vgg16.tv_in1k")
    parser.add_argument("--input-px", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        eca = overfit(
            given.network,
            input_px=given.input_px,
            rate=given.rate,
            epochs=given.epochs,
            folder=folder,
        )
    print(f"{given.network} at {given.input_px} pixels: ECA {eca:.3f}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
