"""Heads for Crowe, KL and the combined class: their outputs, their losses, their join by the table."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from hipoa.core.constants import CLASS_TABLE
from hipoa.core.files import read_csv, read_json, read_npz
from hipoa.grading.data.class_table import join_probabilities, join_values
from hipoa.grading.inference import predict
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion, weigh_classes
from hipoa.grading.settings import ClassTable, Experiment, PredictSettings, TrainSettings
from hipoa.grading.tasks import CROWE, GRADE, KL, TASKS
from hipoa.grading.training import train

CPU = torch.device("cpu")
LOSSES = ("classification", "regression", "ordinal")


def outputs(n, width, seed=0):
    return torch.from_numpy(np.random.default_rng([seed]).normal(0, 2, (n, width)).astype(np.float32))


@pytest.mark.parametrize(
    ("task", "loss", "width"),
    [
        ("combined", "classification", 7),
        ("combined", "ordinal", 7),
        ("combined", "regression", 1),
        ("separate", "classification", 9),
        ("separate", "regression", 2),
    ],
)
def test_the_outputs_of_a_task(task, loss, width):
    heads = OutputHeads(TASKS[task], loss)
    assert heads.n_outputs == width
    decoded = heads.decode(outputs(5, width))
    assert set(decoded) == {head.name for head in TASKS[task]}
    for head in TASKS[task]:
        if heads.kind == "value":
            assert decoded[head.name].shape == (5,)
        else:
            assert decoded[head.name].shape == (5, head.classes)
            assert torch.allclose(decoded[head.name].sum(-1), torch.ones(5))


def test_a_regression_spans_the_classes_of_its_head():
    read = OutputHeads((CROWE, KL, GRADE), "regression").decode(
        torch.tensor([[-1.0, 0.0, 1.0], [1.0, -1.0, -0.5]])
    )
    assert read["crowe"].tolist() == [1, 4]
    assert read["kl"].tolist() == [2, 0]
    assert read["grade"].tolist() == [7, 2.5]


def criterion(task, loss, target, **settings):
    return build_criterion(OutputHeads(TASKS[task], loss), TrainSettings(**settings), np.array(target), CPU)


def test_the_loss_of_a_classification_is_the_cross_entropy():
    target = [[0], [6], [3]]
    logits = outputs(3, 7)
    expected = functional.cross_entropy(logits, torch.tensor([0, 6, 3]))
    assert float(
        criterion("combined", "classification", target)(logits, torch.tensor(target))
    ) == pytest.approx(float(expected))


def test_the_loss_of_a_regression_is_least_at_the_class():
    target = [[0], [6], [3]]
    loss = criterion("combined", "regression", target)
    assert float(loss(torch.tensor([[-1.0], [1.0], [0.0]]), torch.tensor(target))) == 0
    # one class off is a third of the half range
    assert float(loss(torch.tensor([[-1 + 1 / 3], [1.0], [0.0]]), torch.tensor(target))) == pytest.approx(
        1 / 27
    )


def test_the_ordinal_loss_spares_neighbours():
    target = torch.tensor([[3]])
    loss = criterion("combined", "ordinal", [[3]])
    of_class = [float(loss(torch.eye(7)[[place]] * 5, target)) for place in range(7)]
    assert np.argmin(of_class) == 3
    assert of_class[3] < of_class[2] == pytest.approx(of_class[4])
    assert of_class[2] < of_class[1] == pytest.approx(of_class[5])
    # and what makes it least is the soft target: exp(-2 distance), normalised
    soft = -2.0 * (torch.arange(7) - 3).abs()[None].float()
    entropy = -(torch.softmax(soft, 1) * torch.log_softmax(soft, 1)).sum()
    assert float(loss(soft, target)) == pytest.approx(float(entropy), rel=1e-5)


@pytest.mark.parametrize("class_weights", [False, True])
def test_the_ordinal_loss_is_that_of_dlordinal(class_weights):
    dlordinal = pytest.importorskip("dlordinal.losses", reason="a reference of the extra dev")
    target = np.random.default_rng([3]).integers(0, 7, (40, 1))
    classes = torch.from_numpy(target[:, 0])
    weight = weigh_classes(target[:, 0], 7) if class_weights else None
    theirs = dlordinal.SORDLoss(2.0, 7, train_targets=classes, weight=weight)
    ours = criterion("combined", "ordinal", target, class_weights=class_weights)
    found, expected = (outputs(40, 7).requires_grad_() for _ in range(2))
    value, reference = ours(found, torch.from_numpy(target)), theirs(expected, classes)
    assert value.item() == pytest.approx(reference.item(), rel=1e-6)
    value.backward()
    reference.backward()
    assert torch.allclose(found.grad, expected.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_of_two_heads_is_their_mean(loss):
    target = np.array([[0, 1], [3, 4], [1, 2]])
    both = OutputHeads(TASKS["separate"], loss)
    made = outputs(3, both.n_outputs)
    settings = TrainSettings()
    of_heads = []
    for column, (head, part) in enumerate(zip((CROWE, KL), both.split(made).values(), strict=True)):
        one = build_criterion(OutputHeads((head,), loss), settings, target[:, [column]], CPU)
        of_heads.append(float(one(part, torch.from_numpy(target[:, [column]]))))
    whole = build_criterion(both, settings, target, CPU)(made, torch.from_numpy(target))
    assert float(whole) == pytest.approx(np.mean(of_heads), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_index_that_is_not_graded_teaches_nothing(loss):
    target = torch.tensor([[0, -1], [3, 4], [1, -1]])
    heads = OutputHeads(TASKS["separate"], loss)
    made = outputs(3, heads.n_outputs).requires_grad_()
    criterion("separate", loss, target.tolist())(made, target).backward()
    width = 1 if loss == "regression" else 4
    assert (made.grad[:, :width].abs().sum(1) > 0).all()
    assert (made.grad[:, width:].abs().sum(1) > 0).tolist() == [False, True, False]
    made.grad = None
    none = target.clone()
    none[:, 1] = -1
    value = criterion("separate", loss, target.tolist())(made, none)
    value.backward()
    assert torch.isfinite(value)
    assert (made.grad[:, width:] == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_class_weights_weigh_a_rare_class_as_a_frequent_one(loss):
    target = [[0]] * 9 + [[6]]
    weighted = criterion("combined", loss, target, class_weights=True)
    made = outputs(1, 1 if loss == "regression" else 7)

    def share(of):
        """How much the rare class adds to the loss of all."""
        counts = torch.tensor(target)
        here = made.repeat(10, 1).requires_grad_()
        of(here, counts).backward()
        pushes = here.grad.abs().sum(1)
        return float(pushes[9] / pushes[0])

    # each rare hip pushes nine times as hard as without weights
    assert share(weighted) == pytest.approx(9 * share(criterion("combined", loss, target)), rel=1e-4)


def test_weighted_classes_count_the_same():
    target = np.array([0, 0, 0, 2])
    weights = weigh_classes(target, 4).numpy()
    assert weights[[1, 3]].tolist() == [0, 0]
    assert 3 * weights[0] == pytest.approx(weights[2])
    assert weights[target].mean() == pytest.approx(1)


def one_hot(place, n):
    return np.eye(n)[place].astype(np.float32)


@pytest.mark.parametrize(("grade", "pair"), list(enumerate(CLASS_TABLE, start=1)))
def test_a_pair_of_the_table_is_its_class(grade, pair):
    probability = join_probabilities(one_hot(pair[0] - 1, 4), one_hot(pair[1], 5), ClassTable())
    assert probability.argmax() == grade - 1
    assert probability.max() == pytest.approx(1)
    value = join_values(np.float32(pair[0]), np.float32(pair[1]), ClassTable())
    assert value == pytest.approx(grade)


def test_kl_0_counts_as_kl_1_if_set():
    crowe, kl = one_hot(0, 4), np.array([0.6, 0.2, 0.2, 0, 0], np.float32)
    assert join_probabilities(crowe, kl, ClassTable())[:2] == pytest.approx([0.8, 0.2])
    assert join_probabilities(crowe, kl, ClassTable(kl0_as_kl1=False))[:2] == pytest.approx([0.5, 0.5])
    assert kl.tolist() == pytest.approx([0.6, 0.2, 0.2, 0, 0])


def test_two_sure_heads_off_the_table_give_no_nan():
    probability = join_probabilities(one_hot(3, 4), one_hot(1, 5), ClassTable())
    assert np.isfinite(probability).all()
    assert probability.sum() == pytest.approx(1)


@given(st.floats(-2, 7), st.floats(-2, 7))
def test_a_value_lies_on_the_scale_and_moves_without_jumps_along_the_table(crowe, kl):
    value = float(join_values(np.array(crowe), np.array(kl), ClassTable()))
    assert 1 <= value <= 7
    # on the default table the line is Crowe + KL - 1
    along = np.clip(crowe, 1, 4), 4.0
    assert join_values(*map(np.array, along), ClassTable()) == pytest.approx(along[0] + 3)
    down = 1.0, np.clip(kl, 1, 4)
    assert join_values(*map(np.array, down), ClassTable()) == pytest.approx(down[1])


def test_the_combined_class_of_separate_heads_has_an_array_like_any_other():
    random = np.random.default_rng([1])
    crowe, kl = random.dirichlet(np.ones(4), (3, 6)), random.dirichlet(np.ones(5), (3, 6))
    joint = join_probabilities(crowe.astype(np.float32), kl.astype(np.float32), ClassTable())
    assert joint.shape == (3, 6, 7)
    assert joint.dtype == np.float32
    assert np.allclose(joint.sum(-1), 1, atol=1e-6)
    assert join_values(random.normal(2, 1, (3, 6)), random.normal(2, 1, (3, 6)), ClassTable()).shape == (3, 6)


@pytest.fixture
def off_table(study, cohorts):
    """The study with a patient whose pair is in no class, and one who is graded on KL alone."""
    rows = read_csv(study["hips"])
    for row in rows:
        if row["hip_id"] == "lp5_L":
            row |= {"grade": "", "crowe": "3", "kl": "1"}
        if row["hip_id"] == "lp4_R":
            row |= {"grade": "", "crowe": "", "kl": "0"}
    return {**study, "hips": cohorts.write_table("hips/labelled.csv", list(rows[0]), rows)}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("task", ["combined", "separate"])
def test_every_task_is_trained_and_predicted(off_table, tmp_path, task, loss):
    row = Experiment(network="test_vit.r160_in1k", weights="none", input_px=32, task=task, loss=loss)
    paths = {"out": tmp_path / "m.safetensors", "record": tmp_path / "m.json"}
    settings = TrainSettings(epochs=2, batch_size=8)
    train.run(
        settings, row, experiment="tiny", repeat=0, fold=3, **off_table, **paths, checkpoint=tmp_path / "c"
    )
    record = read_json(paths["record"])
    counts = {"combined": {"grade": 9}, "separate": {"crowe": 10, "kl": 11}}[task]
    assert {head: sum(counted) for head, counted in record["class_counts"].items()} == counts
    out = tmp_path / "labelled.npz"
    predict.run(
        PredictSettings(passes=4),
        ClassTable(),
        model=paths["out"],
        record=paths["record"],
        hips=off_table["hips"],
        stack=off_table["stack"],
        folds=off_table["folds"],
        cohort="labelled",
        out=out,
    )
    found = read_npz(out)
    kind, tail = ("value", ()) if loss == "regression" else ("probability", (7,))
    assert found[f"{kind}_grade"].shape == (4, 4, *tail)
    assert found["deterministic_grade"].shape == (4, *tail)
    assert (found[f"{kind}_grade"].std(axis=1) > 0).any()
    heads = {"combined": {"grade"}, "separate": {"grade", "crowe", "kl"}}[task]
    assert {name for name in found if name.startswith(kind)} == {f"{kind}_{head}" for head in heads}
