"""The models of a finished study and the settings that made them, as its manifest lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_json, read_npz, sha256
from hipoa.core.settings import settings_error
from hipoa.grading.settings import ClassTable, PredictSettings
from hipoa.imaging.settings import DevelopSettings, MarkSettings, ProjectSettings


@dataclass(frozen=True)
class Model:
    """One trained network of the study."""

    where: str  # how messages and seeds name it
    fold: int
    file: Path
    facts: Mapping[str, Any]
    reference: np.ndarray  # (n, D), the features of hips that it has not seen


def find_models(study: Path, manifest: Mapping[str, Any], experiment: str, repeats: int) -> list[Model]:
    """The models of an experiment, or of the one that ranks the pool, each checked by its hash.

    Raises:
        ConfigError: The study has no such models, or their files are gone or others.
    """
    experiments = list(dict.fromkeys(entry["experiment"] for entry in manifest["models"]))
    wanted = experiment or manifest["configuration"]["triage"]["experiment"] or next(iter(experiments), "")
    chosen = [
        _find_model(study, entry)
        for entry in manifest["models"]
        if entry["experiment"] == wanted and entry["repeat"] < max(1, repeats)
    ]
    if not chosen:
        found = f'the study has no models of "{wanted}"'
        raise ConfigError("--experiment", found, f"Use one of: {', '.join(experiments)}.")
    return chosen


def read_manifest(study: Path) -> dict[str, Any]:
    """The manifest of a finished study.

    Raises:
        ConfigError: There is none.
    """
    path = study / "manifest.json"
    if path.is_file():
        return read_json(path)
    do = "Name the results of a finished study."
    raise ConfigError(f"--study {study.name}", "there is no manifest.json", do)


def read_study_settings(
    config: Mapping[str, Any], marks: MarkSettings
) -> tuple[ProjectSettings, DevelopSettings, PredictSettings, ClassTable]:
    """The settings of a study, but for what becomes of marks that a CT does not confirm.

    Raises:
        ConfigError: This version of hipoa has other settings.
    """
    try:
        return (
            ProjectSettings.model_validate(config["project"] | marks.model_dump()),
            DevelopSettings.model_validate(config["develop"]),
            PredictSettings.model_validate(config["predict"]),
            ClassTable.model_validate({name: config["hips"][name] for name in ClassTable.model_fields}),
        )
    except ValidationError as error:
        do = "Run the study again with settings that this version of hipoa has."
        raise settings_error("manifest.json", error, do) from None


def _find_model(study: Path, entry: Mapping[str, Any]) -> Model:
    file = study / entry["file"]
    if not file.is_file():
        do = "Run the study again with keep_models: all."
        raise ConfigError(entry["file"], "the model is not there", do)
    if sha256(file) != entry["sha256"]:
        found = "the file is not the one that the manifest lists"
        raise ConfigError(entry["file"], found, "Run the study again.")
    experiment, name = entry["experiment"], f"r{entry['repeat']}f{entry['fold']}"
    unseen = read_npz(study / "predictions" / experiment / name / "labelled.npz")
    facts = read_json(file.with_suffix(".json"))
    return Model(f"{experiment} {name}", entry["fold"], file, facts, unseen["features"])
