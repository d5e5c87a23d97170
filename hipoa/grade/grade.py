"""Grades one new CT with the models of a finished study, on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.files import read_csv, write_json, write_text
from hipoa.core.tables.rows import hip_id
from hipoa.evaluation.passes import HipUncertainty, combine_models, summarise_passes
from hipoa.grade.evidence import fit_sets, list_caveats, list_classes
from hipoa.grade.models import Model, find_models, read_manifest, read_study_settings
from hipoa.grade.page import render
from hipoa.grade.statements import print_lines
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
from hipoa.imaging.drr import HipRadiographs, make_radiographs
from hipoa.imaging.settings import MarkSettings

_RESEARCH = "Research software, not a medical device: nothing here may decide about a patient."
_REPLACED = "the joint is replaced, in which there is no osteoarthritis to be graded"
UNLIKE = 0.99
"""A new hip that is farther from the study's hips than this share of them is said to be unlike them."""


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

    Prints each hip's grade, probability and set of classes, and writes NAME.json, the radiographs that the
    models saw, NAME_L.png and NAME_R.png, and a page with all of it, NAME.html, which names neither CT nor
    patient. A replaced hip is not graded. The patient must not be one of the study.

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
    manifest = read_manifest(study)
    config = manifest["configuration"]
    project, look, settings, table = read_study_settings(config, marks)
    models = find_models(study, manifest, experiment, repeats)
    made = make_radiographs(ct, labels, landmarks, series, project, look, free_ct=False, with_slices=True)
    record = {
        "study": manifest["study"],
        "models": [model.where for model in models],
        "experiment": models[0].facts["experiment"],
        "passes": settings.passes,
        "hips": dict(_refuse_replaced(made)) | _grade(made, ct, models, settings, table, config),
        **made.describe(),
    }
    record["hips"] = {side: record["hips"][side] for side in made.images}
    fitted = fit_sets(study, config, record["experiment"], max(1, repeats))
    if fitted is not None:
        _add_sets(record["hips"], *fitted)
    record["caveats"] = list(list_caveats(study, config, record["experiment"]))
    record["warnings"] += _compare_renderer(str(record["renderer"]), study)
    made.write(ct, out)
    write_json(out / f"{stem(ct)}.json", record)
    write_text(out / f"{stem(ct)}.html", render(record, made, table.class_table))
    said, warned = print_lines(record)
    print(*said, _RESEARCH, sep="\n")
    for line in warned:
        print(line, file=sys.stderr)


def _refuse_replaced(made: HipRadiographs) -> Iterator[tuple[str, dict[str, Any]]]:
    """The record of every hip that is not graded, by side."""
    for side in made.images:
        if made.rows[side]["implant"] == "replacement":
            yield side, {"grade": None, "reason": _REPLACED, "implant": "replacement"}


def _grade(
    made: HipRadiographs,
    ct: Path,
    models: Sequence[Model],
    settings: PredictSettings,
    table: ClassTable,
    config: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """The record of every hip that is graded, by side."""
    sides = [side for side in made.images if made.rows[side]["implant"] != "replacement"]
    if not sides:
        return {}
    radiographs = np.stack([made.images[side][0] for side in sides])
    names = np.array([hip_id(stem(ct), side) for side in sides])
    predictions = [_predict(model, radiographs, names, settings, table, config["seed"]) for model in models]
    heads = _combine(models, predictions, config["uncertainty"]["variance_of"])
    pairs = zip(models, predictions, strict=True)
    novelty = np.mean(
        [out_of_distribution_score(one.features, model.reference) for model, one in pairs], axis=0
    )
    return {
        side: _describe(heads, row, table, float(novelty[row])) | {"implant": made.rows[side]["implant"]}
        for row, side in enumerate(sides)
    }


def _add_sets(hips: Mapping[str, dict[str, Any]], level: float, threshold: float) -> None:
    for hip in hips.values():
        if hip["grade"] is not None:
            value = np.nan if hip["value"] is None else hip["value"]
            classes = list_classes(np.array(hip["probabilities"]), value, threshold)
            hip |= {"set": classes, "set_level": level}


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
