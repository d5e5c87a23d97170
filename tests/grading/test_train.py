"""Training is repeatable, resumes after a kill, and never learns from the fold it leaves out."""

import io
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hipoa.core.errors import CohortError, ResourceError, TrainingError
from hipoa.core.files import read_csv, read_json, sha256
from hipoa.grading.inference import predict
from hipoa.grading.settings import Experiment, TrainSettings
from hipoa.grading.training import fit, train
from hipoa.grading.training.fit import split_batches

ROW = Experiment(network="test_vit.r160_in1k", weights="none", input_px=32)
QUICK = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3}


def run(study, folder, row=ROW, fold=0, seed=0, **settings):
    paths = {
        "out": folder / "m.safetensors",
        "record": folder / "m.json",
        "checkpoint": folder / "cache" / "m.ckpt",
    }
    chosen = TrainSettings(**QUICK | settings)
    train.run(chosen, row, experiment="tiny", repeat=0, fold=fold, seed=seed, **study, **paths)
    return paths


def test_two_trainings_give_the_same_file(study, tmp_path):
    first, second = run(study, tmp_path / "a"), run(study, tmp_path / "b")
    assert first["out"].read_bytes() == second["out"].read_bytes()
    records = [read_json(paths["record"]) for paths in (first, second)]
    assert records[0] == records[1]
    other = run(study, tmp_path / "c", seed=1)
    assert first["out"].read_bytes() != other["out"].read_bytes()


def test_the_record_holds_what_rebuilds_the_network(study, tmp_path):
    record = read_json(run(study, tmp_path, fold=3)["record"])
    assert (record["experiment"], record["repeat"], record["fold"], record["task"]) == (
        "tiny",
        0,
        3,
        "combined",
    )
    assert (record["network"], record["input_px"]) == ("test_vit.r160_in1k", 32)
    assert (record["dropout"], record["dropout_where"], record["mean"]) == (0.1, "head", [0.5, 0.5, 0.5])
    # p0's left hip is ungraded and p6, p7 are fold 3
    assert (record["n_train"], record["n_train_patients"]) == (11, 6)
    assert record["class_counts"] == {"grade": [5, 0, 0, 0, 0, 0, 6]}
    assert [epoch["epoch"] for epoch in record["history"]] == [1, 2, 3]
    assert set(record["history"][0]) == {"epoch", "learning_rate", "loss"}
    assert record["settings"]["epochs"] == 3


@pytest.mark.parametrize("network", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
def test_a_killed_training_resumes_to_the_same_weights(study, tmp_path, monkeypatch, network):
    row = ROW.model_copy(update={"network": network})
    monkeypatch.setattr(fit, "CHECKPOINT_MINUTES", 0)
    whole = run(study, tmp_path / "whole", row, epochs=4)
    original = fit.Training.run_epoch

    def killed(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        original(self, epoch)

    monkeypatch.setattr(fit.Training, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(study, tmp_path / "killed", row, epochs=4)
    checkpoint = tmp_path / "killed" / "cache" / "m.ckpt"
    assert checkpoint.is_file()
    epochs = []
    monkeypatch.setattr(
        fit.Training, "run_epoch", lambda self, epoch: (epochs.append(epoch), original(self, epoch))[1]
    )
    resumed = run(study, tmp_path / "killed", row, epochs=4)
    assert epochs == [2, 3]
    assert resumed["out"].read_bytes() == whole["out"].read_bytes()
    assert read_json(resumed["record"])["history"] == read_json(whole["record"])["history"]
    assert not checkpoint.exists()


@pytest.mark.parametrize("content", ["of another training", "broken"])
def test_a_checkpoint_of_something_else_is_ignored(study, tmp_path, content):
    whole = run(study, tmp_path / "whole")
    checkpoint = tmp_path / "again" / "cache" / "m.ckpt"
    checkpoint.parent.mkdir(parents=True)
    if content == "broken":
        checkpoint.write_bytes(b"PK")
    else:
        torch.save({"key": "other", "history": []}, checkpoint)
    assert run(study, tmp_path / "again")["out"].read_bytes() == whole["out"].read_bytes()


def test_grades_of_the_fold_left_out_have_no_influence(study, tmp_path, cohorts):
    first = run(study, tmp_path / "a")
    rows = read_csv(study["hips"])
    for row in rows:
        if row["patient_id"] in {"p0", "p1"}:
            row["grade"] = "4" if row["grade"] else ""
    changed = cohorts.write_table("hips/changed.csv", list(rows[0]), rows)
    assert run({**study, "hips": changed}, tmp_path / "b")["out"].read_bytes() == first["out"].read_bytes()


def test_radiographs_of_the_fold_left_out_have_no_influence(study, tmp_path):
    first = run(study, tmp_path / "a")
    images = dict(np.load(study["stack"]))
    left_out = np.isin(images["hip_id"], ["lp0_L", "lp0_R", "lp1_L", "lp1_R"])
    images["radiograph"][left_out] = 255
    np.savez(tmp_path / "changed.npz", **images)
    second = run({**study, "stack": tmp_path / "changed.npz"}, tmp_path / "b")
    assert second["out"].read_bytes() == first["out"].read_bytes()


def test_grades_of_the_training_folds_have_influence(study, tmp_path, cohorts):
    first = run(study, tmp_path / "a")
    rows = [
        row | {"grade": "4" if row["patient_id"] == "p7" else row["grade"]} for row in read_csv(study["hips"])
    ]
    changed = cohorts.write_table("hips/changed.csv", list(rows[0]), rows)
    assert run({**study, "hips": changed}, tmp_path / "b")["out"].read_bytes() != first["out"].read_bytes()


def test_the_loss_falls_on_hips_that_can_be_told_apart(study, tmp_path):
    record = read_json(run(study, tmp_path, epochs=60, holes=0)["record"])
    losses = [epoch["loss"] for epoch in record["history"]]
    assert losses[0] > 1.5
    assert losses[-1] < 0.2


def test_a_loss_that_is_not_finite_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setattr(fit.Training, "train_step", lambda self, images, targets: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match=r"^tiny r0f0: the loss is nan in epoch 1. Lower learning_rate"):
        run(study, tmp_path)


@pytest.mark.parametrize("batch", [torch.OutOfMemoryError("x"), MemoryError(), None])
def test_too_little_memory_is_named(study, tmp_path, monkeypatch, batch):
    def full(*_):
        if batch is None:
            # what torch itself says: no machine has 2 EiB
            torch.empty(2**58, dtype=torch.float64)
        raise batch

    monkeypatch.setattr(fit.Training, "loss", full)
    with pytest.raises(
        ResourceError, match=r"^tiny r0f0: the memory of the (machine|GPU) is too small. Lower batch_size"
    ):
        run(study, tmp_path)


def test_any_other_fault_stays_itself(study, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(fit.Training, "loss", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(study, tmp_path)


@pytest.mark.parametrize("network", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
def test_half_precision_halves_the_file_and_hardly_moves_the_weights(study, tmp_path, network):
    row = ROW.model_copy(update={"network": network})
    whole = run(study, tmp_path / "a", row)
    half = run(study, tmp_path / "b", row, half_precision=True)
    assert half["out"].stat().st_size < 0.6 * whole["out"].stat().st_size
    exact = load_file(whole["out"])
    network = predict.load_network(half["out"], read_json(half["record"])).cpu()
    for name, tensor in network.backbone.state_dict().items():
        assert tensor.dtype == exact[name].dtype
        assert torch.allclose(tensor, exact[name], rtol=1e-3, atol=1e-6)
        if "running" in name:
            assert torch.equal(tensor, exact[name])


def test_the_record_names_the_file_by_its_hash(study, tmp_path):
    paths = run(study, tmp_path)
    record = read_json(paths["record"])
    assert (record["file"], record["sha256"]) == ("m.safetensors", sha256(paths["out"]))


def test_a_fold_that_is_not_there_is_named(study, tmp_path):
    with pytest.raises(CohortError, match=r"^tiny r0f9: 15 hips graded on grade lie outside fold 9"):
        run(study, tmp_path, fold=9)


def test_class_weights_and_smoothing_change_the_training(study, tmp_path):
    plain = load_file(run(study, tmp_path / "a", fold=3)["out"])
    for number, setting in enumerate([{"class_weights": True}, {"label_smoothing": 0.1}]):
        other = load_file(run(study, tmp_path / str(number), fold=3, **setting)["out"])
        assert not torch.equal(other["head.weight"], plain["head.weight"])


def test_progress_is_shown_about_ten_times(study, tmp_path, capsys):
    run(study, tmp_path, epochs=40)
    lines = capsys.readouterr().err.splitlines()
    assert 10 <= len(lines) <= 12
    assert lines[-1].startswith("tiny r0f0: epoch 40/40, loss ")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_a_bar_shows_the_progress(study, tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    run(study, tmp_path, epochs=4)
    # 15 hips in batches of 8
    last = terminal.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith("tiny r0f0: 100%")
    assert "8/8" in last
    assert "loss" in last
    assert "epoch 4/4" not in terminal.getvalue()


@pytest.mark.parametrize(("n", "size"), [(33, 32), (7, 2), (4, 8), (64, 32)])
def test_no_batch_holds_a_single_hip(n, size):
    batches = split_batches(torch.arange(n), size)
    assert torch.cat(batches).tolist() == list(range(n))
    assert max(map(len, batches)) <= size
    assert min(map(len, batches)) >= 2 or size == 2


def test_the_record_names_no_path(study, tmp_path):
    text = run(study, tmp_path)["record"].read_text()
    assert json.loads(text)["weights"] == "none"
    assert str(tmp_path) not in text
