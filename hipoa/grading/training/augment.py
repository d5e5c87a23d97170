"""Samples of the random changes of the training images, for the report: what the networks learn from."""

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
    """Changes one hip of each class a few times, as a training does.

    Args:
        settings: The strengths of the changes.
        hips: The table of the labelled cohort.
        stack: The images of the labelled cohort.
        input_px: Side of the network's input.
        samples: Changed images of each hip, a count.
        seed: The study's.
        out: The .npz to write: hip_id (k,), grade (k,), original (k, px, px) and changed
            (k, samples, px, px), uint8.
    """
    grade_of = choose_hips(read_csv(hips))
    radiographs = read_radiographs(hips, stack)
    chosen = radiographs.where(np.isin(radiographs.hip_id, list(grade_of)))
    original = prepare_images(chosen.radiograph, input_px, torch.device("cpu"))
    torch.manual_seed(make_seed(seed, "augment"))
    augment = build_augmentation(settings)
    changed = [augment(original) for _ in range(samples)] if len(chosen) else []
    empty = original.new_zeros(0, samples, input_px, input_px)
    write_npz(
        out,
        {
            "hip_id": chosen.hip_id,
            "grade": np.array([grade_of[hip] for hip in chosen.hip_id.tolist()], dtype=np.int64),
            "original": _to_grey(original[:, 0]),
            "changed": _to_grey(torch.cat(changed, dim=1) if changed else empty),
        },
    )


def choose_hips(rows: list[dict[str, str]]) -> dict[str, int]:
    """The first hip with a radiograph of each combined class, hip to class."""
    first: dict[int, str] = {}
    for row in rows:
        if row["status"] == "ok" and row["grade"]:
            first.setdefault(int(row["grade"]), row["hip_id"])
    return {hip: grade for grade, hip in first.items()}


def _to_grey(images: torch.Tensor) -> np.ndarray:
    return (images * 255).round().to(torch.uint8).numpy()
