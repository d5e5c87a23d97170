"""The jackknife by patient."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from hipoa.evaluation.metrics.estimates import mean_of
from hipoa.evaluation.metrics.scores import SCORES, divide
from hipoa.evaluation.statistics.jackknife import jackknife


def test_of_a_mean_it_is_the_standard_error(rng):
    """One hip each: the jackknife of a mean is the textbook error, and its t that of scipy."""
    values = rng.normal(1.0, 2.0, 13)
    sums = np.stack([values, np.ones(13)], axis=-1)[:, None]
    estimate, error, df = jackknife(sums, mean_of(0))
    assert (estimate, df) == (pytest.approx(values.mean()), 12)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(13))
    assert estimate / error == pytest.approx(ttest_1samp(values, 0.0).statistic)


def test_worked_by_hand():
    """Patients of 1 and 2 hips, right 1 of 1, 1 of 2 and 0 of 1.

    All: 2/4. Without each: 1/3, 1/2, 2/3; their mean is 1/2, the squares sum to 1/18, times 2/3.
    """
    sums = np.array([[[1.0, 1]], [[1, 2]], [[0, 1]]])
    estimate, error, df = jackknife(sums, mean_of(0))
    assert (estimate, df) == (0.5, 2)
    assert error == pytest.approx(np.sqrt(1 / 27))


def test_it_deletes_patients_one_at_a_time(rng):
    """Against a loop, of kappa in 3 repeats."""
    sums = rng.integers(0, 3, (9, 3, 7, 7)).astype(float)
    score, _ = SCORES["quadratic weighted kappa"]
    without = [score(np.delete(sums, n, axis=0).sum(axis=0)).mean() for n in range(9)]
    error = np.sqrt(8 / 9 * sum((value - np.mean(without)) ** 2 for value in without))
    assert jackknife(sums, score) == (pytest.approx(score(sums.sum(axis=0)).mean()), pytest.approx(error), 8)


def test_what_has_no_error():
    one = np.array([[[1.0, 2.0]]])
    assert jackknife(one, mean_of(0)) == (0.5, pytest.approx(np.nan, nan_ok=True), 0)
    # Without the second patient nothing is left to divide by.
    pair = np.array([[[0.0, 0.0]], [[1.0, 2.0]]])
    assert np.isnan(jackknife(pair, lambda sums: divide(sums[..., 0], sums[..., 1]))[1])


@pytest.fixture
def rng():
    return np.random.default_rng([11])
