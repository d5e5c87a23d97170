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

from hipoa.evaluation.columns import read_columns
from hipoa.files import read_csv, read_json, write_json, write_text
from hipoa.report.accuracy import Score, find_best, find_score, gather_scores
from hipoa.report.cohort import Hip, describe_classes, is_synthetic, read_hips, read_radiographs
from hipoa.report.flow import COUNTS, Flow, count_flow, total
from hipoa.report.manifest import find_versions, hash_files, hide_paths
from hipoa.report.names import FIGURES
from hipoa.report.published import CITATION, PUBLISHED
from hipoa.report.settings import ReportSettings

METRICS = ("ECA", "ONCA", "balanced accuracy", "quadratic weighted kappa", "MAE")

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
    triage: Path,
    uncertainty: list[Path],
    models: list[Path],
    weights: list[Path],
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
        triage: The table of unread hips.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``.
        models: The records of the trained networks.
        weights: The records of pre-trained weights.
        config: The resolved configuration, JSON.
        out: The HTML to write.
        manifest: The JSON to write; paths in it are relative to its folder.
    """
    configuration = hide_paths(read_json(config))
    rows = read_hips(hips)
    flow = count_flow(rows)
    scores = gather_scores(read_csv(metrics))
    listed = _read_triage(triage)
    page = {
        "settings": settings,
        "study": study,
        "config": configuration,
        "synthetic": is_synthetic(rows),
        "flow": flow,
        "counts": COUNTS,
        "total": total,
        "summary": summarise(scores, flow, listed, models),
        "classes": describe_classes(rows),
        "scores": scores,
        "metrics": METRICS,
        "find_score": find_score,
        "experiments": [path.stem for path in uncertainty],
        "published": PUBLISHED,
        "tests": read_csv(compare),
        "triage": tabulate_triage(listed, rows, stacks, settings.triage_rows),
        "notes": [hip for hip in rows if hip.reason or hip.warnings],
        "figures": {name: embed_file(figures / name) for name in FIGURES},
        "weights": [read_json(path) for path in weights],
        "versions": find_versions(),
        "citation": CITATION,
    }
    write_text(out, render(page))
    made = [*hips, *stacks, metrics, compare, triage, *uncertainty, *models, *weights]
    drawn = [figures / name for name in FIGURES]
    facts = {"study": study, "configuration": configuration, "versions": page["versions"]}
    write_json(manifest, {**facts, "sha256": hash_files([*made, *drawn, out], manifest.parent)})


def render(page: Mapping[str, Any]) -> str:
    """The HTML of a page's content; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hipoa.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = write_score
    return environment.get_template("report.html").render(page)


def write_score(score: Score | None) -> str:
    """A score with its interval, in words."""
    if score is None or score.value is None:
        return "not defined"
    interval = score.interval
    return f"{score.value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def summarise(
    scores: Sequence[Score], flow: Sequence[Flow], triage: Sequence[Mapping[str, str]], models: Sequence[Path]
) -> list[str]:
    """What the report says first, in a few sentences."""
    networks = {path.parent.name for path in models}
    hips, cts, radiographs, refused, excluded = (
        total(flow, name) for name in ("hips", "cts", "radiographs", "refused", "excluded")
    )
    sentences = [
        f"{hips} hips of {cts} CTs: {radiographs} have a radiograph, {refused} were refused, "
        f"{excluded} were excluded."
    ]
    best = find_best(scores)
    if best is not None:
        near = find_score(scores, best.experiment, "labelled", "ONCA")
        constant = [find_score(scores, "constant", "labelled", name) for name in ("ECA", "ONCA")]
        sentences.append(
            f"Of {len(networks)} networks {best.experiment} graded the most of {best.n_hips} unseen hips "
            f"exactly: ECA {write_score(best)}, ONCA {write_score(near)} (95 % intervals, patients "
            f"resampled). The best constant answer has ECA {_plain(constant[0])} and ONCA "
            f"{_plain(constant[1])}."
        )
    ranked = sum(bool(row["rank"]) for row in triage)
    sentences.append(
        f"{ranked} unread hips are ranked for reading, the most uncertain first; "
        f"{len(triage) - ranked} are set aside with the reason."
    )
    return sentences


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
