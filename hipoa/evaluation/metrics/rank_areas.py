"""Areas under curves of weighted ranks: of thousands of drawn cohorts at once.

A drawn cohort is the same hips with whole-number weights, so that hips are sorted once. Hips of equal score
count as if in random order: the areas are the mean over all orders of the tied ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hipoa.evaluation.metrics.scores import divide


@dataclass(frozen=True)
class RankedHips:
    """Hips sorted by a score, in groups of equal score.

    Attributes:
        n: (cohorts, groups) weights of the hips of each group, lowest score first.
        events: (cohorts, groups) of those with the event, such as an error.
    """

    n: np.ndarray
    events: np.ndarray

    @cached_property
    def below(self) -> np.ndarray:
        """Hips in the groups below each (cohorts, groups)."""
        return self.n.cumsum(axis=1) - self.n

    @cached_property
    def events_below(self) -> np.ndarray:
        """Events in the groups below each (cohorts, groups)."""
        return self.events.cumsum(axis=1) - self.events

    @cached_property
    def share(self) -> np.ndarray:
        """Of each group's hips those with the event (cohorts, groups), 0 where a cohort has none of them."""
        return self.events / np.maximum(self.n, 1)

    @cached_property
    def total(self) -> np.ndarray:
        """Hips (cohorts,)."""
        return self.n.sum(axis=1)

    @cached_property
    def total_events(self) -> np.ndarray:
        """Hips with the event (cohorts,)."""
        return self.events.sum(axis=1)

    def find_group(self, count: np.ndarray) -> np.ndarray:
        """The group (cohorts,) that holds the hip of this number (cohorts,), counted from 1."""
        # One search for all cohorts: the hips of each are counted on from those before it.
        before = self.total.cumsum() - self.total
        first = np.arange(len(count)) * self.n.shape[1]
        found = np.searchsorted(self._counted_on, before + count) - first
        return np.clip(found, 0, self.n.shape[1] - 1)

    @cached_property
    def _counted_on(self) -> np.ndarray:
        return self.n.cumsum()


def rank_hips(score: np.ndarray, event: np.ndarray, weight: np.ndarray) -> RankedHips:
    """Sorts hips by their score.

    Args:
        score: (n,) of any scale.
        event: (n,) bool.
        weight: (cohorts, n) how often each hip is in each cohort, whole numbers.
    """
    order = np.argsort(score, kind="stable")
    _, start = np.unique(score[order], return_index=True)
    weight, event = weight[:, order].astype(np.float64, copy=False), event[order]
    if len(start) == len(order):
        return RankedHips(weight, weight * event)
    return RankedHips(np.add.reduceat(weight, start, axis=1), np.add.reduceat(weight * event, start, axis=1))


def area_under_roc(hips: RankedHips) -> np.ndarray:
    """The probability that a hip with the event has the higher score than one without; ties are half.

    Returns:
        (cohorts,), NaN where no hip or every hip has the event.
    """
    others_below = hips.below - hips.events_below + (hips.n - hips.events) / 2
    wins = np.vecdot(hips.events, others_below)
    return divide(wins, hips.total_events * (hips.total - hips.total_events))


def area_under_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AURC: the mean, over the shares of hips that are kept, of the kept hips' share of errors.

    The surest hips are kept first. By the trapezoid rule from one hip to all, divided by that width
    (source: Geifman and El-Yaniv, NeurIPS 2017; the rule as in torch-uncertainty).

    Args:
        hips: Ranked by uncertainty; the event is an error.

    Returns:
        (cohorts,) share, NaN with less than two hips.
    """
    # Within a group of n hips with e errors the k-th kept brings e / n errors: a sum of 1 / (below + k).
    harmonic = np.concatenate([[0.0], (1 / np.arange(1, hips.total.max(initial=0) + 1)).cumsum()])
    from_start = harmonic[np.pad(hips.n, ((0, 0), (1, 0))).cumsum(axis=1).astype(np.intp)]
    total = np.vecdot(hips.events_below - hips.share * hips.below, np.diff(from_start, axis=1))
    return _trapezoid(total + hips.total_events, _first(hips), divide(hips.total_events, hips.total), hips)


def area_under_generalised_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AUGRC: the mean, over the shares of hips that are kept, of the share of all hips kept and wrong.

    Source: Traub et al., NeurIPS 2024. See `area_under_risk_coverage`.
    """
    wrong = np.vecdot(hips.n, hips.events_below) + np.vecdot(hips.events, hips.n + 1) / 2
    first, last = divide(_first(hips), hips.total), divide(hips.total_events, hips.total)
    return _trapezoid(divide(wrong, hips.total), first, last, hips)


def risk_at(hips: RankedHips, coverage: float) -> np.ndarray:
    """The share of errors among the surest hips, so many that they are at least this share of all.

    Args:
        hips: Ranked by uncertainty; the event is an error.
        coverage: Share of the hips that is kept, above 0 and at most 1.

    Returns:
        (cohorts,) share.
    """
    wanted = np.ceil(coverage * hips.total - 1e-9)
    place = np.arange(len(wanted)), hips.find_group(wanted)
    errors = hips.events_below[place] + (wanted - hips.below[place]) * hips.share[place]
    return divide(errors, wanted)


def _first(hips: RankedHips) -> np.ndarray:
    """The expected error of the surest hip (cohorts,)."""
    return hips.share[np.arange(len(hips.n)), (hips.n > 0).argmax(axis=1)]


def _trapezoid(total: np.ndarray, first: np.ndarray, last: np.ndarray, hips: RankedHips) -> np.ndarray:
    return divide(total - (first + last) / 2, hips.total - 1)
