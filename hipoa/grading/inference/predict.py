"""Grades hips with one trained network: once without dropout, many times with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from hipoa.core.files import read_json, write_npz
from hipoa.grading.data.class_table import join_probabilities, join_values
from hipoa.grading.data.radiographs import find_visible, read_fold_of, read_radiographs
from hipoa.grading.device import exact_float32, find_device
from hipoa.grading.inference.mc_dropout import count_shared, sample_outputs
from hipoa.grading.memory import naming_memory
from hipoa.grading.model.heads import Readout
from hipoa.grading.model.networks import GradingNetwork, build_network, dropout_on, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import ClassTable, PredictSettings
from hipoa.grading.tasks import GRADE, TASKS


@dataclass(frozen=True)
class Prediction:
    """What one network says about n hips.

    Attributes:
        kind: probability (of a classification) or value (of a regression).
        passes: Head to (n, passes, classes) or (n, passes) float32, dropout on.
        deterministic: Head to (n, classes) or (n,) float32, dropout off.
        features: (n, D) float32, what the classifier sees, dropout off.
    """

    kind: str
    passes: dict[str, np.ndarray]
    deterministic: dict[str, np.ndarray]
    features: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Under the names of the file of predictions."""
        passes = {f"{self.kind}_{head}": values for head, values in self.passes.items()}
        plain = {f"deterministic_{head}": values for head, values in self.deterministic.items()}
        return {**passes, **plain, "features": self.features}


def run(
    settings: PredictSettings,
    classes: ClassTable,
    *,
    model: Path,
    record: Path,
    hips: Path,
    stack: Path,
    folds: Path,
    cohort: str,
    seed: int = 0,
    out: Path,
) -> None:
    """Predicts the hips of a cohort that this model may see, graded or not.

    Args:
        settings: How many passes.
        classes: By which Crowe and KL apart become the combined class.
        model: What the stage train wrote.
        record: Its JSON; repeat, fold and network are taken from it.
        hips: The table of the cohort.
        stack: The images of the cohort.
        folds: The split of the model's repeat.
        cohort: labelled, external or pool.
        seed: The study's.
        out: The .npz to write.

    Raises:
        NetworkError: The passes cannot differ.
        ResourceError: The memory is too small.
    """
    facts = read_json(record)
    where = f"{facts['experiment']} r{facts['repeat']}f{facts['fold']}"
    radiographs = read_radiographs(hips, stack)
    seen = radiographs.where(find_visible(radiographs.patient_id, read_fold_of(folds), facts["fold"]))
    with naming_memory(where, "Lower predict_batch_size."):
        prediction = predict_hips(
            load_network(model, facts),
            read_readout(facts),
            seen.radiograph,
            seed_hips(seen.hip_id, seed, where),
            settings,
            input_px=facts["input_px"],
            where=where,
        )
    write_npz(out, {"hip_id": seen.hip_id, **add_grade(prediction, classes).arrays()})


def seed_hips(hip_id: np.ndarray, seed: int, where: str) -> list[int]:
    """A hash of the study's seed, the model's name and each hip's: its masks do not depend on other hips."""
    return [make_seed(seed, where, hip) for hip in hip_id.tolist()]


def read_readout(facts: Mapping[str, Any]) -> Readout:
    """What the outputs of a trained network mean, from its record."""
    return Readout(TASKS[facts["task"]], facts["loss"])


def load_network(model: Path, facts: Mapping[str, Any]) -> GradingNetwork:
    """Builds the trained network again from its record, on the GPU where there is one."""
    network = build_network(
        facts["network"],
        outputs=read_readout(facts).outputs,
        input_px=facts["input_px"],
        dropout=facts["dropout"],
        dropout_where=facts["dropout_where"],
        normalisation=(facts["mean"], facts["std"]),
    )
    network.backbone.load_state_dict(load_file(model))
    return network.to(find_device())


def predict_hips(
    network: GradingNetwork,
    readout: Readout,
    radiograph: np.ndarray,
    seeds: Sequence[int],
    settings: PredictSettings,
    *,
    input_px: int,
    where: str,
) -> Prediction:
    """One deterministic prediction and many stochastic ones.

    What is the same in every pass is computed once, in the deterministic pass. The passes of one hip are
    one batch, so that its masks depend on its own seed alone.

    Args:
        network: On its device.
        readout: What its outputs mean.
        radiograph: (n, h, w) uint8.
        seeds: (n,) of the passes of each hip.
        settings: How many passes, and how many images at once.
        input_px: Side of the network's input.
        where: The name of the model, for messages.

    Raises:
        NetworkError: There is no dropout, or the passes are all the same.
    """
    dropout_on(network, where)
    device = network.mean.device
    outputs: list[Tensor] = []
    plain: list[Tensor] = []
    features: list[Tensor] = []
    with torch.inference_mode(), exact_float32():
        done = count_shared(network, input_px)
        for part in _split(len(radiograph), settings.predict_batch_size):
            images = prepare_images(radiograph[part], input_px, device)
            network.eval()
            encoded = network.encode(images)
            extracted = network.pool(encoded)
            plain.append(network.classify(extracted).cpu())
            features.append(extracted.cpu())
            shared = (images, encoded, extracted)[done]
            dropout_on(network, where)
            outputs.append(sample_outputs(network, done, shared, seeds[part], settings, where).cpu())
    return Prediction(
        readout.kind,
        _to_arrays(readout.read(torch.cat(outputs))),
        _to_arrays(readout.read(torch.cat(plain))),
        torch.cat(features).numpy(),
    )


def add_grade(prediction: Prediction, classes: ClassTable) -> Prediction:
    """The prediction with the combined class, which a network of Crowe and KL apart does not give itself."""
    if GRADE.name in prediction.passes:
        return prediction
    join = join_values if prediction.kind == "value" else join_probabilities

    def joined(heads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**heads, GRADE.name: join(heads["crowe"], heads["kl"], classes)}

    return Prediction(
        prediction.kind, joined(prediction.passes), joined(prediction.deterministic), prediction.features
    )


def _split(n: int, size: int) -> Iterator[slice]:
    # At least one part, if an empty one: it gives the results their shapes.
    for start in range(0, max(1, n), size):
        yield slice(start, start + size)


def _to_arrays(heads: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in heads.items()}
