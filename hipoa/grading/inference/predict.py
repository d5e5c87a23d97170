"""Grades hips with one trained network, without dropout and by Monte Carlo dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from hipoa.core.files import read_json, write_npz
from hipoa.grading.data.class_table import join_probabilities, join_values
from hipoa.grading.data.radiographs import find_visible, read_fold_of, read_radiographs
from hipoa.grading.device import exact_float32, explain_out_of_memory, find_device
from hipoa.grading.inference.mc_dropout import count_shared, sample_outputs
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.networks import GradingNetwork, build_network, dropout_on, prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import ClassTable, PredictSettings
from hipoa.grading.tasks import GRADE, TASKS


@dataclass(frozen=True)
class Prediction:
    """The predictions of one network for n hips, float32."""

    kind: str  # probability (of a classification) or value (of a regression)
    passes: dict[str, np.ndarray]  # head to (n, passes, classes) or (n, passes), dropout on
    deterministic: dict[str, np.ndarray]  # head to (n, classes) or (n,), dropout off
    features: np.ndarray  # (n, D), input of the classifier, dropout off


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
        settings: The number of passes.
        classes: The class table, for a network that grades Crowe and KL separately.
        model: Written by the stage train.
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
    with explain_out_of_memory(where, "Lower predict_batch_size."):
        prediction = predict_hips(
            load_network(model, facts),
            read_heads(facts),
            seen.radiograph,
            seed_hips(seen.hip_id, seed, where),
            settings,
            input_px=facts["input_px"],
            where=where,
        )
    prediction = add_grade(prediction, classes)
    passes = {f"{prediction.kind}_{head}": values for head, values in prediction.passes.items()}
    plain = {f"deterministic_{head}": values for head, values in prediction.deterministic.items()}
    write_npz(out, {"hip_id": seen.hip_id, **passes, **plain, "features": prediction.features})


def seed_hips(hip_id: np.ndarray, seed: int, where: str) -> list[int]:
    """One seed per hip (n,), a hash of the study's seed, model and hip: masks do not depend on other hips."""
    return [make_seed(seed, where, hip) for hip in hip_id.tolist()]


def read_heads(facts: Mapping[str, Any]) -> OutputHeads:
    """The heads of a trained network, from its record."""
    return OutputHeads(TASKS[facts["task"]], facts["loss"])


def load_network(model: Path, facts: Mapping[str, Any]) -> GradingNetwork:
    """Builds the trained network again from its record, on the GPU if there is one."""
    network = build_network(
        facts["network"],
        outputs=read_heads(facts).n_outputs,
        input_px=facts["input_px"],
        dropout=facts["dropout"],
        dropout_where=facts["dropout_where"],
        normalisation=(facts["mean"], facts["std"]),
    )
    network.backbone.load_state_dict(load_file(model))
    return network.to(find_device())


def predict_hips(
    network: GradingNetwork,
    heads: OutputHeads,
    radiograph: np.ndarray,
    seeds: Sequence[int],
    settings: PredictSettings,
    *,
    input_px: int,
    where: str,
) -> Prediction:
    """One deterministic prediction and many stochastic ones of radiographs (n, h, w) uint8.

    The parts that are the same in every pass are computed once, in the deterministic pass. The passes of one
    hip are one batch, so that its masks depend on its own seed alone. ``where`` names the model in messages.

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
        # At least one batch, if an empty one: it gives the results their shapes.
        for start in range(0, max(1, len(radiograph)), settings.predict_batch_size):
            part = slice(start, start + settings.predict_batch_size)
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
        heads.kind,
        {name: values.numpy() for name, values in heads.decode(torch.cat(outputs)).items()},
        {name: values.numpy() for name, values in heads.decode(torch.cat(plain)).items()},
        torch.cat(features).numpy(),
    )


def add_grade(prediction: Prediction, classes: ClassTable) -> Prediction:
    """Adds the combined class to the prediction of a network that grades Crowe and KL separately."""
    if GRADE.name in prediction.passes:
        return prediction
    join = join_values if prediction.kind == "value" else join_probabilities

    def joined(heads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**heads, GRADE.name: join(heads["crowe"], heads["kl"], classes)}

    return replace(
        prediction, passes=joined(prediction.passes), deterministic=joined(prediction.deterministic)
    )
