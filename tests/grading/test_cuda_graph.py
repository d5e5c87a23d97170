"""A training step by its recording is the step itself; what a CPU can tell of it, and what needs a GPU."""

import numpy as np
import pytest
import torch

from hipoa.grading.device import find_device
from hipoa.grading.model.heads import Readout
from hipoa.grading.model.losses import build_criterion
from hipoa.grading.model.networks import build_network
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS
from hipoa.grading.training.checkpoints import Checkpoint
from hipoa.grading.training.cuda_graph import WARM_UP, ReplayedStep
from hipoa.grading.training.fit import Training


@pytest.fixture
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU that torch can use")
    return torch.device("cuda")


def build(tmp_path, network="test_vit.r160_in1k", loss="classification", dropout=0.0, **given):
    torch.manual_seed(0)
    readout = Readout(TASKS["combined"], loss)
    settings = TrainSettings(batch_size=5, epochs=4, warmup_epochs=1, learning_rate=0.001, **given)
    grader = build_network(
        network, outputs=readout.outputs, input_px=32, dropout=dropout, dropout_where="head"
    )
    grader = grader.to(find_device())
    random = np.random.default_rng([0])
    target = np.arange(23)[:, None] % 7
    return Training(
        network=grader,
        radiograph=random.integers(0, 256, (23, 32, 32), dtype=np.uint8),
        target=target,
        criterion=build_criterion(readout, settings, target, grader.mean.device),
        settings=settings,
        input_px=32,
        seed=1,
        where="test",
        checkpoint=Checkpoint(tmp_path / "c.pt", ""),
        show=lambda _: None,
    )


def test_on_a_cpu_every_step_is_done_as_it_is():
    step = ReplayedStep(lambda images, targets: (images * targets).sum(), torch.device("cpu"))
    for n in range(WARM_UP + 2):
        assert step(torch.full((2,), float(n)), torch.ones(2)) == 2 * n
    assert step.recorded == 0


@pytest.mark.parametrize("network", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_recorded_training_is_the_training(gpu, tmp_path, network, optimiser):
    recorded, plain = (build(tmp_path, network, optimiser=optimiser) for _ in range(2))
    plain.step = plain._step
    recorded.run()
    plain.run()
    # 23 hips in batches of 4 and 5
    assert recorded.step.recorded == 2
    assert [epoch["learning_rate"] for epoch in recorded.history] == [
        epoch["learning_rate"] for epoch in plain.history
    ]
    for one, other in zip(recorded.history, plain.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=0.02)
    for name, tensor in recorded.network.state_dict().items():
        other = plain.network.state_dict()[name].float()
        assert (tensor.float() - other).norm() <= 0.02 * other.norm() + 1e-3, name


def test_a_recording_draws_other_masks_each_time_and_reads_the_learning_rate(gpu, tmp_path):
    training = build(tmp_path, dropout=0.5)
    images, targets = training.images[:5], training.targets[:5]
    for group in training.optimiser.param_groups:
        group["lr"].fill_(0.0)
    before = training.network.backbone.head.weight.detach().clone()
    losses = {float(training.step(images, targets)) for _ in range(WARM_UP + 6)}
    assert len(losses) == WARM_UP + 6
    assert torch.equal(before, training.network.backbone.head.weight)
    training._set_rate(3)
    training.step(images, targets)
    assert training.step.recorded == 1
    assert not torch.equal(before, training.network.backbone.head.weight)


def test_a_step_that_makes_the_cpu_wait_is_not_recorded(gpu):
    step = ReplayedStep(lambda images, _: images.sum() if images.sum() > 0 else images.mean(), gpu)
    for n in range(1, WARM_UP + 4):
        assert float(step(torch.full((2,), float(n), device=gpu), torch.ones(2, device=gpu))) == 2 * n
    assert step.recorded == 0


def test_a_training_goes_on_from_a_checkpoint_with_its_recording(gpu, tmp_path):
    whole, first = build(tmp_path), build(tmp_path)
    whole.run()
    for epoch in range(2):
        first.run_epoch(epoch)
    first._save()
    second = build(tmp_path)
    second.run()
    assert [epoch["epoch"] for epoch in second.history] == [1, 2, 3, 4]
    assert second.history[-1]["loss"] == pytest.approx(whole.history[-1]["loss"], rel=0.02)


@pytest.mark.parametrize("loss", ["regression", "ordinal"])
def test_every_loss_trains(gpu, tmp_path, loss):
    training = build(tmp_path, loss=loss)
    training.run()
    assert training.history[-1]["loss"] < training.history[0]["loss"]
