from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hipoa.evaluation.metrics.rank_areas import (
    area_under_generalised_risk_coverage,
    area_under_risk_coverage,
    area_under_roc,
    rank_hips,
    risk_at,
)

AREAS = (
    area_under_roc,
    area_under_risk_coverage,
    area_under_generalised_risk_coverage,
    lambda hips: risk_at(hips, 0.8),
)


def rank(score, event, weight=None):
    weight = np.ones((1, len(score))) if weight is None else np.atleast_2d(weight)
    return rank_hips(np.asarray(score, dtype=float), np.asarray(event, dtype=bool), weight.astype(float))


def risk_coverage(event):
    """By definition, of errors in the order in which hips are kept: both areas and the risk at 80 %."""
    event = np.asarray(event, dtype=float)
    n = len(event)
    risk = event.cumsum() / np.arange(1, n + 1)
    kept = np.arange(1, n + 1) / n
    width = 1 - 1 / n
    areas = np.trapezoid(risk, kept) / width, np.trapezoid(risk * kept, kept) / width
    return (*areas, risk[int(np.ceil(0.8 * n - 1e-9)) - 1])


@pytest.mark.parametrize("seed", range(4))
def test_the_area_under_roc_is_that_of_scikit_learn(seed):
    random = np.random.default_rng([seed])
    score, event = random.integers(0, 12, 70), random.random(70) < 0.3
    weight = random.integers(0, 4, (3, 70))
    found = area_under_roc(rank(score, event, weight))
    for area, times in zip(found, weight, strict=True):
        assert area == pytest.approx(reference.roc_auc_score(event, score, sample_weight=times))


@pytest.mark.parametrize("seed", range(4))
def test_the_areas_of_errors_are_those_of_their_definition(seed):
    random = np.random.default_rng([seed])
    score, event = random.permutation(40), random.random(40) < 0.3
    expected = risk_coverage(event[np.argsort(score)])
    assert [area(rank(score, event))[0] for area in AREAS[1:]] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_areas_of_errors_are_those_of_torch_uncertainty(seed):
    library = pytest.importorskip("torch_uncertainty.metrics", reason="a reference of the extra dev")
    import torch

    random = np.random.default_rng([seed])
    probability, grade = random.dirichlet(np.ones(7), 90), random.integers(0, 7, 90)
    hips = rank(-probability.max(axis=1), probability.argmax(axis=1) != grade)
    for area, name in (
        (area_under_risk_coverage, "AURC"),
        (area_under_generalised_risk_coverage, "AUGRC"),
        (lambda hips: risk_at(hips, 0.8), "RiskAt80Cov"),
    ):
        metric = getattr(library, name)()
        metric.update(torch.tensor(probability), torch.tensor(grade))
        assert area(hips)[0] == pytest.approx(float(metric.compute()), rel=1e-5)


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=6))
@settings(deadline=None, max_examples=40)
def test_ties_are_the_mean_over_all_orders(rows):
    score, event = map(np.array, zip(*rows, strict=True))
    orders = [order for order in permutations(range(len(rows))) if (np.diff(score[list(order)]) >= 0).all()]
    expected = np.mean([risk_coverage(event[list(order)]) for order in orders], axis=0)
    assert [area(rank(score, event))[0] for area in AREAS[1:]] == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=15).filter(
        lambda rows: sum(row[2] for row in rows) > 1
    )
)
@settings(deadline=None)
def test_a_weight_is_so_many_hips(rows):
    score, event, weight = map(np.array, zip(*rows, strict=True))
    drawn = np.repeat(np.arange(len(rows)), weight)
    for area in AREAS:
        assert area(rank(score, event, weight)) == pytest.approx(
            area(rank(score[drawn], event[drawn])), nan_ok=True
        )


def test_a_perfect_and_a_useless_order():
    event = np.arange(50) >= 40
    perfect, useless = rank(event, event), rank(np.zeros(50), event)
    assert area_under_roc(perfect)[0] == 1
    assert area_under_roc(useless)[0] == 0.5
    assert area_under_risk_coverage(useless)[0] == pytest.approx(0.2)
    assert risk_at(perfect, 0.8)[0] == 0
    assert risk_at(useless, 0.8)[0] == pytest.approx(0.2)
    assert area_under_roc(rank(-event.astype(int), event))[0] == 0


def test_by_hand():
    # Kept one after the other: right, wrong, right, wrong. Risks 0 1/2 1/3 1/2, of all 0 1/4 1/4 1/2.
    hips = rank([1, 2, 3, 4], [0, 1, 0, 1])
    assert area_under_risk_coverage(hips)[0] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert area_under_generalised_risk_coverage(hips)[0] == pytest.approx((1 / 4 + 1 / 4 + 1 / 4) / 3)
    assert risk_at(hips, 0.75)[0] == pytest.approx(1 / 3)
    assert area_under_roc(hips)[0] == pytest.approx(3 / 4)
