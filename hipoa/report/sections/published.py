"""The published results beside those of this study, and why they may differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hipoa.evaluation.metrics.indices import PUBLISHED_BINARY
from hipoa.evaluation.metrics.questions import BINARY
from hipoa.report.published_results import FOLDS, PUBLISHED, Published
from hipoa.report.results import Results
from hipoa.report.scores import Row, find_row, find_side, score_map, split_maps, write_row

_PROTOCOL = {"epochs": 200, "folds": 4, "repeats": 15, "passes": 50}
_DASH = "\N{EN DASH}"


def gather(results: Results) -> dict[str, Any]:
    """Rows of published and own scores, the reasons of differences, and the scores of single folds."""
    maps = split_maps(results.table("embedding.csv"))
    folds = [(name, [score_map(rows) for (experiment, _), rows in maps.items() if experiment == name])
             for name in results.experiments]  # fmt: skip
    own = (
        {"experiment": name, "cohort": "labelled", "metric": f"{BINARY} {part}"}
        for name in results.experiments
        for part in ("accuracy", "AUROC")
    )
    found = [find_row(results.scores, **cells) for cells in own]
    binary = zip(results.experiments, found[::2], found[1::2], strict=True)
    others = ", ".join(f"{100 * share:.3g} % ({author})" for author, share in PUBLISHED_BINARY.items())
    return {
        "comparisons": [row for published in PUBLISHED for row in _compare(results, published)],
        "binary": [(name, *scores, others) for name, *scores in binary if any(scores)],
        "reasons": _list_reasons(results),
        "folds": [("Masuda et al. 2024, one repeat of ViT-B/16", FOLDS), *folds],
    }


def _list_reasons(results: Results) -> list[str]:
    """Every known way in which this study differs from the published one."""
    config, scored = results.config, results.flow["all"]["predicted"]
    own = {
        "epochs": config["train"]["epochs"],
        "folds": config["folds"]["folds"],
        "repeats": config["repeats"],
        "passes": config["predict"]["passes"],
    }
    settings = [
        f"{name}: {own[name]}, published {value}" for name, value in _PROTOCOL.items() if own[name] != value
    ]
    patients = "patients: synthetic here, real in the publication"
    if not results.synthetic:
        patients = f"patients, readers and CTs: {scored} scored hips here, 396 hips of 198 patients published"
    return [
        patients,
        *settings,
        "not published, so possibly different: the class table, projection, optimiser, learning rate, loss, "
        "dropout",
        "the meaning of the published \N{PLUS-MINUS SIGN}",
    ]


def _compare(results: Results, published: Published) -> Iterator[dict[str, str]]:
    rows = results.config["experiments"].items()
    names = [name for name, row in rows if row["network"].split(".")[0] == published.timm]
    for metric, (value, spread) in (("ECA", published.eca), ("ONCA", published.onca)):
        for name in names or [""]:
            own = find_row(results.scores, experiment=name, cohort="labelled", metric=metric)
            yield {
                "network": published.network,
                "metric": metric,
                "published": f"{value:.3f} \N{PLUS-MINUS SIGN} {spread:.3f}",
                "experiment": name or "none with this network",
                "own": write_row(own) if own else _DASH,
                "difference": f"{float(own['value']) - value:+.3f}" if own else _DASH,
                "reason": _explain(own, value, synthetic=results.synthetic),
            }


def _explain(own: Row | None, value: float, *, synthetic: bool) -> str:
    if own is None:
        return "this network was not trained here"
    if synthetic:
        return "synthetic patients: the difference has no meaning"
    if find_side(own, value) == 0:
        return "published value within the 95 % interval: may be chance"
    return "unknown; known differences are listed below"
