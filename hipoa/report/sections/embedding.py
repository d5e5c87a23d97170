"""The map of the features, to point at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.colors import to_hex

from hipoa.core.columns import read_columns
from hipoa.evaluation.graded import GROUPS
from hipoa.evaluation.passes import name_measure
from hipoa.report.figures.accuracy_figures import score_map
from hipoa.report.figures.style import CLASS_COLOURS, EXPERIMENT_COLOURS, GREY, GROUP_COLOURS
from hipoa.report.results import Results

_Known = Mapping[str, tuple[str, float | None, float | None]]
_SURENESS = "max_probability"
"""The one measure that is large where a network is sure: shown turned round, as the colours are read."""


def gather(results: Results) -> dict[str, Any]:
    """The points of every map, with what is known of their hips, and the colours."""
    rows = results.table("embedding.csv")
    repeat = min((row["repeat"] for row in rows), key=int, default="")
    maps = [
        found
        for path in results.uncertainty
        for found in _list_maps(
            [row for row in rows if row["experiment"] == path.stem and row["repeat"] == repeat],
            _read_known(path, repeat, results.measure),
        )
    ]
    return {
        "map": {
            "maps": maps,
            "experiments": list(dict.fromkeys(found["experiment"] for found in maps)),
            "measure": "1 - largest probability"
            if results.measure == _SURENESS
            else name_measure(results.measure),
            "classes": results.classes,
            "scale": [to_hex(colour) for colour in CLASS_COLOURS],
            "groups": {group: GROUP_COLOURS[group] for group in GROUPS},
            "folds": EXPERIMENT_COLOURS,
            "sides": {"L": EXPERIMENT_COLOURS[0], "R": EXPERIMENT_COLOURS[1]},
            "grey": GREY,
        }
    }


def name_extremes(scores: Mapping[str, tuple[float, float] | None]) -> dict[str, str]:
    """Which fold is the success and which the failure, by ECA and then ONCA; none where all are alike."""
    known = {fold: score for fold, score in scores.items() if score is not None}
    if len(set(known.values())) < 2:
        return {}
    return {
        min(known, key=lambda fold: known[fold]): "failure",
        max(known, key=lambda fold: known[fold]): "success",
    }


def _list_maps(rows: Sequence[Mapping[str, str]], known: _Known) -> list[dict[str, Any]]:
    folds = {fold: list(own) for fold, own in groupby(sorted(rows, key=_fold), key=lambda row: row["fold"])}
    scores = {fold: score_map(own) for fold, own in folds.items()}
    marks = name_extremes(scores)
    return [
        {
            "experiment": own[0]["experiment"],
            "fold": int(fold),
            "mark": marks.get(fold, ""),
            "words": _say(scores[fold], marks.get(fold, ""), len(own)),
            "points": [_point(row, known) for row in own],
        }
        for fold, own in folds.items()
    ]


def _fold(row: Mapping[str, str]) -> int:
    return int(row["fold"])


def _say(score: tuple[float, float] | None, mark: str, count: int) -> str:
    if score is None:
        return f"{count} hips, none graded"
    best = {"success": ", the best fold", "failure": ", the worst fold"}.get(mark, "")
    return f"ECA {score[0]:.3f}, ONCA {score[1]:.3f}, {count} hips{best}"


def _point(row: Mapping[str, str], known: _Known) -> dict[str, Any]:
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
    names = ("cohort", "repeat", "hip_id", "side", measure, "max_probability")
    # A measure may be the largest probability itself.
    columns = read_columns(path, names)
    cells = zip(*(columns[name].tolist() for name in names), strict=True)
    return {
        hip: (side, _turn(_to_number(uncertainty), measure), _to_number(probability))
        for cohort, of, hip, side, uncertainty, probability in cells
        if cohort == "labelled" and of == repeat
    }


def _turn(value: float | None, measure: str) -> float | None:
    return 1 - value if value is not None and measure == _SURENESS else value


def _to_number(cell: str) -> float | None:
    return float(cell) if cell else None
