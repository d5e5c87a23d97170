"""What a training step costs beside its bare arithmetic, and beside the usual loading of images.

Ways of making the same steps, in turns in one process:
bare        forward, backward and step on one batch that lies on the device, hipoa's network and optimiser
hipoa       hipoa's training: images on the device, changed there in batches, clipped gradient, schedule
dataloader  DataLoader, one image at a time through Pillow and torchvision; network and optimiser as above
tutorial    the same, network and optimiser as they come (default layout, AdamW not fused)
The last two without and with worker processes; what is told is the better of the two.

    python benchmarks/training.py [--network NAME] [--input-px N] [--batch N] [--steps N] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from stopwatch import clock, describe_machine, tell
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.model.networks import build_network
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.augmentation import HOLE_SHARE
from hipoa.grading.training.fit import Checkpoint, Training

HEADS = OutputHeads(TASKS["combined"], "classification")


class PillowHips(Dataset):
    """One image at a time, changed by Pillow, as a tutorial would have it."""

    def __init__(self, radiograph, target, settings, input_px):
        self.images = [Image.fromarray(image) for image in radiograph]
        self.target = target[:, 0]
        grey = transforms.ColorJitter(settings.brightness_contrast, settings.brightness_contrast)
        zoom = (1 - settings.zoom, 1 + settings.zoom)
        holes = [
            transforms.RandomErasing(0.5, (HOLE_SHARE**2,) * 2, (1.0, 1.0)) for _ in range(settings.holes)
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


def build(arguments):
    torch.manual_seed(0)
    device = find_device()
    return build_network(
        arguments.network,
        outputs=HEADS.n_outputs,
        input_px=arguments.input_px,
        dropout=0.1,
        dropout_where="head",
    ).to(device)


def prepare(arguments, folder):
    settings = TrainSettings(batch_size=arguments.batch, epochs=10_000, warmup_epochs=0)
    radiograph, target = make_hips(arguments.batch * arguments.steps)
    network = build(arguments)
    return Training(
        network=network,
        radiograph=radiograph,
        target=target,
        criterion=build_criterion(HEADS, settings, target, network.mean.device),
        settings=settings,
        input_px=arguments.input_px,
        seed=1,
        where="benchmark",
        checkpoint=Checkpoint(Path(folder) / "c.pt", ""),
    )


def step(network, optimiser, criterion, images, targets):
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
        outputs = network(images)
    loss = criterion(outputs.float(), targets)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def bare_epoch(training, steps):
    size = training.settings.batch_size
    images, targets = training.images[:size], training.targets[:size]
    training.network.train()
    for _ in range(steps):
        step(training.network, training.optimiser, training.criterion, images, targets)


def loader_epoch(network, optimiser, training, loader):
    network.train()
    for images, target in loader:
        place = training.device
        step(network, optimiser, training.criterion, images.to(place), target.to(place)[:, None])


def build_ways(arguments, training):
    dataset = PillowHips(training.radiograph, training.target, training.settings, arguments.input_px)
    plain = build(arguments).to(memory_format=torch.contiguous_format)
    optimisers = {
        "dataloader": (training.network, training.optimiser),
        "tutorial": (plain, torch.optim.AdamW(plain.parameters(), lr=1e-4)),
    }
    epoch = iter(range(1000))
    ways = {
        "bare": lambda: bare_epoch(training, arguments.steps),
        "hipoa": lambda: training.run_epoch(next(epoch)),
    }
    for workers in sorted({0, arguments.workers}):
        loader = DataLoader(
            dataset, arguments.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
        )
        for name, (network, optimiser) in optimisers.items():
            ways[f"{name}, {workers} workers"] = lambda n=network, o=optimiser, loader=loader: loader_epoch(
                n, o, training, loader
            )
    return ways


def measure(arguments):
    with tempfile.TemporaryDirectory() as folder:
        ways = build_ways(arguments, prepare(arguments, folder))
        # In turns, so that what else the machine does falls on all of them; the first turn warms up.
        seconds = {name: [] for name in ways}
        for turn in range(arguments.turns + 1):
            for name, work in ways.items():
                took, _ = clock(work)
                if turn:
                    seconds[name].append(took)
    return seconds


def summarise(seconds, arguments):
    n = arguments.batch * arguments.steps
    rates = {name: n / statistics.median(took) for name, took in seconds.items()}

    def ratio(a, b):
        return statistics.median(x / y for x, y in zip(seconds[a], seconds[b], strict=True))

    def beside(peer):
        return round(min(ratio(name, "hipoa") for name in seconds if name.startswith(peer)), 3)

    return {
        **describe_machine(),
        "network": arguments.network,
        "input_px": arguments.input_px,
        "batch": arguments.batch,
        "steps": arguments.steps,
        "turns": arguments.turns,
        "images_per_s": {name: round(rate, 2) for name, rate in rates.items()},
        "overhead_over_forward_backward": round(ratio("hipoa", "bare") - 1, 4),
        "images_per_s_ratio_vs_dataloader": beside("dataloader"),
        "images_per_s_ratio_vs_tutorial": beside("tutorial"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="tf_efficientnet_lite0")
    parser.add_argument("--input-px", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="of each turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tell(summarise(measure(arguments), arguments), arguments.json)


if __name__ == "__main__":
    main()
