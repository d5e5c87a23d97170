"""What a number of patients can show: how wide intervals will be, and which differences are found.

Before there are results, from assumptions about how the grades of hips vary and agree, as they do on
simulated cohorts (``benchmarks/intervals.py``); after, from the intervals of a study's own differences.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb, inf
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from hipoa.evaluation.comparison.verdicts import PRIMARY
from hipoa.evaluation.statistics.intervals import EXACT_PATIENTS, LEAST_PATIENTS, Estimate, Interval

POWER = 0.8
DIFFERENCE = 0.05
MOST_PATIENTS = 100_000
PUBLISHED = {"ECA": 0.65, "ONCA": 0.95}
"""Scores of networks for which it is planned. Source: Masuda et al. 2024."""
ASSUMED, OBSERVED = "assumed", "this study"

_HIPS = 0.25
"""Correlation of a patient's two hips in the share of repeats in which a hip is graded rightly."""
_REPEATS = 0.6
"""Correlation of two repeats in whether a hip is graded rightly."""
_TRAINING, _SEEDS = 0.3, 0.85
"""Variance that training adds, as multiples of s (1 - s) / n of a share s: of the draw of the training
patients, which repeats share; of seeds and split, which every repeat draws anew."""
_NETWORKS = 0.4
"""Correlation of two networks in all that repeats share."""

ASSUMPTIONS = (
    f"Assumed: two hips per patient; being graded rightly correlates by {_HIPS} between them, by {_REPEATS} "
    "between repeats; training adds to the variance s (1 - s) / patients of a share s "
    f"{_TRAINING} times as much for the draw of its patients, and {_SEEDS} / repeats times as much for seeds "
    f"and splits; two networks correlate by {_NETWORKS} in all but the last. Source: simulated cohorts of 24 "
    "to 198 patients in 4 folds, on which intervals of scores were as wide as this says within 20 %, of "
    "differences within 30 %, narrower for networks that err alike. Real networks may be otherwise."
)


@dataclass(frozen=True)
class Spread:
    """How much a score, or a difference of two, varies: n times its variance with n patients.

    Both parts of the variance fall as 1 / n: a score is nearly a mean over the patients that are graded, and
    nearly one over those that a network learned from, all of whom some fold trains on, whatever the folds.
    """

    patients: float  # the part of the graded patients
    training: float = 0.0  # the part of networks trained on other patients

    def error(self, n: int) -> float:
        """The standard error with n patients."""
        return float(np.sqrt((self.patients + self.training) / n))


def assume(share: float, repeats: int, *, anew: bool, difference: bool = False) -> Spread:
    """The assumed spread of the share of hips graded rightly, a mean over repeats.

    The mean of r repeats with correlation c has the variance c + (1 - c) / r of one; that of a patient's two
    hips with correlation c has (1 + c) / 2; a difference has 2 (1 - c) of what correlates by c, and twice
    what does not.

    Args:
        share: Of hips, 0-1, the same of both networks of a difference.
        repeats: Their number.
        anew: Whether networks trained on other patients are asked about, not these networks.
        difference: Whether it is of two networks.
    """
    patients = (1 + _HIPS) / 2 * (_REPEATS + (1 - _REPEATS) / repeats)
    training, seeds = (_TRAINING, _SEEDS / repeats) if anew else (0.0, 0.0)
    shared, own = (2 * (1 - _NETWORKS), 2) if difference else (1, 1)
    variance = share * (1 - share)
    return Spread(variance * shared * patients, variance * (shared * training + own * seeds))


def observe(row: Mapping[str, str]) -> Spread | None:
    """The spread that the interval of a row of differences.csv tells of, None if it has none."""
    if not (row["low"] and row["high"]):
        return None
    n = int(row["n_patients"])
    # That of a share ends at 1 or -1, so that its other side may be longer.
    reach = max(abs(float(row[end]) - float(row["difference"])) for end in ("low", "high"))
    return Spread(n * (reach / float(student.ppf(0.975, n - 1))) ** 2)


def expect_interval(share: float, spread: Spread, n: int) -> Interval:
    """The 95 % interval of a share of that spread with n patients, as `Estimate` makes it."""
    places = np.linspace(-1, 1, n)
    places *= np.sqrt(spread.patients / places.var(ddof=1)) if n > 1 else 0
    pseudo = (share + places)[:, None]
    return Estimate(np.array([share]), pseudo, "share", added=spread.training / n).interval()


def half_width(spread: Spread, n: int) -> float:
    """Half of the width of the 95 % interval of a difference with n patients, at least 2."""
    return float(student.ppf(0.975, n - 1)) * spread.error(n)


def find_smallest(spread: Spread, n: int, tests: int) -> float:
    """The smallest difference that a two-sided t-test of n patients finds with 80 % power; inf if none.

    Its level is that of the first of ``tests`` tests in Holm's order, 0.05 / tests, which any difference
    passes whose p is below it. Few patients must pass an exact test too, of which the smallest p is
    2 / 2^n: where that is too large none is found, else the smallest difference is at least this.
    """
    level = 0.05 / tests
    if n < LEAST_PATIENTS or 2.0 ** (1 - n) >= level:
        return inf
    critical = float(student.ppf(1 - level / 2, n - 1))
    # The other tail adds nothing that matters at this power.
    errors = brentq(lambda shift: float(nct.sf(critical, n - 1, shift)) - POWER, 0, 4 * critical)
    return spread.error(n) * float(np.asarray(errors))


def count_needed(spread: Spread, difference: float, tests: int) -> int | None:
    """The patients with whom a difference is found with 80 % power; None if more than 100 000."""
    sizes = range(LEAST_PATIENTS, MOST_PATIENTS + 1)
    found = bisect_left(sizes, True, key=lambda n: find_smallest(spread, n, tests) <= difference)
    return sizes[found] if found < len(sizes) else None


class PlannedStudy(NamedTuple):
    """The settings of a study on which its precision depends."""

    experiments: int  # their number
    repeats: int
    primary: str  # the primary score


class Expectation(NamedTuple):
    """What so many patients show of a score, or of a difference of two networks in the primary score."""

    cohort: str
    of: str  # such as "ECA of 0.65"
    spread: str  # `ASSUMED` or `OBSERVED`
    n_patients: int
    interval: str  # the 95 % interval; of a difference plus-minus
    smallest: str = ""  # difference that is found with 80 % power; empty of a score
    needed: str = ""  # patients with whom a stated difference is; empty of a score


HEADINGS = (
    "cohort",
    "score",
    "spread",
    "patients",
    "95 % interval",
    "smallest difference",
    "patients needed",
)
"""Of the cells of an `Expectation`."""


def expect(
    patients: Mapping[str, int],
    settings: PlannedStudy,
    differences: Sequence[Mapping[str, str]] = (),
    difference: float = DIFFERENCE,
) -> Iterator[Expectation]:
    """What a study can show.

    Args:
        patients: Cohort to its number of graded patients.
        settings: Of the study.
        differences: The rows of its differences.csv; none before there are results.
        difference: That should be found with 80 % power, in the unit of the primary score.
    """
    tests = comb(settings.experiments, 2)
    for cohort, n in patients.items():
        anew = cohort == "labelled"
        for name, share in PUBLISHED.items():
            interval = expect_interval(share, assume(share, settings.repeats, anew=anew), n)
            shown = interval.reason or f"{interval.low:.3f} to {interval.high:.3f}"
            yield Expectation(cohort, f"{name} of {share}", ASSUMED, n, shown)
        for of, source, spread, limit in _list_spreads(cohort, settings, differences) if tests else ():
            smallest = find_smallest(spread, n, tests)
            needed = count_needed(spread, difference, tests)
            yield Expectation(
                *(cohort, of, source, n),
                interval="too few patients"
                if n < LEAST_PATIENTS
                else f"± {min(half_width(spread, n), limit):.2g}",
                smallest="none" if smallest > limit else f"{_at_least(n)}{smallest:.2g}",
                needed=f"over {MOST_PATIENTS}" if needed is None else f"{_at_least(needed)}{needed}",
            )


def _at_least(n: int) -> str:
    """Said of what so few patients show that the exact test decides too."""
    return "at least " if n <= EXACT_PATIENTS else ""


def _list_spreads(
    cohort: str, settings: PlannedStudy, differences: Sequence[Mapping[str, str]]
) -> Iterator[tuple[str, str, Spread, float]]:
    """The name, source and spread of differences of two networks, and the largest that there can be."""
    name = settings.primary if settings.primary in PUBLISHED else "ECA"
    anew = cohort == "labelled"
    spread = assume(PUBLISHED[name], settings.repeats, anew=anew, difference=True)
    yield f"difference in {name}", ASSUMED, spread, 1.0
    for row in differences:
        if (row["question"], row["cohort"], row.get("role")) == ("experiments", cohort, PRIMARY):
            spread, limit = observe(row), 1.0 if row["unit"] == "share" else inf
            if spread is not None:
                yield f"{row['metric']}, {row['a']} less {row['b']}", OBSERVED, spread, limit
