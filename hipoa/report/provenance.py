"""The stage, settings, code and input files of every table and figure, for the manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from hipoa.workflow.stages import STAGES

_OF_ONE = ("uncertainty", "explanations")

ORIGINS = {
    re.sub(r"\{\w+\}", "*", path): name
    for name, stage in STAGES.items()
    if stage.inputs
    for path in stage.outputs
}
"""File, or pattern of files, to the stage that makes it."""


def trace_files(names: Iterable[str], configuration: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What made each file that a stage of the evaluation, triage or report writes.

    Args:
        names: Of all files with a hash, relative to the results.
        configuration: As resolved, with the hashes of the stages' code under ``code``.

    Returns:
        File to its stage, its settings, the hash of its code and the files that it was made from.
    """
    known = sorted(names)
    found = {}
    for name in known:
        for pattern, made_by in ORIGINS.items():
            if fnmatchcase(name, pattern):
                stage = STAGES[made_by]
                sections = (*stage.sections, *stage.other_sections)
                found[name] = {
                    "stage": made_by,
                    "settings": {part: configuration.get(part, {}) for part in sections},
                    "code": configuration.get("code", {}).get(made_by, ""),
                    "inputs": [
                        other
                        for other in known
                        if any(fnmatchcase(other, wanted) for wanted in stage.inputs) and _is_of(name, other)
                    ],
                }
    return found


def _is_of(name: str, other: str) -> bool:
    """Whether one file can be made from another: not from itself, nor from one of another experiment."""
    if name == other:
        return False
    folder, _, experiment = name.partition("/")
    of, _, source = other.partition("/")
    if folder not in _OF_ONE or of not in (*_OF_ONE, "models"):
        return True
    return source.split("/")[0].split(".")[0] == experiment.split(".")[0]
