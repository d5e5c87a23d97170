"""Calibration in the large and calibration slope, by logistic recalibration.

The log odds of the true answer are regressed on those of the predicted probability x: in the large, the
intercept a of a + x; the slope, the b of a + b x. A calibrated network has a = 0 and b = 1. With a > 0 the
answer is yes more often than predicted; with b < 1 probabilities are too extreme, with b > 1 too moderate.
Sources: Cox, Biometrika 1958, 45, 562-565; Van Calster et al., Journal of Clinical Epidemiology 2016, 74,
167-176. For the ordinal classes both are fitted to all thresholds (class k or more) at once; Edlinger et al.,
Statistics in Medicine 2022, 41, 1334-1360, fit them one by one.

A regression is no function of sums over hips: its pseudo-values are those of fits again without each patient.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from hipoa.evaluation.graded import number_cells
from hipoa.evaluation.metrics.estimates import find_folds, name_cells, tally_values
from hipoa.evaluation.metrics.questions import Question, question_cells
from hipoa.evaluation.metrics.scores import LEAST_PROBABILITY, divide
from hipoa.evaluation.statistics.intervals import Estimate, Row
from hipoa.evaluation.statistics.jackknife import pseudo_values

IN_THE_LARGE, SLOPE, OBSERVED = "calibration in the large", "calibration slope", "observed / expected"
UNITS = {IN_THE_LARGE: "log odds", SLOPE: "slope", OBSERVED: "ratio"}

_WIDEST = 40.0
"""Log odds beyond those that clipped probabilities can need."""
_MANY_PATIENTS = 500
"""Of more, one step from the fit of all gives an error only 1 % too small; the others' time grows squared."""
_STEPS, _CONVERGED = 30, 1e-8
_WORKING_NUMBERS = 2**21
"""Held at once, so that they stay in a cache."""


def fit_intercept(x: np.ndarray, true: np.ndarray) -> float:
    """The intercept a of the log odds a + x that best fits the answers; NaN if all are the same.

    ``x`` is (n,) log odds, ``true`` (n,) bool.
    """
    if true.all() or not true.any():
        return np.nan
    return root_scalar(lambda a: expit(a + x).sum() - true.sum(), bracket=(-_WIDEST, _WIDEST)).root


def fit_slope(x: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """The intercept a and the slope b of the log odds a + b x that best fit the answers; see `fit_intercept`.

    NaN where there is no such fit: all answers or all ``x`` are the same, or some value of ``x`` has all hips
    of one answer on its one side and all others on the other.
    """
    yes, no = x[true], x[~true]
    if not (len(yes) and len(no) and yes.max() > no.min() and no.max() > yes.min()):
        return np.nan, np.nan
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=_CONVERGED).fit(x[:, None], true)
    return float(fit.intercept_[0]), float(fit.coef_[0, 0])


def refit_without(
    x: np.ndarray,
    true: np.ndarray,
    patient: np.ndarray,
    n_patients: int,
    fit: tuple[float, float],
    *,
    free_slope: bool,
) -> np.ndarray:
    """Intercept and slope (patients, 2) without each patient, by Newton's method from the fit of all.

    ``patient`` is (n,) numbers from 0; without ``free_slope`` the slope stays as it is. NaN where there is no
    fit; of more than 500 patients one step each (source: Pregibon, Annals of Statistics 1981, 9, 705-724).
    """
    powers = np.column_stack([x**0, x, x**2])
    residual, weight = _derive(x, true, np.array([fit]))
    of_each = np.hstack([residual.T * powers[:, :2], weight.T * powers])
    own = tally_values(of_each, patient, n_patients)[:, :-1]
    found = np.array(fit) + _step(own.sum(axis=0) - own, free_slope)
    if n_patients > _MANY_PATIENTS:
        return found
    size = max(1, _WORKING_NUMBERS // len(x))
    for left_out in np.split(np.arange(n_patients), np.arange(size, n_patients, size)):
        found[left_out] = _converge(x, true, patient != left_out[:, None], found[left_out], free_slope)
    return found


def _converge(
    x: np.ndarray, true: np.ndarray, kept: np.ndarray, fits: np.ndarray, free_slope: bool
) -> np.ndarray:
    """The fits (m, 2) to the hips that each of (m, n) bool keeps, NaN where they move on."""
    powers = np.column_stack([x**0, x, x**2])
    moved = np.full((len(fits), 1), np.inf)
    for _ in range(_STEPS):
        residual, weight = _derive(x, true, fits)
        sums = np.hstack([(kept * residual) @ powers[:, :2], (kept * weight) @ powers])
        step = _step(sums, free_slope)
        fits, moved = fits + step, np.abs(step).max(axis=1, keepdims=True)
        if not (moved > _CONVERGED).any():
            break
    return np.where(moved > _CONVERGED, np.nan, fits)


def _derive(x: np.ndarray, true: np.ndarray, fits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals and weights (m, n) of (m, 2) intercepts and slopes."""
    p = expit(fits[:, :1] + fits[:, 1:] * x)
    return true - p, p * (1 - p)


def _step(sums: np.ndarray, free_slope: bool) -> np.ndarray:
    """Newton's step (m, 2) from sums (m, 5): of residual, residual x, weight, weight x, weight x^2."""
    r, rx, w, wx, wxx = sums.T
    if not free_slope:
        return np.column_stack([divide(r, w), np.zeros_like(r)])
    determinant = w * wxx - wx**2
    return np.column_stack([divide(wxx * r - wx * rx, determinant), divide(w * rx - wx * r, determinant)])


def recalibrate(question: Question) -> dict[str, Estimate]:
    """Calibration in the large, slope, and answers of yes over their expected number."""
    x = logit(np.clip(question.probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    patient, n_patients = number_cells(question.table.patient)
    found = []
    for repeat in np.unique(question.table.repeat):
        rows = question.table.repeat == repeat
        hips = x[rows], question.true[rows], patient[rows]
        level, line = (fit_intercept(*hips[:2]), 1.0), fit_slope(*hips[:2])
        own = tally_values(np.column_stack([question.true, question.probability])[rows], hips[2], n_patients)
        without = [
            refit_without(*hips, n_patients, level, free_slope=False)[:, 0],
            refit_without(*hips, n_patients, line, free_slope=True)[:, 1],
            divide(*(own.sum(axis=0) - own)[:, :2].T),
        ]
        found.append(([level[0], line[1], float(divide(*own.sum(axis=0)[:2]))], without))
    fits, without = (np.array(part) for part in zip(*found, strict=True))
    fold = find_folds(question.table)
    return {
        name: Estimate(*pseudo_values(fits[:, column], without[:, column].T), unit, fold)
        for column, (name, unit) in enumerate(UNITS.items())
    }


def recalibration_rows(question: Question, note: str) -> Iterator[Row]:
    """The rows of one question about one experiment and cohort, metrics named after it."""
    for name, estimate in recalibrate(question).items() if len(question.table) else ():
        cells = question_cells(question, estimate, note)
        yield name_cells(question.table, f"{question.name} {name}", estimate.unit) | cells
