"""Trains one network on all folds but one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from hipoa.core.code_hash import code_hash
from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv, replacing, sha256, write_json
from hipoa.grading.data.radiographs import Radiographs, read_fold_of, read_radiographs
from hipoa.grading.device import explain_out_of_memory, find_device
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.model.networks import GradingNetwork
from hipoa.grading.seeds import make_seed
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.tasks import MISSING, TASKS, Head
from hipoa.grading.training.fit import Checkpoint, Training, build_untrained


def run(
    settings: TrainSettings,
    row: Experiment,
    *,
    experiment: str,
    hips: Path,
    stack: Path,
    folds: Path,
    repeat: int,
    fold: int,
    seed: int = 0,
    out: Path,
    record: Path,
    checkpoint: Path,
    pretrained: Path | None = None,
) -> None:
    """Trains one network on all folds but one, whose grades it never reads.

    On a CPU the result is the same every time, at a given number of threads. A job that was killed
    resumes from its checkpoint to that same result.

    Args:
        settings: How it is trained.
        row: Which network, weights and task.
        experiment: Its name.
        hips: The table of the labelled cohort.
        stack: The images of the labelled cohort.
        folds: The split.
        repeat: The number of the split, counted from 0.
        fold: The fold that is left out, counted from 0.
        seed: The study's; that of a model is a hash of it, experiment, repeat and fold.
        out: The .safetensors to write: the network of timm, classifier included.
        record: The JSON to write: how to build the network again, and the history.
        checkpoint: State of an interrupted job; removed at the end.
        pretrained: Written by the stage weights; None for random weights.

    Raises:
        CohortError: There is no hip to train on.
        NetworkError: The network cannot be built so.
        ResourceError: The memory is too small.
        TrainingError: The loss is not finite.
    """
    where = f"{experiment} r{repeat}f{fold}"
    heads = OutputHeads(TASKS[row.task], row.loss)
    rows = select_training(read_csv(hips), read_fold_of(folds), fold, heads.heads, where)
    images, target = _read_training(hips, stack, rows, heads.heads)
    model_seed = make_seed(seed, experiment, repeat, fold)
    key = _make_key(settings, row, images, target, model_seed, pretrained)
    held = split_validation(images.patient_id, target, settings.inner_folds, model_seed)
    trained, target, validation = images.where(~held), target[~held], (images.radiograph[held], target[held])
    with explain_out_of_memory(where, "Lower batch_size or input_px."):
        torch.manual_seed(model_seed)
        network = build_untrained(settings, row, heads, pretrained).to(find_device())
        training = Training(
            network=network,
            radiograph=trained.radiograph,
            target=target,
            criterion=build_criterion(heads, settings, target, network.mean.device),
            settings=settings,
            input_px=row.input_px,
            seed=model_seed,
            where=where,
            checkpoint=Checkpoint(checkpoint, key),
            validation=validation if held.any() else None,
        )
        training.run()
    _write_model(out, network, half=settings.half_precision)
    record_content = {
        **_describe(training, row, heads.heads, trained.patient_id),
        "experiment": experiment,
        "repeat": repeat,
        "fold": fold,
        "seed": seed,
        "n_inner": int(held.sum()),
        "kept_epoch": training.kept_epoch,
        "history": training.history,
        "file": out.name,
        "sha256": sha256(out),
    }
    write_json(record, record_content)
    checkpoint.unlink(missing_ok=True)


def split_validation(patients: np.ndarray, target: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which hips (n,) bool are held back for validation: those of about one patient in ``folds``; 0: none.

    Classes (n, heads) are held back in proportion; ``patients`` (n,) names each hip's patient.

    Raises:
        CohortError: There are too few patients.
    """
    if not folds:
        return np.zeros(len(patients), dtype=bool)
    # Imported here: scikit-learn takes a second, and few trainings have a validation split.
    from hipoa.grading.data.stratified_split import split_patients

    _, kinds = np.unique(target, axis=0, return_inverse=True)
    fold_of = split_patients(patients.tolist(), kinds.ravel().tolist(), folds, [seed], "inner_folds")
    return np.array([fold_of[patient] == 0 for patient in patients.tolist()], dtype=bool)


def select_training(
    rows: Sequence[Mapping[str, str]],
    fold_of: Mapping[str, int],
    fold: int,
    heads: Sequence[Head],
    where: str,
) -> list[Mapping[str, str]]:
    """The hips that a fold's model is trained on: those of all other folds that are graded on a head.

    Of a task's two heads, a hip may be graded on one alone. ``where`` is the job's name, for messages.

    Raises:
        CohortError: There is no such fold, or fewer than two hips are left.
    """
    names = {head.name for head in heads}
    chosen = [
        row
        for row in rows
        if row["status"] == "ok"
        and fold_of.get(row["patient_id"], fold) != fold
        and any(row[name] for name in names)
    ]
    if fold not in fold_of.values() or len(chosen) < 2:
        raise CohortError(
            where,
            f"{len(chosen)} hips graded on {' or '.join(sorted(names))} lie outside fold {fold}, "
            f"of {len(rows)} rows in the table of hips",
            "Name a fold of the table of folds, and label more hips.",
        )
    return chosen


def _read_training(
    hips: Path, stack: Path, rows: Sequence[Mapping[str, str]], heads: Sequence[Head]
) -> tuple[Radiographs, np.ndarray]:
    target_of = {row["hip_id"]: [head.target(row) for head in heads] for row in rows}
    radiographs = read_radiographs(hips, stack)
    images = radiographs.where(np.isin(radiographs.hip_id, list(target_of)))
    if len(images) < len(target_of):
        missing = sorted(target_of.keys() - set(images.hip_id.tolist()))
        raise CohortError(
            stack.name, f"{len(missing)} hips are missing, the first is {missing[0]}", "Run hips again."
        )
    return images, np.array([target_of[hip] for hip in images.hip_id.tolist()], dtype=np.int64)


def _make_key(
    settings: TrainSettings,
    row: Experiment,
    images: Radiographs,
    target: np.ndarray,
    seed: int,
    pretrained: Path | None,
) -> str:
    """A hash of everything that the result depends on, for the checkpoint."""
    digest = hashlib.sha256(images.radiograph.tobytes() + target.tobytes())
    parts = [
        settings.model_dump(),
        row.model_dump(exclude={"weights"}),
        sha256(pretrained) if pretrained else "",
        [seed, torch.__version__, code_hash("hipoa.grading.training.train")],
    ]
    digest.update(json.dumps(parts).encode())
    return digest.hexdigest()


def _write_model(out: Path, network: GradingNetwork, *, half: bool) -> None:
    # The statistics of batch normalisation are no parameters: they may be too large for float16, and stay.
    halved = {name for name, _ in network.backbone.named_parameters()} if half else set()
    tensors = {
        name: (tensor.half() if name in halved else tensor).detach().cpu().contiguous()
        for name, tensor in network.backbone.state_dict().items()
    }
    with replacing(out) as temporary:
        save_file(tensors, temporary)


def _describe(
    training: Training, row: Experiment, heads: Sequence[Head], patients: np.ndarray
) -> dict[str, object]:
    settings, network, target = training.settings, training.network, training.target
    return {
        **row.model_dump(),
        "dropout": settings.dropout,
        "dropout_where": settings.dropout_where,
        "mean": _to_list(network.mean),
        "std": _to_list(network.std),
        "n_train": len(target),
        "n_train_patients": len(np.unique(patients)),
        "class_counts": {
            head.name: np.bincount(column[column != MISSING], minlength=head.classes).tolist()
            for head, column in zip(heads, target.T, strict=True)
        },
        "settings": settings.model_dump(),
        "device": network.mean.device.type,
    }


def _to_list(channels: torch.Tensor) -> list[float]:
    # Through text of float32's 7 digits, so that 0.485 stays 0.485.
    return [float(f"{value:.7g}") for value in channels.flatten().tolist()]
