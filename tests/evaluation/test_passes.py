import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hipoa.evaluation.passes import combine_models, summarise_passes


def softmax(values):
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return values / values.sum(axis=-1, keepdims=True)


def one_model(probability, fold=0):
    return summarise_passes(probability, fold=fold)


logits = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.just(7)),
    elements=st.floats(-6, 6, width=32),
)


def test_the_variance_is_divided_by_the_number_of_passes():
    passes = np.zeros((1, 2, 7))
    passes[0, :, 0] = [0.9, 0.7]
    passes[0, :, 1] = [0.1, 0.3]
    summary = summarise_passes(passes)
    assert summary.mean[0, :2] == pytest.approx([0.8, 0.2])
    assert summary.variance[0] == pytest.approx([0.01, 0.01, 0, 0, 0, 0, 0])
    assert combine_models([one_model(passes)], 1).variance == pytest.approx([0.01])
    assert combine_models([one_model(passes)], 1, "mean_over_classes").variance == pytest.approx([0.02 / 7])


def test_two_certain_passes_that_disagree_are_one_bit_of_mutual_information():
    passes = np.zeros((1, 2, 7))
    passes[0, 0, 2] = passes[0, 1, 5] = 1
    hips = combine_models([one_model(passes)], 1)
    assert hips.entropy == pytest.approx([np.log(2)])
    assert hips.mutual_information == pytest.approx([np.log(2)])
    assert hips.predicted.tolist() == [3]  # of equal classes the lowest
    assert hips.variance == pytest.approx([0.25])


def test_equal_passes_have_no_variance_and_no_mutual_information():
    passes = np.repeat(softmax(np.arange(7.0))[None, None], 50, axis=1)
    hips = combine_models([one_model(passes)], 1)
    assert hips.variance == pytest.approx([0], abs=1e-15)
    assert hips.mutual_information == pytest.approx([0], abs=1e-12)
    assert hips.entropy > 0.1
    assert np.isnan(hips.between_model_variance).all()


def test_the_uniform_softmax_has_the_entropy_log_7():
    hips = combine_models([one_model(np.full((1, 3, 7), 1 / 7))], 1)
    assert hips.entropy == pytest.approx([np.log(7)])
    assert hips.max_probability == pytest.approx([1 / 7])


def test_each_hip_is_averaged_over_the_models_that_saw_it():
    sure, unsure = np.eye(7)[[1]], np.full((1, 7), 1 / 7)
    first = summarise_passes(np.stack([sure, sure]), fold=0)
    second = summarise_passes(unsure[None], fold=1, rows=np.array([1]))
    hips = combine_models([first, second], 3)
    assert hips.n_models.tolist() == [1, 2, 0]
    assert hips.fold.tolist() == [0, -1, -1]
    assert hips.max_probability[:2] == pytest.approx([1, 4 / 7])
    assert hips.between_model_variance[1] == pytest.approx((3 / 7) ** 2)
    assert np.isnan(hips.between_model_variance[[0, 2]]).all()
    assert np.isnan(hips.probability[2]).all()


@given(logits)
@settings(deadline=None, max_examples=40)
def test_within_and_between_models_add_up_to_the_variance_over_all_passes(values):
    probability = softmax(values.astype(np.float64))
    n_models, n_hips, n_passes, _ = probability.shape
    hips = combine_models([one_model(model, fold) for fold, model in enumerate(probability)], n_hips)
    together = probability.transpose(1, 0, 2, 3).reshape(n_hips, n_models * n_passes, 7)
    total = together.var(axis=1)[np.arange(n_hips), hips.predicted - 1]
    assert hips.variance + np.nan_to_num(hips.between_model_variance) == pytest.approx(total, abs=1e-12)
    assert hips.probability == pytest.approx(together.mean(axis=1))


@given(logits)
@settings(deadline=None, max_examples=40)
def test_the_bounds_of_the_measures(values):
    hips = combine_models([one_model(softmax(model.astype(np.float64))) for model in values], len(values[0]))
    assert (hips.mutual_information >= 0).all()
    assert (hips.mutual_information <= hips.entropy).all()
    assert (hips.entropy <= np.log(7) + 1e-9).all()
    assert (hips.variance <= 0.25).all()


def test_many_hips_are_summarised_as_few_are():
    passes = softmax(np.random.default_rng([1]).normal(size=(5000, 2, 7)))
    summary = summarise_passes(passes.astype(np.float32))
    assert summary.mean == pytest.approx(passes.mean(axis=1), abs=1e-6)
    assert summary.variance == pytest.approx(passes.var(axis=1), abs=1e-6)
    assert (summary.entropy > 0).all()
