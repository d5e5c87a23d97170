"""A small version of benchmarks/intervals.py: what an interval or a test promises, it keeps."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks/intervals.py"


@pytest.fixture(scope="module")
def intervals():
    spec = importlib.util.spec_from_file_location("intervals", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found(intervals):
    truth = intervals.find_truth(200_000)
    cohorts = [intervals.examine(number, 60, 15, truth, 400) for number in range(200)]
    return {row["method"]: row for row in intervals.summarise(cohorts)}


def test_the_interval_of_patients_covers(found):
    # 95 % +- three standard errors of 200 cohorts.
    assert found["patients resampled"]["percent"] == pytest.approx(95, abs=4.6)


def test_hips_taken_for_independent_make_too_narrow_an_interval(found):
    assert found["hips resampled"]["mean_width"] < 0.95 * found["patients resampled"]["mean_width"]
    assert found["hip x repeat values, binomial"]["percent"] < 85


def test_the_paired_test_errs_as_often_as_it_says_and_the_published_one_more_often(found):
    assert found["paired bootstrap of patients"]["percent"] == pytest.approx(5, abs=4.6)
    published = found["Mann-Whitney U of fold scores, as published"]["percent"]
    assert published > 2 * found["paired bootstrap of patients"]["percent"]


def test_the_two_networks_are_equally_good_and_a_patients_hips_alike(intervals):
    one, other = intervals.simulate(np.random.default_rng([3]), 20_000, 1)
    shares = [(table.grade == table.predicted).mean() for table in (one, other)]
    assert shares[0] == pytest.approx(shares[1], abs=0.012)
    right = (one.grade == one.predicted).reshape(-1, 2)
    assert np.corrcoef(right.T)[0, 1] > 0.15
    assert np.bincount(one.grade, minlength=8)[1:] / len(one) == pytest.approx(intervals.SHARES, abs=0.015)
