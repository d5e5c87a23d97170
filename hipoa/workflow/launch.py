"""What the Snakefile says and sets before the first job: the shell, warnings, the cost of the study."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hipoa.workflow.config import HOME

_TRIGGERS = {
    "MTIME": "files that were made anew",
    "PARAMS": "changed settings, grades, CTs and code",
    "INPUT": "cases that came or left",
    "SOFTWARE_ENV": "changed environments",
    "CODE": "changed rules",
}

_MEMORY = (
    "most often because the memory ran out. Let fewer jobs run at once (--cores, or --resources mem_mb=MB), "
    "or use a machine with more"
)
_NOTE_SIGNAL = (
    'note_signal() {{ local status=$?; [ $status -le 128 ] || echo "killed by signal $((status - 128))"'
    '"$([ $status -ne 137 ] || echo ": ' + _MEMORY + '")" >> "$1"; return $status; }};'
)
"""A job that is killed cannot say so in its log."""


def is_repetition(record: logging.LogRecord) -> bool:
    """Whether a message of Snakemake has only a failed job's command, which its next message repeats."""
    return getattr(record, "exception", "") == "RuleException" and "CalledProcessError" in record.getMessage()


def find_missing_conda(base: Path | None) -> str:
    """What is wrong with ``--use-conda`` on this machine, as one line; "" if nothing.

    Args:
        base: Snakemake's ``--conda-base-path``.
    """
    if base is not None or shutil.which("conda"):
        return ""
    return (
        "--use-conda: there is no conda on the PATH. Install one (https://conda-forge.org/download), or "
        "leave the option out: after make install all jobs run in .venv."
    )


def find_unseen(triggers: Iterable[str]) -> str:
    """What a run will not notice, as a warning; "" if nothing.

    Args:
        triggers: Of Snakemake's ``--rerun-triggers``, by the names of its enumeration.
    """
    given = set(triggers)
    unseen = [what for trigger, what in _TRIGGERS.items() if trigger not in given]
    if not unseen:
        return ""
    return (
        f"warning: with these --rerun-triggers a run does not see {', '.join(unseen)}: results may be old. "
        "Leave the option out, also of profiles."
    )


def announce(
    given: Mapping[str, Any], cores: int | None, gpus: int | None, *, elsewhere: bool, home: Path = HOME
) -> None:
    """Prints what the configured study will cost, and ends the workflow if the plan refuses it.

    In a process of its own, for it needs torch.

    Args:
        given: The user's settings.
        cores: How many cores the jobs have, or how many jobs run at once; None if it is not known.
        gpus: How many jobs that train or predict run at once on GPUs; None for the GPUs of this machine.
        elsewhere: Whether jobs run on other machines, so that a training step is not measured on this one.
        home: The folder in which the package lies.
    """
    command = [sys.executable, "-m", "hipoa", "plan", "--steps", "0" if elsewhere else "1"]
    command += ["--cores", str(cores)] if cores else []
    command += [] if gpus is None else ["--gpus", str(gpus)]
    command += ["--config", "/dev/stdin"]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(command, input=json.dumps(given), env=environment, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def find_machine(workflow: Any, networks: Iterable[Any]) -> tuple[int | None, int | None]:
    """What :func:`announce` wants to know: cores or jobs at once, and GPUs, from Snakemake's own objects.

    Args:
        workflow: The workflow.
        networks: Its jobs that train or predict.
    """
    at_once = workflow.global_resources["_cores" if workflow.local_exec else "_nodes"].value
    if not any(job.resources.get("gpu", 0) for job in networks):
        return at_once, None if workflow.local_exec else 0
    limit = workflow.global_resources.get("gpu").value
    return at_once, at_once if limit is None else limit


def shell_prefix(home: Path = HOME, python: Path | None = None) -> str:
    """What every job's shell runs first: strict mode, and this very package on the path.

    Args:
        home: The folder in which the package lies.
        python: The interpreter that runs Snakemake, which then runs the jobs too, whether or not its
            environment is activated; None where jobs have an environment of their own.
    """
    # The shell itself is silent: of a killed job it would show the whole command, as Snakemake does too.
    words = ["set -euo pipefail; exec 2>/dev/null;", _NOTE_SIGNAL, f"export PYTHONPATH={_quote(home)};"]
    words += [f'export PATH={_quote(python.parent)}:"$PATH";'] if python else []
    return " ".join(words) + " "


def _quote(path: Path) -> str:
    # Snakemake formats the prefix like a command: its braces are doubled.
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


def pattern(names: Iterable[str]) -> str:
    """A wildcard constraint that admits these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"
