"""Draws the figures, each from the tables that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from hipoa.core.files import read_csv, read_json, read_npz
from hipoa.evaluation.graded import read_graded
from hipoa.report.cohort import (
    Hip,
    describe_classes,
    find_predicted,
    is_synthetic,
    read_hips,
    read_radiographs,
)
from hipoa.report.figures import (
    accuracy_figures,
    calibration_figures,
    charts,
    flowchart,
    radiograph_sheets,
    style,
)
from hipoa.report.figures.simulation_figure import draw_simulation
from hipoa.report.outputs import FIGURES
from hipoa.report.score_table import gather_scores
from hipoa.report.settings import FiguresSettings

_Row = TypeVar("_Row", bound=Mapping[str, Any])


def run(
    settings: FiguresSettings,
    *,
    hips: list[Path],
    stacks: list[Path],
    uncertainty: list[Path],
    tables: list[Path],
    models: list[Path],
    augmentation: Path,
    out: Path,
) -> None:
    """Draws all figures of a study into one folder.

    Args:
        settings: Resolution and number of examples.
        hips: The tables ``R/hips/{cohort}.csv``.
        stacks: The radiographs ``R/hips/{cohort}.npz``.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``, in the order of the experiments.
        tables: Those of `hipoa.workflow.stages.TABLES_DRAWN`.
        models: The records ``R/models/{experiment}/r{repeat}f{fold}.json``.
        augmentation: The samples of augmented images.
        out: The folder; the names of its files are `hipoa.report.outputs.DRAWN`.
    """
    rows = read_hips(hips)
    synthetic = is_synthetic(rows)
    graded = [read_graded(path) for path in uncertainty]
    experiments = [table.experiment for table in graded]
    known = {path.name: read_csv(path) for path in tables}
    scores = gather_scores(known["metrics.csv"])
    records = sort_rows(experiments, [read_json(path) for path in models])
    maps = sort_rows(experiments, known["embedding.csv"])
    with style.applied():
        figures = {
            "flow": flowchart.draw_flow(rows, find_predicted(uncertainty), synthetic=synthetic),
            "radiographs": _draw_radiographs(rows, stacks, settings.examples_per_class),
            "classes": charts.draw_classes(rows, describe_classes(rows), synthetic=synthetic),
            "augmentation": radiograph_sheets.draw_augmentation(read_npz(augmentation), synthetic=synthetic),
            "learning": charts.draw_learning(records, synthetic=synthetic),
            "accuracy": charts.draw_accuracy(scores, experiments, synthetic=synthetic),
            "confusion": accuracy_figures.draw_confusion(graded, synthetic=synthetic),
            "reliability": calibration_figures.draw_reliability(
                known["reliability.csv"], experiments, synthetic=synthetic
            ),
            "variance": accuracy_figures.draw_variance(graded, known["compare.csv"], synthetic=synthetic),
            "risk_coverage": calibration_figures.draw_risk(
                known["risk_coverage.csv"], experiments, synthetic=synthetic
            ),
            "embedding": accuracy_figures.draw_embedding(maps, synthetic=synthetic),
            "triage": _draw_triage(rows, stacks, known["triage.csv"], settings.triage_examples),
            "simulation": draw_simulation(known["simulation.csv"], synthetic=synthetic),
        }
        for name in FIGURES:
            for kind in ("svg", "png"):
                style.save(figures[name], out / f"{name}.{kind}", settings.dpi)


def sort_rows(experiments: Sequence[str], rows: Sequence[_Row]) -> list[_Row]:
    """In the order of the experiments, so that one experiment has one colour and place in all figures."""
    places = {name: place for place, name in enumerate(experiments)}
    return sorted(rows, key=lambda row: places.get(row["experiment"], len(places)))


def _draw_radiographs(hips: Sequence[Hip], stacks: Sequence[Path], per_class: int) -> Figure:
    examples = radiograph_sheets.choose_examples(hips, per_class)
    names = [hip.hip_id for chosen in examples.values() for hip in chosen]
    radiographs = read_radiographs(stacks, names)
    return radiograph_sheets.draw_radiographs(
        examples, radiographs, describe_classes(hips), synthetic=is_synthetic(hips)
    )


def _draw_triage(
    hips: Sequence[Hip], stacks: Sequence[Path], triage: Sequence[dict[str, str]], count: int
) -> Figure:
    first = [row for row in triage if row["rank"]][:count]
    radiographs = read_radiographs(stacks, [row["hip_id"] for row in first])
    return radiograph_sheets.draw_triage(
        first, radiographs, describe_classes(hips), synthetic=is_synthetic(hips)
    )
