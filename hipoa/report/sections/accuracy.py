"""How good the networks are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hipoa.evaluation.metrics.indices import APART, INDEX_SCORES, name_score
from hipoa.evaluation.metrics.raters import RATERS
from hipoa.report.results import Results
from hipoa.report.score_table import NO_NETWORKS, Score, find_score

METRICS = ("ECA", "ONCA", "balanced accuracy", "kappa", "quadratic weighted kappa", "MAE", "macro MAE")

_APART_METRICS = tuple(name_score("KL", name) for name in INDEX_SCORES)
_KL_APART = APART.format(_APART_METRICS[0])


def gather(results: Results) -> dict[str, Any]:
    """The scores, those of Crowe and KL apart and the ceiling."""
    return {
        "metrics": METRICS,
        "apart": list_apart(results.scores),
        "apart_metrics": [name.partition(" ")[2] for name in _APART_METRICS],
        "readers": RATERS,
        "beside": list(NO_NETWORKS),
        "ceilings": find_ceilings(results.ceilings, results.config),
    }


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
