"""What a study will cost: jobs, disk, memory and time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path

import torch

from hipoa.core.columns import read_columns
from hipoa.core.errors import ConfigError
from hipoa.core.files import write_json
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.cost import RATED_GPU, count_activations, look_up_step, measure_step
from hipoa.grading.training.fit import build_untrained
from hipoa.workflow.durations import Machine, NetworkTime, bound_wall, measure_pace, time_jobs
from hipoa.workflow.study import Study

_FLOAT_BYTES = 4
_HIP_BYTES = 60_000
"""Of a hip's radiograph and its rows, in all the files that hold it; measured in the demo."""
_VIEW_BYTES = 2_500_000
"""Of a hip's view, its CT slices and half of its pelvis' view, in the results and in the cache."""
_REPORT_BYTES = 15_000_000
"""Of report, figures, saliency maps and tables; measured in the demo."""
_CT_MM3_BYTES = 36e6
"""Bytes of a compressed synthetic CT, for voxels of one cubic millimetre; measured in the demo."""
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


@dataclass(frozen=True)
class Disk:
    """Bytes on disk."""

    kept: int  # when the study is finished
    peak: int  # at most, while it runs


def find_machine(cores: int | None = None, gpus: int | None = None) -> Machine:
    """So many cores and GPUs, by default those that this process may use.

    Raises:
        ConfigError: There is no core, or a number is negative.
    """
    cores = len(os.sched_getaffinity(0)) if cores is None else cores
    for flag, number, least in (("--cores", cores, 1), ("--gpus", gpus or 0, 0)):
        if number < least:
            raise ConfigError(flag, f"{number} is fewer than {least}", "Name how many there are.")
    return Machine(cores, torch.cuda.device_count() if gpus is None else gpus)


def announce_costs(study: Study, machine: Machine, steps: int, out: Path | None) -> None:
    """Prints what the study will cost on a machine, and writes it if asked to.

    ``steps`` of training are measured for each network, unless it will be trained on a GPU that is not here.

    Raises:
        ConfigError: The disk is too small.
    """
    hips = count_hips(study)
    costs = {
        name: estimate(study, name, hips, steps, on_gpu=machine.gpus > 0)
        for name in study.config["experiments"]
    }
    jobs, disk = count_jobs(study), sum_disk(study, costs, hips, machine)
    times = time_jobs(study, _time_networks(study, costs), measure_pace())
    walls = bound_wall(times, machine)
    print(*describe(study, jobs, costs, disk, hips), *_describe_time(costs, times, walls, machine), sep="\n")
    if out is not None:
        facts = {"jobs": jobs, "disk_bytes": disk.kept, "peak_disk_bytes": disk.peak, "hips": hips}
        facts |= {"job_seconds": times, "wall_seconds": walls}
        write_json(out, facts | {"experiments": {name: vars(cost) for name, cost in costs.items()}})
    folder = Path(study.results).resolve()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if disk.peak > free:
        raise ConfigError(
            "disk",
            f"the study needs {_size(disk.peak)} and {_size(free)} are free",
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


def estimate(study: Study, name: str, hips: Mapping[str, int], steps: int, *, on_gpu: bool = False) -> Cost:
    """The cost of one experiment, with so many hips of each cohort.

    ``steps`` of training are measured; if they will be made on a GPU and here is none, they are looked up.
    """
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
    if on_gpu and not torch.cuda.is_available():
        rate = look_up_step(settings, row)
    else:
        rate = measure_step(settings, row, heads, steps) if steps else None
    step_s, image_s = rate or (None, None)
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


def sum_disk(study: Study, costs: Mapping[str, Cost], hips: Mapping[str, int], machine: Machine) -> Disk:
    """Bytes on disk that the study will need.

    At most, each training that runs at the same time has a checkpoint, and of models that are not kept the
    one before it waits for its predictions.
    """
    at_once = machine.gpus or machine.cores
    keep = study.config["keep_models"] == "all"
    models = sum(cost.models * cost.model_bytes for cost in costs.values())
    predictions = sum(cost.prediction_bytes for cost in costs.values())
    n_hips = sum(hips.values())
    projections = n_hips * study.config["project"]["detector_px"] ** 2 * _FLOAT_BYTES
    # The cache of the cases holds the projections once more.
    kept = models * keep + predictions + 2 * projections + n_hips * _HIP_BYTES + _REPORT_BYTES
    kept += _builtin_bytes(study) + sum(_pretrained_bytes(study, costs).values())
    kept += n_hips * _VIEW_BYTES * study.config["reading"]
    trained = max(costs.values(), key=lambda cost: cost.checkpoint_bytes)
    waiting = 0 if keep else min(models, 2 * at_once * max(cost.model_bytes for cost in costs.values()))
    checkpoints = min(at_once, trained.models) * trained.checkpoint_bytes
    return Disk(kept, kept + waiting + checkpoints)


def _builtin_bytes(study: Study) -> int:
    """Of the CTs of the built-in cohort."""
    shards = (shard for shards in study.shards.values() for shard in shards.items())
    n_cts = sum(len(cases) for shard, cases in shards if study.is_builtin(shard))
    return round(n_cts * _CT_MM3_BYTES / prod(study.config["phantom"]["spacing_mm"]))


def _pretrained_bytes(study: Study, costs: Mapping[str, Cost]) -> dict[str, int]:
    """Of the pre-trained weights of each network, whatever precision the models are kept in."""
    half = 2 if study.config["train"]["half_precision"] else 1
    rows = study.config["experiments"]
    return {
        rows[name]["network"]: half * cost.model_bytes
        for name, cost in costs.items()
        if rows[name]["weights"] != "none"
    }


def describe(
    study: Study, jobs: Mapping[str, int], costs: Mapping[str, Cost], disk: Disk, hips: Mapping[str, int]
) -> list[str]:
    """What is printed of jobs, disk and memory, line by line."""
    listed = ", ".join(f"{count} {rule}" for rule, count in jobs.items())
    counted = ", ".join(f"{count} {cohort}" for cohort, count in hips.items())
    lines = [
        f"study {study.config['study']}: {counted} hips",
        f"jobs: {sum(jobs.values())} ({listed})",
        f"disk: {_size(disk.kept)}, at most {_size(disk.peak)} while it runs",
    ]
    for name, cost in costs.items():
        lines.append(
            f"{name}: {cost.models} models of {_size(cost.model_bytes)}, predictions "
            f"{_size(cost.prediction_bytes)}; a training needs at least {_size(cost.memory_bytes)} of memory"
        )
    return lines


def _time_networks(study: Study, costs: Mapping[str, Cost]) -> dict[str, NetworkTime]:
    repeated = study.config["train"]["dropout_where"] == "everywhere"
    passes = 1 + study.config["predict"]["passes"] if repeated else 1
    return {
        name: NetworkTime(cost.step_s * cost.train_steps / cost.models, cost.image_s * passes)
        for name, cost in costs.items()
        if cost.step_s is not None and cost.image_s is not None
    }


def _describe_time(
    costs: Mapping[str, Cost],
    times: Mapping[str, Collection[float]],
    walls: Mapping[str, float],
    machine: Machine,
) -> Iterator[str]:
    """What each stage takes, and the whole study."""
    here = torch.cuda.get_device_name() if torch.cuda.is_available() else "one core of this machine"
    where = f"{RATED_GPU} (measured elsewhere)" if machine.gpus and not torch.cuda.is_available() else here
    for name, cost in costs.items():
        if cost.step_s is not None:
            yield f"{name}: {cost.step_s:.3g} s a step and {cost.image_s:.3g} s an image and pass on {where}"
    unknown = [name for name, cost in costs.items() if cost.step_s is None]
    yield f"{'expected':12} {'jobs':>6} {'in all':>13} {'longest':>13}"
    for stage, seconds in times.items():
        yield f"{stage:12} {len(seconds):>6} {_duration(sum(seconds)):>13} {_duration(max(seconds)):>13}"
    parts = ", ".join(f"{part} {_duration(seconds)}" for part, seconds in walls.items())
    left_out = f", without the networks of {', '.join(unknown)}" if unknown else ""
    yield f"time: at least {_duration(sum(walls.values()))} on {machine}{left_out} ({parts})"
    if unknown:
        do = "run python -m hipoa plan on a machine like the one that will train them"
        yield f"time of {', '.join(unknown)}: not measured; {do}"


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
    return f"{seconds:.0f} s"
