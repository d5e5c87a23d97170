"""What the Snakefile says and sets before the first job: the shell, warnings, the cost of the study."""

from __future__ import annotations

import json
import os
import re
import shlex
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

_SAY_WHY = 'say_why() {{ local status=$?; tail -n 3 "$1" >&2; return $status; }};'
"""A failed job shows the end of its log on the screen."""


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


def announce(given: Mapping[str, Any], home: Path = HOME) -> None:
    """Prints what the configured study will cost, and ends the workflow if the plan refuses it.

    In a process of its own, for it needs torch.

    Args:
        given: The user's settings.
        home: The folder in which the package lies.
    """
    command = [sys.executable, "-m", "hipoa", "plan", "--steps", "0", "--config", "/dev/stdin"]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(command, input=json.dumps(given), env=environment, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def shell_prefix(home: Path = HOME, python: Path | None = None) -> str:
    """What every job's shell runs first: strict mode, and this very package on the path.

    Args:
        home: The folder in which the package lies.
        python: The interpreter that runs Snakemake, which then runs the jobs too, whether or not its
            environment is activated; None where jobs have an environment of their own.
    """
    words = ["set -euo pipefail;", _SAY_WHY, f"export PYTHONPATH={_quote(home)};"]
    words += [f'export PATH={_quote(python.parent)}:"$PATH";'] if python else []
    return " ".join(words) + " "


def _quote(path: Path) -> str:
    # Snakemake formats the prefix like a command: its braces are doubled.
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


def pattern(names: Iterable[str]) -> str:
    """A wildcard constraint that admits these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"
