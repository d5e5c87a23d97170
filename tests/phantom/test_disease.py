"""Severity of the simulated hips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.core.constants import CLASS_TABLE
from hipoa.phantom.anatomy.disease import (
    SHARES_OF_POPULATION,
    draw_disease,
    draw_latents,
    grade_of,
    stream,
)
from hipoa.phantom.cohort.measure import CROWE_BOUNDS
from hipoa.phantom.cohort.members import POPULATIONS


def test_the_classes_rise_in_crowe_and_kl():
    assert CLASS_TABLE == ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
    for shares in SHARES_OF_POPULATION.values():
        assert all(len(share) == 7 and sum(share) == pytest.approx(1) for share in shares.values())


def test_every_population_has_its_shares():
    assert SHARES_OF_POPULATION.keys() == POPULATIONS.keys()
    for population, counts in POPULATIONS.items():
        assert SHARES_OF_POPULATION[population].keys() == counts.keys()


@given(st.floats(0, 1, exclude_max=True), st.sampled_from(["labelled", "external", "pool"]))
def test_severity_lies_within_its_class(latent: float, drawn_as: str):
    grade, severity = grade_of(latent, drawn_as, "demo")
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
            grade_of(latent, "labelled", "demo")[0]
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
