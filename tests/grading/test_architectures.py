"""Ten architectures: passes differ, batch normalisation stays, shared parts computed once change no pass."""

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hipoa.grading.inference.predict import predict_hips
from hipoa.grading.model.heads import OutputHeads
from hipoa.grading.model.networks import build_network, dropout_on, prepare_images
from hipoa.grading.settings import PredictSettings
from hipoa.grading.tasks import TASKS

# Those of Masuda et al. 2024 first; small inputs and random weights.
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
DROPOUT_WITHIN = {
    "vit_base_patch16_224.augreg_in1k",
    "densenet161.tv_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "mixer_s32_224",
}
"""With dropout everywhere they have some before their last maps or tokens, the others behind these alone."""
HEADS = OutputHeads(TASKS["combined"], "classification")


def build(name, where):
    torch.manual_seed(0)
    network = build_network(
        name, outputs=7, input_px=ARCHITECTURES.get(name, 64), dropout=0.2, dropout_where=where
    )
    # Random weights of a new classifier hardly tell passes apart.
    torch.nn.init.normal_(network.backbone.get_classifier().weight, std=0.1)
    return network


@pytest.mark.parametrize("where", ["head", "everywhere"])
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_predictions_are_those_of_whole_passes(name, where):
    """Whole passes with the same seeds, one hip after the other, against what predict does."""
    px, network = ARCHITECTURES[name], build(name, where)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = np.random.default_rng([4]).integers(0, 256, (3, 150, 150), dtype=np.uint8)
    settings = PredictSettings(passes=3, predict_batch_size=2)
    fast = predict_hips(network, HEADS, images, [7, 8, 9], settings, input_px=px, where="x")
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


@pytest.mark.parametrize("where", ["head", "everywhere"])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "ghostnet_050"])
def test_parts_before_the_first_dropout_run_once(name, where):
    """Counted are the images that pass the network's first layer."""
    network = build(name, where)
    counted = []
    first = next(module for module in network.backbone.modules() if not list(module.children()))
    first.register_forward_pre_hook(lambda _, given: counted.append(len(given[0])))
    images = np.random.default_rng([5]).integers(0, 256, (3, 150, 150), dtype=np.uint8)
    settings = PredictSettings(passes=4, predict_batch_size=2)
    predict_hips(network, HEADS, images, [7, 8, 9], settings, input_px=ARCHITECTURES.get(name, 64), where="x")
    # GhostNet has dropout of its own by default.
    looked = 0 if where == "head" and name != "ghostnet_050" else 2
    repeated = 3 * 4 if where == "everywhere" and name in DROPOUT_WITHIN else 0
    assert sum(counted) == 3 + looked + repeated
