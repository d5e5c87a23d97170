"""Where every table and figure comes from: the stage, its settings and code, and the files that it read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from hipoa.report.outputs import DRAWN, DRAWN_FROM, SOURCES

_UNCERTAINTY, _HIPS = "uncertainty/*.csv", "hips/*.csv"
_OF_ONE = ("uncertainty", "explanations")
_READ = (_HIPS, "hips/*.npz", _UNCERTAINTY, "models/*/*.json")


@dataclass(frozen=True)
class Origin:
    """What makes some files.

    Attributes:
        stage: Its name, which is that of its rule and its subcommand.
        sections: Of the configuration, that it is given.
        inputs: Patterns of the files that it reads, relative to the results.
    """

    stage: str
    sections: tuple[str, ...]
    inputs: tuple[str, ...]


_GRADED = tuple(f"hips/{cohort}.{kind}" for cohort in ("labelled", "external") for kind in ("csv", "npz"))
_METRICS = Origin("metrics", ("metrics", "bootstrap", "hips"), (_UNCERTAINTY, _HIPS, "phantom/*/*.truth.csv"))
_COMPARE = Origin("compare", ("bootstrap",), (_UNCERTAINTY,))
_CALIBRATE = Origin("calibrate", ("bootstrap",), (_UNCERTAINTY,))
_DETECT = Origin("detect", ("bootstrap",), (_UNCERTAINTY,))

ORIGINS = {
    # The predictions are too large to be hashed: the records tell the models that made them.
    "uncertainty/*.csv": Origin("uncertainty", ("uncertainty",), (_HIPS, "models/*/*.json")),
    "metrics.csv": _METRICS,
    "confusion.csv": _METRICS,
    "subgroups.csv": _METRICS,
    "compare.csv": _COMPARE,
    "differences.csv": _COMPARE,
    "calibration.csv": _CALIBRATE,
    "reliability.csv": _CALIBRATE,
    "detection.csv": _DETECT,
    "risk_coverage.csv": _DETECT,
    "conformal.csv": Origin("conform", ("conform", "bootstrap"), (_UNCERTAINTY,)),
    "embedding.csv": Origin("embed", ("embed",), ("hips/labelled.csv", "models/*/*.json")),
    "explanations/*.npz": Origin(
        "explain", ("explain",), (_UNCERTAINTY, "hips/labelled.npz", "models/*/r0f*.json")
    ),
    "triage.csv": Origin("triage", ("triage",), (_UNCERTAINTY, _HIPS, "models/*/*.json")),
    "label_errors.csv": Origin("label_errors", ("label_errors",), (_UNCERTAINTY, "hips/labelled.csv")),
    "simulation.csv": Origin("simulate", ("simulate", "triage", "bootstrap"), (*_GRADED, "weights/*.json")),
    "rounds.csv": Origin("rounds", ("bootstrap",), (_UNCERTAINTY, "hips/labelled.csv", "triage.csv")),
    "report.html": Origin(
        "report",
        ("report",),
        (
            *(*_READ, *SOURCES),
            *("figures/*", "weights/*.json", "phantom/*/*.ceiling.json", "explanations/*.npz"),
        ),
    ),
    **{f"figures/{name}": Origin("figures", (), (*_READ, *DRAWN_FROM)) for name in DRAWN},
}
"""File, or pattern of files, to what makes it."""


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
        for pattern, origin in ORIGINS.items():
            if fnmatchcase(name, pattern):
                found[name] = {
                    "stage": origin.stage,
                    "settings": {part: configuration.get(part, {}) for part in origin.sections},
                    "code": configuration.get("code", {}).get(origin.stage, ""),
                    "inputs": [
                        other
                        for other in known
                        if any(fnmatchcase(other, wanted) for wanted in origin.inputs) and _is_of(name, other)
                    ],
                }
    return found


def _is_of(name: str, other: str) -> bool:
    """Whether one file is made from another that may be of another experiment; else always."""
    folder, _, experiment = name.partition("/")
    of, _, source = other.partition("/")
    if folder not in _OF_ONE or of not in (*_OF_ONE, "models"):
        return True
    return source.split("/")[0].split(".")[0] == experiment.split(".")[0]
