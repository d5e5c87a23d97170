"""The page: its sections in their order, each a template and what it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from hipoa.evaluation.passes import name_measure
from hipoa.report.outputs import FIGURES
from hipoa.report.published_results import CITATION
from hipoa.report.radiographs import embed_file
from hipoa.report.results import Results
from hipoa.report.scores import find_score
from hipoa.report.sections import (
    accuracy,
    calibration,
    card,
    embedding,
    explanations,
    external,
    gallery,
    label_errors,
    methods,
    patients,
    provenance,
    published,
    quality,
    refused,
    reporting,
    rounds,
    sets,
    simulation,
    subgroups,
    summary,
    tables,
    training,
    triage,
    uncertainty,
)


def _show_nothing(_: Results) -> dict[str, Any]:
    """For a template that needs no more than every template has."""
    return {}


class Section(NamedTuple):
    """One section of the report.

    Attributes:
        name: Of its template ``sections/{name}.html``, of its module if it has one, and its anchor.
        title: Its heading.
        gather: Gives what its template shows, by name, beside what `render` gives every template.
        ours: Whether it holds results of this study's patients, and is labelled where these are synthetic.
    """

    name: str
    title: str
    gather: Callable[[Results], dict[str, Any]] = _show_nothing
    ours: bool = True


SECTIONS = (
    Section("summary", "Six answers", summary.gather),
    Section("patients", "Patients and hips", patients.gather),
    Section("radiographs", "Radiographs"),
    Section("quality", "Checking the radiographs", quality.gather),
    Section("refused", "Refused hips and warnings", refused.gather),
    Section("accuracy", "Accuracy", accuracy.gather),
    Section("published", "Beside the published results", published.gather),
    Section("confusion", "Confusion"),
    Section("external", "External cohort and differences", external.gather),
    Section("subgroups", "Subgroups", subgroups.gather),
    Section("uncertainty", "Uncertainty", uncertainty.gather),
    Section("calibration", "Calibration", calibration.gather),
    Section("sets", "Sets of classes", sets.gather),
    Section("embedding", "Map of the features", embedding.gather),
    Section("gallery", "Successes and failures", gallery.gather),
    Section("explanations", "Where the networks looked", explanations.gather),
    Section("triage", "Hips to read next", triage.gather),
    Section("label_errors", "Labels to read a second time", label_errors.gather),
    Section("simulation", "Does choosing pay?", simulation.gather),
    Section("rounds", "Rounds of annotation", rounds.gather),
    Section("training", "Training", training.gather),
    Section("methods", "Methods", methods.gather, ours=False),
    Section("reporting", "Reporting guidelines", reporting.gather, ours=False),
    Section("card", "Model card", card.gather),
    Section("limits", "Limits", ours=False),
    Section("tables", "All tables", tables.gather),
    Section("provenance", "Versions, seeds and hashes", provenance.gather, ours=False),
    Section("citation", "Citation", ours=False),
)
"""In the order of the page."""


def render(results: Results, figures: Path) -> str:
    """The page as HTML; all text is escaped.

    Args:
        results: Of the study.
        figures: The folder of figures.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hipoa.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    common = {
        "settings": results.settings,
        "study": results.study,
        "config": results.config,
        "versions": results.versions,
        "synthetic": results.synthetic,
        "classes": results.classes,
        "scores": results.scores,
        "experiments": results.experiments,
        "find_score": find_score,
        "name_measure": name_measure,
        "figures": {name: embed_file(figures / f"{name}.{kind}") for name, kind in FIGURES.items()},
        "captions": {name: _read_caption(name) for name in FIGURES},
        "citation": CITATION,
        "titles": {section.name: section.title for section in SECTIONS},
    }
    bodies = {
        section.name: Markup(
            environment.get_template(f"sections/{section.name}.html").render(common | section.gather(results))
        )
        for section in SECTIONS
    }
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        common, sections=SECTIONS, bodies=bodies, script=Markup(script), script_hash=_hash(script)
    )


def _read_caption(name: str) -> str:
    # Snakemake's own report shows the same files.
    return " ".join((Path(__file__).parent / f"captions/{name}.rst").read_text(encoding="utf-8").split())


def _hash(script: str) -> str:
    """As a Content-Security-Policy names a script: no other one may run, whatever a cell holds."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
