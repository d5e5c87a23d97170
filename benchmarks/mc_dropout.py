"""What fifty passes with dropout cost beside one pass, and that they are the passes of the naive way.

Both grade the same hips: one pass is dropout off, the fifty passes include a deterministic one and, with
dropout everywhere, two looks at one image for whether the passes share its last maps, once for each model.

    python benchmarks/mc_dropout.py [--cases NETWORK:WHERE ...] [--hips N] [--json FILE]
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from stopwatch import clock, describe_machine, tell

from hipoa.grading.device import exact_float32, find_device
from hipoa.grading.inference.predict import predict_hips
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.networks import build_network, dropout_on, prepare_images
from hipoa.grading.settings import PredictSettings
from hipoa.grading.tasks import TASKS

CASES = (
    "vgg16.tv_in1k:head",
    "densenet161.tv_in1k:head",
    "vit_base_patch16_224.augreg_in1k:head",
    "vit_base_patch16_224.augreg_in1k:everywhere",
)
HEADS = OutputHeads(TASKS["combined"], "classification")


def one_pass(network, radiograph, size, input_px):
    with torch.inference_mode(), exact_float32():
        network.eval()
        for start in range(0, len(radiograph), size):
            network(prepare_images(radiograph[start : start + size], input_px, network.mean.device)).cpu()


def naive_passes(network, image, seed, settings, input_px):
    """All passes of one hip (passes, 7), each through the whole network."""
    size = settings.predict_batch_size
    with torch.inference_mode(), exact_float32():
        dropout_on(network)
        torch.manual_seed(seed)
        images = prepare_images(image[None], input_px, network.mean.device)
        counts = [min(size, settings.passes - start) for start in range(0, settings.passes, size)]
        outputs = torch.cat([network(images.expand(count, -1, -1, -1)) for count in counts])
    return torch.softmax(outputs.float(), dim=-1).cpu().numpy()


def measure(case, arguments):
    name, _, where = case.partition(":")
    n = arguments.hips if where == "head" else arguments.hips_everywhere
    torch.manual_seed(0)
    device = find_device()
    px = arguments.input_px
    network = build_network(name, outputs=7, input_px=px, dropout=0.1, dropout_where=where).to(device)
    torch.nn.init.normal_(network.backbone.get_classifier().weight, std=0.1)
    random = np.random.default_rng([1])
    radiograph = random.integers(0, 256, (n, 150, 150), dtype=np.uint8)
    settings = PredictSettings(passes=arguments.passes, predict_batch_size=arguments.batch)
    seeds = list(range(n))
    single, fifty, ratios = [], [], []
    for turn in range(arguments.turns + 1):
        one, _ = clock(lambda: one_pass(network, radiograph, arguments.batch, px))
        many, found = clock(
            lambda: predict_hips(network, HEADS, radiograph, seeds, settings, input_px=px, where=name)
        )
        if turn:
            single.append(one)
            fifty.append(many)
            ratios.append(many / one)
    whole = naive_passes(network, radiograph[0], 0, settings, px)
    return {
        "hips": n,
        "one_pass_s": round(statistics.median(single), 4),
        f"passes_{arguments.passes}_s": round(statistics.median(fifty), 4),
        "ratio": round(statistics.median(ratios), 3),
        "largest_difference_from_naive": float(np.abs(found.passes["grade"][0] - whole).max()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="network:head or network:everywhere")
    parser.add_argument("--hips", type=int, default=24, help="with dropout at the head")
    parser.add_argument("--hips-everywhere", type=int, default=2, help="with dropout everywhere")
    parser.add_argument("--passes", type=int, default=50)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--input-px", type=int, default=224)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    table = {case: measure(case, arguments) for case in arguments.cases}
    found = {
        **describe_machine(),
        "passes": arguments.passes,
        "batch": arguments.batch,
        "input_px": arguments.input_px,
        "turns": arguments.turns,
        "mc50_cost_over_one_pass": {case: row["ratio"] for case, row in table.items()},
        "networks": table,
    }
    tell(found, arguments.json)


if __name__ == "__main__":
    main()
