import numpy as np
import pytest

from hipoa.evaluation.metrics.scores import (
    count_confusions,
    exact_accuracy,
    mean_absolute_error,
    quadratic_weighted_kappa,
)
from hipoa.evaluation.statistics import bootstrap
from hipoa.evaluation.statistics.bootstrap import interval_95, resample_patients

ECA = {"ECA": exact_accuracy}


def confusion_of(right, repeats=1):
    """One hip per patient and repeat, predicted rightly or one class off; (patients, repeats, 7, 7)."""
    right = np.broadcast_to(np.asarray(right).T, (repeats, len(right))).T
    cell = np.arange(right.size)
    grade = np.full(right.size, 3)
    predicted = np.where(right.reshape(-1), 3, 4)
    return count_confusions(cell, right.size, grade, predicted).reshape(*right.shape, 7, 7)


def test_with_one_hip_per_patient_it_is_the_ordinary_bootstrap():
    right = np.random.default_rng([1]).random(40) < 0.7
    drawn = resample_patients(confusion_of(right), ECA, 20_000, 0)["ECA"]
    share = right.mean()
    assert drawn.mean() == pytest.approx(share, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(share * (1 - share) / 40), rel=0.03)
    # The weights are those of 40 draws with replacement.
    assert drawn * 40 == pytest.approx(np.round(drawn * 40))


def test_two_hips_of_a_patient_are_no_two_patients():
    right = np.random.default_rng([2]).random(40) < 0.7
    single = resample_patients(confusion_of(right), ECA, 500, 0)["ECA"]
    twice = resample_patients(2 * confusion_of(right), ECA, 500, 0)["ECA"]
    assert np.array_equal(single, twice)


def test_repeats_that_agree_make_nothing_surer():
    right = np.random.default_rng([3]).random(30) < 0.7
    once = resample_patients(confusion_of(right), ECA, 500, 0)["ECA"]
    often = resample_patients(confusion_of(right, repeats=15), ECA, 500, 0)["ECA"]
    assert once == pytest.approx(often)


def test_the_score_is_the_mean_over_repeats_of_the_score_per_repeat():
    random = np.random.default_rng([4])
    cell, grade, predicted = np.arange(60), random.integers(1, 8, 60), random.integers(1, 8, 60)
    confusion = count_confusions(cell, 60, grade, predicted).reshape(20, 3, 7, 7)
    scores = {"kappa": quadratic_weighted_kappa, "MAE": mean_absolute_error}
    together = resample_patients(confusion, scores, 200, 5)
    apart = [resample_patients(confusion[:, [repeat]], scores, 200, 5) for repeat in range(3)]
    for name in scores:
        assert together[name] == pytest.approx(np.mean([drawn[name] for drawn in apart], axis=0))


def test_the_seed_decides_and_the_experiment_does_not(monkeypatch):
    right = np.random.default_rng([5]).random(25) < 0.5
    one = resample_patients(confusion_of(right), ECA, 300, 0)["ECA"]
    assert np.array_equal(one, resample_patients(confusion_of(right), ECA, 300, 0)["ECA"])
    assert not np.array_equal(one, resample_patients(confusion_of(right), ECA, 300, 1)["ECA"])
    # The same patients are drawn: where one experiment is right the other is wrong.
    other = resample_patients(confusion_of(~right, repeats=4), ECA, 300, 0)["ECA"]
    assert one + other == pytest.approx(np.ones(300))
    # However many resamples are held at once.
    monkeypatch.setattr(bootstrap, "_WORKING_NUMBERS", 7 * 49)
    assert np.array_equal(one, resample_patients(confusion_of(right), ECA, 300, 0)["ECA"])


def test_the_interval_covers_the_truth():
    random = np.random.default_rng([6])
    covered = 0
    for _ in range(200):
        low, high = interval_95(resample_patients(confusion_of(random.random(60) < 0.6), ECA, 400, 0)["ECA"])
        covered += low <= 0.6 <= high
    # A percentile interval of 60 patients covers a little less than it says; 3 standard errors are 0.05.
    assert 0.89 <= covered / 200 <= 0.99


def test_the_interval_leaves_out_what_is_not_defined():
    assert interval_95(np.array([np.nan, 0.5, np.nan])) == (0.5, 0.5)
    assert interval_95(np.array([np.nan])) is None
    assert interval_95(np.zeros(0)) is None
    assert interval_95(np.linspace(0, 1, 41)) == pytest.approx((0.025, 0.975))
