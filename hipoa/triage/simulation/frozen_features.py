"""Features of a network that has not seen any hip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hipoa.grading.device import find_device
from hipoa.grading.model.networks import build_network, prepare_images
from hipoa.grading.settings import Experiment

_BATCH = 32


def extract_features(radiograph: np.ndarray, row: Experiment, pretrained: Path | None) -> np.ndarray:
    """The features before the classifier, by the weights with which a training begins.

    Args:
        radiograph: (n, h, w) uint8.
        row: Network and side of its input.
        pretrained: What the stage weights wrote; None for random weights, which say less.

    Returns:
        (n, D) float32.
    """
    torch.manual_seed(0)
    network = build_network(
        row.network,
        outputs=1,
        input_px=row.input_px,
        dropout=0.0,
        dropout_where="head",
        pretrained=pretrained,
    )
    network = network.to(find_device()).eval()
    with torch.inference_mode():
        parts = [
            network.extract(
                prepare_images(radiograph[start : start + _BATCH], row.input_px, network.mean.device)
            ).cpu()
            for start in range(0, len(radiograph), _BATCH)
        ]
    return torch.cat(parts).numpy()
