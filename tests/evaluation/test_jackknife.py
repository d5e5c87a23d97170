import numpy as np
import pytest
from scipy import stats

from hipoa.evaluation.metrics.scores import count_confusions, exact_accuracy, quadratic_weighted_kappa
from hipoa.evaluation.statistics.jackknife import jackknife, variance_of_training


def confusions(grade, predicted, patient, repeats=1):
    """(patients, repeats, 7, 7), the same in all repeats."""
    counts = count_confusions(patient, patient.max() + 1, grade, predicted)
    return np.repeat(counts[:, None], repeats, axis=1)


def test_of_a_mean_with_one_hip_each_the_pseudo_values_are_the_patients():
    right = np.random.default_rng([1]).random(40) < 0.7
    grade = np.full(40, 3)
    value, pseudo = jackknife(confusions(grade, grade + ~right, np.arange(40)), exact_accuracy)
    assert value == pytest.approx([right.mean()])
    assert pseudo[:, 0] == pytest.approx(right.astype(float))
    assert pseudo.std(ddof=1) / np.sqrt(40) == pytest.approx(stats.sem(right))


def test_it_is_the_jackknife_of_a_naive_loop():
    random = np.random.default_rng([2])
    grade, predicted = random.integers(1, 8, 60), random.integers(1, 8, 60)
    patient = random.integers(0, 20, 60)
    value, pseudo = jackknife(confusions(grade, predicted, patient), quadratic_weighted_kappa)
    for left_out in range(20):
        rest = patient != left_out
        one = np.zeros(rest.sum(), dtype=int)
        without = quadratic_weighted_kappa(count_confusions(one, 1, grade[rest], predicted[rest]))[0]
        assert pseudo[left_out, 0] == pytest.approx(20 * value[0] - 19 * without)


def test_two_equal_hips_and_equal_repeats_of_a_patient_add_nothing():
    right = np.random.default_rng([3]).random(30) < 0.7
    grade = np.full(30, 3)
    once = jackknife(confusions(grade, grade + ~right, np.arange(30)), exact_accuracy)[1].mean(axis=1)
    twice = jackknife(2 * confusions(grade, grade + ~right, np.arange(30), repeats=15), exact_accuracy)[1]
    assert twice.mean(axis=1) == pytest.approx(once)


def simulate(random, n, repeats, k, of_model):
    """Values of patients (n, repeats) with a model's own part, and the folds."""
    fold = np.stack([random.permutation(n) % k for _ in range(repeats)], axis=1)
    models = random.normal(0, of_model, (repeats, k))
    own = random.normal(0, 0.3, (n, 1))
    values = own + models[np.arange(repeats), fold] + random.normal(0, 0.2, (n, repeats))
    return values, fold


@pytest.mark.parametrize("repeats", [1, 3, 15])
def test_the_variance_between_models_is_found(repeats):
    random = np.random.default_rng([4])
    found = [variance_of_training(*simulate(random, 200, repeats, 4, 0.2)) for _ in range(300)]
    error = np.std(found) / np.sqrt(300)
    assert np.mean(found) == pytest.approx(3 * 0.2**2, abs=4 * error)
    none = [variance_of_training(*simulate(random, 200, repeats, 4, 0.0)) for _ in range(100)]
    assert np.mean(none) < 0.02 * 3 * 0.2**2 if repeats > 1 else np.mean(none) < 0.1 * 3 * 0.2**2


def test_it_is_the_one_way_analysis_of_variance_by_hand():
    # Two folds of three patients: means 1 and 3, within each a sum of squares of 2.
    pseudo = np.array([[0.0], [1], [2], [2], [3], [4]])
    fold = np.array([[0], [0], [0], [1], [1], [1]])
    # Between: 6 with 1 degree of freedom; within: 4 with 4; so (6 - 1) / 3, times k - 1 = 1.
    assert variance_of_training(pseudo, fold) == pytest.approx(5 / 3)
    alike = np.array([[0.0], [1], [2], [0], [1], [2]])
    assert variance_of_training(alike, fold) == 0


def test_a_single_fold_or_one_patient_a_fold_tells_nothing_of_training():
    assert np.isnan(variance_of_training(np.ones((6, 2)), np.zeros((6, 2), dtype=int)))
    assert np.isnan(variance_of_training(np.ones((4, 1)), np.arange(4)[:, None]))
