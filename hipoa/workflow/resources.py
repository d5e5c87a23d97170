"""What a job asks a machine for: memory and time, by its stage and by how many hips it works on.

Standard library only: the Snakefile imports this module from a bare Snakemake. The figures are those of the
benchmark files of runs on a CPU, rounded up; a job that fails asks for as much again with every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hipoa.workflow.study import Study


@dataclass(frozen=True)
class Need:
    """What one job of a stage needs.

    Attributes:
        mb: Memory whatever the number of hips, MB; libraries with torch take 800 of it.
        minutes: Time whatever the number of hips.
        mb_per_1000: Memory for every 1000 hips, MB.
        minutes_per_1000: Time for every 1000 hips.
        mb_per_thread: Memory for every thread, MB.
        cohort: The cohort whose hips count; empty for those that the job's wildcards name.
    """

    mb: int
    minutes: int
    mb_per_1000: int = 0
    minutes_per_1000: int = 0
    mb_per_thread: int = 0
    cohort: str = ""


NEEDS = {
    "phantom": Need(1000, 30, minutes_per_1000=200),
    "project": Need(1000, 60, mb_per_1000=800, minutes_per_1000=120, mb_per_thread=1500),
    "develop": Need(500, 20, mb_per_1000=500, minutes_per_1000=10),
    "view": Need(1000, 60, minutes_per_1000=120, mb_per_thread=1500),
    "hips": Need(500, 20, mb_per_1000=60),
    "folds": Need(1000, 10, mb_per_1000=20, cohort="labelled"),
    "augment": Need(2000, 20, mb_per_1000=60, cohort="labelled"),
    "weights": Need(4000, 60),
    "train": Need(2500, 240, mb_per_1000=250, cohort="labelled"),
    "predict": Need(2500, 60, mb_per_1000=60, minutes_per_1000=10),
    "uncertainty": Need(1000, 30, mb_per_1000=60),
    "metrics": Need(1000, 60, mb_per_1000=60),
    "embed": Need(1500, 60, mb_per_1000=60, cohort="labelled"),
    "explain": Need(2500, 60, mb_per_1000=60, cohort="labelled"),
    "triage": Need(1000, 30, mb_per_1000=100, minutes_per_1000=1),
    "simulate": Need(3000, 240, mb_per_1000=250, minutes_per_1000=120, cohort="labelled"),
    "figures": Need(1500, 30, mb_per_1000=60),
    "report": Need(1500, 30, mb_per_1000=60),
}
_OTHER = Need(1000, 60, mb_per_1000=60)

_BATCH_MB = 7500
"""Of a step of DenseNet161 with 32 images of 224 pixels, the largest of the published networks."""


def ask_memory(study: Study, stage: str) -> Callable[..., int]:
    """The memory in MB that a rule asks for, as Snakemake wants it: a function of job and attempt."""
    need = NEEDS.get(stage, _OTHER)

    def memory(wildcards: Any, attempt: int, threads: int) -> int:
        mb = need.mb + need.mb_per_thread * threads + _scale(need.mb_per_1000, study, need, wildcards)
        return attempt * (mb + (_batch_mb(study, wildcards.experiment) if stage == "train" else 0))

    return memory


def ask_minutes(study: Study, stage: str) -> Callable[..., int]:
    """The time in minutes that a rule asks for, likewise."""
    need = NEEDS.get(stage, _OTHER)

    def minutes(wildcards: Any, attempt: int) -> int:
        return attempt * (need.minutes + _scale(need.minutes_per_1000, study, need, wildcards))

    return minutes


def _scale(per_1000: int, study: Study, need: Need, wildcards: Any) -> int:
    cohort = need.cohort or getattr(wildcards, "cohort", "")
    return -(-per_1000 * study.count_hips(cohort, getattr(wildcards, "shard", "")) // 1000)


def _batch_mb(study: Study, experiment: str) -> int:
    share = study.config["train"]["batch_size"] / 32
    return round(_BATCH_MB * share * (study.config["experiments"][experiment]["input_px"] / 224) ** 2)
