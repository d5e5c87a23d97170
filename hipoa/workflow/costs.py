"""What a study will cost: jobs, disk, memory and time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import torch

from hipoa.core.columns import read_columns
from hipoa.core.errors import ConfigError
from hipoa.core.files import write_json
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.cost import count_activations, measure_step
from hipoa.grading.training.fit import build_untrained
from hipoa.workflow.study import Study

_FLOAT_BYTES = 4
_MOMENTS = {"adamw": 2, "adam": 2, "sgd": 1}
"""What an optimiser keeps of each weight, beside itself and its gradient."""


@dataclass(frozen=True)
class Cost:
    """What one experiment costs."""

    models: int  # how many are trained
    model_bytes: int  # on disk, each
    prediction_bytes: int  # on disk, of all models
    checkpoint_bytes: int  # on disk while one model is trained
    memory_bytes: int  # of one training: weights, gradients, moments, activations of a batch, images
    step_s: float | None  # of one training step, None if it was not measured
    image_s: float | None  # of one image in one pass without dropout, None likewise
    train_steps: int  # of all models
    predicted: int  # hips, summed over the models
    pool_predicted: int  # those of the pool


def announce_costs(study: Study, steps: int, out: Path | None) -> None:
    """Prints what the study will cost, with so many measured steps of training, and writes it if asked to.

    Raises:
        ConfigError: The disk is too small.
    """
    hips = count_hips(study)
    costs = {name: estimate(study, name, hips, steps) for name in study.config["experiments"]}
    jobs = count_jobs(study)
    disk = sum_disk(study, costs, hips)
    print(*describe(study, jobs, costs, disk, hips), sep="\n")
    if out is not None:
        facts = {"jobs": jobs, "disk_bytes": disk, "hips": hips}
        write_json(out, facts | {"experiments": {name: vars(cost) for name, cost in costs.items()}})
    folder = Path(study.results).resolve()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if disk > free:
        raise ConfigError(
            "disk",
            f"the study needs {_size(disk)} and {_size(free)} are free",
            "Set keep_models: none or train.half_precision: true, lower repeats, or make room.",
        )


def count_hips(study: Study) -> dict[str, int]:
    """Hips of each cohort: with a radiograph where that is known, else two of every CT."""
    tables = {cohort: Path(study.results, "hips", f"{cohort}.csv") for cohort in study.used_cohorts}
    return {
        cohort: int((read_columns(table, ("hip_id", "status"))["status"] == "ok").sum())
        if table.is_file()
        else study.count_hips(cohort)
        for cohort, table in tables.items()
    }


def count_jobs(study: Study) -> dict[str, int]:
    """Jobs of each rule, nothing made yet."""
    return {stage: len(jobs) for stage, jobs in study.jobs.items() if jobs}


def estimate(study: Study, name: str, hips: Mapping[str, int], steps: int) -> Cost:
    """The cost of one experiment, with so many hips of each cohort; ``steps`` of training are measured."""
    settings = TrainSettings.model_validate(study.config["train"])
    row = Experiment.model_validate(study.config["experiments"][name])
    heads = OutputHeads(TASKS[row.task], row.loss)
    with torch.device("meta"):
        network = build_untrained(settings, row, heads)
    weights = sum(parameter.numel() for parameter in network.backbone.parameters())
    buffers = sum(buffer.nbytes for buffer in network.backbone.buffers())
    folds = study.config["folds"]["folds"]
    trained = ceil(hips["labelled"] * (folds - 1) / folds)
    batches = ceil(trained / settings.batch_size)
    of_model = _count_predicted(study, name, hips)
    width = network.backbone.get_classifier().in_features
    stored = heads.n_outputs + (7 if row.task == "separate" and heads.kind == "probability" else 1)
    per_hip = (study.config["predict"]["passes"] * stored + width) * _FLOAT_BYTES
    step_s, image_s = measure_step(settings, row, heads, steps) if steps else (None, None)
    models, moments = len(study.paths("train", experiment=name)), _MOMENTS[settings.optimiser]
    return Cost(
        models=models,
        model_bytes=weights * (2 if settings.half_precision else _FLOAT_BYTES) + buffers,
        prediction_bytes=sum(of_model.values()) * per_hip,
        # With a validation split it holds the best epoch too.
        checkpoint_bytes=(1 + moments + settings.inner_best) * weights * _FLOAT_BYTES,
        memory_bytes=(2 + moments) * weights * _FLOAT_BYTES
        + count_activations(network, settings, row.input_px)
        + trained * row.input_px**2 * _FLOAT_BYTES,
        step_s=step_s,
        image_s=image_s,
        train_steps=models * settings.epochs * batches,
        predicted=sum(of_model.values()),
        pool_predicted=of_model.get("pool", 0),
    )


def _count_predicted(study: Study, name: str, hips: Mapping[str, int]) -> dict[str, int]:
    """Hips predicted, summed over the models: a labelled one by its own fold's, others by every fold's."""
    models = {
        cohort: len(study.paths("predict", experiment=name, cohort=cohort))
        for cohort in study.predicted_cohorts(name)
    }
    folds = study.config["folds"]["folds"]
    return {name: hips[name] * n // (folds if name == "labelled" else 1) for name, n in models.items()}


def sum_disk(study: Study, costs: Mapping[str, Cost], hips: Mapping[str, int]) -> int:
    """Bytes on disk that the study will need, with the checkpoint of one training."""
    keep = study.config["keep_models"] == "all"
    models = sum((cost.models if keep else 1) * cost.model_bytes for cost in costs.values())
    predictions = sum(cost.prediction_bytes for cost in costs.values())
    projections = sum(hips.values()) * study.config["project"]["detector_px"] ** 2 * _FLOAT_BYTES
    largest = max(cost.checkpoint_bytes for cost in costs.values())
    # The cache of the cases holds the projections once more.
    return models + predictions + 2 * projections + largest


def describe(
    study: Study, jobs: Mapping[str, int], costs: Mapping[str, Cost], disk: int, hips: Mapping[str, int]
) -> list[str]:
    """What is printed, line by line."""
    listed = ", ".join(f"{count} {rule}" for rule, count in jobs.items())
    counted = ", ".join(f"{count} {cohort}" for cohort, count in hips.items())
    lines = [
        f"study {study.config['study']}: {counted} hips",
        f"jobs: {sum(jobs.values())} ({listed})",
        f"disk: {_size(disk)}",
    ]
    for name, cost in costs.items():
        lines.append(
            f"{name}: {cost.models} models of {_size(cost.model_bytes)}, predictions "
            f"{_size(cost.prediction_bytes)}; a training needs at least {_size(cost.memory_bytes)} of memory"
        )
        lines += _describe_time(study, name, cost)
    return lines


def _describe_time(study: Study, name: str, cost: Cost) -> list[str]:
    if cost.step_s is None or cost.image_s is None:
        return []
    repeated = study.config["train"]["dropout_where"] == "everywhere"
    passes = 1 + study.config["predict"]["passes"] if repeated else 1
    training = cost.step_s * cost.train_steps
    pool = cost.image_s * passes * cost.pool_predicted
    others = cost.image_s * passes * (cost.predicted - cost.pool_predicted)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    return [
        f"{name}: {cost.step_s:.3g} s a step and {cost.image_s:.3g} s an image and pass on {device}: "
        f"training {_duration(training)}, one after the other; prediction {_duration(others)}, "
        f"of the pool {_duration(pool)}"
    ]


def _size(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} GB" if n < 1000 else f"{n:.0f} GB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
