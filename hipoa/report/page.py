"""Renders the page: its sections in order, each a template with the results and what its module adds."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from hipoa.core.constants import ROMAN
from hipoa.evaluation.graded import GROUPS
from hipoa.evaluation.passes import name_measure
from hipoa.report.cohort_tables import count_unknown, describe_acquisition, describe_people
from hipoa.report.flow import STEPS
from hipoa.report.glossary import GLOSSARY, explain_words
from hipoa.report.outputs import FIGURES, TABLES
from hipoa.report.published_results import CITATION
from hipoa.report.radiographs import embed_file
from hipoa.report.results import Results
from hipoa.report.scores import find_reason, find_row, pivot, write_row, write_score, write_share
from hipoa.report.sections import (
    accuracy,
    calibration,
    contact_sheets,
    embedding,
    gallery,
    patients,
    precision,
    published,
    reporting,
    subgroups,
    summary,
    triage,
)

_FOLDER = Path(__file__).parent
_FUNCTIONS = (
    *(count_unknown, describe_acquisition, describe_people),
    *(find_reason, find_row, name_measure, pivot, write_row, write_score, write_share),
)
"""What every template may call."""


LIMITS = {"refused": 100, "triage": 50, "label_errors": 20}
"""Section to the most hips that it lists (of triage: of the ranked ones, and of those set aside)."""


class Section(NamedTuple):
    """One section of the report."""

    name: str  # of its template ``sections/{name}.html``, and its anchor
    title: str  # its heading
    # Gives what its template shows, by name, beside the results; None if it needs no more.
    gather: Callable[[Results], dict[str, Any]] | None = None
    # Whether it holds results of this study's patients; labelled if these are synthetic.
    of_study: bool = True


class Part(NamedTuple):
    """One part of the report."""

    name: str  # its anchor
    title: str  # its heading
    sections: tuple[Section, ...]


PARTS = (
    Part(
        "surgeon",
        "For the surgeon",
        (
            Section("summary", "Result", summary.gather),
            Section("patients", "Patients and hips", patients.gather),
            Section("quality", "Radiographs", contact_sheets.gather),
            Section("refused", "Refused hips and warnings"),
            Section("accuracy", "Accuracy", accuracy.gather),
            Section("triage", "Hips to read next", triage.gather),
            Section("label_errors", "Possible label errors"),
            Section("gallery", "Successes and failures", gallery.gather),
        ),
    ),
    Part(
        "technical",
        "For the methods",
        (
            Section("precision", "Question and precision", precision.gather),
            Section("published", "Comparison with published results", published.gather),
            Section("external", "External cohort and differences"),
            Section("subgroups", "Subgroups", subgroups.gather),
            Section("uncertainty", "Uncertainty"),
            Section("calibration", "Calibration and decision curves", calibration.gather),
            Section("sets", "Conformal sets"),
            Section("embedding", "Maps of the features", embedding.gather),
            Section("explanations", "Saliency maps", gallery.gather_explanations),
            Section("simulation", "Simulated reading"),
            Section("rounds", "Rounds of annotation"),
            Section("training", "Training"),
            Section("methods", "Methods", of_study=False),
            Section("reporting", "Reporting guidelines", reporting.gather, of_study=False),
            Section("card", "Model card"),
            Section("limits", "Limitations", of_study=False),
            Section("tables", "All tables"),
            Section("provenance", "Versions, seeds and hashes", of_study=False),
            Section("citation", "Citation", of_study=False),
            Section("glossary", "Glossary", of_study=False),
        ),
    ),
)
"""In the order of the page: what a surgeon reads, then all else."""

SECTIONS = tuple(section for part in PARTS for section in part.sections)


def render(results: Results, figures: Path) -> str:
    """The page as HTML; all text is escaped.

    Args:
        results: The results of the study.
        figures: The folder of figures.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hipoa.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = "{:g}".format
    environment.filters["shorten"] = _shorten
    environment.globals |= {function.__name__: function for function in _FUNCTIONS}
    environment.globals |= {
        "results": results,
        "config": results.config,
        "figures": {name: embed_file(figures / f"{name}.{kind}") for name, kind in FIGURES.items()},
        "glossary": GLOSSARY,
        "captions": {name: _read_caption(name) for name in FIGURES},
        "citation": CITATION,
        "groups": GROUPS,
        "limits": LIMITS,
        "roman": ROMAN,
        "steps": STEPS,
        "table_titles": TABLES,
        "titles": {section.name: section.title for section in SECTIONS},
    }
    bodies = {section.name: _render_section(environment, section, results) for section in SECTIONS}
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(
        parts=PARTS, bodies=bodies, script=Markup(script), script_hash=_hash(script)
    )


def _render_section(environment: jinja2.Environment, section: Section, results: Results) -> Markup:
    template = environment.get_template(f"sections/{section.name}.html")
    return Markup(explain_words(template.render(section.gather(results) if section.gather else {})))


def _shorten(cell: str) -> str:
    """A cell as a narrow column can show it: fractions with four digits, names that may wrap."""
    try:
        return f"{float(cell):.4g}" if "." in cell else cell
    except ValueError:
        return cell.replace("_", " ")


def _read_caption(name: str) -> str:
    # Snakemake's own report shows the same files.
    return " ".join((_FOLDER / f"captions/{name}.rst").read_text(encoding="utf-8").split())


def _hash(script: str) -> str:
    """As a Content-Security-Policy names a script: no other one may run, whatever a cell holds."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
