"""Learning curves of reading strategies and their differences from random order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from hipoa.core.columns import format_number
from hipoa.evaluation.passes import name_measure
from hipoa.evaluation.statistics.holm import adjust_rows
from hipoa.evaluation.statistics.intervals import Estimate, Row
from hipoa.evaluation.statistics.jackknife import pseudo_values

RANDOM = "random"
NOT_SHOWN = "not shown to differ from random"
"""The verdict where p_holm is not below 0.05."""
LEVELS = (0.5, 0.75, 0.9)
METRICS = {"ECA": 0, "ONCA": 1}
"""Score to the largest error in classes that counts as correct."""


@dataclass(frozen=True)
class Curves:
    """The errors of one learner on the test hips while more and more hips were read."""

    learner: str  # what was trained
    strategies: Sequence[str]  # their names, random among them
    hips_read: np.ndarray  # (strategies, seeds, rounds) hips with a label
    error: np.ndarray  # (strategies, seeds, rounds, hips) absolute error of the test hips, classes
    patient: np.ndarray  # (hips,) number of each test hip's patient, 0 to k - 1


def score_without(curves: Curves, metric: str) -> np.ndarray:
    """Scores (1 + patients, seeds, strategies, rounds) of all test patients, then without each of them."""
    right = (curves.error <= METRICS[metric]).astype(np.float64)
    member = np.eye(int(curves.patient.max()) + 1)[curves.patient]
    of_patient = (right @ member).transpose(3, 1, 0, 2)
    hips = member.sum(axis=0)
    without = of_patient.sum(axis=0) - of_patient
    whole = of_patient.sum(axis=0, keepdims=True) / hips.sum()
    return np.concatenate([whole, without / (hips.sum() - hips)[:, None, None, None]])


def describe(curves: Curves) -> Iterator[Row]:
    """The rows of one learner: the curves, the gains over random and the labels saved."""
    for metric in METRICS:
        score = score_without(curves, metric)
        keys: Row = {"learner": curves.learner, "metric": metric}
        for number, strategy in enumerate(curves.strategies):
            for at in range(score.shape[3]):
                row = {"strategy": strategy, "quantity": "curve", **_cells(score[:, :, number, at], "share")}
                yield {**keys, **row, "hips_read": format_number(curves.hips_read[number, :, at].mean())}
        base = list(curves.strategies).index(RANDOM)
        others = {name: n for n, name in enumerate(curves.strategies) if n != base}
        yield from (keys | row for row in _compare_gains(others, base, score))
        yield from (keys | row for row in _compare_labels(others, base, score, curves.hips_read))


def _compare_gains(others: Mapping[str, int], base: int, score: np.ndarray) -> list[Row]:
    """The rows of the mean difference from random over the rounds, Holm over the strategies."""
    # The first and the last round are the same for all.
    inner = slice(1, -1) if score.shape[3] > 2 else slice(None)
    rows: list[Row] = []
    for strategy, number in others.items():
        gain = (score[:, :, number, inner] - score[:, :, base, inner]).mean(axis=2)
        found = _estimate(gain, "share", difference=True)
        cells = {"value": format_number(found.value), "unit": "share", **found.interval().cells()}
        cells |= {"p": found.p_value(), "verdict": judge(found.value, np.nan)}
        rows.append({"strategy": strategy, "quantity": "gain", **cells})
    for row, p_holm in adjust_rows(rows):
        row["verdict"] = judge(float(str(row["value"])), p_holm)
    return rows


def _compare_labels(
    others: Mapping[str, int], base: int, score: np.ndarray, read: np.ndarray
) -> Iterator[Row]:
    """The rows of the labels that each strategy saves at each level of random's rise, by the mean curves."""
    n_patients, seeds = score.shape[0] - 1, score.shape[1]
    # The curves of all, those without each patient, those without each seed.
    kept = (1 - np.eye(seeds)) / max(seeds - 1, 1)
    weights = np.concatenate([np.full((n_patients + 1, seeds), 1 / seeds), kept])
    hips = np.einsum("ws,asr->war", weights, read.astype(np.float64))
    means = np.concatenate([score.mean(axis=1), np.einsum("ws,sar->war", kept, score[0])])
    rising = make_rise(means)
    for strategy, number in others.items():
        for level in LEVELS:
            saved = np.array(
                [
                    save_labels(at[base], curve[base], at[number], curve[number], level)
                    for at, curve in zip(hips, rising, strict=True)
                ]
            )
            value, without = saved[:1], saved[1 : n_patients + 1]
            of_seeds = saved[n_patients + 1 :]
            # The variance of the jackknife over the seeds, of a score that is no mean over them.
            added = (seeds - 1) * float(((of_seeds - of_seeds.mean()) ** 2).mean()) if seeds > 1 else 0.0
            found = Estimate(*pseudo_values(value, without[:, None]), "hips", added=added)
            quantity = f"labels saved at {level:.0%} of random's rise"
            cells = {"value": format_number(found.value), "unit": "hips", **found.interval().cells()}
            yield {"strategy": strategy, "quantity": quantity, **cells}


def _estimate(score: np.ndarray, unit: str, *, difference: bool = False) -> Estimate:
    """A score (1 + patients, seeds), its variance over other test patients and over other seeds added up."""
    value, seeds = score[0], score.shape[1]
    added = float(value.var(ddof=1)) / seeds if seeds > 1 else 0.0
    return Estimate(*pseudo_values(value, score[1:]), unit, difference=difference, added=added)


def _cells(score: np.ndarray, unit: str) -> Row:
    found = _estimate(score, unit)
    return {"value": format_number(found.value), "unit": unit, **found.interval().cells()}


def judge(gain: float, p_holm: float) -> str:
    """The verdict on a mean difference from random, by its adjusted p."""
    if not p_holm < 0.05:
        return NOT_SHOWN
    return "better than random" if gain > 0 else "worse than random"


def make_rise(score: np.ndarray) -> np.ndarray:
    """The non-decreasing curves (..., rounds) nearest to noisy ones, by isotonic regression."""
    return np.apply_along_axis(lambda curve: isotonic_regression(curve).x, -1, score)


def save_labels(
    read_random: np.ndarray, random: np.ndarray, read: np.ndarray, score: np.ndarray, level: float
) -> float:
    """How many hips fewer a strategy needs than random for the same score, negative where it needs more.

    From hips read and rising scores after them, (rounds,) each. The score is random's first one and the share
    ``level`` (0-1) of its rise to the last. NaN if random does not rise or a curve never gets there.
    """
    wanted = random[0] + level * (random[-1] - random[0])
    if random[-1] <= random[0] or score[-1] < wanted:
        return float("nan")
    return _reach(read_random, random, wanted) - _reach(read, score, wanted)


def _reach(read: np.ndarray, score: np.ndarray, wanted: float) -> float:
    """The hips after which a rising curve, linear between the rounds, first reaches the wanted score."""
    after = int(np.searchsorted(score, wanted))
    if after == 0:
        return float(read[0])
    part = (wanted - score[after - 1]) / (score[after] - score[after - 1])
    return float(read[after - 1] + part * (read[after] - read[after - 1]))


def state_answer(rows: Sequence[Mapping[str, object]], test_set: str) -> str:
    """Whether choosing would have saved labels on this cohort, in words, from `describe` and the counts."""
    gains = [row for row in rows if row["quantity"] == "gain"]
    if not gains:
        return "Nothing was set against random."
    better, worse = (_list_gains(gains, f"{verdict} than random") for verdict in ("better", "worse"))
    tried = list(dict.fromkeys(name_measure(str(row["strategy"])) for row in gains))
    answer = f"Choosing paid: {better}" if better else f"Choosing is not shown to pay: {', '.join(tried)}"
    answer += f"; worse than random: {worse}" if worse else ""
    first = gains[0]
    return (
        f"{answer}. Mean over the batches, Holm-adjusted over the orders; measured on {test_set} "
        f"({first['n_test_hips']} hips of {first['n_test_patients']} patients) while {first['n_hips']} hips "
        f"were read, {first['n_seeds']} seeds."
    )


def _list_gains(gains: Sequence[Mapping[str, object]], verdict: str) -> str:
    return ", ".join(
        f"{name_measure(str(row['strategy']))} ({float(str(row['value'])):+.3f} {row['metric']})"
        for row in gains
        if row["verdict"] == verdict
    )
