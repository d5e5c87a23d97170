"""Renders samples of the augmentation for the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hipoa.core.files import read_csv, write_npz
from hipoa.grading.data.radiographs import read_radiographs
from hipoa.grading.model.networks import prepare_images
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import TrainSettings
from hipoa.grading.training.augmentation import build_augmentation


def run(
    settings: TrainSettings,
    *,
    hips: Path,
    stack: Path,
    input_px: int,
    samples: int,
    seed: int = 0,
    out: Path,
) -> None:
    """Augments one hip of each class a few times, as in training.

    Args:
        settings: The strengths of the augmentation.
        hips: The table of the labelled cohort.
        stack: The images of the labelled cohort.
        input_px: Side of the network's input.
        samples: Augmented images of each hip, a count.
        seed: The study's.
        out: The .npz to write: hip_id (k,), grade (k,), original (k, px, px) and changed
            (k, samples, px, px), uint8.
    """
    # The first hip with a radiograph of each class.
    first: dict[str, str] = {}
    for row in read_csv(hips):
        if row["status"] == "ok" and row["grade"]:
            first.setdefault(row["grade"], row["hip_id"])
    grade_of = {hip: int(grade) for grade, hip in first.items()}
    radiographs = read_radiographs(hips, stack)
    chosen = radiographs.where(np.isin(radiographs.hip_id, list(grade_of)))
    original = prepare_images(chosen.radiograph, input_px, torch.device("cpu"))
    torch.manual_seed(make_seed(seed, "augment"))
    augment = build_augmentation(settings)
    # Kornia takes no empty batch.
    changed = [augment(original) if len(chosen) else original for _ in range(samples)]
    write_npz(
        out,
        {
            "hip_id": chosen.hip_id,
            "grade": np.array([grade_of[hip] for hip in chosen.hip_id.tolist()], dtype=np.int64),
            "original": _to_grey(original[:, 0]),
            "changed": _to_grey(torch.cat(changed, dim=1)),
        },
    )


def _to_grey(images: torch.Tensor) -> np.ndarray:
    return (images * 255).round().to(torch.uint8).numpy()
