"""What a study will cost and what it can show, said before it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, write_json
from hipoa.evaluation.comparison.precision import ASSUMPTIONS, DIFFERENCE, HEADINGS, PlannedStudy, expect
from hipoa.workflow.config import resolve
from hipoa.workflow.study import Study


def run(
    *,
    config: Path = Path("config.yaml"),
    steps: int = 2,
    cores: int | None = None,
    gpus: int | None = None,
    precision: bool = False,
    difference: float = DIFFERENCE,
    out: Path | None = None,
) -> None:
    """Prints what the configured study will cost, and refuses it when the disk is too small.

    Jobs and disk are counted, memory is a lower bound. Time is that of a training step measured here, and of
    other stages as measured on a reference machine. GPUs that this machine lacks are taken to be NVIDIA H200,
    on which the published networks were measured.

    Args:
        config: The configuration, as for Snakemake.
        steps: Training steps to time for each network; with 0 none is timed.
        cores: The cores on which the study will run; by default those of this machine.
        gpus: The GPUs that train and predict, one job at a time on each; by default those of this machine.
        precision: Print instead what so many patients can show: the width of intervals, the smallest
            difference of two networks that is found, and the patients that a difference needs.
        difference: The difference in the primary score that should be found with 80 % power.
        out: A JSON file to which the same is written.

    Raises:
        ConfigError: The configuration or a number is at fault or missing, or the disk is too small.
    """
    study = Study(resolve(read_config(config)))
    if precision:
        announce_precision(study, difference, out)
        return
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what is measured here is measured on the CPU
    # It needs torch, precision does not.
    from hipoa.workflow.costs import announce_costs, find_machine

    announce_costs(study, find_machine(cores, gpus), steps, out)


def read_config(path: Path) -> dict[str, Any]:
    """What a configuration sets.

    Raises:
        ConfigError: It cannot be read, or is no list of settings.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        do = "Go to the folder that holds config.yaml, or name it with --config."
        raise ConfigError(str(path), f"it cannot be read ({error.strerror})", do) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f" from line {mark.line + 1} on" if mark else ""
        do = "Correct it: one setting per line, what belongs to it indented by spaces."
        raise ConfigError(str(path), f"it cannot be read as YAML{at}", do) from error
    if not isinstance(given or {}, dict):
        raise ConfigError(str(path), "it holds no settings by name", "Write them as in study: demo.")
    return given or {}


def announce_precision(study: Study, difference: float, out: Path | None) -> None:
    """Prints what the study can show with its patients, by the spread in its results once there are any.

    Raises:
        ConfigError: The difference is not between 0 and 1.
    """
    if not 0 < difference < 1:
        found = f"{difference:g} is not between 0 and 1"
        raise ConfigError("difference", found, "Give one that matters, such as 0.05.")
    settings = PlannedStudy(
        len(study.config["experiments"]), study.config["repeats"], study.config["compare"]["primary_score"]
    )
    table = Path(study.results, "differences.csv")
    found = read_csv(table) if table.is_file() else []
    rows = list(expect(study.count_graded_patients(), settings, found, difference))
    lines = [HEADINGS, *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(
        f"study {study.config['study']}: what its patients can show. A difference of two networks is found "
        f"with a power of 80 %; patients needed: for one of {difference:g}. Primary score: {settings.primary}"
    )
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(ASSUMPTIONS)
    if out is not None:
        write_json(out, {"difference": difference, "expected": [row._asdict() for row in rows]})
