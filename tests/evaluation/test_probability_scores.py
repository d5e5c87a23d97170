import numpy as np
import pytest
from sklearn import metrics as reference

from hipoa.evaluation.metrics.scores import (
    brier_score,
    negative_log_likelihood,
    ranked_probability_score,
)


@pytest.fixture(params=range(3))
def cohort(request):
    random = np.random.default_rng([request.param])
    return random.dirichlet(np.full(7, 0.5), 80), random.integers(1, 8, 80)


def test_the_scores_are_those_of_scikit_learn(cohort):
    probability, grade = cohort
    one_hot = np.eye(7)[grade - 1]
    assert brier_score(probability, grade).mean() == pytest.approx(
        reference.brier_score_loss(one_hot, probability, scale_by_half=False)
    )
    likely = probability[np.arange(80), grade - 1] > 1e-6  # the two differ in what a 0 counts as
    assert negative_log_likelihood(probability, grade)[likely].mean() == pytest.approx(
        reference.log_loss(grade[likely], probability[likely], labels=range(1, 8))
    )


def test_the_ranked_probability_score_is_that_of_dlordinal(cohort):
    dlordinal = pytest.importorskip("dlordinal.metrics", reason="a reference of the extra dev")
    probability, grade = cohort
    assert ranked_probability_score(probability, grade).mean() == pytest.approx(
        dlordinal.ranked_probability_score(grade - 1, probability)
    )


def test_by_hand():
    probability = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    grade = np.array([2, 3])
    assert brier_score(probability, grade) == pytest.approx([0.25 + 0.5625 + 0.0625, 0])
    assert negative_log_likelihood(probability, grade) == pytest.approx([np.log(4), 0])
    # Cumulative 0.5 0.75 1 against 0 1 1.
    assert ranked_probability_score(probability, grade) == pytest.approx([0.25 + 0.0625, 0])


def test_a_certain_prediction_has_its_absolute_error_for_a_ranked_probability_score():
    probability = np.eye(7)[np.array([0, 0, 6, 3])]
    assert ranked_probability_score(probability, np.array([1, 4, 2, 5])) == pytest.approx([0, 3, 5, 1])


def test_a_probability_of_0_has_a_finite_price():
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([2])) == pytest.approx([np.log(1e7)])
