"""Grades, their drawing and the readers."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from hipoa.phantom.anatomy.disease import (
    CLASSES,
    SHARES,
    SHARES_OF_POPULATION,
    draw_disease,
    draw_latents,
    error_for,
    find_ceiling,
    grade_of,
    kappa_of,
    label_law,
    read_hip,
    reading_law,
    stream,
)
from hipoa.phantom.cohort.measure import CROWE_BOUNDS
from hipoa.phantom.cohort.members import POPULATIONS
from hipoa.phantom.phantom import describe_ceiling
from hipoa.phantom.settings import PhantomSettings


def test_the_classes_are_the_staircase():
    assert CLASSES == ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
    for shares in SHARES_OF_POPULATION.values():
        assert all(len(share) == 7 and sum(share) == pytest.approx(1) for share in shares.values())


def test_every_population_has_its_shares():
    assert SHARES_OF_POPULATION.keys() == POPULATIONS.keys()
    for population, counts in POPULATIONS.items():
        assert SHARES_OF_POPULATION[population].keys() == counts.keys()


@given(st.floats(0, 0.8))
def test_a_reading_law_is_a_law(error: float):
    law = reading_law(error)
    np.testing.assert_allclose(law.sum(1), 1)
    np.testing.assert_allclose(np.diag(law), 1 - error)


def test_kappa_in_closed_form():
    assert kappa_of(0.0, SHARES["labelled"]) == pytest.approx(1)
    for kappa in (0.4, 0.55, 0.68, 0.9):
        assert kappa_of(error_for(kappa), SHARES["labelled"]) == pytest.approx(kappa, abs=1e-6)
    assert error_for(1.0) == 0


def test_kappa_of_simulated_readers_agrees_with_scikit_learn():
    rng = np.random.default_rng([1, 2])
    error = error_for(0.65)
    truth = rng.choice(np.arange(1, 8), p=SHARES["labelled"], size=4000)
    readings = [[CLASSES.index(read_hip(rng, int(grade), error)) for grade in truth] for _ in range(2)]
    # The standard error of kappa at this number is below 0.01.
    assert cohen_kappa_score(*readings) == pytest.approx(0.65, abs=0.03)


@given(st.floats(0, 0.8), st.integers(1, 3))
def test_the_label_law_is_that_of_all_sets_of_readings(error: float, readers: int):
    law = reading_law(error)
    expected = np.zeros((7, 7))
    for calls in itertools.product(range(7), repeat=readers):
        expected[:, statistics.median_low(calls)] += np.prod(law[:, calls], axis=1)
    np.testing.assert_allclose(label_law(error, readers), expected, atol=1e-12)


@pytest.mark.parametrize("readers", [1, 2])
def test_the_ceiling_at_its_limits(readers: int):
    share = SHARES["labelled"]
    assert find_ceiling(0, share, readers) == pytest.approx((1, 1))
    found = [find_ceiling(error_for(kappa), share, readers) for kappa in (0.3, 0.5, 0.65, 0.8, 0.95)]
    for worse, better in itertools.pairwise(found):
        assert worse.eca < better.eca < better.onca
        assert worse.onca < better.onca


def test_against_one_reader_the_ceiling_is_that_the_reader_is_right():
    error = error_for(0.65)
    assert find_ceiling(error, SHARES["labelled"]).eca == pytest.approx(1 - error)
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
    error, n = error_for(0.65), 1500
    best = []
    for grade in range(1, 8):
        readings = [[CLASSES.index(read_hip(rng, grade, error)) for _ in range(n)] for _ in range(readers)]
        away = np.abs(np.subtract.outer(np.min(readings, axis=0), np.arange(7)))
        best.append([(away == 0).mean(0).max(), (away <= 1).mean(0).max()])
    # Of two readings the median is the milder. The standard errors are below 0.004.
    expected = np.array(SHARES["labelled"]) @ best
    assert find_ceiling(error, SHARES["labelled"], readers) == pytest.approx(expected, abs=0.015)


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(["labelled", "external", "pool"]))
def test_severity_lies_within_its_class(latent: float, drawn_as: str):
    grade, severity = grade_of(latent, drawn_as)
    assert 1 <= grade <= 7
    assert -1e-9 <= severity <= 1 + 1e-9


@given(st.integers(1, 7), st.floats(0, 1), st.integers(0, 2**32))
def test_what_is_drawn_keeps_to_the_table(grade: int, severity: float, seed: int):
    disease = draw_disease(np.random.default_rng(seed), grade, severity)
    low, high = {1: (3.0, 4.5), 2: (2.0, 3.2), 3: (0.8, 2.0), 4: (0, 0.8)}[disease.kl]
    assert low <= disease.joint_space_mm <= high
    assert len(disease.cyst_mm) <= {1: 0, 2: 1, 3: 4, 4: 10}[disease.kl]
    assert disease.flattening <= {1: 0, 2: 0, 3: 0.08, 4: 0.25}[disease.kl]
    crowe = 1 if disease.height is None else 1 + sum(disease.height > bound for bound in CROWE_BOUNDS)
    assert crowe == disease.crowe


def test_the_hips_of_a_patient_correlate_and_a_visit_is_worse():
    pairs = [draw_latents(1, "labelled", number, 0) for number in range(1, 800)]
    left, right = np.array([[pair["L"], pair["R"]] for pair in pairs]).T
    # A Gaussian copula: Spearman's rho is 6/pi asin(r/2) = 0.58.
    assert np.corrcoef(left, right)[0, 1] == pytest.approx(0.58, abs=0.07)
    later = draw_latents(1, "labelled", 5, 1)
    now = draw_latents(1, "labelled", 5, 0)
    assert all(later[side] >= now[side] for side in ("L", "R"))


def test_the_demo_has_all_seven_classes():
    for seed in range(1, 6):
        grades = {
            grade_of(latent, "labelled")[0]
            for number in range(1, POPULATIONS["demo"]["labelled"] + 1)
            for latent in draw_latents(seed, "labelled", number, 0).values()
        }
        assert grades == set(range(1, 8))


def test_the_study_has_the_shares_that_it_says():
    share = SHARES_OF_POPULATION["study"]["labelled"]
    for seed in range(1, 4):
        grades = [
            grade_of(latent, "labelled", "study")[0]
            for number in range(1, POPULATIONS["study"]["labelled"] + 1)
            for latent in draw_latents(seed, "labelled", number, 0).values()
        ]
        assert np.bincount(grades, minlength=8)[1:] / 396 == pytest.approx(share, abs=0.03)


def test_streams_depend_on_seed_name_and_purpose():
    draws = {stream(*key).random() for key in [(1, "a", "x"), (2, "a", "x"), (1, "b", "x"), (1, "a", "y")]}
    assert len(draws) == 4
    assert stream(1, "a", "x").random() == stream(1, "a", "x").random()
