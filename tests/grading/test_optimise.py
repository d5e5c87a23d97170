"""The learning rate schedule, and fused optimisers against plain ones."""

import numpy as np
import pytest
import torch

from hipoa.grading.model.networks import build_network
from hipoa.grading.settings import TrainSettings
from hipoa.grading.training.optimise import build_optimiser, rate_factor

PLAIN = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
}


def build(name="test_vit.r160_in1k"):
    torch.manual_seed(0)
    return build_network(name, outputs=7, input_px=32, dropout=0.1, dropout_where="head")


def test_the_learning_rate_rises_in_a_line_and_falls_as_half_a_cosine():
    factors = [rate_factor(step, 100, 10) for step in range(100)]
    assert np.allclose(np.diff(factors[:10]), 1 / 11)
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.5)
    assert factors[-1] < 0.001
    assert all(factor > 0 for factor in factors)
    assert max(rate_factor(step, 4, 1000) for step in range(4)) == 1


def test_a_constant_learning_rate_rises_and_stays():
    factors = [rate_factor(step, 100, 10, "constant") for step in range(100)]
    assert factors[:10] == [rate_factor(step, 100, 10) for step in range(10)]
    assert set(factors[10:]) == {1.0}


def test_biases_norms_and_position_embeddings_do_not_decay():
    network = build()
    names = {id(parameter): name for name, parameter in network.backbone.named_parameters()}
    groups = build_optimiser(network, TrainSettings(weight_decay=0.2)).param_groups
    decay = {names[id(parameter)]: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decay.keys() == set(names.values())
    assert decay["pos_embed"] == decay["cls_token"] == 0
    for name, parameter in network.backbone.named_parameters():
        if parameter.ndim == 1:
            assert decay[name] == 0
    assert decay["head.weight"] == decay["patch_embed.proj.weight"] == 0.2


@pytest.mark.parametrize("kind", list(PLAIN))
@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_resnet.r160_in1k"])
def test_the_fused_optimiser_steps_as_the_plain_one(kind, name):
    settings = TrainSettings(optimiser=kind, learning_rate=0.01, weight_decay=0.1)
    network, twin = build(name), build(name)
    pairs = list(zip(network.backbone.parameters(), twin.backbone.parameters(), strict=True))
    fused = build_optimiser(network, settings)
    decay = {id(own): group["weight_decay"] for group in fused.param_groups for own in group["params"]}
    plain = PLAIN[kind]([{"params": [other], "weight_decay": decay[id(own)]} for own, other in pairs])
    for _ in range(3):
        network.zero_grad()
        network(torch.rand(4, 1, 32, 32)).square().sum().backward()
        # The same gradients: Adam makes whole steps of gradients that are nothing but rounding.
        for own, other in pairs:
            other.grad = own.grad.clone()
        fused.step()
        plain.step()
    for own, other in pairs:
        assert torch.allclose(own, other, rtol=1e-5, atol=1e-6)
