"""Learning curves of reading strategies and their differences from random order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.core.columns import format_number
from hipoa.evaluation.passes import name_measure
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import Row, draw_patients, interval_cells, two_sided_p
from hipoa.evaluation.statistics.holm import adjust_rows

RANDOM = "random"
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


def draw_scores(curves: Curves, metric: str, bootstrap: BootstrapSettings) -> tuple[np.ndarray, np.ndarray]:
    """Scores and hips read (draws, strategies, rounds), means over the seeds.

    Draw 0 is the study itself, the others draw its test patients and its seeds with replacement.
    """
    right = (curves.error <= METRICS[metric]).astype(np.float64)
    strategies, seeds, rounds, _ = right.shape
    n_patients = int(curves.patient.max()) + 1
    member = np.eye(n_patients)[curves.patient]
    of_patient = (right @ member).transpose(3, 1, 0, 2).reshape(n_patients, -1)
    n = bootstrap.bootstrap_resamples
    patients = np.concatenate([np.ones((1, n_patients)), *draw_patients(n_patients, n_patients, n)])
    drawn_seeds = np.concatenate([np.ones((1, seeds)), *draw_patients(seeds, seeds, n, seed=1)]) / seeds
    sums = (patients @ of_patient).reshape(n + 1, seeds, strategies * rounds)
    hips = patients @ member.sum(axis=0)
    score = np.einsum("nsk,ns->nk", sums, drawn_seeds) / hips[:, None]
    # The number of hips in a batch of patients differs a little from seed to seed.
    read = np.einsum("asr,ns->nar", curves.hips_read.astype(np.float64), drawn_seeds)
    return score.reshape(n + 1, strategies, rounds), read


def describe(curves: Curves, bootstrap: BootstrapSettings) -> Iterator[Row]:
    """The rows of one learner: the curves, the gains over random and the labels saved."""
    for metric in METRICS:
        score, read = draw_scores(curves, metric, bootstrap)
        keys: Row = {"learner": curves.learner, "metric": metric}
        for number, strategy in enumerate(curves.strategies):
            for at in range(score.shape[2]):
                row = {"strategy": strategy, "quantity": "curve", **_cells(score[:, number, at], "share")}
                yield {**keys, **row, "hips_read": format_number(read[0, number, at])}
        base = list(curves.strategies).index(RANDOM)
        others = {name: n for n, name in enumerate(curves.strategies) if n != base}
        yield from (keys | row for row in _compare_gains(others, base, score))
        yield from (keys | row for row in _compare_labels(others, base, score, read))


def _compare_gains(others: Mapping[str, int], base: int, score: np.ndarray) -> list[Row]:
    """The rows of the mean difference from random over the rounds, Holm over the strategies."""
    # The first and the last round are the same for all.
    inner = slice(1, -1) if score.shape[2] > 2 else slice(None)
    rows: list[Row] = []
    for strategy, number in others.items():
        gain = (score[:, number, inner] - score[:, base, inner]).mean(axis=1)
        cells = {"p": two_sided_p(gain[1:]), "verdict": judge(gain[0], np.nan)}
        rows.append({"strategy": strategy, "quantity": "gain", **_cells(gain, "share"), **cells})
    for row, p_holm in adjust_rows(rows):
        row["verdict"] = judge(float(str(row["value"])), p_holm)
    return rows


def _compare_labels(
    others: Mapping[str, int], base: int, score: np.ndarray, read: np.ndarray
) -> Iterator[Row]:
    """The rows of the labels that each strategy saves at each level of random's rise."""
    rising = make_rise(score)
    for strategy, number in others.items():
        for level in LEVELS:
            saved = [
                save_labels(hips[base], curve[base], hips[number], curve[number], level)
                for hips, curve in zip(read, rising, strict=True)
            ]
            quantity = f"labels saved at {level:.0%} of random's rise"
            yield {"strategy": strategy, "quantity": quantity, **_cells(np.array(saved), "hips")}


def _cells(drawn: np.ndarray, unit: str) -> Row:
    return {"value": format_number(float(drawn[0])), "unit": unit, **interval_cells(drawn[1:])}


def judge(gain: float, p_holm: float) -> str:
    """The verdict on a mean difference from random, by its adjusted p."""
    if not p_holm < 0.05:
        return "no better than random"
    return "better than random" if gain > 0 else "worse than random"


def make_rise(score: np.ndarray) -> np.ndarray:
    """The non-decreasing curves (..., rounds) nearest to noisy ones.

    Isotonic regression by its max-min formula, of thousands of short curves at once (source: Robertson,
    Wright, Dykstra, Order Restricted Statistical Inference, 1988, theorem 1.4.4).
    """
    rounds = score.shape[-1]
    before = np.concatenate([np.zeros((*score.shape[:-1], 1)), score.cumsum(axis=-1)], axis=-1)
    first, last = np.arange(rounds)[:, None], np.arange(rounds)[None]
    total = before[..., None, 1:] - before[..., :-1, None]
    mean = np.where(last >= first, total / np.maximum(last - first + 1, 1), np.inf)
    # Of the stretches that begin at a the least mean of those that end at i or later; the largest of a <= i.
    least = np.minimum.accumulate(mean[..., ::-1], axis=-1)[..., ::-1]
    return np.where(last >= first, least, -np.inf).max(axis=-2)


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
    gained = f"none of {', '.join(tried)} gained" if len(tried) > 1 else f"{tried[0]} gained nothing"
    answer = f"Choosing paid: {better}" if better else f"No better than random: {gained}"
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
