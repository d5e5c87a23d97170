"""The patients: their characteristics, how alike both hips are, and who was left out."""

from __future__ import annotations

from typing import Any

from hipoa.evaluation.metrics.sides import SIDES
from hipoa.report.characteristics import Characteristic, tabulate_characteristics
from hipoa.report.results import Results
from hipoa.report.scores import find_row, write_score
from hipoa.report.selection import find_selections


def gather(results: Results) -> dict[str, Any]:
    """The first table of a paper, and the hips that were left out compared with those that were kept."""
    characteristics = tabulate_characteristics(results.cohorts, results.classes)
    return {
        "characteristics": [*characteristics, *_compare_sides(results)],
        "selections": find_selections(results.hips, results.predicted, results.triage),
    }


def _compare_sides(results: Results) -> list[Characteristic]:
    """How alike the two hips of a CT are."""
    metrics = {"ECA": "share of the same class", "quadratic weighted kappa": "quadratic weighted kappa"}
    rows = {
        label: [
            find_row(results.scores, experiment=SIDES, cohort=cohort, metric=metric)
            for cohort in results.cohorts
        ]
        for metric, label in metrics.items()
    }
    shares = rows["share of the same class"]
    if not any(shares):
        return []
    counts = [f"{row['n_hips']}" if row else "0" for row in shares]
    cells = [
        (label, [write_score(row) if row else "\N{EN DASH}" for row in found])
        for label, found in rows.items()
    ]
    return [Characteristic("left against right hip", [("CTs with a class of both", counts), *cells])]
