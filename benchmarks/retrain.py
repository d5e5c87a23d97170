"""Does choosing the hips to read pay for whole networks? Random against variance, trained after every batch.

    python benchmarks/retrain.py --configfile benchmarks/study.yaml --hips results/study/hips [--weights FILE]

The stage simulate trains a small classifier on frozen features, in seconds. Here the first experiment of a
configuration is trained anew on what has been read, seeds x (rounds + 1) x 2 times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml

from hipoa.evaluation.passes import (
    HipUncertainty,
    combine_models,
    summarise_passes,
)
from hipoa.grading.device import find_device
from hipoa.grading.inference.predict import predict_hips, seed_hips
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment, PredictSettings, TrainSettings
from hipoa.grading.tasks import GRADE
from hipoa.grading.training.fit import Checkpoint, Training, build_untrained
from hipoa.triage.settings import SimulateSettings, TriageSettings
from hipoa.triage.simulation.graded_hips import Hips, read_graded_hips
from hipoa.triage.simulation.learning_curves import RANDOM, describe, state_answer
from hipoa.triage.simulation.linear_probe import extract_features, reduce_features
from hipoa.triage.simulation.simulate import count_hips, simulate
from hipoa.workflow.config import resolve


def train_network(
    hips: Hips,
    rows: np.ndarray,
    seed: list[int],
    row: Experiment,
    train: TrainSettings,
    pretrained: Path | None,
) -> HipUncertainty:
    """Trains a network for the combined class on some hips (rows) and asks it about all of them."""
    heads = OutputHeads((GRADE,), row.loss)
    torch.manual_seed(make_seed(*seed))
    network = build_untrained(train, row, heads, pretrained).to(find_device())
    target = hips.grade[rows, None] - GRADE.first
    where = f"retrain {'/'.join(map(str, seed))}"
    with tempfile.TemporaryDirectory() as folder:
        Training(
            network=network,
            radiograph=hips.radiograph[rows],
            target=target,
            criterion=build_criterion(heads, train, target, network.mean.device),
            settings=train,
            input_px=row.input_px,
            seed=make_seed(*seed),
            where=where,
            checkpoint=Checkpoint(Path(folder) / "none.pt", where),
        ).run()
    print(f"{where}: trained on {len(rows)} hips", file=sys.stderr, flush=True)
    settings = PredictSettings()
    seeds = seed_hips(hips.hip_id, 0, where)
    said = predict_hips(
        network, heads, hips.radiograph, seeds, settings, input_px=row.input_px, where=where
    ).passes[GRADE.name]
    return combine_models([summarise_passes(said)], len(said))


def main():
    """Reads a study's graded hips and prints the curves, the gain and the answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--configfile", type=Path, required=True, help="the study's; its first experiment counts"
    )
    parser.add_argument(
        "--hips", type=Path, required=True, help="folder with labelled and external .csv and .npz"
    )
    parser.add_argument("--weights", type=Path, help="what the stage weights wrote; none for random weights")
    parser.add_argument("--seeds", type=int, default=3, help="of these trainings, a count")
    given = parser.parse_args()
    config = resolve(yaml.safe_load(given.configfile.read_text(encoding="utf-8")))
    row = Experiment.model_validate(next(iter(config["experiments"].values())))
    train = TrainSettings.model_validate(config["train"])
    settings = SimulateSettings.model_validate(config["simulate"] | {"simulate_seeds": given.seeds})
    tables = [path for name in ("labelled", "external") if (path := given.hips / f"{name}.csv").exists()]
    hips = read_graded_hips(tables, [path.with_suffix(".npz") for path in tables])
    raw = extract_features(hips.radiograph, row, given.weights)
    curves = simulate(
        hips,
        reduce_features(raw, ~hips.test),
        "whole network, trained anew",
        lambda rows, seed: train_network(hips, rows, seed, row, train, given.weights),
        (RANDOM, "variance"),
        settings,
        TriageSettings(),
    )
    rows = [found | count_hips(hips, curves) for found in describe(curves)]
    for found in rows:
        print(
            *(
                found.get(name, "")
                for name in ("quantity", "strategy", "metric", "hips_read", "value", "low", "high")
            )
        )
    print(state_answer(rows, hips.test_set))


if __name__ == "__main__":
    main()
