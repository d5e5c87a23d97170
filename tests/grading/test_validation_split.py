"""The validation split monitors a training on patients that it may see, and never trains on them."""

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from hipoa.core.errors import CohortError, TrainingError
from hipoa.core.files import read_json
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training import fit, train

ROW = Experiment(network="test_vit.r160_in1k", weights="none", input_px=32)
QUICK = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "inner_folds": 3}


def run(study, folder, **settings):
    paths = {
        "out": folder / "m.safetensors",
        "record": folder / "m.json",
        "checkpoint": folder / "cache" / "m.ckpt",
    }
    settings = TrainSettings(**QUICK | settings)
    train.run(settings, ROW, experiment="tiny", repeat=0, fold=3, **study, **paths)
    return paths


def test_one_patient_in_five_is_held_back_whole_and_of_every_grade():
    patients = np.repeat([f"p{number}" for number in range(100)], 2)
    target = np.repeat(np.arange(100) % 4, 2)[:, None]
    held = train.split_validation(patients, target, 5, 1)
    assert held.sum() == 40
    assert (held[::2] == held[1::2]).all()
    assert np.bincount(target[held, 0]).tolist() == [10, 10, 10, 10]
    assert (train.split_validation(patients, target, 5, 1) == held).all()
    assert (train.split_validation(patients, target, 5, 2) != held).any()
    assert not train.split_validation(patients, target, 0, 1).any()


def test_too_few_patients_are_named():
    with pytest.raises(CohortError, match=r"^inner_folds: 2 patients .* lower the setting inner_folds"):
        train.split_validation(np.array(["a", "b"]), np.array([[0], [0]]), 3, 1)


def test_the_record_says_who_was_held_back_and_the_loss_on_them(study, tmp_path):
    record = read_json(run(study, tmp_path)["record"])
    # p0's left hip is ungraded and p6, p7 are fold 3: six patients, of whom two are held back
    assert record["n_train"] + record["n_inner"] == 11
    assert record["n_train_patients"] == 4
    assert sum(record["class_counts"]["grade"]) == record["n_train"]
    assert all(epoch["inner_loss"] > 0 for epoch in record["history"])
    assert record["kept_epoch"] == 3


def test_radiographs_held_back_are_not_trained_on(study, tmp_path):
    first = run(study, tmp_path / "a")
    images = dict(np.load(study["stack"]))
    seen = []
    original = fit.prepare_images

    def spy(radiograph, *rest):
        seen.append(radiograph)
        return original(radiograph, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "prepare_images", spy)
        run(study, tmp_path / "again")
    held = [any(np.array_equal(image, inner) for inner in seen[1]) for image in images["radiograph"]]
    assert 2 <= sum(held) <= 4
    images["radiograph"][held] = 255
    np.savez(tmp_path / "changed.npz", **images)
    second = run({**study, "stack": tmp_path / "changed.npz"}, tmp_path / "b")
    assert second["out"].read_bytes() == first["out"].read_bytes()
    losses = [
        [epoch["inner_loss"] for epoch in read_json(paths["record"])["history"]] for paths in (first, second)
    ]
    assert losses[0] != losses[1]


def test_the_best_epoch_is_kept_and_survives_a_kill(study, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "CHECKPOINT_MINUTES", 0)
    whole = {}
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: 1.5}

    def score(self, *_):
        whole[len(self.history) + 1] = self.network.backbone.head.weight.detach().cpu().clone()
        return losses[len(self.history) + 1]

    monkeypatch.setattr(fit.Training, "validation_loss", score)
    best = run(study, tmp_path / "best", epochs=4, inner_best=True)
    assert read_json(best["record"])["kept_epoch"] == 2
    assert (load_file(best["out"])["head.weight"] == whole[2]).all()
    last = run(study, tmp_path / "last", epochs=4)
    assert (load_file(last["out"])["head.weight"] == whole[4]).all()

    original = fit.Training.run_epoch

    def killed(self, epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        original(self, epoch)

    monkeypatch.setattr(fit.Training, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "killed", epochs=4, inner_best=True)
    monkeypatch.setattr(fit.Training, "run_epoch", original)
    resumed = run(study, tmp_path / "killed", epochs=4, inner_best=True)
    assert resumed["out"].read_bytes() == best["out"].read_bytes()


def test_a_loss_on_them_that_is_not_finite_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setattr(fit.Training, "validation_loss", lambda *_: float("inf"))
    with pytest.raises(
        TrainingError, match=r"^tiny r0f3: the inner loss is inf in epoch 1. Lower learning_rate"
    ):
        run(study, tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inner_folds": 1}, "all patients would be held back"),
        ({"inner_best": True}, "needs a validation split"),
    ],
)
def test_contradictory_settings_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        TrainSettings(**given)
