"""Draws the training volumes, trains the locator's two networks and writes their weights.

    python benchmarks/locator_training/train.py draw --volumes 400
    python benchmarks/locator_training/train.py fit coarse
    python benchmarks/locator_training/train.py fit fine
    python benchmarks/locator_training/train.py export

Everything lies under ``cache/locator`` and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load, save
from torch import nn

from hipoa.imaging.localization.network import CLASSES

sys.path.insert(0, str(Path(__file__).parent))
from anatomy import draw
from augment import SCALES, Sample, make_sample
from canvas import Anatomy

CACHE = Path("cache/locator")
WEIGHTS = Path(__file__).parents[2] / "hipoa/imaging/localization/weights.safetensors"
WIDTHS = (24, 32, 48, 64)
_HEADS = (1, 2)
STEPS = {"coarse": 6000, "fine": 8500}
_BATCH, _RATE, _WARM, SAVE_EVERY = 8, 2e-3, 200, 100
_CLASS_WEIGHTS = torch.tensor([1.0, 6.0, 6.0, 1.5, 1.5, 1.5])


def block(n_in: int, n_out: int) -> nn.Sequential:
    """A convolution of 3 x 3 x 3."""
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm3d(n_out), nn.ReLU(inplace=True)
    )


def down(n_in: int, n_out: int) -> nn.Sequential:
    """Halves each side."""
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, 2, stride=2, bias=False), nn.BatchNorm3d(n_out), nn.ReLU(inplace=True)
    )


class Network(nn.Module):
    """A 3-D U-Net on cells of 2 x 2 x 2 voxels.

    Out: class logits (6), offset to the head's centre in units of 20 mm (3), radius ((r - 24) / 4), and the
    expected length of the offset's error, by softplus, in units of 20 mm.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.enter = nn.Sequential(block(8, a), block(a, a))
        self.down1, self.mid1 = down(a, b), block(b, b)
        self.down2, self.mid2 = down(b, c), block(c, c)
        self.down3, self.deep = down(c, d), block(d, d)
        self.up3, self.join3 = nn.Conv3d(d, c, 1), block(c, c)
        self.up2, self.join2 = nn.Conv3d(c, b, 1), block(b, b)
        self.up1, self.join1 = nn.Conv3d(b, a, 1), block(a, a)
        self.out = nn.Conv3d(a, len(CLASSES) + 5, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(n, 1, i, j, k), sides multiples of 16, to (n, 11, i/2, j/2, k/2)."""
        n, _, i, j, k = image.shape
        cells = image.reshape(n, i // 2, 2, j // 2, 2, k // 2, 2).permute(0, 2, 4, 6, 1, 3, 5)
        x1 = self.enter(
            cells.reshape(n, 8, i // 2, j // 2, k // 2).contiguous(memory_format=torch.channels_last_3d)
        )
        x2 = self.mid1(self.down1(x1))
        x3 = self.mid2(self.down2(x2))
        x4 = self.deep(self.down3(x3))
        x3 = self.join3(x3 + F.interpolate(self.up3(x4), scale_factor=2))
        x2 = self.join2(x2 + F.interpolate(self.up2(x3), scale_factor=2))
        x1 = self.join1(x1 + F.interpolate(self.up1(x2), scale_factor=2))
        return self.out(x1)


def loss_of(out: torch.Tensor, batch: list[Sample]) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch and its parts."""
    target = torch.stack([s.target for s in batch])
    weight = torch.stack([s.weight for s in batch])
    near = torch.stack([s.near for s in batch])
    logits = out[:, : len(CLASSES)]
    cross = F.cross_entropy(logits, target, _CLASS_WEIGHTS, reduction="none")
    cross = (cross * weight).sum() / (_CLASS_WEIGHTS[target] * weight).sum()
    shares = logits.softmax(1)
    dice = out.new_zeros(())
    for head in _HEADS:
        truth, share = (target == head) * weight, shares[:, head] * weight
        dice = dice + 1 - (2 * (truth * share).sum() + 1) / (truth.sum() + share.sum() + 1)
    offset = torch.stack([s.offset for s in batch])
    error = out[:, 6:9] - offset
    n = near.sum() + 1
    place = (F.smooth_l1_loss(out[:, 6:9], offset, beta=0.1, reduction="none").sum(1) * near).sum() / n
    radius = torch.stack([s.radius for s in batch])
    size = (F.smooth_l1_loss(out[:, 9], radius, reduction="none") * near).sum() / n
    far = error.detach().norm(dim=1)
    doubt = (F.smooth_l1_loss(F.softplus(out[:, 10]), far, beta=0.05, reduction="none") * near).sum() / n
    parts = {"cross": cross, "dice": dice, "place": place, "radius": size, "doubt": doubt}
    total = cross + 0.5 * dice + place + 0.2 * size + 0.3 * doubt
    parts["mm"] = 20 * (far * near).sum() / n
    return total, {name: float(value.detach()) for name, value in parts.items()}


class Volumes:
    """The drawn volumes on disk."""

    def __init__(self, folder: Path) -> None:
        self.all: list[tuple[Anatomy, torch.Tensor]] = []
        for file in sorted(folder.glob("*.json")):
            text = json.loads(file.read_text())
            labels = np.load(file.with_suffix(".npy"))
            for axis in range(3):
                np.moveaxis(labels, axis, 0)[[0, -1]] = 0
            heads = {side: np.array(head) for side, head in text["heads"].items()}
            anatomy = Anatomy(labels, np.array(text["origin"]), heads, text["kind"])
            self.all.append((anatomy, torch.from_numpy(labels)))

    def batch(self, seed: tuple[int, ...], scale: str, size: int = _BATCH) -> list[Sample]:
        """Crops of volumes drawn at random."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(self.all), size)
        return [make_sample(*self.all[int(number)], SCALES[scale], rng) for number in chosen]


def _draw_one(job: tuple[int, bool, Path]) -> None:
    number, kept, folder = job
    file = folder / f"{number:05d}.json"
    if not file.exists():
        anatomy = draw(number, kept)
        np.save(file.with_suffix(".npy"), np.ascontiguousarray(anatomy.labels))
        heads = {side: head.tolist() for side, head in anatomy.heads.items()}
        file.write_text(json.dumps({"kind": anatomy.kind, "origin": anatomy.origin.tolist(), "heads": heads}))


def draw_all(volumes: int, kept: bool, jobs: int) -> None:
    """Draws the volumes that are not there yet."""
    folder = CACHE / ("kept" if kept else "training")
    folder.mkdir(parents=True, exist_ok=True)
    with Pool(jobs) as pool:
        for _ in pool.imap_unordered(_draw_one, [(n, kept, folder) for n in range(volumes)]):
            pass


def fit(scale: str, steps: int, seed: int, batch_size: int = _BATCH) -> None:
    """Trains one network for so many steps, from where the last run stopped."""
    volumes = Volumes(CACHE / "training")
    torch.manual_seed(seed)
    network = Network().to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=0.01)
    file = CACHE / f"{scale}.pt"
    first = _restore(file, network, optimiser) if file.exists() else 0
    shown: dict[str, float] = {}
    started = time.monotonic()
    for step in range(first, steps):
        optimiser.param_groups[0]["lr"] = _RATE * _share_of_rate(step, steps)
        batch = volumes.batch((seed, step, len(scale)), scale, batch_size)
        with torch.autocast("cpu", torch.bfloat16):
            out = network(torch.stack([sample.image for sample in batch]))
        loss, parts = loss_of(out.float(), batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        for name, value in parts.items():
            shown[name] = 0.98 * shown.get(name, value) + 0.02 * value
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            text = " ".join(f"{name} {value:.3f}" for name, value in shown.items())
            each_s = (time.monotonic() - started) / (step + 1 - first)
            print(f"{scale} {step + 1} {text} {each_s:.2f} s/step", flush=True)
            _keep(file, network, optimiser, step + 1)


def _share_of_rate(step: int, steps: int) -> float:
    """Rises for a while, then falls along a cosine to the last step."""
    return min((step + 1) / _WARM, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.002)


def _restore(file: Path, network: Network, optimiser: torch.optim.Optimizer) -> int:
    state = torch.load(file, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"]


def _keep(file: Path, network: Network, optimiser: torch.optim.Optimizer, step: int) -> None:
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    torch.save(state, file.with_suffix(".part"))
    file.with_suffix(".part").replace(file)


LAYERS = {
    "enter1": "enter.0",
    "enter2": "enter.1",
    **{name: name for name in ("down1", "mid1", "down2", "mid2", "down3", "deep")},
    **{name: name for name in ("up3", "join3", "up2", "join2", "up1", "join1", "out")},
}
"""The names of the layers in the weights' file, and in :class:`Network`."""


def fold(network: Network) -> dict[str, np.ndarray]:
    """The weights as the forward pass in numpy wants them, batch normalisation folded in; float16."""
    found = {}
    for name, where in LAYERS.items():
        layer = network.get_submodule(where)
        convolution = layer[0] if isinstance(layer, nn.Sequential) else layer
        weight = convolution.weight.detach().double()
        bias = torch.zeros(len(weight)) if convolution.bias is None else convolution.bias.detach().double()
        if isinstance(layer, nn.Sequential):
            norm = layer[1]
            scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = weight * scale.reshape(-1, 1, 1, 1, 1)
            bias = norm.bias.detach().double() + (bias - norm.running_mean.double()) * scale
        size = weight.shape[-1]
        # Taps along i and j first; along k they lie side by side with the channels.
        turned = weight.permute(2, 3, 4, 1, 0)
        rows = {1: (-1, len(weight)), 2: (-1, len(weight)), 3: (9, -1, len(weight))}[size]
        found[f"{name}.weight"] = np.ascontiguousarray(turned.reshape(rows).numpy(), np.float16)
        found[f"{name}.bias"] = bias.numpy().astype(np.float16)
    return found


def write(tensors: dict[str, np.ndarray], out: Path) -> None:
    """Writes the weights; of those of the package the code names the hash, so that stages follow it."""
    out.write_bytes(save(tensors))
    sha256 = hashlib.sha256(out.read_bytes()).hexdigest()
    if out == WEIGHTS:
        module = WEIGHTS.with_name("network.py")
        module.write_text(re.sub(r'_SHA256 = "\w*"', f'_SHA256 = "{sha256}"', module.read_text()))
    print(out, out.stat().st_size, sha256)


def export(out: Path) -> None:
    """Writes the weights of both networks."""
    tensors = {}
    for scale in SCALES:
        network = Network()
        network.load_state_dict(torch.load(CACHE / f"{scale}.pt", weights_only=True)["network"])
        tensors |= {f"{scale}.{name}": values for name, values in fold(network.eval()).items()}
    if out == WEIGHTS and out.exists():
        kept = load(out.read_bytes())
        tensors |= {name: values for name, values in kept.items() if name.startswith("confidence.")}
    write(tensors, out)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--volumes", type=int, default=400)
    drawing.add_argument("--kept", action="store_true", help="volumes of bones that train nothing")
    drawing.add_argument("--jobs", type=int, default=2)
    fitting = commands.add_parser("fit")
    fitting.add_argument("scale", choices=list(SCALES))
    fitting.add_argument("--steps", type=int, help="in all; those of the shipped weights if not given")
    fitting.add_argument("--threads", type=int, default=1)
    fitting.add_argument("--seed", type=int, default=1)
    exporting = commands.add_parser("export")
    exporting.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    if options.command == "draw":
        draw_all(options.volumes, options.kept, options.jobs)
    elif options.command == "export":
        export(options.out)
    else:
        torch.set_num_threads(options.threads)
        fit(options.scale, options.steps or STEPS[options.scale], options.seed)


if __name__ == "__main__":
    main()
