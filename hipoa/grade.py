"""Grades one new CT with the models of a finished study, on the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hipoa.core.constants import SIDE_NAMES
from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, read_json, read_npz, sha256, write_json
from hipoa.core.settings import settings_error
from hipoa.core.tables.rows import hip_id
from hipoa.evaluation.passes import HipUncertainty, combine_models, summarise_passes
from hipoa.grading.device import explain_out_of_memory
from hipoa.grading.inference.knn_distance import out_of_distribution_score
from hipoa.grading.inference.predict import (
    Prediction,
    add_grade,
    load_network,
    predict_hips,
    read_heads,
    seed_hips,
)
from hipoa.grading.settings import ClassTable, PredictSettings
from hipoa.grading.tasks import CROWE, GRADE, HEADS, KL
from hipoa.imaging.ct.formats import stem
from hipoa.imaging.drr import make_radiographs
from hipoa.imaging.settings import DevelopSettings, MarkSettings, ProjectSettings

UNLIKE = 0.99
"""A new hip that is farther from the study's hips than this share of them is said to be unlike them."""


@dataclass(frozen=True)
class Model:
    """One trained network of the study."""

    where: str  # how messages and seeds name it
    fold: int
    file: Path
    facts: Mapping[str, Any]
    reference: np.ndarray  # (n, D), the features of hips that it has not seen


def run(
    marks: MarkSettings,
    ct: Path,
    *,
    study: Path,
    out: Path,
    labels: Path | None = None,
    landmarks: Path | None = None,
    series: str = "",
    experiment: str = "",
    repeats: int = 1,
) -> None:
    """Grades both hips of one CT with the models that the study's manifest lists.

    Prints each hip's grade, probability and uncertainty, and writes NAME.json and the radiographs that the
    models saw, NAME_L.png and NAME_R.png. The patient must not be one of the study.

    Args:
        marks: What becomes of landmarks and labels that the CT does not confirm.
        ct: A NIfTI, MetaImage or NRRD file, or DICOM: a folder, zip, DICOMDIR or one image of the series.
        study: The folder of results of a finished study, with manifest.json.
        out: The folder to write to.
        labels: A label map, or a folder of masks, that shows the femora.
        landmarks: A table of hip centres; it takes precedence over labels.
        series: The DICOM series to read where there are several, by number or by name (3b).
        experiment: The experiment whose models are used; by default the one that ranks the pool.
        repeats: The number of repeats whose models are used; each has one model per fold.

    Raises:
        CtError: The CT cannot be read, or shows no hip.
        ConfigError: The study has no such models.
    """
    manifest = _read_manifest(study)
    config = manifest["configuration"]
    project, look, settings, table = _read_settings(config, marks)
    models = _find_models(study, manifest, experiment, repeats)
    made = make_radiographs(ct, labels, landmarks, series, project, look, free_ct=False)
    radiographs = np.stack([image for image, _ in made.images.values()])
    names = np.array([hip_id(stem(ct), side) for side in made.images])
    predictions = [_predict(model, radiographs, names, settings, table, config["seed"]) for model in models]
    heads = _combine(models, predictions, config["uncertainty"]["variance_of"])
    pairs = zip(models, predictions, strict=True)
    novelty = np.mean(
        [out_of_distribution_score(one.features, model.reference) for model, one in pairs], axis=0
    )
    hips = {side: _describe(heads, row, table, float(novelty[row])) for row, side in enumerate(made.images)}
    record = {
        "study": manifest["study"],
        "models": [model.where for model in models],
        "experiment": models[0].facts["experiment"],
        "passes": settings.passes,
        "hips": hips,
        **made.describe(),
    }
    record["warnings"] += _compare_renderer(str(record["renderer"]), study)
    made.write(ct, out)
    write_json(out / f"{stem(ct)}.json", record)
    _print_grades(record)


def _find_models(study: Path, manifest: Mapping[str, Any], experiment: str, repeats: int) -> list[Model]:
    """The models of an experiment, or of the one that ranks the pool, each checked by its hash."""
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


def _read_manifest(study: Path) -> dict[str, Any]:
    path = study / "manifest.json"
    if path.is_file():
        return read_json(path)
    do = "Name the results of a finished study."
    raise ConfigError(f"--study {study.name}", "there is no manifest.json", do)


def _read_settings(
    config: Mapping[str, Any], marks: MarkSettings
) -> tuple[ProjectSettings, DevelopSettings, PredictSettings, ClassTable]:
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


def _compare_renderer(renderer: str, study: Path) -> list[str]:
    rows = read_csv(study / "hips" / "labelled.csv")
    others = sorted({row["renderer"] for row in rows} - {"", renderer})
    said = f"the study's radiographs were made by {', '.join(others)}, this one by {renderer}"
    return [said] if others else []


def _predict(
    model: Model,
    radiographs: np.ndarray,
    names: np.ndarray,
    settings: PredictSettings,
    table: ClassTable,
    seed: int,
) -> Prediction:
    with explain_out_of_memory(model.where, "Grade on a machine with more memory."):
        prediction = predict_hips(
            load_network(model.file, model.facts),
            read_heads(model.facts),
            radiographs,
            seed_hips(names, seed, model.where),
            settings,
            input_px=model.facts["input_px"],
            where=model.where,
        )
    return add_grade(prediction, table)


def _combine(
    models: Sequence[Model], predictions: Sequence[Prediction], variance_of: str
) -> dict[str, HipUncertainty]:
    found = {}
    for name in predictions[0].passes:
        pairs = zip(models, predictions, strict=True)
        parts = [summarise_passes(one.passes[name], HEADS[name], model.fold) for model, one in pairs]
        found[name] = combine_models(parts, len(predictions[0].features), variance_of, HEADS[name])
    return found


def _describe(
    heads: Mapping[str, HipUncertainty], row: int, table: ClassTable, novelty: float
) -> dict[str, Any]:
    hips = heads[GRADE.name]
    grade = int(hips.predicted[row])
    crowe, kl = table.class_table[grade - 1]
    apart = {name: int(heads[name].predicted[row]) for name in (CROWE.name, KL.name) if name in heads}
    between = float(hips.between_model_variance[row])
    return {
        "grade": grade,
        "crowe": crowe,
        "kl": kl,
        **apart,
        "probability": round(float(hips.probability[row, grade - 1]), 4),
        "probabilities": [round(float(value), 4) for value in hips.probability[row]],
        "value": None if np.isnan(hips.value[row]) else round(float(hips.value[row]), 3),
        "variance": float(f"{hips.variance[row]:.6g}"),
        "between_model_variance": None if np.isnan(between) else float(f"{between:.6g}"),
        "n_models": int(hips.n_models[row]),
        "closer_than_this": None if np.isnan(novelty) else round(novelty, 3),
        "unlike_the_study": bool(novelty > UNLIKE),
    }


def _print_grades(record: Mapping[str, Any]) -> None:
    for side, hip in record["hips"].items():
        name = f"{SIDE_NAMES[side]} hip"
        print(
            f"{name}: class {hip['grade']} (Crowe {hip['crowe']}, KL {hip['kl']}), "
            f"probability {hip['probability']:.2f}, variance {hip['variance']:.3g} over "
            f"{record['passes']} passes of {hip['n_models']} models"
        )
        if hip["unlike_the_study"]:
            warning = "warning: this hip is unlike the hips of the study; do not rely on its grade"
            print(f"{name}: {warning}", file=sys.stderr)
    for note in record["warnings"]:
        print(note, file=sys.stderr)
    print("Research software, not a medical device: nothing here may decide about a patient.")
