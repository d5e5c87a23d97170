"""Draws all figures of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hipoa.core.files import read_csv, read_json, read_npz
from hipoa.evaluation.graded import read_graded
from hipoa.report.cohort import describe_classes, find_predicted, is_synthetic, read_hips
from hipoa.report.figures import charts, comparisons, curves, flowchart, predictions, radiograph_sheets, style
from hipoa.report.outputs import FIGURES
from hipoa.report.radiographs import read_radiographs

_PER_CLASS = 2
"""Graded hips shown of each class and side."""

_Row = TypeVar("_Row", bound=Mapping[str, Any])


def run(
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
        hips: The tables ``R/hips/{cohort}.csv``.
        stacks: The radiographs ``R/hips/{cohort}.npz``.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``, in the order of the experiments.
        tables: Those of `hipoa.workflow.stages.TABLES_DRAWN`.
        models: The records ``R/models/{experiment}/r{repeat}f{fold}.json``.
        augmentation: The samples of augmented images.
        out: The folder; the names of its files are `hipoa.report.outputs.DRAWN`.
    """
    rows = read_hips(hips)
    synthetic, classes = is_synthetic(rows), describe_classes(rows)
    graded = [read_graded(path) for path in uncertainty]
    experiments = [table.experiment for table in graded]
    known = {path.name: read_csv(path) for path in tables}
    scores, differences = known["metrics.csv"], known["differences.csv"]
    primary = comparisons.find_primary(differences)
    records = sort_rows(experiments, [read_json(path) for path in models])
    examples = radiograph_sheets.choose_examples(rows, _PER_CLASS)
    names = [hip.hip_id for chosen in examples.values() for hip in chosen]
    radiographs = read_radiographs(stacks, names)
    with style.applied():
        figures = {
            "flow": flowchart.draw_flow(rows, find_predicted(uncertainty)),
            "radiographs": radiograph_sheets.draw_radiographs(examples, radiographs, classes),
            "classes": charts.draw_classes(rows, classes),
            "augmentation": radiograph_sheets.draw_augmentation(read_npz(augmentation)),
            "learning": charts.draw_learning(records),
            "accuracy": comparisons.draw_accuracy(scores, experiments, primary),
            "published": comparisons.draw_published(scores, experiments, synthetic=synthetic),
            "confusion": predictions.draw_confusion(graded),
            "external_drop": comparisons.draw_drop(differences, experiments),
            "network_differences": comparisons.draw_differences(differences),
            "subgroup_scores": comparisons.draw_subgroups(
                known["subgroups.csv"], scores, experiments, primary
            ),
            "reliability": curves.draw_reliability(known["reliability.csv"], experiments),
            "decision": curves.draw_decisions(known["decision.csv"], experiments),
            "variance": predictions.draw_variance(graded, known["compare.csv"]),
            "risk_coverage": curves.draw_risk(known["risk_coverage.csv"], experiments),
            "embedding": predictions.draw_embedding(sort_rows(experiments, known["embedding.csv"])),
            "simulation": curves.draw_simulation(known["simulation.csv"]),
        }
        for name in FIGURES:
            if synthetic:
                style.mark_synthetic(figures[name])
            for kind in ("svg", "png"):
                style.save(figures[name], out / f"{name}.{kind}")


def sort_rows(experiments: Sequence[str], rows: Sequence[_Row]) -> list[_Row]:
    """Sorts rows by experiment, so that an experiment has the same colour and position in all figures."""
    order = {name: number for number, name in enumerate(experiments)}
    return sorted(rows, key=lambda row: order.get(row["experiment"], len(order)))
