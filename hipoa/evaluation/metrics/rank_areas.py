"""Areas under ROC and risk-coverage curves, of many cohorts at once.

scikit-learn's functions take one cohort at a time. The cohorts are those without one patient: the same hips
with whole-number weights, so that hips are sorted once. Ties count as if in random order: areas are the mean
over all orders of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hipoa.evaluation.graded import Graded, number_cells
from hipoa.evaluation.metrics.estimates import find_folds
from hipoa.evaluation.metrics.scores import divide
from hipoa.evaluation.statistics.intervals import Estimate
from hipoa.evaluation.statistics.jackknife import pseudo_values


class RankedHips:
    """Hips of several cohorts sorted by a score, in groups of equal score.

    Attributes:
        n: (cohorts, groups) hips of each group, lowest score first.
        events: (cohorts, groups) of those with the event, such as an error.
        below, events_below: (cohorts, groups) hips and events in the groups below each.
        share: (cohorts, groups) events per hip, 0 where a cohort has no hip of the group.
        total, total_events: (cohorts,) hips and events.
    """

    def __init__(self, n: np.ndarray, events: np.ndarray) -> None:
        self.n, self.events = n, events
        self.below, self.events_below = n.cumsum(axis=1) - n, events.cumsum(axis=1) - events
        self.share = events / np.maximum(n, 1)
        self.total, self.total_events = n.sum(axis=1), events.sum(axis=1)
        self._running_count = n.cumsum()

    def find_group(self, count: np.ndarray) -> np.ndarray:
        """The group (cohorts,) that holds the hip of this number (cohorts,), counted from 1."""
        # One search for all cohorts: hips are counted through all of them, one cohort after the other.
        before = self.total.cumsum() - self.total
        first = np.arange(len(count)) * self.n.shape[1]
        found = np.searchsorted(self._running_count, before + count) - first
        return np.clip(found, 0, self.n.shape[1] - 1)


Area = Callable[[RankedHips], np.ndarray]


def rank_hips(score: np.ndarray, event: np.ndarray, weight: np.ndarray) -> RankedHips:
    """Sorts hips by their score (n,); event (n,) bool, weight (cohorts, n) counts of each hip per cohort."""
    order = np.argsort(score, kind="stable")
    _, start = np.unique(score[order], return_index=True)
    weight, event = weight[:, order].astype(np.float64, copy=False), event[order]
    if len(start) == len(order):
        return RankedHips(weight, weight * event)
    return RankedHips(np.add.reduceat(weight, start, axis=1), np.add.reduceat(weight * event, start, axis=1))


def area_under_roc(hips: RankedHips) -> np.ndarray:
    """AUROC: the probability that a hip with the event has a higher score than one without; ties count half.

    (cohorts,), NaN where no hip or every hip has the event.
    """
    others_below = hips.below - hips.events_below + (hips.n - hips.events) / 2
    wins = np.vecdot(hips.events, others_below)
    return divide(wins, hips.total_events * (hips.total - hips.total_events))


def area_under_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AURC: the mean over the coverage (share of hips kept) of the risk (share of errors among them).

    The most certain hips are kept first. By the trapezoid rule from one hip to all, divided by that width
    (source: Geifman and El-Yaniv, NeurIPS 2017; the rule as in torch-uncertainty). Hips are ranked by
    uncertainty, the event is an error. (cohorts,), NaN with less than two hips.
    """
    # Within a group of n hips with e errors the k-th kept brings e / n errors: a sum of 1 / (below + k).
    harmonic = np.concatenate([[0.0], (1 / np.arange(1, hips.total.max(initial=0) + 1)).cumsum()])
    from_start = harmonic[np.pad(hips.n, ((0, 0), (1, 0))).cumsum(axis=1).astype(np.intp)]
    total = np.vecdot(hips.events_below - hips.share * hips.below, np.diff(from_start, axis=1))
    return _trapezoid(total + hips.total_events, _first(hips), divide(hips.total_events, hips.total), hips)


def area_under_generalised_risk_coverage(hips: RankedHips) -> np.ndarray:
    """AUGRC: the mean over the coverage of the share of all hips that are kept and wrong.

    Source: Traub et al., NeurIPS 2024; see `area_under_risk_coverage`.
    """
    wrong = np.vecdot(hips.n, hips.events_below) + np.vecdot(hips.events, hips.n + 1) / 2
    first, last = divide(_first(hips), hips.total), divide(hips.total_events, hips.total)
    return _trapezoid(divide(wrong, hips.total), first, last, hips)


def risk_at(hips: RankedHips, coverage: float) -> np.ndarray:
    """The risk (cohorts,): the share of errors among the most certain hips.

    Of all hips, at least the share ``coverage`` is kept, above 0 and at most 1.
    """
    wanted = np.ceil(coverage * hips.total - 1e-9)
    last = np.arange(len(wanted)), hips.find_group(wanted)
    errors = hips.events_below[last] + (wanted - hips.below[last]) * hips.share[last]
    return divide(errors, wanted)


def _first(hips: RankedHips) -> np.ndarray:
    """The expected error of the most certain hip (cohorts,)."""
    return hips.share[np.arange(len(hips.n)), (hips.n > 0).argmax(axis=1)]


def _trapezoid(total: np.ndarray, first: np.ndarray, last: np.ndarray, hips: RankedHips) -> np.ndarray:
    return divide(total - (first + last) / 2, hips.total - 1)


def estimate_areas(
    table: Graded, score: np.ndarray, event: np.ndarray, areas: Mapping[str, tuple[Area, str]]
) -> dict[str, Estimate]:
    """Areas of the hips of one experiment and cohort, ranked by a score (n,): means over the repeats.

    ``event`` is (n,) bool, such as an error; ``areas`` is name to function and unit.
    """
    patient, n = number_cells(table.patient)
    repeats = [np.flatnonzero(table.repeat == repeat) for repeat in np.unique(table.repeat)]
    # The whole cohort, and those without one of the patients.
    weight = np.concatenate([np.ones((1, n)), 1 - np.eye(n)])
    found: dict[str, list[np.ndarray]] = {name: [] for name in areas}
    for rows in repeats:
        hips = rank_hips(score[rows], event[rows], weight[:, patient[rows]])
        for name, (area, _) in areas.items():
            found[name].append(area(hips))
    fold = find_folds(table)
    # An area under an ROC curve compares the hips with the event with those without it.
    fewest = min(len(np.unique(patient[event])), len(np.unique(patient[~event])))
    return {
        name: Estimate(
            *pseudo_values(values[0], values[1:]),
            areas[name][1],
            fold,
            smallest=fewest if areas[name][0] is area_under_roc else None,
        )
        for name, values in ((name, np.stack(columns, axis=1)) for name, columns in found.items())
    }
