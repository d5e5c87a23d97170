"""Ten architectures: passes differ, batch normalisation does not move, the shared part changes no pass."""

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hipoa.grading.networks import build_network, dropout_on, prepare_images
from hipoa.grading.predict import predict_hips
from hipoa.grading.readout import Readout
from hipoa.grading.settings import PredictSettings
from hipoa.grading.shared import SharedPart, find_shared
from hipoa.grading.tasks import TASKS

# The source's three first; small inputs and random weights.
ARCHITECTURES = {
    "vit_base_patch16_224.augreg_in1k": 32,
    "vgg16.tv_in1k": 32,
    "densenet161.tv_in1k": 64,
    "tf_efficientnet_lite0": 64,
    "resnet18.a1_in1k": 64,
    "mobilenetv3_small_050.lamb_in1k": 64,
    "convnext_atto.d2_in1k": 64,
    "regnetx_002.pycls_in1k": 64,
    "swin_tiny_patch4_window7_224.ms_in1k": 112,
    "mixer_s32_224": 64,
}
READOUT = Readout(TASKS["combined"], "classification")


def build(name, where):
    torch.manual_seed(0)
    network = build_network(name, outputs=7, input_px=ARCHITECTURES[name], dropout=0.2, dropout_where=where)
    # Random weights of a new classifier hardly tell passes apart.
    torch.nn.init.normal_(network.backbone.get_classifier().weight, std=0.1)
    return network


@pytest.mark.parametrize("where", ["head", "everywhere"])
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_the_fast_way_is_the_naive_way(name, where):
    """Whole passes with the same seeds, one hip after the other, against what predict does."""
    px, network = ARCHITECTURES[name], build(name, where)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = np.random.default_rng([4]).integers(0, 256, (3, 150, 150), dtype=np.uint8)
    settings = PredictSettings(passes=3, predict_batch_size=2)
    fast = predict_hips(network, READOUT, images, [7, 8, 9], settings, input_px=px, where="x")
    naive = []
    with torch.inference_mode():
        dropout_on(network)
        for number, image in enumerate(prepare_images(images, px, torch.device("cpu"))):
            torch.manual_seed(7 + number)
            # three passes in batches of two
            parts = [network(image[None].repeat(times, 1, 1, 1)) for times in (2, 1)]
            naive.append(torch.softmax(torch.cat(parts), dim=-1).numpy())
    assert np.abs(fast.passes["grade"] - np.stack(naive)).max() < 1e-5
    assert fast.passes["grade"].var(axis=1).max(axis=-1).min() > 0
    assert np.abs(fast.passes["grade"] - fast.deterministic["grade"][:, None]).max() > 1e-4
    after = network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not any(module.training for module in network.modules() if isinstance(module, _BatchNorm))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_with_dropout_at_the_head_all_before_it_is_shared(name):
    network = build(name, "head")
    dropout_on(network)
    px = ARCHITECTURES[name]
    assert find_shared(network, torch.zeros(3, 1, px, px)) == [(network.extractor, 0)]


@pytest.mark.parametrize(
    ("name", "shared"), [("densenet161.tv_in1k", "features.conv0"), ("vgg16.tv_in1k", "features")]
)
def test_with_dropout_everywhere_the_first_layers_are_shared(name, shared):
    network = build(name, "everywhere")
    dropout_on(network)
    px = ARCHITECTURES[name]
    found = [module for module, _ in find_shared(network, torch.zeros(3, 1, px, px))]
    assert network.backbone.get_submodule(shared) in found
    assert network.extractor not in found


class Twice(torch.nn.Module):
    """One layer that is called before and after a dropout, and whose output is changed in place."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        first = self.layer(x.flatten(1))
        first += 1
        return self.layer(self.drop(first))


def test_only_the_calls_before_the_dropout_are_kept_and_never_changed():
    torch.manual_seed(1)
    network, images = Twice().train(), torch.rand(3, 1, 2, 2)
    calls = find_shared(network, images)
    assert calls == [(network.layer, 0)]
    shared = SharedPart(calls)
    with torch.inference_mode():
        with shared.recording():
            network(images)
        for seed in (3, 4, 3):
            torch.manual_seed(seed)
            whole = network(images[1:2].repeat(5, 1, 1, 1))
            torch.manual_seed(seed)
            with shared.replaying(1, 5):
                assert torch.allclose(network(images[:1].repeat(5, 1, 1, 1)), whole, atol=1e-6)
        assert torch.equal(network.eval()(images), network(images))
