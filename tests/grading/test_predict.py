"""Which model predicts which hip, and passes that differ by dropout alone."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hipoa.core.errors import NetworkError, ResourceError
from hipoa.core.files import read_json, read_npz, write_json
from hipoa.grading.data.radiographs import find_visible
from hipoa.grading.inference import predict
from hipoa.grading.inference.mc_dropout import sample_outputs
from hipoa.grading.settings import ClassTable, Experiment, PredictSettings, TrainSettings
from hipoa.grading.training import train

ROW = Experiment(network="test_resnet.r160_in1k", weights="none", input_px=32)


@pytest.fixture
def fold_one(study, tmp_path):
    """A model of fold 1 (patients p2 and p3)."""
    paths = {
        "out": tmp_path / "m.safetensors",
        "record": tmp_path / "m.json",
        "checkpoint": tmp_path / "m.ckpt",
    }
    settings = TrainSettings(epochs=2, batch_size=8, dropout=0.3)
    train.run(settings, ROW, experiment="tiny", repeat=0, fold=1, **study, **paths)
    return {"model": paths["out"], "record": paths["record"], "folds": study["folds"]}


def run(model, table, stack, cohort, folder, seed=0, **settings):
    out = folder / f"{cohort}.npz"
    passes = PredictSettings(**{"passes": 5} | settings)
    predict.run(passes, ClassTable(), **model, hips=table, stack=stack, cohort=cohort, seed=seed, out=out)
    return read_npz(out)


def test_labelled_hips_are_predicted_by_their_folds_model_ungraded_ones_too(study, fold_one, tmp_path):
    found = run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)
    assert found["hip_id"].tolist() == ["lp2_L", "lp2_R", "lp3_L", "lp3_R"]
    facts = read_json(fold_one["record"])
    write_json(fold_one["record"], facts | {"fold": 0})
    found = run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)
    assert "lp0_L" in found["hip_id"].tolist()


def test_a_pool_hip_of_a_labelled_patient_is_predicted_by_that_folds_model_alone(cohorts, fold_one, tmp_path):
    rows = [(patient, side, "ok", "") for patient in ("p0", "p2", "q") for side in "LR"]
    found = run(fold_one, *cohorts.hips("pool", rows), "pool", tmp_path)
    assert found["hip_id"].tolist() == ["pp2_L", "pp2_R", "pq_L", "pq_R"]


@given(st.lists(st.sampled_from("abcdef")), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)))
def test_every_hip_is_seen_by_its_folds_model_or_by_all(patients, fold_of):
    seen = np.array([find_visible(np.array(patients, dtype=np.str_), fold_of, fold) for fold in range(4)])
    for patient, by in zip(patients, seen.T, strict=True):
        assert by.tolist() == [fold_of.get(patient, fold) == fold for fold in range(4)]
        assert by.sum() == (1 if patient in fold_of else 4)


def test_the_arrays_and_their_shapes(study, fold_one, tmp_path):
    found = run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)
    width = predict.load_network(fold_one["model"], read_json(fold_one["record"])).backbone.num_features
    assert {name: array.shape for name, array in found.items()} == {
        "hip_id": (4,),
        "probability_grade": (4, 5, 7),
        "deterministic_grade": (4, 7),
        "features": (4, width),
    }
    assert {found[name].dtype for name in found if name != "hip_id"} == {np.dtype(np.float32)}
    assert np.allclose(found["probability_grade"].sum(-1), 1, atol=1e-5)
    assert np.allclose(found["deterministic_grade"].sum(-1), 1, atol=1e-5)
    assert (found["probability_grade"].std(axis=1).max(axis=-1) > 0).all()


def test_a_cohort_without_hips_has_empty_arrays(cohorts, fold_one, tmp_path):
    found = run(fold_one, *cohorts.hips("external", []), "external", tmp_path)
    assert found["hip_id"].shape == (0,)
    assert found["probability_grade"].shape == (0, 5, 7)
    assert found["deterministic_grade"].shape == (0, 7)
    assert found["features"].shape[0] == 0
    assert found["features"].shape[1] > 0


def test_predictions_are_repeatable_and_the_seed_matters(study, fold_one, tmp_path):
    first, again, other = (
        run(fold_one, study["hips"], study["stack"], "labelled", tmp_path, seed=seed) for seed in (0, 0, 1)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["probability_grade"], other["probability_grade"])
    assert np.array_equal(first["deterministic_grade"], other["deterministic_grade"])


def test_one_more_hip_changes_no_other_hips_masks(cohorts, fold_one, tmp_path):
    few = [(patient, "L", "ok", "") for patient in ("q", "r")]
    more = [("a", "R", "ok", ""), few[0], ("qq", "L", "ok", ""), few[1]]
    first = run(fold_one, *cohorts.hips("pool", few), "pool", tmp_path)
    rows = np.isin(run(fold_one, *cohorts.hips("pool", more), "pool", tmp_path)["hip_id"], first["hip_id"])
    # the images of the fixture depend on the row: the same ones are given to the hips
    table, stack = cohorts.hips("pool", more)
    images = dict(np.load(stack))
    images["radiograph"][rows] = np.load(cohorts.hips("external", few)[1])["radiograph"]
    np.savez(stack, **images)
    second = run(fold_one, table, stack, "pool", tmp_path)
    assert second["hip_id"][rows].tolist() == first["hip_id"].tolist()
    assert np.allclose(second["probability_grade"][rows], first["probability_grade"], atol=1e-6)
    assert not np.allclose(second["probability_grade"][~rows][0], first["probability_grade"][0], atol=1e-4)


def test_a_model_without_dropout_is_named(study, fold_one, tmp_path):
    write_json(fold_one["record"], read_json(fold_one["record"]) | {"dropout": 0.0})
    with pytest.raises(NetworkError, match=r"^tiny r0f1: dropout is 0: all passes would be the same"):
        run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)


def test_passes_that_are_all_the_same_are_named(study, fold_one, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)
    with pytest.raises(NetworkError, match=r"^tiny r0f1: all 5 passes are the same"):
        run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)


@pytest.mark.parametrize(("share", "fault"), [(0.05, False), (0.0, True)])
def test_few_passes_of_one_hip_may_be_the_same_by_chance(share, fault):
    """As where the hips of a cohort are one, and most features of its image are 0."""

    class Network:
        def finish(self, parts, done):
            return (torch.rand(len(parts), 1) < share).float().expand(-1, 7)

    network: Any = Network()
    settings = PredictSettings(passes=3)
    shared = torch.zeros(1, 4)
    if fault:
        with pytest.raises(NetworkError, match=r"^tiny: all 3 passes are the same"):
            sample_outputs(network, 1, shared, [1], settings, "tiny")
    else:
        outputs = sample_outputs(network, 1, shared, [1], settings, "tiny")
        assert outputs.shape == (1, 3, 7)
        assert not outputs.any()


def test_outputs_that_are_no_numbers_are_named(study, fold_one, tmp_path):
    tensors = load_file(fold_one["model"])
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    save_file({**tensors, name: tensors[name] * float("inf")}, fold_one["model"])
    with pytest.raises(NetworkError, match=r"^tiny r0f1: its outputs are not finite numbers. Train it again"):
        run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)


def test_too_little_memory_is_named(study, fold_one, tmp_path, monkeypatch):
    def full(*_, **__):
        torch.empty(2**58, dtype=torch.float64)

    monkeypatch.setattr(predict, "predict_hips", full)
    with pytest.raises(
        ResourceError, match=r"^tiny r0f1: the memory of the (machine|GPU) is too small. Lower predict"
    ):
        run(fold_one, study["hips"], study["stack"], "labelled", tmp_path)


def test_a_trained_network_comes_back_the_same(study, fold_one):
    facts = read_json(fold_one["record"])
    network = predict.load_network(fold_one["model"], facts)
    assert network.dropout.p == 0.3
    tensors = torch.cat([value.flatten().float() for value in network.backbone.state_dict().values()])
    assert torch.isfinite(tensors).all()
