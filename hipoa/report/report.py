"""One self-contained HTML page that says what was done, how good it is and what to read next."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image, ImageOps

from hipoa.evaluation.apart import APART
from hipoa.evaluation.baselines import CONSTANT, GEOMETRY, MAJORITY
from hipoa.evaluation.columns import read_columns
from hipoa.evaluation.derived import INDEX_SCORES, name_score
from hipoa.evaluation.groups import GROUPS
from hipoa.evaluation.readers import READERS
from hipoa.files import read_csv, read_json, write_json, write_text
from hipoa.report.accuracy import Score, find_best, find_score, gather_scores
from hipoa.report.cohort import Hip, describe_classes, is_synthetic, read_hips, read_radiographs
from hipoa.report.contact import count_left_out, lay_sheets
from hipoa.report.flow import STEPS, Flow, count_flow, count_hips
from hipoa.report.lineage import trace_files
from hipoa.report.manifest import find_versions, hash_files, hide_paths, list_models
from hipoa.report.names import FIGURES, TABLES
from hipoa.report.published import CITATION, PUBLISHED
from hipoa.report.quality import HEADINGS, tabulate_quality, voxel_mm
from hipoa.report.settings import ReportSettings

METRICS = ("ECA", "ONCA", "balanced accuracy", "kappa", "quadratic weighted kappa", "MAE", "macro MAE")

_APART_METRICS = tuple(name_score("KL", name) for name in INDEX_SCORES)
_KL_APART = APART.format(_APART_METRICS[0])
_TRIAGE_COLUMNS = (
    *("rank", "hip_id", "side", "set_aside", "predicted", "uncertainty", "measure"),
    *("max_probability", "n_models", "experiment"),
)
_SUFFIXES = {".svg": "image/svg+xml", ".png": "image/png"}


def run(
    settings: ReportSettings,
    *,
    study: str,
    figures: Path,
    hips: list[Path],
    stacks: list[Path],
    metrics: Path,
    compare: Path,
    tables: list[Path],
    triage: Path,
    uncertainty: list[Path],
    models: list[Path],
    weights: list[Path],
    ceilings: list[Path],
    truth: list[Path],
    config: Path,
    out: Path,
    manifest: Path,
) -> None:
    """Writes the report and the manifest of a study.

    Args:
        settings: Title and lengths of lists.
        study: Its name.
        figures: The folder of figures.
        hips: The tables ``R/hips/{cohort}.csv``.
        stacks: The radiographs ``R/hips/{cohort}.npz``.
        metrics: The table of accuracies.
        compare: The table of tests.
        tables: Further tables of the evaluation, shown as they are.
        triage: The table of unread hips.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``.
        models: The records of the trained networks.
        weights: The records of pre-trained weights.
        ceilings: The best accuracies against the synthetic readings, one JSON per cohort that has any.
        truth: What was measured of synthetic hips, for the manifest.
        config: The resolved configuration, JSON.
        out: The HTML to write.
        manifest: The JSON to write; paths in it are relative to its folder.
    """
    configuration = hide_paths(read_json(config))
    rows = read_hips(hips)
    predicted = find_predicted(uncertainty)
    everything = count_hips("all", rows, predicted)
    scores = gather_scores(read_csv(metrics))
    listed = _read_triage(triage)
    records = [read_json(path) for path in models]
    experiments = [path.stem for path in uncertainty]
    sheets = lay_sheets(rows, stacks, settings.sheets_mb)
    page = {
        "settings": settings,
        "study": study,
        "config": configuration,
        "synthetic": is_synthetic(rows),
        "flow": [*count_flow(rows, predicted), everything],
        "steps": STEPS,
        "summary": summarise(scores, everything, listed, len(experiments)),
        "classes": describe_classes(rows),
        "scores": scores,
        "metrics": METRICS,
        "apart": list_apart(scores),
        "apart_metrics": [name.partition(" ")[2] for name in _APART_METRICS],
        "find_score": find_score,
        "readers": READERS,
        "beside": [CONSTANT, MAJORITY, GEOMETRY, READERS],
        "ceilings": find_ceilings([read_json(path) for path in ceilings], configuration),
        "groups": GROUPS,
        "experiments": experiments,
        "training": [tabulate_training(name, records) for name in experiments],
        "published": PUBLISHED,
        "tests": read_csv(compare),
        "tables": [(find_title(path), path.name, read_csv(path)) for path in tables],
        "triage": tabulate_triage(listed, rows, stacks, settings.triage_rows),
        "quality": [HEADINGS, *tabulate_quality(rows)],
        "sheets": sheets,
        "left_out": count_left_out(rows, sheets),
        "voxel_mm": voxel_mm,
        "notes": list_notes(rows),
        "figures": {name: embed_file(figures / name) for name in FIGURES},
        "weights": [hide_paths(read_json(path)) for path in weights],
        "versions": find_versions(),
        "citation": CITATION,
    }
    write_text(out, render(page))
    made = [
        *hips,
        *stacks,
        metrics,
        compare,
        *tables,
        triage,
        *uncertainty,
        *models,
        *weights,
        *ceilings,
        *truth,
    ]
    drawn = [figures / name for name in FIGURES]
    facts = {"study": study, "configuration": configuration, "versions": page["versions"]}
    facts["models"] = list_models(models, records, manifest.parent)
    hashes = hash_files([*made, *drawn, out], manifest.parent)
    write_json(manifest, {**facts, "sha256": hashes, "made_by": trace_files(hashes, configuration)})


def render(page: Mapping[str, Any]) -> str:
    """The HTML of a page's content; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hipoa.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(page)


def write_score(score: Score | None) -> str:
    """A score with its interval, in words."""
    if score is None or score.value is None:
        return "not defined"
    interval = score.interval
    return f"{score.value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def find_ceilings(
    records: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """The best possible ECA and ONCA by synthetic cohort, none where the labels are made by other rules."""
    rules = config.get("hips", {})
    return {
        record["cohort"]: record["best"][rules["label_rule"]]
        for record in records
        if record["class_table"] == rules.get("class_table") and rules["label_rule"] in record["best"]
    }


def find_predicted(uncertainty: Sequence[Path]) -> set[str]:
    """The graded hips that every experiment predicted."""
    graded = [set(read_columns(path, ("hip_id", "grade"), filled="grade")["hip_id"]) for path in uncertainty]
    return set.intersection(*graded) if graded else set()


def list_apart(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """The scores of Crowe and KL, one row per experiment, cohort and index that was graded apart."""
    keys = {(score.experiment, score.cohort): score.n_hips for score in scores if score.metric == _KL_APART}
    return [
        {
            "experiment": experiment,
            "cohort": cohort,
            "index": index,
            "scores": [
                find_score(scores, experiment, cohort, APART.format(f"{index} {name.partition(' ')[2]}"))
                for name in _APART_METRICS
            ],
        }
        for experiment, cohort in keys
        for index in ("Crowe", "KL")
    ]


def find_title(path: Path) -> str:
    """What a table of the evaluation holds, in words."""
    return TABLES.get(path.name, path.stem.replace("_", " "))


def list_notes(hips: Sequence[Hip]) -> list[Hip]:
    """Hips without a radiograph or with warnings; the refused first, so that no short list hides them."""
    noted = [hip for hip in hips if hip.status != "ok" or hip.warnings]
    return sorted(noted, key=lambda hip: ("refused", "excluded", "ok").index(hip.status))


def tabulate_training(experiment: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the models of an experiment have in common, and the range of what they have not."""
    own = [record for record in records if record["experiment"] == experiment]
    return {
        "experiment": experiment,
        "networks": sorted({record["network"] for record in own}),
        "tasks": sorted({record["task"] for record in own}),
        "losses": sorted({record["loss"] for record in own}),
        "models": len(own),
        "repeats": len({record["repeat"] for record in own}),
        "folds": len({record["fold"] for record in own}),
        "hips": _span([record["n_train"] for record in own]),
        "epochs": _span([len(record["history"]) for record in own]),
    }


def _span(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def summarise(
    scores: Sequence[Score], flow: Flow, triage: Sequence[Mapping[str, str]], n_experiments: int
) -> list[str]:
    """What the report says first, in three sentences.

    Args:
        scores: From metrics.csv.
        flow: Of all cohorts together.
        triage: The rows of triage.csv.
        n_experiments: How many were compared.
    """
    ranked = sum(bool(row["rank"]) for row in triage)
    return [
        f"{flow.cts} CTs of {flow.patients} patients hold {flow.hips} hips: {flow.radiographs} with a "
        f"radiograph, {flow.refused} refused, {flow.excluded} excluded.",
        _summarise_accuracy(scores, n_experiments),
        f"{ranked} unread hips are ranked for reading, the most uncertain first; "
        f"{len(triage) - ranked} are set aside with the reason.",
    ]


def _summarise_accuracy(scores: Sequence[Score], n_experiments: int) -> str:
    best = find_best(scores)
    if best is None:
        return "No graded hip was predicted, so there is no accuracy."
    near = find_score(scores, best.experiment, "labelled", "ONCA")
    constant = [_plain(find_score(scores, CONSTANT, "labelled", name)) for name in ("ECA", "ONCA")]
    chosen = f", the best of {n_experiments} and chosen on these very hips," if n_experiments > 1 else ""
    return (
        f"{best.experiment}{chosen} graded {best.n_hips} hips of {best.n_patients} patients that it had not "
        f"seen: ECA {write_score(best)}, ONCA {write_score(near)} (95 % intervals, patients resampled), "
        f"against ECA {constant[0]} and ONCA {constant[1]} of the best constant answer."
    )


def _plain(score: Score | None) -> str:
    return "not defined" if score is None or score.value is None else f"{score.value:.3f}"


def _read_triage(path: Path) -> list[dict[str, str]]:
    columns = read_columns(path, _TRIAGE_COLUMNS)
    cells = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in cells]


def tabulate_triage(
    triage: Sequence[Mapping[str, str]], hips: Sequence[Hip], stacks: Sequence[Path], count: int
) -> dict[str, Any]:
    """The first hips to read and those set aside, with their radiographs."""
    ranked = [row for row in triage if row["rank"]]
    aside = [row for row in triage if not row["rank"]]
    shown = [*ranked[:count], *aside[:count]]
    radiographs = read_radiographs(stacks, [row["hip_id"] for row in shown])
    mirrored = {hip.hip_id: hip.mirrored == "yes" for hip in hips}
    # A surgeon sees the hip as it lies in the patient, whatever the networks were shown.
    seen = {name: image[:, ::-1] if mirrored[name] else image for name, image in radiographs.items()}
    return {
        "ranked": ranked[:count],
        "aside": aside[:count],
        "n_ranked": len(ranked),
        "n_aside": len(aside),
        "images": {name: embed_radiograph(image) for name, image in seen.items()},
    }


def embed_file(path: Path) -> str:
    """A figure as a data URL."""
    return _to_url(path.read_bytes(), _SUFFIXES[path.suffix])


def embed_radiograph(image: np.ndarray) -> str:
    """A radiograph (h, w) uint8 as a data URL, its grey stretched for the eye."""
    buffer = io.BytesIO()
    stretched = ImageOps.autocontrast(Image.fromarray(np.ascontiguousarray(image)), cutoff=(1, 0.2))
    stretched.save(buffer, format="PNG", optimize=True)
    return _to_url(buffer.getvalue(), "image/png")


def _to_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
