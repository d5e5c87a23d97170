"""Areas under curves of weighted ranks: of thousands of drawn cohorts at once.

A drawn cohort is the same hips with whole-number weights, so that hips are sorted once. Hips of equal score
count as if in random order: the areas are the mean over all orders of the tied ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hipoa.evaluation.scores import divide


@dataclass(frozen=True)
class RankedHips:
    """Hips sorted by a score, in groups of equal score.

    Attributes:
        n: (cohorts, groups) weights of the hips of each group, lowest score first.
        events: (cohorts, groups) of those with the event, such as an error.
    """

    n: np.ndarray
    events: np.ndarray


def rank_hips(score: np.ndarray, event: np.ndarray, weight: np.ndarray) -> RankedHips:
    """Sorts hips by their score.

    Args:
        score: (n,) of any scale.
        event: (n,) bool.
        weight: (cohorts, n) how often each hip is in each cohort, whole numbers.
    """
    order = np.argsort(score, kind="stable")
    _, start = np.unique(score[order], return_index=True)
    weight = weight[:, order]
    return RankedHips(
        np.add.reduceat(weight, start, axis=1), np.add.reduceat(weight * event[order], start, axis=1)
    )


def area_under_roc(hips: RankedHips) -> np.ndarray:
    """The probability that a hip with the event has the higher score than one without; ties are half.

    Returns:
        (cohorts,), NaN where no hip or every hip has the event.
    """
    others = hips.n - hips.events
    below = others.cumsum(axis=1) - others
    wins = (hips.events * (below + others / 2)).sum(axis=1)
    return divide(wins, hips.events.sum(axis=1) * others.sum(axis=1))


def area_under_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AURC: the mean, over the shares of hips that are kept, of the kept hips' share of errors.

    The surest hips are kept first. By the trapezoid rule from one hip to all, divided by that width
    (source: Geifman and El-Yaniv, NeurIPS 2017; the rule as in torch-uncertainty).

    Args:
        hips: Ranked by uncertainty; the event is an error.

    Returns:
        (cohorts,) share, NaN with less than two hips.
    """
    kept, errors = _before(hips)
    # Within a group of n hips with e errors the k-th kept brings e / n errors: a sum of 1 / (kept + k).
    harmonic = np.concatenate([[0.0], (1 / np.arange(1, hips.n.sum(axis=1).max(initial=0) + 1)).cumsum()])
    inverse = harmonic[(kept + hips.n).astype(np.int64)] - harmonic[kept.astype(np.int64)]
    slope = np.nan_to_num(divide(hips.events, hips.n))
    total = ((errors - slope * kept) * inverse + hips.events).sum(axis=1)
    return _trapezoid(total, _first(hips), divide(hips.events.sum(axis=1), hips.n.sum(axis=1)), hips)


def area_under_generalised_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AUGRC: the mean, over the shares of hips that are kept, of the share of all hips kept and wrong.

    Source: Traub et al., NeurIPS 2024. See `area_under_risk_coverage`.
    """
    _, errors = _before(hips)
    n = hips.n.sum(axis=1)
    total = divide((hips.n * errors + hips.events * (hips.n + 1) / 2).sum(axis=1), n)
    return _trapezoid(total, divide(_first(hips), n), divide(hips.events.sum(axis=1), n), hips)


def risk_at(hips: RankedHips, coverage: float) -> np.ndarray:
    """The share of errors among the surest hips, so many that they are at least this share of all.

    Args:
        hips: Ranked by uncertainty; the event is an error.
        coverage: Share of the hips that is kept, above 0 and at most 1.

    Returns:
        (cohorts,) share.
    """
    n = hips.n.sum(axis=1, keepdims=True)
    kept, _ = _before(hips)
    wanted = np.ceil(coverage * n - 1e-9)
    inside = np.clip(wanted - kept, 0, hips.n)
    slope = np.nan_to_num(divide(hips.events, hips.n))
    return divide((inside * slope).sum(axis=1), wanted[:, 0])


def _before(hips: RankedHips) -> tuple[np.ndarray, np.ndarray]:
    """Hips and errors in the groups below each, both (cohorts, groups)."""
    return hips.n.cumsum(axis=1) - hips.n, hips.events.cumsum(axis=1) - hips.events


def _first(hips: RankedHips) -> np.ndarray:
    """The expected error of the surest hip (cohorts,)."""
    surest = (hips.n > 0).argmax(axis=1)
    rows = np.arange(len(surest))
    return divide(hips.events[rows, surest], hips.n[rows, surest])


def _trapezoid(total: np.ndarray, first: np.ndarray, last: np.ndarray, hips: RankedHips) -> np.ndarray:
    return divide(total - (first + last) / 2, hips.n.sum(axis=1) - 1)
