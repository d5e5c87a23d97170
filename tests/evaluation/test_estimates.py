"""Intervals and p values of scores: closed forms, references, and coverage where cohorts can be drawn."""

import numpy as np
import pytest
from scipy import stats

from hipoa.evaluation.statistics.intervals import LEAST_PATIENTS, Estimate, compare_groups, flip_signs


def estimate(values, unit="share", **more):
    """One value per patient."""
    values = np.asarray(values, dtype=float)[:, None]
    return Estimate(values.mean(axis=0), values, unit, **more)


def wilson(share, n, quantile):
    """Roots of (share - p)^2 = quantile^2 p (1 - p) / n."""
    return np.sort(np.roots([1 + quantile**2 / n, -2 * share - quantile**2 / n, share**2]).real)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (60, 60), (198, 198), (0, 6)])
def test_of_patients_who_are_all_alike_it_is_wilsons_interval_of_their_number(right, n):
    """With one right and one wrong patient added, the effective number is that of the patients."""
    low, high, reason = estimate([1.0] * right + [0.0] * (n - right)).interval()
    middle = (right + 1) / (n + 2)
    effective = middle * (1 - middle) / ((n * (right / n - middle) ** 2 + middle**2 + (1 - middle) ** 2)
                                         / ((n + 2) * (n + 1)))  # fmt: skip
    assert effective == pytest.approx(n + 1)
    expected = np.clip(wilson(right / n, effective, stats.t.ppf(0.975, n - 1)), 0, 1)
    assert (low, high) == pytest.approx(tuple(expected), abs=1e-7)
    assert (reason, high - low > 0) == ("", True)
    assert low <= right / n <= high


def test_of_many_patients_with_one_hip_it_is_wilsons_interval_of_a_library():
    right = np.random.default_rng([1]).random(2000) < 0.7
    low, high, _ = estimate(right).interval()
    reference = stats.binomtest(int(right.sum()), 2000).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((reference.low, reference.high), abs=2e-4)


def test_two_equal_hips_do_not_narrow_it_and_two_independent_ones_do():
    random = np.random.default_rng([2])
    one, other = random.random((2, 300)) < 0.6
    width = [np.diff(estimate(values).interval()[:2])[0] for values in (one, (one + 1.0 * other) / 2)]
    assert width[1] == pytest.approx(width[0] / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [6, 10, 24, 198])
def test_a_share_is_covered_whatever_it_and_the_number_of_patients(share, n):
    random = np.random.default_rng([3, n])
    ease = np.sqrt(0.4) * random.normal(size=(800, n, 1)) + np.sqrt(0.6) * random.normal(size=(800, n, 2))
    right = (ease < stats.norm.ppf(share)).mean(axis=2)
    held = [low <= share <= high for low, high, _ in (estimate(values).interval() for values in right)]
    # Three standard errors of 800 cohorts are 2.3 points.
    assert np.mean(held) > 0.93 - 0.023


def test_other_scores_have_the_interval_of_t_on_their_scale():
    values = np.random.default_rng([4]).gamma(2, 1, 30)
    found = estimate(values, "classes").interval()
    error = stats.sem(values) / values.mean()
    expected = np.exp(stats.t.interval(0.95, 29, np.log(values.mean()), error))
    assert found[:2] == pytest.approx(tuple(expected))
    kappa = estimate(np.linspace(0.4, 0.9, 12), "kappa").interval()
    error = stats.sem(np.linspace(0.4, 0.9, 12)) / (1 - 0.65**2)
    assert kappa[:2] == pytest.approx(tuple(np.tanh(stats.t.interval(0.95, 11, np.arctanh(0.65), error))))
    plain = estimate(values, "hips").interval()
    assert plain[:2] == pytest.approx(stats.t.interval(0.95, 29, values.mean(), stats.sem(values)))


def test_where_there_is_no_interval_the_reason_is_given():
    reasons = {
        "too few for an interval: 5 patients": estimate([0, 1, 0, 1, 1]),
        "too few for an interval: 1 patient": estimate([1]),
        "too few for an interval: 2 patients of a class": estimate([0, 1] * 9, smallest=2),
        "not defined on these hips": estimate([np.nan] * 9),
        "no interval: all patients are alike": estimate([2.0] * 9, "classes"),
    }
    for reason, found in reasons.items():
        assert found.interval().reason == reason
        assert found.interval().cells() == {"low": "", "high": ""}
        assert np.isnan(found.minus(found).p_value()) or reason.endswith("alike")
    lost = Estimate(np.array([0.5]), np.array([[np.nan]] + [[0.5]] * 8), "kappa")
    assert lost.interval().reason == "no interval: not defined without one of the patients"
    folds = np.arange(6)[:, None]
    assert estimate([0, 1] * 3, fold=folds).interval().reason == "no interval: too few patients in a fold"


def test_networks_trained_anew_widen_the_interval():
    random = np.random.default_rng([5])
    fold = np.stack([random.permutation(40) % 4 for _ in range(5)], axis=1)
    right = random.random((40, 5)) < np.array([0.2, 0.5, 0.6, 0.9])[fold]
    alone = Estimate(right.mean(axis=0), right.astype(float), "share")
    anew = Estimate(right.mean(axis=0), right.astype(float), "share", fold)
    assert anew.trained_anew
    assert not alone.trained_anew
    (low, high, _), (inner, outer, _) = anew.interval(), alone.interval()
    assert low < inner < outer < high


def test_a_difference_is_tested_by_t_and_of_few_patients_by_all_signs():
    random = np.random.default_rng([6])
    one, other = random.normal(0.3, 1, 40), random.normal(0, 1, 40)
    found = estimate(one, "hips").minus(estimate(other, "hips"))
    assert found.p_value() == pytest.approx(stats.ttest_rel(one, other).pvalue)
    few = estimate(one[:8], "hips").minus(estimate(other[:8], "hips"))
    signs = stats.permutation_test((one[:8] - other[:8],), np.mean, permutation_type="samples")
    assert few.p_value() == pytest.approx(max(signs.pvalue, stats.ttest_rel(one[:8], other[:8]).pvalue))


def test_signs_by_hand():
    # Of 16 ways to change four signs, two have a mean as far from 0 as 1, 1, 1 and 1.
    assert flip_signs(np.ones(4)) == pytest.approx(2 / 16)
    # 5 or more: the 3 stays, and no more than one of the others falls.
    assert flip_signs(np.array([3.0, 1, 1, 1, -1])) == pytest.approx(2 * 5 / 32)
    assert flip_signs(np.zeros(6)) == 1


@pytest.mark.parametrize("n", [LEAST_PATIENTS, 10, 24])
def test_equal_networks_are_called_different_no_more_often_than_promised(n):
    random = np.random.default_rng([7, n])
    right = (random.random((2, 600, n, 2)) < 0.7).mean(axis=3)
    p = [estimate(a).minus(estimate(b)).p_value() for a, b in zip(*right, strict=True)]
    # Three standard errors of 600 cohorts are 2.7 points.
    assert np.mean(np.array(p) < 0.05) < 0.05 + 0.027


def test_a_difference_of_shares_never_has_an_interval_of_no_width():
    same = estimate([0.5, 1] * 10).minus(estimate([0.5, 1] * 10))
    low, high, _ = same.interval()
    # The squares of two patients with half a hip more and less.
    reach = stats.t.ppf(0.975, 19) * np.sqrt(0.5 / (20 * 19))
    assert (low, high) == pytest.approx((-reach, reach))
    assert same.p_value() == 1


def test_two_groups_of_patients_differ_as_by_welch():
    random = np.random.default_rng([8])
    one, other = random.normal(1, 1, 40), random.normal(0.5, 2, 25)
    interval, p = compare_groups(estimate(one, "hips"), estimate(other, "hips"))
    reference = stats.ttest_ind(one, other, equal_var=False)
    assert p == pytest.approx(reference.pvalue)
    limits = reference.confidence_interval(0.95)
    assert interval[:2] == pytest.approx((limits.low, limits.high))


def test_groups_without_an_interval_are_not_compared():
    interval, p = compare_groups(estimate([1] * 20), estimate([0] * 3))
    assert interval.reason == "too few for an interval: 3 patients"
    assert np.isnan(p)


def test_groups_of_patients_who_are_all_alike_are_compared():
    interval, p = compare_groups(estimate([1.0] * 20), estimate([0.0] * 20))
    assert 0.6 < interval.low < 1 == interval.high
    assert p < 0.001


@pytest.mark.parametrize("patients", [(24, 10), (24, 7), (10, 10)])
def test_equal_cohorts_are_called_different_no_more_often_than_promised(patients):
    random = np.random.default_rng([9, *patients])
    rejected = []
    for _ in range(800):
        hips = [(random.normal(size=(n, 1)) + random.normal(size=(n, 2)) < 0).mean(axis=1) for n in patients]
        rejected.append(compare_groups(*map(estimate, hips))[1] < 0.05)
    # Three standard errors of 800 cohorts are 2.3 points.
    assert np.mean(rejected) < 0.05 + 0.023


def test_p_is_no_smaller_than_an_exact_test_can_give():
    for n in (8, 14, 24):
        assert estimate([1.0] * n).minus(estimate([0.0] * n)).p_value() == pytest.approx(2 ** (1 - n))
    assert compare_groups(estimate([1.0] * 6), estimate([0.0] * 6))[1] >= 2 / 924
    assert compare_groups(estimate([1.0] * 10), estimate([0.0] * 6))[1] >= 1 / 8008


def test_an_interval_of_few_patients_shows_no_more_than_the_exact_test():
    """Five of six patients differ the same way: t says 0.006, all ways to change signs 0.0625."""
    values = np.array([0.4, 0.5, 0.5, 0.6, 0.5, 0.0])
    found = estimate(values, "squared probability").minus(estimate(np.zeros(6), "squared probability"))
    assert found.obstacle  # all patients are alike in the second
    base = np.linspace(0.1, 0.2, 6)
    found = estimate(base + values, "squared probability").minus(estimate(base, "squared probability"))
    assert found.p_value() == pytest.approx(2 * 2 / 64)
    assert found.interval().low == 0
    assert stats.ttest_1samp(values, 0).pvalue < 0.05


def test_a_kappa_that_cannot_vary_is_not_compared():
    constant, other = estimate([0.0] * 20, "kappa"), estimate(np.linspace(0.2, 0.9, 20), "kappa")
    assert other.minus(constant).interval().reason == "no interval: all patients are alike in one of the two"
    assert np.isnan(other.minus(constant).p_value())


def test_training_that_varies_more_than_patients_is_said():
    random = np.random.default_rng([10])
    fold = np.stack([random.permutation(40) % 4 for _ in range(5)], axis=1)
    for shares, dominates in (([0.1, 0.4, 0.6, 0.9], True), ([0.5] * 4, False)):
        # A patient is hard or easy in all repeats.
        right = (
            (0.9 * random.random((40, 1)) + 0.1 * random.random((40, 5))) < np.array(shares)[fold]
        ).astype(float)
        assert Estimate(right.mean(axis=0), right, "share", fold).training_dominates == dominates


def test_no_interval_leaves_what_is_possible():
    low, high, _ = estimate([1.0] * 5 + [7.0], "classes").interval()
    assert 0 < low < 2 < high <= 7
