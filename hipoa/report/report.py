"""Writes the report, one self-contained HTML page, and the manifest."""

from __future__ import annotations

from pathlib import Path

from hipoa.core.files import read_json, write_json, write_text
from hipoa.report.cohort import read_hips
from hipoa.report.manifest import find_versions, hash_files, hide_paths, list_models
from hipoa.report.outputs import DRAWN
from hipoa.report.page import render
from hipoa.report.provenance import trace_files
from hipoa.report.results import Results
from hipoa.report.settings import ReportSettings


def run(
    settings: ReportSettings,
    *,
    study: str,
    figures: Path,
    hips: list[Path],
    stacks: list[Path],
    tables: list[Path],
    uncertainty: list[Path],
    models: list[Path],
    weights: list[Path],
    explanations: list[Path],
    ceilings: list[Path],
    truth: list[Path],
    config: Path,
    out: Path,
    manifest: Path,
) -> None:
    """Writes the report and the manifest of a study.

    Args:
        settings: Title and size of the report.
        study: Its name.
        figures: The folder of figures.
        hips: The tables ``R/hips/{cohort}.csv``.
        stacks: The radiographs ``R/hips/{cohort}.npz``.
        tables: The tables of the evaluation and the triage, one for each name.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``.
        models: The records of the trained networks.
        weights: The records of pre-trained weights.
        explanations: The saliency maps ``R/explanations/{experiment}.npz``.
        ceilings: The best accuracies against the synthetic readings, one JSON per cohort that has any.
        truth: The ground truth of synthetic hips, for the manifest.
        config: The resolved configuration, JSON.
        out: The HTML to write.
        manifest: The JSON to write; paths in it are relative to its folder.
    """
    made = [*hips, *stacks, *tables, *uncertainty, *models, *weights, *explanations, *ceilings, *truth]
    hashes = hash_files([*made, *(figures / name for name in DRAWN)], manifest.parent)
    configuration = hide_paths(read_json(config))
    results = Results(
        settings=settings,
        study=study,
        config=configuration,
        versions=find_versions(),
        hashes=hashes,
        origins=trace_files(hashes, configuration),
        hips=read_hips(hips),
        stacks=stacks,
        tables={path.name: path for path in tables},
        uncertainty=uncertainty,
        explanations=explanations,
        records=[read_json(path) for path in models],
        weights=[hide_paths(read_json(path)) for path in weights],
        ceilings=[read_json(path) for path in ceilings],
    )
    write_text(out, render(results, figures))
    hashes |= hash_files([out], manifest.parent)
    content = {
        "study": study,
        "configuration": configuration,
        "versions": results.versions,
        "models": list_models(models, results.records, manifest.parent),
        "sha256": hashes,
        "made_by": trace_files(hashes, configuration),
    }
    write_json(manifest, content)
