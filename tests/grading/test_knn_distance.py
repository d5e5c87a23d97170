"""Out-of-distribution scores of hips near to and far from the reference hips."""

import numpy as np
import pytest

from hipoa.grading.inference.knn_distance import out_of_distribution_score, relative_distance


@pytest.fixture
def reference():
    return np.random.default_rng([1]).normal(0, [1, 10, 100], (80, 3)).astype(np.float32)


def test_a_hip_like_the_others_and_one_far_off(reference):
    near, far = out_of_distribution_score(np.array([[0, 0, 0], [8, 0, 0]], np.float32), reference)
    assert near < 0.5
    assert far == 1


def test_new_hips_of_the_same_kind_are_spread_evenly(reference):
    new = np.random.default_rng([2]).normal(0, [1, 10, 100], (400, 3))
    shares = out_of_distribution_score(new, reference)
    assert 0.35 < shares.mean() < 0.65
    assert (shares > 0.99).mean() < 0.06


def test_a_constant_feature_is_ignored(reference):
    constant = np.hstack([reference, np.full((80, 1), 3.0)])
    new = np.array([[0, 0, 0, 7.0]])
    assert out_of_distribution_score(new, constant) == pytest.approx(
        out_of_distribution_score(new[:, :3], reference)
    )


def test_too_few_hips_to_compare_with():
    assert np.isnan(out_of_distribution_score(np.zeros((2, 3)), np.zeros((5, 3)))).all()


def test_a_distance_of_one_is_that_of_the_reference_hips(reference):
    assert np.median(relative_distance(reference + 1e-9, reference)) < 1
    new = np.random.default_rng([3]).normal(0, [1, 10, 100], (400, 3))
    assert 0.8 < np.median(relative_distance(new, reference)) < 1.2
    near, far = relative_distance(np.array([[0, 0, 0], [80, 0, 0]], np.float32), reference)
    assert near < 1.5
    assert far > 20
    assert np.isnan(relative_distance(np.zeros((2, 3)), np.zeros((5, 3)))).all()
