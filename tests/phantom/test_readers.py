"""Simulated readers and the ceiling that their errors set."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from hipoa.core.constants import CLASS_TABLE
from hipoa.phantom.anatomy.disease import SHARES_OF_POPULATION
from hipoa.phantom.cohort.members import PlannedCase
from hipoa.phantom.cohort.readers import (
    describe_ceiling,
    error_for,
    expected_kappa,
    find_ceiling,
    label_confusion,
    read_case,
    read_hip,
    reader_confusion,
)
from hipoa.phantom.settings import PhantomSettings

SHARE = SHARES_OF_POPULATION["demo"]["labelled"]


@given(st.floats(0, 0.8))
def test_the_readings_of_a_class_add_up_to_one(error: float):
    confusion = reader_confusion(error)
    np.testing.assert_allclose(confusion.sum(1), 1)
    np.testing.assert_allclose(np.diag(confusion), 1 - error)


def test_kappa_in_closed_form():
    assert expected_kappa(0.0, SHARE) == pytest.approx(1)
    for kappa in (0.4, 0.55, 0.68, 0.9):
        assert expected_kappa(error_for(kappa, SHARE), SHARE) == pytest.approx(kappa, abs=1e-6)
    assert error_for(1.0, SHARE) == 0


def test_kappa_of_simulated_readers_agrees_with_scikit_learn():
    rng = np.random.default_rng([1, 2])
    error = error_for(0.65, SHARE)
    truth = rng.choice(np.arange(1, 8), p=SHARE, size=4000)
    readings = [[CLASS_TABLE.index(read_hip(rng, int(grade), error)) for grade in truth] for _ in range(2)]
    # The standard error of kappa at this number is below 0.01.
    assert cohen_kappa_score(*readings) == pytest.approx(0.65, abs=0.03)


@given(st.floats(0, 0.8), st.integers(1, 3))
def test_the_median_label_sums_over_all_sets_of_readings(error: float, readers: int):
    confusion = reader_confusion(error)
    expected = np.zeros((7, 7))
    for calls in itertools.product(range(7), repeat=readers):
        expected[:, statistics.median_low(calls)] += np.prod(confusion[:, calls], axis=1)
    np.testing.assert_allclose(label_confusion(error, readers), expected, atol=1e-12)


@pytest.mark.parametrize("readers", [1, 2])
def test_the_ceiling_at_its_limits(readers: int):
    assert find_ceiling(0, SHARE, readers) == pytest.approx({"ECA": 1, "ONCA": 1})
    found = [find_ceiling(error_for(kappa, SHARE), SHARE, readers) for kappa in (0.3, 0.5, 0.65, 0.8, 0.95)]
    for worse, better in itertools.pairwise(found):
        assert worse["ECA"] < better["ECA"] < better["ONCA"]
        assert worse["ONCA"] < better["ONCA"]


def test_against_one_reader_the_ceiling_is_that_the_reader_is_right():
    error = error_for(0.65, SHARE)
    assert find_ceiling(error, SHARE)["ECA"] == pytest.approx(1 - error)
    assert 0.80 < 1 - error < 0.85


def test_the_ceiling_of_the_demo():
    best = describe_ceiling(PhantomSettings(), "labelled")["best"]
    assert best["first"] == pytest.approx({"ECA": 0.828, "ONCA": 0.985}, abs=5e-4)
    assert best["median"] == pytest.approx({"ECA": 0.835, "ONCA": 0.994}, abs=5e-4)


def test_the_ceiling_of_the_study():
    settings = PhantomSettings(population="study")
    best = describe_ceiling(settings, "labelled")["best"]
    assert best["first"] == pytest.approx({"ECA": 0.835, "ONCA": 0.983}, abs=5e-4)
    assert best["median"] == pytest.approx({"ECA": 0.849, "ONCA": 0.993}, abs=5e-4)
    # The same readers read the external cohort: one is as often right there.
    assert describe_ceiling(settings, "external")["best"]["first"]["ECA"] == pytest.approx(
        best["first"]["ECA"]
    )


@pytest.mark.parametrize("readers", [1, 2])
def test_no_constant_answer_per_class_beats_the_ceiling_on_simulated_labels(readers: int):
    rng = np.random.default_rng([3, readers])
    error, n = error_for(0.65, SHARE), 1500
    best = []
    for grade in range(1, 8):
        readings = [
            [CLASS_TABLE.index(read_hip(rng, grade, error)) for _ in range(n)] for _ in range(readers)
        ]
        away = np.abs(np.subtract.outer(np.min(readings, axis=0), np.arange(7)))
        best.append([(away == 0).mean(0).max(), (away <= 1).mean(0).max()])
    # Of two readings the median is the milder. The standard errors are below 0.004.
    found = find_ceiling(error, SHARE, readers)
    assert [found["ECA"], found["ONCA"]] == pytest.approx(np.array(SHARE) @ best, abs=0.015)


def test_ungraded_hips_and_the_pool_are_not_read():
    grades = {"L": (3, 0.5), "R": (6, 0.1)}
    cases = [
        PlannedCase("a", "a", cohort, "labelled", 1, ungraded=ungraded)
        for cohort, ungraded in (("labelled", ""), ("labelled", "L"), ("pool", ""))
    ]
    read = [[(r.side, r.reader) for r in read_case(PhantomSettings(), case, grades)] for case in cases]
    assert read == [[("L", "A"), ("L", "B"), ("R", "A"), ("R", "B")], [("R", "A"), ("R", "B")], []]
