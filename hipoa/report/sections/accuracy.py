"""The scores of the networks, and the best scores that synthetic labels allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hipoa.evaluation.metrics.against_readers import SCORED
from hipoa.evaluation.metrics.baselines import GEOMETRY
from hipoa.evaluation.metrics.indices import APART, INDEX_SCORES, name_score
from hipoa.evaluation.metrics.raters import RATERS
from hipoa.evaluation.metrics.sides import SIDES
from hipoa.evaluation.statistics.intervals import LEAST_PATIENTS
from hipoa.report.results import Results
from hipoa.report.scores import NO_NETWORKS, Row, pivot
from hipoa.report.sections.readers import compare_readers

_METRICS = ("ECA", "ONCA", "balanced accuracy", "kappa", "quadratic weighted kappa", "MAE", "macro MAE")


def gather(results: Results) -> dict[str, Any]:
    """The scores shown, of Crowe and KL graded separately too, the ceilings, and networks beside readers."""
    return {
        "metrics": _METRICS,
        "index_metrics": [name_score("", name).strip() for name in INDEX_SCORES],
        "separate": list(_list_separate(results.scores)),
        "raters": RATERS,
        "geometry": GEOMETRY,
        "least_patients": LEAST_PATIENTS,
        "no_networks": [name for name in NO_NETWORKS if name != SIDES],
        "ceilings": _find_ceilings(results),
        "beside_readers": compare_readers(results),
        "reader_metrics": SCORED,
    }


def _find_ceilings(results: Results) -> dict[str, dict[str, float]]:
    """The best possible ECA and ONCA by synthetic cohort; none where the labels are made by other rules."""
    rules = results.config["hips"]
    return {
        record["cohort"]: record["best"][rules["label_rule"]]
        for record in results.ceilings
        if record["class_table"] == rules["class_table"] and rules["label_rule"] in record["best"]
    }


def _list_separate(scores: Sequence[Row]) -> Iterator[tuple[str, str, str, list[Row | None]]]:
    """Experiment, cohort, index and scores of Crowe and KL where a network grades them separately."""
    for index in ("Crowe", "KL"):
        columns = [{"metric": APART.format(name_score(index, name))} for name in INDEX_SCORES]
        for (experiment, cohort), found in pivot(scores, ("experiment", "cohort"), columns):
            if any(found):
                yield experiment, cohort, index, found
