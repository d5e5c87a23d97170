"""How long the jobs of a study take, and the study as a whole on so many cores and GPUs."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from hipoa.workflow.stages import STAGES
from hipoa.workflow.study import Study

NETWORKS = ("train", "predict")
"""The stages that can run on a GPU, and that take the time of their networks besides that of `Need`."""

_THREADED = ("project", "view")
_THREADS = 4
"""What the rules of CTs declare."""

# The processor time of `measure_pace` on the reference machine, a core of a virtual x86-64 with AVX-512.
_REFERENCE_S = 0.042
# A synthetic CT with voxels of 1.6 x 2.5 x 1.6 mm, of which seven tenths of the time goes with the voxels.
_VOXEL_MM3, _BY_VOXEL = 6.4, 0.7


@dataclass(frozen=True)
class NetworkTime:
    """Seconds that the networks of one experiment take, without the start of a process."""

    training_s: float  # of one model
    hip_s: float  # of one hip in all passes of one model


@dataclass(frozen=True)
class Machine:
    """What runs jobs at the same time."""

    cores: int
    gpus: int = 0  # each runs one training or prediction at a time; 0: these run on the cores

    def __str__(self) -> str:
        counts = ((self.cores, "core"), (self.gpus, "GPU"))
        return " and ".join(f"{n} {name}{'s' * (n > 1)}" for n, name in counts if n)


def measure_pace() -> float:
    """How much slower this machine is than the reference machine, by a tenth of a second of arithmetic.

    It is processor time: what other programs do at this moment says nothing of the hours to come.
    """
    started, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number * number % 7
    return (time.process_time() - started) / _REFERENCE_S


def time_jobs(study: Study, networks: Mapping[str, NetworkTime], pace: float) -> dict[str, list[float]]:
    """Seconds on one core of every job, by stage.

    Args:
        study: The study, of which nothing is made yet.
        networks: The time of each experiment's networks; trainings and predictions of others are left out.
        pace: Of this machine, as :func:`measure_pace` gives it; that of the networks is in theirs.
    """
    jobs = {
        stage: [_time_job(study, stage, row, networks, pace) for row in rows]
        for stage, rows in study.jobs.items()
        if stage not in NETWORKS
    }
    for stage in NETWORKS:
        known = (row for row in study.jobs[stage] if row["experiment"] in networks)
        jobs[stage] = [_time_job(study, stage, row, networks, pace) for row in known]
    return {stage: jobs[stage] for stage in STAGES if jobs[stage]}


def bound_wall(jobs: Mapping[str, Collection[float]], machine: Machine) -> dict[str, float]:
    """Seconds by the clock of the three parts of a study, one after the other: CTs, networks, evaluation.

    Of each part it is the work over the cores, and never less than the longest job: a bound from below, as if
    no core ever waited.
    """
    names = list(STAGES)
    first, last = (names.index(stage) for stage in NETWORKS)
    parts = {"CTs": names[:first], "networks": names[first : last + 1], "evaluation": names[last + 1 :]}
    walls = {}
    for part, stages in parts.items():
        slots = machine.gpus if part == "networks" and machine.gpus else machine.cores
        work = sum(sum(jobs.get(stage, ())) for stage in stages)
        longest = max(
            (_longest(stage, jobs[stage], machine) for stage in stages if stage in jobs), default=0.0
        )
        walls[part] = max(work / slots, longest)
    return walls


def _longest(stage: str, seconds: Collection[float], machine: Machine) -> float:
    return max(seconds) / (min(_THREADS, machine.cores) if stage in _THREADED else 1)


def _time_job(
    study: Study, stage: str, row: Mapping[str, Any], networks: Mapping[str, NetworkTime], pace: float
) -> float:
    need, cohort = STAGES[stage].need, row.get("cohort", "")
    hips = study.count_hips(need.cohort or cohort, row.get("shard", ""))
    per_hip = need.seconds_per_hip
    if study.is_builtin(row.get("shard", "")):
        voxel_mm3 = prod(study.config["phantom"]["spacing_mm"])
        per_hip *= 1 - _BY_VOXEL + _BY_VOXEL * _VOXEL_MM3 / voxel_mm3
    seconds = pace * (need.seconds + per_hip * hips)
    if stage == "train":
        seconds += networks[row["experiment"]].training_s
    if stage == "predict":
        # A labelled hip is predicted by the model of its own fold alone.
        share = study.config["folds"]["folds"] if cohort == "labelled" else 1
        seconds += networks[row["experiment"]].hip_s * hips / share
    return seconds
