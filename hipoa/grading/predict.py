"""Grades hips with one trained network: once without dropout, many times with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from hipoa.errors import NetworkError
from hipoa.files import read_json, write_npz
from hipoa.grading.networks import GradingNetwork, build_network, dropout_on, prepare_images
from hipoa.grading.radiographs import read_fold_of, read_radiographs
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import PredictSettings
from hipoa.grading.tasks import TASKS


@dataclass(frozen=True)
class Prediction:
    """What one network says about n hips.

    Attributes:
        probability_grade: (n, passes, classes) float32, dropout on.
        deterministic_grade: (n, classes) float32, dropout off.
        features: (n, D) float32, what the classifier sees, dropout off.
    """

    probability_grade: np.ndarray
    deterministic_grade: np.ndarray
    features: np.ndarray


def run(
    settings: PredictSettings,
    *,
    model: Path,
    record: Path,
    hips: Path,
    stack: Path,
    folds: Path,
    cohort: str,
    out: Path,
) -> None:
    """Predicts the hips of a cohort that this model may see, graded or not.

    Args:
        settings: How many passes, and the seed.
        model: What the stage train wrote.
        record: Its JSON; repeat, fold and network are taken from it.
        hips: The table of the cohort.
        stack: The images of the cohort.
        folds: The split of the model's repeat.
        cohort: labelled, external or pool.
        out: The .npz to write.

    Raises:
        NetworkError: The passes cannot differ.
    """
    facts = read_json(record)
    where = f"{facts['experiment']} r{facts['repeat']}f{facts['fold']}"
    radiographs = read_radiographs(hips, stack)
    seen = radiographs.where(find_visible(radiographs.patient_id, read_fold_of(folds), facts["fold"]))
    network = load_network(model, facts)
    prediction = predict_hips(
        network,
        seen.radiograph,
        settings,
        input_px=facts["input_px"],
        seed=make_seed(settings.predict_seed, where, cohort),
        where=where,
    )
    write_npz(out, {"hip_id": seen.hip_id, **vars(prediction)})


def find_visible(patients: np.ndarray, fold_of: Mapping[str, int], fold: int) -> np.ndarray:
    """Which hips a fold's model may predict.

    A hip of a patient who has a fold is predicted by that fold's models alone, whichever cohort and CT
    it is from: the other models were trained on the patient. All other hips are predicted by every model.

    Args:
        patients: (n,) one per hip.
        fold_of: The fold of each patient who has one.
        fold: The model's.

    Returns:
        (n,) bool
    """
    return np.array([fold_of.get(patient, fold) == fold for patient in patients.tolist()], dtype=bool)


def load_network(model: Path, facts: Mapping[str, Any]) -> GradingNetwork:
    """Builds the trained network again from its record, on the GPU where there is one."""
    network = build_network(
        facts["network"],
        classes=TASKS[facts["task"]].classes,
        input_px=facts["input_px"],
        dropout=facts["dropout"],
        dropout_where=facts["dropout_where"],
        normalisation=(facts["mean"], facts["std"]),
    )
    network.backbone.load_state_dict(load_file(model))
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def predict_hips(
    network: GradingNetwork,
    radiograph: np.ndarray,
    settings: PredictSettings,
    *,
    input_px: int,
    seed: int,
    where: str,
) -> Prediction:
    """One deterministic prediction and many stochastic ones.

    Where only the head drops units, all before it is computed once: it is the same in every pass.

    Args:
        network: On its device.
        radiograph: (n, h, w) uint8.
        settings: How many passes.
        input_px: Side of the network's input.
        seed: Of the passes.
        where: The name of the model, for messages.

    Raises:
        NetworkError: There is no dropout, or the passes are all the same.
    """
    dropout_on(network, where)
    torch.manual_seed(seed)
    logits: list[Tensor] = []
    plain: list[Tensor] = []
    features: list[Tensor] = []
    with torch.inference_mode():
        for batch in _batches(radiograph, settings.predict_batch_size):
            images = prepare_images(batch, input_px, network.mean.device)
            network.eval()
            features.append(network.extract(images))
            plain.append(network.classify(features[-1]))
            logits.append(sample_logits(network, images, features[-1], settings.passes, where))
    return Prediction(
        _softmax(torch.cat([part.cpu() for part in logits])),
        _softmax(torch.cat([part.cpu() for part in plain])),
        torch.cat([part.cpu() for part in features]).numpy(),
    )


def sample_logits(
    network: GradingNetwork, images: Tensor, features: Tensor, passes: int, where: str
) -> Tensor:
    """Logits (n, passes, classes) of images (n, 1, H, W) with features (n, D), dropout on.

    Raises:
        NetworkError: There is no dropout, or the passes are all the same.
    """
    dropout_on(network, where)
    once = network.only_head_drops
    logits = torch.stack(
        [network.classify(features) if once else network(images) for _ in range(passes)], dim=1
    )
    if len(images) and bool((logits == logits[:, :1]).all()):
        raise NetworkError(
            where, f"all {passes} passes are the same", "Set dropout above 0, or dropout_where to everywhere."
        )
    return logits


def _batches(radiograph: np.ndarray, size: int) -> Iterator[np.ndarray]:
    # At least one batch, if an empty one: it gives the results their shapes.
    for start in range(0, max(1, len(radiograph)), size):
        yield radiograph[start : start + size]


def _softmax(logits: Tensor) -> np.ndarray:
    return torch.softmax(logits.float(), dim=-1).numpy()
