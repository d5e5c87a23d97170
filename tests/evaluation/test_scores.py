import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from hipoa.evaluation.metrics.scores import (
    SCORES,
    balanced_accuracy,
    count_confusions,
    exact_accuracy,
    find_best_constant,
    mean_absolute_error,
    one_neighbour_accuracy,
    quadratic_weighted_kappa,
    unweighted_kappa,
)

pairs = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=40)


def confusion_of(grade, predicted):
    return count_confusions(np.zeros(len(grade), dtype=int), 1, np.array(grade), np.array(predicted))[0]


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_those_of_scikit_learn(seed):
    random = np.random.default_rng([seed])
    # Skewed, so that in some seeds a class does not occur.
    grade = random.choice(np.arange(1, 8), 60, p=np.array([30, 10, 8, 6, 3, 2, 1]) / 60)
    predicted = np.clip(grade + random.integers(-2, 3, 60), 1, 7)
    confusion = confusion_of(grade, predicted)
    assert np.array_equal(confusion, reference.confusion_matrix(grade, predicted, labels=range(1, 8)))
    assert exact_accuracy(confusion) == pytest.approx(reference.accuracy_score(grade, predicted))
    assert one_neighbour_accuracy(confusion) == pytest.approx((abs(grade - predicted) <= 1).mean())
    assert mean_absolute_error(confusion) == pytest.approx(reference.mean_absolute_error(grade, predicted))
    with pytest.MonkeyPatch.context() as quiet:
        quiet.setattr("warnings.warn", lambda *args, **kwargs: None)  # predicted classes that are not there
        assert balanced_accuracy(confusion) == pytest.approx(
            reference.balanced_accuracy_score(grade, predicted)
        )
    assert unweighted_kappa(confusion) == pytest.approx(reference.cohen_kappa_score(grade, predicted))
    assert quadratic_weighted_kappa(confusion) == pytest.approx(
        # Without the labels scikit-learn closes the gaps of classes that do not occur.
        reference.cohen_kappa_score(grade, predicted, weights="quadratic", labels=range(1, 8))
    )


@given(pairs)
@settings(deadline=None)
def test_the_laws_of_the_scores(rows):
    confusion = confusion_of(*zip(*rows, strict=True))
    eca, onca = exact_accuracy(confusion), one_neighbour_accuracy(confusion)
    assert 0 <= eca <= onca <= 1
    # Each hip outside ECA is off by one class at least, outside ONCA by two.
    assert (1 - eca) + (1 - onca) <= mean_absolute_error(confusion) + 1e-12
    mirrored = confusion[::-1, ::-1]
    for score, _ in SCORES.values():
        assert score(mirrored) == pytest.approx(score(confusion), nan_ok=True)
        assert score(confusion * 3) == pytest.approx(score(confusion), nan_ok=True)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_perfect_prediction(grade):
    confusion = confusion_of(grade, grade)
    assert exact_accuracy(confusion) == one_neighbour_accuracy(confusion) == balanced_accuracy(confusion) == 1
    assert mean_absolute_error(confusion) == 0
    kappa = quadratic_weighted_kappa(confusion)
    assert kappa == 1 if len(set(grade)) > 1 else np.isnan(kappa)


def test_each_cell_is_counted_apart():
    cell, grade, predicted = np.array([0, 2, 2, 2]), np.array([1, 1, 7, 7]), np.array([1, 2, 7, 6])
    confusion = count_confusions(cell, 3, grade, predicted)
    assert confusion.sum(axis=(1, 2)).tolist() == [1, 0, 3]
    assert confusion[2, 6, 5] == confusion[2, 6, 6] == confusion[2, 0, 1] == 1
    assert exact_accuracy(confusion) == pytest.approx([1, np.nan, 1 / 3], nan_ok=True)
    assert balanced_accuracy(confusion) == pytest.approx([1, np.nan, 0.25], nan_ok=True)
    assert np.isnan(quadratic_weighted_kappa(confusion)[:2]).all()


def test_the_best_constants():
    # Class 1 is the commonest, but class 4 has most hips within one class.
    grade = np.array([1, 1, 1, 3, 4, 4, 5, 5])
    assert find_best_constant(grade, exact_accuracy) == 1
    assert find_best_constant(grade, one_neighbour_accuracy) == 4
    assert find_best_constant(np.array([2, 6]), exact_accuracy) == 2  # of equal ones the lowest


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(1, 7))
@settings(deadline=None)
def test_no_constant_is_better_than_the_best(grade, other):
    for score in (exact_accuracy, one_neighbour_accuracy):
        best = find_best_constant(np.array(grade), score)
        assert score(confusion_of(grade, [best] * len(grade))) >= score(
            confusion_of(grade, [other] * len(grade))
        )
