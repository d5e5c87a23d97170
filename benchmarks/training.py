"""What a training step costs beside its bare arithmetic, and beside the usual loading of images.

Three ways of the same steps, in turns in one process: a bare loop of forward, backward and step on a batch
that lies on the device; hipoa's training, which augments in batches on the device; and torch's DataLoader
with one image at a time through Pillow and torchvision.

    python benchmarks/training.py [--network NAME] [--input-px N] [--batch N] [--steps N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hipoa.grading.checkpoints import Checkpoint
from hipoa.grading.fit import Training
from hipoa.grading.losses import build_criterion
from hipoa.grading.networks import build_network
from hipoa.grading.readout import Readout
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS


class PillowHips(Dataset):
    """One image at a time, changed by Pillow, as a tutorial would have it."""

    def __init__(self, radiograph, target, settings, input_px):
        self.images = [Image.fromarray(image) for image in radiograph]
        self.target = target[:, 0]
        grey = transforms.ColorJitter(brightness=settings.brightness, contrast=settings.contrast)
        zoom = (1 - settings.zoom, 1 + settings.zoom)
        holes = [
            transforms.RandomErasing(0.5, (settings.hole_share**2,) * 2, (1.0, 1.0))
            for _ in range(settings.holes)
        ]
        self.change = transforms.Compose(
            [
                transforms.Resize((input_px, input_px)),
                transforms.RandomAffine(settings.rotate_deg, scale=zoom),
                transforms.RandomApply([transforms.GaussianBlur(7, (0.1, settings.blur_sigma_px))], 0.5),
                grey,
                transforms.ToTensor(),
                *holes,
            ]
        )

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return self.change(self.images[number]), self.target[number]


def make_hips(n):
    random = np.random.default_rng([1])
    return random.integers(0, 256, (n, 150, 150), dtype=np.uint8), random.integers(0, 7, (n, 1))


def build(arguments, folder):
    settings = TrainSettings(batch_size=arguments.batch, epochs=10_000, warmup_epochs=0)
    radiograph, target = make_hips(arguments.batch * arguments.steps)
    readout = Readout(TASKS["combined"], "classification")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    network = build_network(
        arguments.network,
        outputs=readout.outputs,
        input_px=arguments.input_px,
        dropout=settings.dropout,
        dropout_where="head",
    ).to(device)
    return Training(
        network=network,
        radiograph=radiograph,
        target=target,
        criterion=build_criterion(readout, settings, target, device),
        settings=settings,
        input_px=arguments.input_px,
        seed=1,
        where="benchmark",
        checkpoint=Checkpoint(Path(folder) / "c.pt", ""),
        show=lambda _: None,
    )


def bare_epoch(training, steps):
    size = training.settings.batch_size
    images, targets = training.images[:size], training.targets[:size]
    training.network.train()
    for _ in range(steps):
        with torch.autocast(training.device.type, torch.bfloat16, enabled=training.device.type == "cuda"):
            outputs = training.network(images)
        loss = training.criterion(outputs.float(), targets)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        training.optimiser.step()


def loader_epoch(training, loader):
    training.network.train()
    for images, target in loader:
        with torch.autocast(training.device.type, torch.bfloat16, enabled=training.device.type == "cuda"):
            outputs = training.network(images.to(training.device))
        loss = training.criterion(outputs.float(), target.to(training.device)[:, None])
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        training.optimiser.step()


def clock(work, device):
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(arguments):
    with tempfile.TemporaryDirectory() as folder:
        training = build(arguments, folder)
        dataset = PillowHips(training.radiograph, training.target, training.settings, arguments.input_px)
        loader = DataLoader(dataset, arguments.batch, shuffle=True, num_workers=arguments.workers)
        epoch = iter(range(1000))
        ways = {
            "bare": lambda: bare_epoch(training, arguments.steps),
            "hipoa": lambda: training._run_epoch(next(epoch)),
            "dataloader": lambda: loader_epoch(training, loader),
        }
        # In turns, so that what else the machine does falls on all of them.
        seconds = {name: [] for name in ways}
        for turn in range(arguments.turns + 1):
            for name, work in ways.items():
                took = clock(work, training.device)
                if turn:
                    seconds[name].append(took)
    return seconds


def summarise(seconds, arguments):
    n = arguments.batch * arguments.steps
    ratios = [own / bare for own, bare in zip(seconds["hipoa"], seconds["bare"], strict=True)]
    beside = [loader / own for loader, own in zip(seconds["dataloader"], seconds["hipoa"], strict=True)]
    return {
        "network": arguments.network,
        "input_px": arguments.input_px,
        "batch": arguments.batch,
        "turns": arguments.turns,
        "workers": arguments.workers,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "images_per_s": {name: round(n / statistics.median(took), 2) for name, took in seconds.items()},
        "overhead_over_forward_backward": round(statistics.median(ratios) - 1, 4),
        "images_per_s_ratio_vs_dataloader": round(statistics.median(beside), 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="tf_efficientnet_lite0")
    parser.add_argument("--input-px", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="of each turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    found = summarise(measure(arguments), arguments)
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
