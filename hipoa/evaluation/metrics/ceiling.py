"""The best scores that any grader can have against one reader, as the agreement of two readers implies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import sqrt

from hipoa.core.columns import format_number
from hipoa.evaluation.graded import Graded
from hipoa.evaluation.metrics.estimates import ScoreSet, interval_rows, tally_classes
from hipoa.evaluation.metrics.scores import (
    Score,
    mean_absolute_error,
    quadratic_weighted_kappa,
    share_within,
)
from hipoa.evaluation.statistics.intervals import Row

REACHABLE, LIMIT = "reachable", "limit"


def _symmetric(score: Score) -> Score:
    """A score of readers who are interchangeable: neither is the row and neither the column."""
    return lambda confusion: score(confusion + confusion.swapaxes(-1, -2))


_KAPPA = (_symmetric(quadratic_weighted_kappa), "kappa")
_OF_READERS = {
    "ECA": (share_within(0), "share"),
    "ONCA": (share_within(1), "share"),
    "quadratic weighted kappa": _KAPPA,
    "MAE": (mean_absolute_error, "classes"),
}
_FOR_LIMIT = _OF_READERS | {"ONCA": (share_within(2), "share")}
_NOTES = {
    REACHABLE: "what a grader reaches who errs as a reader does: the agreement of two readers",
    LIMIT: "what no grader can be expected to pass, if readers are interchangeable and err independently of "
    "each other on the same hip",
}


def imply_ceiling(pairs: Graded) -> Iterator[tuple[str, Row]]:
    """Between which two values the best possible score against one reader lies.

    Let R and R' be the classes that two readers give a hip, and G that of any grader. Assumed is that the
    readers are interchangeable (R and R' have the same distribution given the hip) and err independently, of
    each other and of G, given the hip. G may be an oracle, which knows everything about the hip except how
    this reader will err. Then

    - REACHABLE: a grader who errs as R' does has the scores of R' against R, so the best one has no worse.
    - LIMIT of ECA (k = 0) and ONCA (k = 1): if R and R' both lie within k classes of G, they lie within 2 k
      of each other; given hip and G, both do with the squared probability that one does. The mean of a
      square is no less than the square of the mean, so P(|R - G| <= k) <= sqrt(P(|R - R'| <= 2 k)).
    - LIMIT of the quadratic weighted kappa: it is at most the correlation of G and R, where that is not
      negative (Lin, Biometrics 1989, 45, 255-268), and this at most the square root of the correlation of R
      and R' (Spearman, American Journal of Psychology 1904, 15, 72-101): cov(G, R) = cov(G, m) <= sd(G) sd(m)
      and var(m) = cov(R, R'), where m is the mean of R given the hip. The correlation of R and R', which have
      the same mean and variance, is their kappa.
    - LIMIT of the MAE: |R - R'| <= |R - G| + |G - R'|, so it is at least half the readers' own.

    Readers who confer agree too often: both values of ECA, ONCA and kappa are then too high, and the limit
    holds but says less. Where readers differ in kind, neither value is of one of them in particular. A label
    that is one reader's has the same ceiling. Against one that several readers make together there is no such
    limit, since it depends on more than how often two of them agree: where all errors are to the severe side,
    the milder of two readings is wrong only if both are.

    Args:
        pairs: The classes of two readers, a row per hip and pair of readers, of one cohort.

    Yields:
        REACHABLE or LIMIT, and the row of a score with its interval: ends of a limit are the limits that the
        ends of the interval of the readers' agreement imply.
    """
    for which, scores in ((REACHABLE, _OF_READERS), (LIMIT, _FOR_LIMIT)):
        for row in interval_rows(pairs, ScoreSet(tally_classes, scores), _NOTES[which], networks=False):
            bound = _BOUNDS.get(str(row["metric"]), _root) if which == LIMIT else float
            yield which, row | {name: _apply(bound, str(row[name])) for name in ("value", "low", "high")}


def _root(share: float) -> float:
    return sqrt(max(0.0, share))


_BOUNDS: dict[str, Callable[[float], float]] = {"MAE": lambda error: error / 2}


def _apply(bound: Callable[[float], float], cell: str) -> str:
    return format_number(bound(float(cell))) if cell else ""
