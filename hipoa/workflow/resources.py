"""The memory and time that a job asks a machine for, by its stage and the number of its hips.

A job that fails asks for as much again with every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hipoa.workflow.stages import STAGES, Need
from hipoa.workflow.study import Study

_BATCH_MB = 7500
"""MB of a training step of DenseNet161, the largest published network, with 32 images of 224 pixels."""


def ask_memory(study: Study) -> Callable[..., int]:
    """The memory in MB that a rule asks for, as Snakemake wants it: a function."""

    def memory(wildcards: Any, attempt: int, threads: int, rulename: str) -> int:
        need = _find_need(rulename)
        mb = need.mb + need.mb_per_thread * threads + _scale(need.mb_per_1000, study, need, wildcards)
        return attempt * (mb + (_batch_mb(study, wildcards.experiment) if rulename == "train" else 0))

    return memory


def ask_minutes(study: Study) -> Callable[..., int]:
    """The time in minutes that a rule asks for, likewise."""

    def minutes(wildcards: Any, attempt: int, rulename: str) -> int:
        need = _find_need(rulename)
        return attempt * (need.minutes + _scale(need.minutes_per_1000, study, need, wildcards))

    return minutes


def _find_need(rule: str) -> Need:
    return STAGES[rule].need if rule in STAGES else Need()


def _scale(per_1000: int, study: Study, need: Need, wildcards: Any) -> int:
    cohort, shard = need.cohort or getattr(wildcards, "cohort", ""), getattr(wildcards, "shard", "")
    return -(-per_1000 * study.count_hips(cohort, shard) // 1000)


def _batch_mb(study: Study, experiment: str) -> int:
    share = study.config["train"]["batch_size"] / 32
    return round(_BATCH_MB * share * (study.config["experiments"][experiment]["input_px"] / 224) ** 2)
