"""A training step as a CUDA graph is the eager step; most of it needs a GPU."""

import numpy as np
import pytest
import torch

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.model.networks import build_network
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.cuda_graph import WARM_UP, GraphedStep
from hipoa.grading.training.fit import Checkpoint, Training
from hipoa.grading.training.optimise import set_rate


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU that torch can use")
    return torch.device("cuda")


def build(tmp_path, network="test_vit.r160_in1k", loss="classification", dropout=0.0, **given):
    torch.manual_seed(0)
    heads = OutputHeads(TASKS["combined"], loss)
    settings = TrainSettings(batch_size=5, epochs=4, warmup_epochs=1, learning_rate=0.001, **given)
    grader = build_network(
        network, outputs=heads.n_outputs, input_px=32, dropout=dropout, dropout_where="head"
    )
    grader = grader.to(find_device())
    random = np.random.default_rng([0])
    target = np.arange(23)[:, None] % 7
    return Training(
        network=grader,
        radiograph=random.integers(0, 256, (23, 32, 32), dtype=np.uint8),
        target=target,
        criterion=build_criterion(heads, settings, target, grader.mean.device),
        settings=settings,
        input_px=32,
        seed=1,
        where="test",
        checkpoint=Checkpoint(tmp_path / "c.pt", ""),
    )


def test_on_a_cpu_every_step_is_eager():
    step = GraphedStep(lambda images, targets: (images * targets).sum(), torch.device("cpu"))
    for n in range(WARM_UP + 2):
        assert step(torch.full((2,), float(n)), torch.ones(2)) == 2 * n
    assert step.n_graphs == 0


@pytest.mark.parametrize("network", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_training_by_graphs_is_the_eager_training(gpu, tmp_path, network, optimiser):
    graphed, plain = (build(tmp_path, network, optimiser=optimiser) for _ in range(2))
    plain.step = plain.train_step
    graphed.run()
    plain.run()
    # 23 hips in batches of 4 and 5
    assert graphed.step.n_graphs == 2
    assert [epoch["learning_rate"] for epoch in graphed.history] == [
        epoch["learning_rate"] for epoch in plain.history
    ]
    for one, other in zip(graphed.history, plain.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=0.02)
    for name, tensor in graphed.network.state_dict().items():
        other = plain.network.state_dict()[name].float()
        assert (tensor.float() - other).norm() <= 0.02 * other.norm() + 1e-3, name


def test_a_graph_draws_other_masks_each_time_and_reads_the_learning_rate(gpu, tmp_path):
    training = build(tmp_path, dropout=0.5)
    images, targets = training.images[:5], training.targets[:5]
    for group in training.optimiser.param_groups:
        group["lr"].fill_(0.0)
    before = training.network.backbone.head.weight.detach().clone()
    losses = {float(training.step(images, targets)) for _ in range(WARM_UP + 6)}
    assert len(losses) == WARM_UP + 6
    assert torch.equal(before, training.network.backbone.head.weight)
    set_rate(training.optimiser, 1e-3)
    training.step(images, targets)
    assert training.step.n_graphs == 1
    assert not torch.equal(before, training.network.backbone.head.weight)


def test_a_step_that_makes_the_cpu_wait_is_not_captured(gpu):
    step = GraphedStep(lambda images, _: images.sum() if images.sum() > 0 else images.mean(), gpu)
    for n in range(1, WARM_UP + 4):
        assert float(step(torch.full((2,), float(n), device=gpu), torch.ones(2, device=gpu))) == 2 * n
    assert step.n_graphs == 0


def test_a_training_by_graphs_resumes_from_a_checkpoint(gpu, tmp_path):
    whole, first = build(tmp_path), build(tmp_path)
    whole.run()
    for epoch in range(2):
        first.run_epoch(epoch)
    first.save()
    second = build(tmp_path)
    second.run()
    assert [epoch["epoch"] for epoch in second.history] == [1, 2, 3, 4]
    assert second.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"], rel=0.02)


@pytest.mark.parametrize("loss", ["regression", "ordinal"])
def test_every_loss_trains(gpu, tmp_path, loss):
    training = build(tmp_path, loss=loss)
    training.run()
    assert training.history[-1]["loss"] < training.history[0]["loss"]
