"""One new CT graded by the models of a finished study, on the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from hipoa.core.errors import ConfigError, CtError
from hipoa.core.files import read_csv, read_json, read_npz, sha256, write_json
from hipoa.core.settings import settings_error
from hipoa.core.tables.rows import SIDES, hip_id
from hipoa.evaluation.passes import (
    HipUncertainty,
    ModelSummary,
    combine_models,
    summarise_passes,
)
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
from hipoa.imaging.ct.volume import stem
from hipoa.imaging.develop import RADIOGRAPH_PX, describe, develop, write_png
from hipoa.imaging.localization.scan import Scan, examine, list_missing, require_hip
from hipoa.imaging.projection.quality import describe_ct
from hipoa.imaging.projection.render import choose_renderer
from hipoa.imaging.projection.request import aim
from hipoa.imaging.settings import DevelopSettings, MarkSettings, ProjectSettings

UNLIKE = 0.99
"""Above this share of the study's hips a new hip is said to be unlike them."""

_SIDE_WORDS = {"L": "left hip", "R": "right hip"}


@dataclass(frozen=True)
class Model:
    """One trained network of the study, and the features of hips that it has not seen."""

    experiment: str
    fold: int
    file: Path
    facts: Mapping[str, Any]
    reference: np.ndarray

    @property
    def where(self) -> str:
        """How messages and seeds name it."""
        return f"{self.experiment} r{self.facts['repeat']}f{self.fold}"


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
        landmarks: A table of hip centres; it goes before labels.
        series: Of several DICOM series of CT the number, or name (3b), of the one to read.
        experiment: The experiment whose models grade; empty for the one that ranks the pool.
        repeats: Repeats whose models grade, a count; each brings as many models as there are folds.

    Raises:
        CtError: The CT cannot be read, or shows no hip.
        ConfigError: The study has no such models.
    """
    manifest = _read_manifest(study)
    config = manifest["configuration"]
    project, look, settings, table = _read_settings(config, marks)
    models = find_models(study, manifest, experiment, repeats)
    scan = examine(ct, labels, landmarks, project, series)
    require_hip(scan, ct.name)
    seen, notes, made = _image_hips(scan, ct.name, project, look)
    notes += _compare_renderer(made["renderer"], study)
    radiographs = np.stack([image for image, _ in seen.values()])
    names = np.array([hip_id(stem(ct), side) for side in seen])
    predictions = [_predict(model, radiographs, names, settings, table, config["seed"]) for model in models]
    heads = _combine(models, predictions, config["uncertainty"]["variance_of"])
    novelty = np.mean(
        [
            out_of_distribution_score(prediction.features, model.reference)
            for model, prediction in zip(models, predictions, strict=True)
        ],
        axis=0,
    )
    record: dict[str, Any] = {"study": manifest["study"], "models": [model.where for model in models]}
    record |= {"experiment": models[0].experiment, "passes": settings.passes, "hips": {}, "warnings": notes}
    record |= made
    for row, (side, (image, texts)) in enumerate(seen.items()):
        record["hips"][side] = _describe(heads, row, table, float(novelty[row]))
        write_png(out / f"{stem(ct)}_{side}.png", image, texts)
    write_json(out / f"{stem(ct)}.json", record)
    _say(record)


def find_models(
    study: Path, manifest: Mapping[str, Any], experiment: str = "", repeats: int = 1
) -> list[Model]:
    """The models that the manifest lists, each checked by its hash.

    Args:
        study: The folder of results.
        manifest: Its manifest.json.
        experiment: Its name; empty for the one that ranks the pool.
        repeats: How many.

    Raises:
        ConfigError: There is none, or a file is missing or another one.
    """
    experiments = list(dict.fromkeys(entry["experiment"] for entry in manifest["models"]))
    wanted = experiment or manifest["configuration"]["triage"]["experiment"] or next(iter(experiments), "")
    chosen = [
        entry
        for entry in manifest["models"]
        if entry["experiment"] == wanted and entry["repeat"] < max(1, repeats)
    ]
    if not chosen:
        raise ConfigError(
            "--experiment", f'the study has no models of "{wanted}"', f"Use one of: {', '.join(experiments)}."
        )
    return [_find_model(study, entry) for entry in chosen]


def _read_manifest(study: Path) -> dict[str, Any]:
    path = study / "manifest.json"
    if not path.is_file():
        raise ConfigError(
            f"--study {study.name}", "there is no manifest.json", "Name the results of a finished study."
        )
    return read_json(path)


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
        raise ConfigError(
            entry["file"], "the model is not there", "Run the study again with keep_models: all."
        )
    if sha256(file) != entry["sha256"]:
        raise ConfigError(
            entry["file"], "the file is not the one that the manifest lists", "Run the study again."
        )
    name = f"r{entry['repeat']}f{entry['fold']}"
    unseen = read_npz(study / "predictions" / entry["experiment"] / name / "labelled.npz")
    return Model(
        entry["experiment"], entry["fold"], file, read_json(file.with_suffix(".json")), unseen["features"]
    )


def _image_hips(
    scan: Scan, where: str, settings: ProjectSettings, look: DevelopSettings
) -> tuple[dict[str, tuple[np.ndarray, dict[str, str]]], list[str], dict[str, Any]]:
    """Side to the radiograph that the models see and its texts, what to know, what was read and by what."""
    notes = list_missing(scan)
    seen: dict[str, tuple[np.ndarray, dict[str, str]]] = {}
    made: dict[str, Any] = {"renderer": choose_renderer(settings.renderer)}
    for side in filter(scan.centres.hips.__contains__, SIDES):
        try:
            row, exposure = aim(scan, side, settings)
            projection = exposure.expose(settings)
        except CtError as error:
            notes.append(f"{side}: {error.found}. {error.do}")
            continue
        made["ct"] = describe_ct(row)
        mirrored = look.mirror_left and side == "L"
        image = develop(projection, look)
        texts = describe(projection, side, mm_per_px=look.crop_mm / RADIOGRAPH_PX, mirrored=mirrored)
        seen[side] = np.ascontiguousarray(image[:, ::-1] if mirrored else image), texts
        notes += [f"{side}: {note}" for note in str(row["warnings"]).split("; ") if note]
    if not seen:
        raise CtError(where, "; ".join(notes), "Give a CT of the pelvis, or mark the hips by --landmarks.")
    return seen, notes, made


def _compare_renderer(renderer: str, study: Path) -> list[str]:
    rows = read_csv(study / "hips" / "labelled.csv")
    others = sorted({row["renderer"] for row in rows} - {"", renderer})
    if not others:
        return []
    return [f"the study's radiographs were made by {', '.join(others)}, this one by {renderer}"]


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
    rows = np.arange(len(predictions[0].features))

    return {
        head: combine_models(
            [
                ModelSummary(model.fold, rows, summarise_passes(prediction.passes[head], HEADS[head]))
                for model, prediction in zip(models, predictions, strict=True)
            ],
            len(rows),
            variance_of,
            HEADS[head],
        )
        for head in predictions[0].passes
    }


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


def _say(record: Mapping[str, Any]) -> None:
    for side, hip in record["hips"].items():
        print(
            f"{_SIDE_WORDS[side]}: class {hip['grade']} (Crowe {hip['crowe']}, KL {hip['kl']}), "
            f"probability {hip['probability']:.2f}, variance {hip['variance']:.3g} over "
            f"{record['passes']} passes of {hip['n_models']} models"
        )
        if hip["unlike_the_study"]:
            print(
                f"{_SIDE_WORDS[side]}: warning: this hip is unlike the hips of the study; do not rely on "
                "its grade",
                file=sys.stderr,
            )
    for note in record["warnings"]:
        print(note, file=sys.stderr)
    print("Research software, not a medical device: nothing here may decide about a patient.")
