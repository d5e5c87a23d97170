"""The simulation's other learner: whole networks, trained anew after every batch."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from hipoa.evaluation.passes import (
    HipUncertainty,
    ModelSummary,
    combine_models,
    summarise_passes,
    summarise_values,
)
from hipoa.grading.checkpoints import Checkpoint
from hipoa.grading.device import find_device
from hipoa.grading.fit import Training, build_trainee
from hipoa.grading.losses import build_criterion
from hipoa.grading.predict import predict_hips, seed_hips
from hipoa.grading.readout import Readout
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment, PredictSettings, TrainSettings
from hipoa.grading.tasks import GRADE


def train_network(
    rows: np.ndarray,
    seed: list[int],
    *,
    radiograph: np.ndarray,
    grade: np.ndarray,
    hip_id: np.ndarray,
    row: Experiment,
    train: TrainSettings,
    passes: int,
    pretrained: Path | None,
) -> HipUncertainty:
    """Trains a network for the combined class on some hips and asks it about all of them.

    Args:
        rows: Of the hips to learn from.
        seed: What all chance of it depends on.
        radiograph: (n, h, w) uint8.
        grade: (n,) class 1-7.
        hip_id: (n,) names.
        row: Network, input and loss.
        train: How it is trained.
        passes: With dropout on.
        pretrained: What the stage weights wrote; None for random weights.
    """
    readout = Readout((GRADE,), row.loss)
    torch.manual_seed(make_seed(*seed))
    network = build_trainee(train, row, readout, pretrained).to(find_device())
    target = grade[rows, None] - GRADE.first
    where = f"simulate {'/'.join(map(str, seed))}"
    with tempfile.TemporaryDirectory() as folder:
        Training(
            network=network,
            radiograph=radiograph[rows],
            target=target,
            criterion=build_criterion(readout, train, target, network.mean.device),
            settings=train,
            input_px=row.input_px,
            seed=make_seed(*seed),
            where=where,
            checkpoint=Checkpoint(Path(folder) / "none.pt", where),
            show=lambda line: None,
        ).run()
    print(f"{where}: trained on {len(rows)} hips", file=sys.stderr, flush=True)
    settings = PredictSettings.model_validate({"passes": passes})
    seeds = seed_hips(hip_id, settings, where)
    said = predict_hips(
        network, readout, radiograph, seeds, settings, input_px=row.input_px, where=where
    ).passes[GRADE.name]
    summary = summarise_values(said) if said.ndim == 2 else summarise_passes(said)
    return combine_models([ModelSummary(0, np.arange(len(said)), summary)], len(said))
