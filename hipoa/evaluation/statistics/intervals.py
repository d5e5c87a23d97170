"""Scores with 95 % intervals and p values that hold for few patients, extreme scores and trained networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.stats import permutation_test
from scipy.stats import t as student

from hipoa.core.columns import format_number
from hipoa.evaluation.statistics.jackknife import variance_of_training

Row = dict[str, object]

LEAST_PATIENTS = 6
"""Fewer make no interval: with five, an exact test of a difference cannot reach 5 %."""

_SHARES = ("share", "probability")
_POSITIVE = ("classes", "squared classes", "squared probability", "nats", "ratio")
EXACT_PATIENTS = 13
"""The most patients of whom all ways to exchange two networks are tried, 8192; of more, t is as good."""
_MOST = {"classes": 7.0}
"""Of seven classes, the most that a size or an error can be."""
_ALIKE = 1e-12
"""A standard deviation that is rounding."""
_HALF = 0.5
"""Of a patient's two hips, one."""


class Interval(NamedTuple):
    """A 95 % interval, or why there is none."""

    low: float  # NaN without an interval
    high: float
    reason: str = ""  # why there is no interval

    def cells(self) -> Row:
        """The cells ``low`` and ``high``, empty without an interval."""
        return {"low": format_number(self.low), "high": format_number(self.high)}


@dataclass(frozen=True)
class Estimate:
    """A score, or a difference of two, of n patients in some repeats of a cross-validation."""

    by_repeat: np.ndarray  # (repeats,) the score
    pseudo: np.ndarray  # (n, repeats) pseudo-values of the jackknife by patient
    unit: str  # decides the scale of the interval
    fold: np.ndarray | None = None  # (n, repeats) of the model that graded a patient; None where several did
    smallest: int | None = None  # patients of the smallest class, where the score needs every class
    difference: bool = False
    added: float = 0.0  # variance from other sources than patients and folds, such as seeds
    freedom: int | None = None  # degrees of freedom; of all patients, less one, if None
    obstacle: str = ""  # why there can be no interval

    @property
    def value(self) -> float:
        """The mean over the repeats."""
        return float(self.by_repeat.mean())

    @property
    def n_patients(self) -> int:
        """The number of patients, n."""
        return len(self.pseudo)

    @property
    def trained_anew(self) -> bool:
        """Whether the interval allows for networks trained on other patients."""
        return self.fold is not None

    @property
    def training_dominates(self) -> bool:
        """Whether training varies the score more than patients do: then the interval is approximate."""
        return self._training > replace(self, fold=None, added=0.0).standard_error() ** 2

    @property
    def all_alike(self) -> bool:
        """Whether no patient differs from another."""
        return bool(self._of_patient.std() <= _ALIKE)

    @property
    def _of_patient(self) -> np.ndarray:
        return self.pseudo.mean(axis=1)

    @property
    def _freedom(self) -> int:
        return self.n_patients - 1 if self.freedom is None else self.freedom

    @property
    def _training(self) -> float:
        return self.added + (0.0 if self.fold is None else variance_of_training(self.pseudo, self.fold))

    def minus(self, other: Estimate) -> Estimate:
        """The difference of the scores of the same patients, in the same order, and in the same repeats.

        Where all patients are alike in one of them, as in the kappa of one class for every hip, the error
        would be that of the other alone: there is no interval, except of shares, which allow for it.
        """
        alike = self.unit not in _SHARES and self.all_alike != other.all_alike
        return replace(
            self,
            obstacle="no interval: all patients are alike in one of the two" if alike else "",
            by_repeat=self.by_repeat - other.by_repeat,
            pseudo=self.pseudo - other.pseudo,
            fold=None if other.fold is None else self.fold,
            difference=True,
        )

    def standard_error(self) -> float:
        """Of the score from cohort to cohort of patients, NaN where a pseudo-value is not defined.

        To a share are added a patient with every hip right and one with every hip wrong, as Agresti and Coull
        do (American Statistician 1998, 52, 119-126); to the squares of a difference of shares those of two
        patients, in one of whom the first is right in one of two hips more and in the other the second (after
        Agresti and Min, Statistics in Medicine 2005, 24, 729-740). So it is not 0 if all patients are alike.
        """
        n = self.n_patients
        if self.unit in _SHARES and not self.difference:
            middle = self._middle
            squares = ((self._of_patient - middle) ** 2).sum() + middle**2 + (1 - middle) ** 2
            return float(np.sqrt(squares / ((n + 2) * (n + 1)) + self._training))
        squares = ((self._of_patient - self._of_patient.mean()) ** 2).sum()
        if self.unit in _SHARES:
            squares += 2 * _HALF**2
        return float(np.sqrt(squares / (n * (n - 1)) + self._training))

    @property
    def _middle(self) -> float:
        """The share with one patient more with every hip right, and one with every hip wrong."""
        return (self.n_patients * self.value + 1) / (self.n_patients + 2)

    def interval(self) -> Interval:
        """The 95 % interval: of a share by Wilson's formula, of others by t on a fitting scale."""
        reason = self._find_obstacle()
        if reason:
            return Interval(np.nan, np.nan, reason)
        if self.unit in _SHARES and not self.difference:
            return Interval(*self._wilson())
        if self.all_alike and self.unit not in _SHARES:
            return Interval(np.nan, np.nan, "no interval: all patients are alike")
        reach = float(student.ppf(0.975, self._freedom)) * self.standard_error()
        if not self.difference:
            return Interval(*_on_scale(self.value, reach, self.unit))
        if self._p_by_signs() >= 0.05:
            # What the exact test does not show, the interval does not either.
            reach = max(reach, abs(self.value))
        return _limit(self.value, reach, self.unit)

    def _find_obstacle(self) -> str:
        if not np.isfinite(self.value):
            return "not defined on these hips"
        if self.obstacle:
            return self.obstacle
        least = self.n_patients if self.smallest is None else min(self.n_patients, self.smallest)
        if least < LEAST_PATIENTS:
            of_class = "" if least == self.n_patients else " of a class"
            return f"too few for an interval: {_count(least)}{of_class}"
        if not np.isfinite(self.pseudo).all():
            return "no interval: not defined without one of the patients"
        return "" if np.isfinite(self._training) else "no interval: too few patients in a fold"

    def _wilson(self) -> tuple[float, float]:
        """Wilson's interval with the effective number of patients and a quantile of t.

        The effective number is that of patients with one hip each whose share would vary as this one does
        (source: Korn and Graubard, Survey Methodology 1998, 24, 193-201).
        """
        share, middle = self.value, self._middle
        t2 = (student.ppf(0.975, self._freedom) * self.standard_error()) ** 2 / (middle * (1 - middle))
        centre = (share + t2 / 2) / (1 + t2)
        reach = np.sqrt(t2 * share * (1 - share) + t2**2 / 4) / (1 + t2)
        # At a share of 0 or 1 rounding must not shut it out.
        return max(0.0, min(share, float(centre - reach))), min(1.0, max(share, float(centre + reach)))

    def p_value(self) -> float:
        """Two-sided p of no difference; NaN where there is no interval.

        By t, with the variance of training. It is no smaller than that of the exact test of all ways to
        exchange the two in some patients (source: Fisher, Design of Experiments, 1935, section 21), of more
        than 13 patients than the least that this test can give: t alone can fall below what so few can show.
        """
        if self.interval().reason:
            return float("nan") if self._find_obstacle() else 1.0
        by_t = 2 * student.sf(abs(self.value) / self.standard_error(), self._freedom)
        return float(min(1.0, max(by_t, self._p_by_signs())))

    def _p_by_signs(self) -> float:
        if self.n_patients > EXACT_PATIENTS:
            return 2.0 ** (1 - self.n_patients)
        return flip_signs(self._of_patient)


def _on_scale(value: float, reach: float, unit: str) -> tuple[float, float]:
    """The interval about a score on the scale on which its errors are more alike, where it has one."""
    if unit == "kappa" and abs(value) < 1:
        middle, reach = np.arctanh(value), reach / (1 - value**2)
        return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))
    if unit in _POSITIVE and value > 0:
        factor = float(np.exp(reach / value))
        return value / factor, min(value * factor, _MOST.get(unit, np.inf))
    return value - reach, value + reach


def flip_signs(values: np.ndarray) -> float:
    """Two-sided exact p of a mean of 0 of values (n,), by changing the signs of some in all 2^n ways."""
    test = permutation_test(
        (values,),
        lambda drawn, axis: drawn.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** len(values),
    )
    return float(test.pvalue)


def compare_groups(one: Estimate, other: Estimate) -> tuple[Interval, float]:
    """Interval and p of the difference of a score between two groups of different patients.

    By t with the degrees of freedom of Welch and Satterthwaite (Biometrics Bulletin 1946, 2, 110-114). p is
    no smaller than the least that an exact test of all ways to divide the patients into two such groups can
    give.
    """
    for estimate in (one, other):
        reason = estimate.interval().reason
        if reason:
            return Interval(np.nan, np.nan, reason), float("nan")
    variances = [estimate.standard_error() ** 2 for estimate in (one, other)]
    freedom = sum(variances) ** 2 / sum(
        variance**2 / (estimate.n_patients - 1)
        for variance, estimate in zip(variances, (one, other), strict=True)
    )
    error, difference = np.sqrt(sum(variances)), one.value - other.value
    reach = float(student.ppf(0.975, freedom)) * error
    least = (2 if one.n_patients == other.n_patients else 1) / comb(
        one.n_patients + other.n_patients, one.n_patients
    )
    p = float(2 * student.sf(abs(difference) / error, freedom))
    return _limit(difference, reach, one.unit), max(p, least)


def _limit(difference: float, reach: float, unit: str) -> Interval:
    """The interval about a difference, of shares within what is possible."""
    most = 1.0 if unit in _SHARES else _MOST.get(unit, np.inf)
    return Interval(max(difference - reach, -most), min(difference + reach, most))


def _count(n: int) -> str:
    return "1 patient" if n == 1 else f"{n} patients"
