"""Overfitting check: the published kinds of network learn eight images exactly as they are set up here."""

import importlib.util
from pathlib import Path

import pytest
from timm.models import register_model
from timm.models.vgg import VGG


@register_model
def vgg_narrow(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, **kwargs):
    """VGG16's stages with an eighth of its channels, and its head with few units."""
    stages = [8, 8, "M", 16, 16, "M", 32, 32, 32, "M", 64, 64, 64, "M", 64, 64, 64, "M"]
    kwargs.pop("cache_dir", None)
    network = VGG(stages, **kwargs, mlp_ratio=0.1)
    network.pretrained_cfg = network.default_cfg = {
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "classifier": "head.fc",
        "input_size": (3, 32, 32),
    }
    return network


# Inputs as small as the networks take; random weights.
NETWORKS = {
    "vit_base_patch16_224.augreg_in1k": (32, 1e-4, 40),
    "densenet161.tv_in1k": (32, 1e-3, 40),
    "vgg_narrow": (32, 1e-3, 150),
}


@pytest.fixture(scope="module")
def overfit():
    path = Path(__file__).parents[2] / "benchmarks" / "overfit.py"
    spec = importlib.util.spec_from_file_location("overfit", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.overfit


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_eight_images_are_overfitted(name, overfit, tmp_path):
    px, rate, epochs = NETWORKS[name]
    assert overfit(name, input_px=px, rate=rate, epochs=epochs, folder=tmp_path) == 1
