"""The source's published figures beside ours, and why they may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hipoa.report.figures.predictions import score_map
from hipoa.report.published_results import BINARY, FOLDS, PUBLISHED, Published
from hipoa.report.results import Results
from hipoa.report.scores import find_score
from hipoa.report.sections.summary import write_score

_PROTOCOL = {"epochs": 200, "folds": 4, "repeats": 15, "passes": 50}


def gather(results: Results) -> dict[str, Any]:
    """Rows of published and own figures, the reasons, and the folds of one pattern."""
    folds = _list_folds(results)
    return {
        "beside": [row for published in PUBLISHED for row in _compare(results, published)],
        "binary": list(_compare_binary(results)),
        "reasons": list_reasons(results),
        "folds": folds,
        "most_folds": max(len(row["scores"]) for row in folds),
    }


def list_reasons(results: Results) -> list[str]:
    """Every known way in which this study differs from the source's."""
    config, flow = results.config, results.everything
    own = {
        "epochs": config["train"]["epochs"],
        "folds": config["folds"]["folds"],
        "repeats": config["repeats"],
        "passes": config["predict"]["passes"],
    }
    settings = [
        f"{name}: {own[name]}, published {value}" for name, value in _PROTOCOL.items() if own[name] != value
    ]
    return [
        "patients: synthetic, published of patients"
        if results.synthetic
        else f"patients, readers and CTs: ours ({flow.predicted} scored hips), published 396 hips "
        f"of 198 patients",
        *settings,
        "not published, so that ours may be other: the table of classes, projection, optimiser, "
        "learning rate, loss, dropout",
        "the unit of the published \N{PLUS-MINUS SIGN}",
    ]


def _compare(results: Results, published: Published) -> Iterator[dict[str, str]]:
    names = _find_experiments(results.config, published)
    for metric, (value, spread) in (("ECA", published.eca), ("ONCA", published.onca)):
        for name in names or [""]:
            ours = find_score(results.scores, name, "labelled", metric)
            yield {
                "network": published.network,
                "metric": metric,
                "published": f"{value:.3f} \N{PLUS-MINUS SIGN} {spread:.3f}",
                "experiment": name or "none has this network",
                "ours": write_score(ours) if ours else "\N{EN DASH}",
                "difference": f"{ours.value - value:+.3f}"
                if ours and ours.value is not None
                else "\N{EN DASH}",
                "reason": _explain(results, ours is not None, value, ours.interval if ours else None),
            }


def _find_experiments(config: Mapping[str, Any], published: Published) -> list[str]:
    rows = config["experiments"].items()
    return [name for name, row in rows if row["network"].split(".")[0] == published.timm]


def _explain(results: Results, known: bool, value: float, interval: tuple[float, float] | None) -> str:
    if not known:
        return "this network was not trained here"
    if results.synthetic:
        return "synthetic patients: the difference has no meaning"
    if interval and interval[0] <= value <= interval[1]:
        return "within our interval: chance alone may explain it"
    return "unknown; what is known to differ stands below"


def _compare_binary(results: Results) -> Iterator[dict[str, str]]:
    for name in results.experiments:
        ours = [
            find_score(results.scores, name, "labelled", f"KL >= 2 {part}") for part in ("accuracy", "AUROC")
        ]
        if any(ours):
            yield {
                "experiment": name,
                "accuracy": write_score(ours[0]),
                "auroc": write_score(ours[1]),
                "others": BINARY,
            }


def _list_folds(results: Results) -> list[dict[str, Any]]:
    """ECA and ONCA of the folds of the first mapped repeat beside the four that the source gives of one."""
    rows = results.table("embedding.csv")
    repeat = min((row["repeat"] for row in rows), key=int, default="")
    folds = sorted({row["fold"] for row in rows}, key=int)
    own = [
        {"name": name, "scores": [score_map(_pick(rows, name, repeat, fold)) for fold in folds]}
        for name in results.experiments
    ]
    return [{"name": "published, one pattern of ViT-B/16", "scores": list(FOLDS)}, *own]


def _pick(rows: list[dict[str, str]], name: str, repeat: str, fold: str) -> list[dict[str, str]]:
    return [row for row in rows if (row["experiment"], row["repeat"], row["fold"]) == (name, repeat, fold)]
