"""Rounds of reading: the change of accuracy on a fixed set of hips, and of the worklist.

The hips that the list puts first are the hard ones: out-of-fold accuracy can fall while the model gains,
because those hips are now among the scored ones. So each round is scored on a fixed set: the external cohort,
or, where there is none, the hips that were graded in the first round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.core.columns import format_number, read_columns
from hipoa.core.files import read_json, write_csv, write_json
from hipoa.evaluation.graded import Graded, grades_only, read_graded
from hipoa.evaluation.metrics.estimates import CLASSES, estimate_cells
from hipoa.evaluation.statistics.intervals import Row

COLUMNS = ("round", "experiment", "quantity", "value", "unit", "low", "high", "n_hips", "n_patients", "note")
METRICS = ("ECA", "ONCA", "quadratic weighted kappa", "MAE")
FIRST = 20
"""Hips at the head of the list that are followed: about a sitting."""
GAIN = "{}, gain on the round before"

_FAMILY = CLASSES.pick(METRICS)
_ARRAYS = ("hip", "patient", "repeat", "grade", "predicted")
_OTHER_SETUP = "settings or code are others than in the round before: the gain is not of the grades alone"

Round = dict[str, Any]


def run(
    *,
    uncertainty: list[Path],
    hips: Path,
    triage: Path,
    setup: str,
    history: Path,
    out: Path,
) -> None:
    """Keeps this round, a run with grades that no run had before, and tabulates all rounds.

    Args:
        uncertainty: The tables ``{experiment}.csv``.
        hips: The table of the labelled cohort.
        triage: The list.
        setup: A hash of the settings and the code that the models depend on.
        history: The folder in which rounds are kept.
        out: The table to write.
    """
    rounds = read_rounds(history)
    now = describe_round(uncertainty, hips, triage, setup)
    same = next((old for old in rounds if old["key"] == now["key"]), None)
    now["round"] = same["round"] if same else max((old["round"] for old in rounds), default=0) + 1
    write_json(history / f"{now['round']:03d}.json", now)
    rounds = sorted([*(old for old in rounds if old is not same), now], key=lambda one: one["round"])
    write_csv(out, COLUMNS, tabulate_rounds(rounds))


def read_rounds(history: Path) -> list[Round]:
    """The rounds that were kept, in order."""
    return [read_json(path) for path in sorted(history.glob("[0-9]*.json"))]


def hash_grades(graded: Mapping[str, int]) -> str:
    """A key of a round: a hash of the graded hips and their grades."""
    return hashlib.sha256(repr(sorted(graded.items())).encode()).hexdigest()[:16]


def drop_hips(one: Round, hips: Collection[str]) -> Round:
    """A round as it would have been kept without these hips."""

    def drop(table: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        rows = [row for row, hip in enumerate(table["hip"]) if hip not in hips]
        return {name: [values[row] for row in rows] for name, values in table.items()}

    graded = {hip: grade for hip, grade in one["graded"].items() if hip not in hips}
    left: Round = {"graded": graded, "key": hash_grades(graded)}
    left["list"] = [hip for hip in one["list"] if hip not in hips]
    for cohort in ("external", "labelled"):
        left[cohort] = {experiment: drop(table) for experiment, table in one[cohort].items()}
    return one | left


def describe_round(uncertainty: Sequence[Path], hips: Path, triage: Path, setup: str) -> Round:
    """A run as a round: the graded hips, the predictions of them, the worklist."""
    labelled = read_columns(hips, ("hip_id", "grade", "status"), filled="grade")
    rows = zip(*(labelled[name].tolist() for name in ("hip_id", "grade", "status")), strict=True)
    graded = {hip: int(grade) for hip, grade, status in rows if status == "ok"}
    listed = read_columns(triage, ("hip_id", "rank"), filled="rank")
    order = np.argsort(listed["rank"].astype(np.float64), kind="stable") if len(listed["rank"]) else []
    tables = [read_graded(path) for path in uncertainty]
    return {
        "key": hash_grades(graded),
        "setup": setup,
        "graded": graded,
        "list": [str(listed["hip_id"][row]) for row in order],
        "external": {table.experiment: _to_lists(table.of_cohort("external")) for table in tables},
        "labelled": {table.experiment: _to_lists(table.of_cohort("labelled")) for table in tables},
    }


def tabulate_rounds(rounds: Sequence[Round]) -> Iterator[Row]:
    """The rows of rounds.csv; every round is scored against the grades of the last one."""
    cohort, fixed = choose_fixed(rounds)
    for number, one in enumerate(rounds):
        before = rounds[number - 1] if number else None
        yield from _count_hips(one, before)
        for experiment in one[cohort]:
            table = _restore(experiment, one[cohort][experiment], fixed)
            old = before and before[cohort].get(experiment)
            former = _restore(experiment, old, fixed) if old else None
            note = f"fixed set: {_name_fixed(cohort)}"
            changed = f"{note}; {_OTHER_SETUP}" if before and before["setup"] != one["setup"] else note
            yield from _score(one["round"], table, former, (note, changed))
        yield from _compare_lists(one, before, FIRST)


def choose_fixed(rounds: Sequence[Round]) -> tuple[str, dict[str, int]]:
    """The cohort of the fixed set, and its hips in every round with the grade that they have now."""
    for cohort in ("external", "labelled"):
        grades = [_grades(one[cohort]) for one in rounds]
        fixed = set.intersection(*map(set, grades)) if grades else set()
        if cohort == "labelled":
            fixed &= set(rounds[0]["graded"])
        if fixed:
            return cohort, {hip: grades[-1][hip] for hip in sorted(fixed)}
    return "labelled", {}


def _name_fixed(cohort: str) -> str:
    return "the external cohort" if cohort == "external" else "the hips graded in the first round"


def _grades(tables: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, int]:
    return {
        hip: grade
        for table in tables.values()
        for hip, grade in zip(table["hip"], table["grade"], strict=True)
    }


def _to_lists(table: Graded) -> dict[str, list[Any]]:
    return {name: getattr(table, name).tolist() for name in _ARRAYS}


def _restore(experiment: str, kept: Mapping[str, Sequence[Any]], fixed: Mapping[str, int]) -> Graded:
    """The rows of the fixed hips, with the grades that they have now."""
    arrays = {name: np.array(kept[name]) for name in _ARRAYS}
    table = grades_only(experiment, **arrays).where(np.isin(arrays["hip"], list(fixed)))
    return replace(table, grade=np.array([fixed[hip] for hip in table.hip.tolist()], dtype=np.int64))


def _count_hips(one: Round, before: Round | None) -> Iterator[Row]:
    graded, former = one["graded"], before["graded"] if before else {}
    counts = {"graded hips": len(graded)}
    if before:
        counts["newly graded hips"] = len(graded.keys() - former.keys())
        changed = [hip for hip in graded.keys() & former.keys() if graded[hip] != former[hip]]
        counts["hips with another grade"] = len(changed)
        counts["hips no longer graded"] = len(former.keys() - graded.keys())
    for quantity, count in counts.items():
        yield {"round": one["round"], "quantity": quantity, "value": count, "unit": "hips"}


def _score(number: int, table: Graded, former: Graded | None, notes: tuple[str, str]) -> Iterator[Row]:
    if not len(table):
        return
    now, old = _FAMILY.estimate(table), {}
    if former is not None and len(former):
        old = _FAMILY.estimate(former)
    for metric, score in now.items():
        found = {metric: (score, notes[0])}
        if metric in old:
            found[GAIN.format(metric)] = score.minus(old[metric]), notes[1]
        for quantity, (estimate, note) in found.items():
            row = {"round": number, "experiment": table.experiment, "unit": estimate.unit, **table.counts()}
            yield {**row, "quantity": quantity, **estimate_cells(estimate, note)}


def _compare_lists(one: Round, before: Round | None, first: int) -> Iterator[Row]:
    now = one["list"]
    rows: list[tuple[str, object, str]] = [("hips on the list", len(now), "hips")]
    if before:
        old = before["list"]
        both = set(now) & set(old)
        stay_old, stay_now = [[hip for hip in order if hip in both] for order in (old, now)]
        kept = len(set(stay_old[:first]) & set(stay_now[:first]))
        rows += [
            ("left the list", len(set(old) - both), "hips"),
            ("new on the list", len(set(now) - both), "hips"),
        ]
        rows += [(f"kept among the first {min(first, len(both))}", kept, "hips")]
        if len(both) > 2:
            rank = {hip: number for number, hip in enumerate(stay_now)}
            # Of ranks the plain correlation is Spearman's.
            rho = float(np.corrcoef(np.arange(len(both)), [rank[hip] for hip in stay_old])[0, 1])
            rows += [("rank correlation of both lists", format_number(rho), "Spearman's rho")]
    for quantity, value, unit in rows:
        note = "of the hips on both lists" if quantity.startswith(("kept", "rank")) else ""
        yield {"round": one["round"], "quantity": quantity, "value": value, "unit": unit, "note": note}
