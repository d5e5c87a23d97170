"""One dropout setting for every architecture: the passes differ and nothing else moves."""

import json

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from hipoa.core.errors import NetworkError, WeightsError
from hipoa.grading.model.networks import HEADER, build_network, dropout_on, has_dropout, prepare_images

# Those of Masuda et al. 2024, with small inputs and random weights.
PUBLISHED = {"vit_base_patch16_224.augreg_in1k": 32, "vgg16.tv_in1k": 32, "densenet161.tv_in1k": 64}
SMALL = "test_vit.r160_in1k"


def build(name=SMALL, px=32, dropout=0.1, where="head", **kwargs):
    torch.manual_seed(0)
    return build_network(name, outputs=7, input_px=px, dropout=dropout, dropout_where=where, **kwargs)


def grey(n, px):
    return torch.from_numpy(np.random.default_rng([2]).uniform(0, 1, (n, 1, px, px)).astype(np.float32))


@pytest.mark.parametrize("where", ["head", "everywhere"])
@pytest.mark.parametrize("name", ["densenet161.tv_in1k", SMALL])
def test_without_dropout_all_passes_would_be_the_same_which_is_an_error(name, where):
    network = build(name, 64, dropout=0.0, where=where)
    with pytest.raises(
        NetworkError, match=r"^vit r0f1: dropout is 0: all passes would be the same. Set dropout"
    ):
        dropout_on(network, "vit r0f1")


@pytest.mark.parametrize("name", [*PUBLISHED, "resnet18.a1_in1k"])
def test_a_network_as_timm_gives_it_has_no_dropout(name):
    with torch.device("meta"):
        assert not has_dropout(timm.create_model(name))


def test_functional_dropout_counts():
    with torch.device("meta"):
        assert has_dropout(timm.create_model("tf_efficientnet_lite0", drop_rate=0.2))
        assert not has_dropout(timm.create_model("tf_efficientnet_lite0", drop_path_rate=0.2))
        assert not has_dropout(timm.create_model(SMALL, patch_drop_rate=0.2))


def test_stochastic_depth_stays_off():
    backbone = timm.create_model(SMALL, drop_path_rate=0.5, drop_rate=0.1)
    dropout_on(backbone)
    for module in backbone.modules():
        if type(module).__name__ == "DropPath":
            assert not module.training
        if isinstance(module, nn.Dropout):
            assert module.training


@pytest.mark.parametrize("name", [SMALL, "tf_efficientnet_lite0", "densenet121.ra_in1k", "resnet18.a1_in1k"])
def test_the_network_is_timms_own_behind_the_normalisation(name):
    network, images = build(name).eval(), grey(2, 32)
    mean, std = (
        torch.tensor(network.backbone.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std")
    )
    with torch.inference_mode():
        expected = network.backbone((images.repeat(1, 3, 1, 1) - mean) / std)
        assert torch.allclose(network(images), expected, atol=1e-6)


@pytest.mark.parametrize("px", [96, 150, 224])
def test_vgg16_takes_inputs_of_many_sizes(px):
    with torch.device("meta"):
        network = timm.create_model("vgg16.tv_in1k", num_classes=7)
        assert network(torch.zeros(1, 3, px, px)).shape == (1, 7)


def test_a_vit_of_another_input_resamples_its_position_embedding(tmp_path):
    donor = timm.create_model(SMALL)
    tensors = {key: value for key, value in donor.state_dict().items() if not key.startswith("head.")}
    header = {HEADER: json.dumps({"network": SMALL, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]})}
    save_file(tensors, tmp_path / "w.safetensors", header)
    network = build(px=96, pretrained=tmp_path / "w.safetensors")
    assert network.backbone.pos_embed.shape != donor.pos_embed.shape
    assert torch.equal(network.backbone.patch_embed.proj.weight, donor.patch_embed.proj.weight)
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert network.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(
        {"a": torch.zeros(1)}, tmp_path / "w.safetensors", {HEADER: json.dumps({"network": "resnet18"})}
    )
    with pytest.raises(
        WeightsError, match=r'^w.safetensors: it holds weights of "resnet18", not of "test_vit'
    ):
        build(pretrained=tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["no_such_network", "vgg16.no_such_tag"])
def test_an_unknown_network_is_an_error(name):
    with pytest.raises(
        NetworkError, match=rf'^network "{name}": timm .* does not know it. Use a name of timm'
    ):
        build(name)


def test_an_input_that_patches_do_not_fill_is_an_error():
    with pytest.raises(
        NetworkError, match=r"input_px is 100, its patches are 16 pixels wide. Set input_px to a mult"
    ):
        build(px=100)


def test_images_keep_their_grey_values():
    images = np.random.default_rng([1]).integers(0, 256, (3, 150, 150), dtype=np.uint8)
    device = torch.device("cpu")
    same = prepare_images(images, 150, device)
    assert torch.equal((same[:, 0] * 255).round().to(torch.uint8), torch.from_numpy(images))
    small = prepare_images(images, 50, device)
    assert small.shape == (3, 1, 50, 50)
    assert float(small.mean()) == pytest.approx(float(same.mean()), abs=2e-3)
    assert prepare_images(images[:0], 50, device).shape == (0, 1, 50, 50)
