"""The interactive maps of the features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.colors import to_hex

from hipoa.core.columns import read_columns
from hipoa.evaluation.passes import name_measure
from hipoa.report.figures.style import CLASS_COLOURS, EXPERIMENT_COLOURS, GREY, GROUP_COLOURS
from hipoa.report.results import Results
from hipoa.report.scores import Row, score_map, split_maps

_Known = Mapping[str, tuple[str, float | None, float | None]]
_CONFIDENCE = "max_probability"
"""The one measure that is large where a network is certain: shown as 1 less its value."""


def gather(results: Results) -> dict[str, Any]:
    """The points of every map, with what is known of their hips, and the colours."""
    rows = results.table("embedding.csv")
    repeat = min((row["repeat"] for row in rows), key=int, default="")
    own = split_maps(rows)
    marks = _mark_extremes(own)
    known = {path.stem: _read_known(path, repeat, results.measure) for path in results.uncertainty}
    maps = [
        {
            "experiment": experiment,
            "fold": fold,
            "mark": marks.get((experiment, fold), ""),
            "words": _describe(own[experiment, fold], marks.get((experiment, fold), "")),
            "points": [_make_point(row, known[experiment]) for row in own[experiment, fold]],
        }
        for experiment, fold in sorted(own, key=lambda key: (results.experiments.index(key[0]), key[1]))
    ]
    return {
        "map": {
            "maps": maps,
            "experiments": list(dict.fromkeys(one["experiment"] for one in maps)),
            "measure": "1 - largest probability"
            if results.measure == _CONFIDENCE
            else name_measure(results.measure),
            "classes": results.classes,
            "scale": [to_hex(colour) for colour in CLASS_COLOURS],
            "groups": GROUP_COLOURS,
            "folds": EXPERIMENT_COLOURS,
            "sides": {"L": EXPERIMENT_COLOURS[0], "R": EXPERIMENT_COLOURS[1]},
            "grey": GREY,
        }
    }


def _mark_extremes(maps: Mapping[tuple[str, int], list[Row]]) -> dict[tuple[str, int], str]:
    """The best and the worst fold of each experiment by ECA, then ONCA; none where all are alike."""
    marks = {}
    for experiment in {name for name, _ in maps}:
        scores = {key: score for key in maps if key[0] == experiment and (score := score_map(maps[key]))}
        if len(set(scores.values())) > 1:
            marks[min(scores, key=scores.__getitem__)] = "failure"
            marks[max(scores, key=scores.__getitem__)] = "success"
    return marks


def _describe(rows: list[Row], mark: str) -> str:
    score = score_map(rows)
    if score is None:
        return f"{len(rows)} hips, none graded"
    best = {"success": ", the best fold", "failure": ", the worst fold"}.get(mark, "")
    return f"ECA {score[0]:.3f}, ONCA {score[1]:.3f}, {len(rows)} hips{best}"


def _make_point(row: Row, known: _Known) -> dict[str, Any]:
    side, uncertainty, probability = known.get(row["hip_id"], (row["hip_id"][-1], None, None))
    return {
        "hip": row["hip_id"],
        "x": float(row["x"]),
        "y": float(row["y"]),
        "fold": int(row["fold"]),
        "side": side,
        "grade": int(row["grade"]) if row["grade"] else None,
        "predicted": int(row["predicted"]),
        "error": int(row["error"]) if row["error"] else None,
        "uncertainty": uncertainty,
        "probability": probability,
    }


def _read_known(path: Path, repeat: str, measure: str) -> _Known:
    """Side, uncertainty and largest probability of the labelled hips in one repeat."""
    names = ("cohort", "repeat", "hip_id", "side", measure, _CONFIDENCE)
    columns = read_columns(path, names)
    known = {}
    for cohort, of, hip, side, *cells in zip(*(columns[name].tolist() for name in names), strict=True):
        if cohort == "labelled" and of == repeat:
            uncertainty, probability = (float(cell) if cell else None for cell in cells)
            if uncertainty is not None and measure == _CONFIDENCE:
                uncertainty = 1 - uncertainty
            known[hip] = side, uncertainty, probability
    return known
