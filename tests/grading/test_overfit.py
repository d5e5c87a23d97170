"""Eight images learned by heart: the source's kinds of network can be trained as they are set up here."""

import numpy as np
import pytest
import torch
from timm.models import register_model
from timm.models.vgg import VGG

from hipoa.grading.checkpoints import Checkpoint
from hipoa.grading.fit import Training
from hipoa.grading.losses import build_criterion
from hipoa.grading.networks import build_network, prepare_images
from hipoa.grading.readout import Readout
from hipoa.grading.settings import TrainSettings
from hipoa.grading.tasks import TASKS


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


@pytest.mark.parametrize("name", list(NETWORKS))
def test_eight_images_are_learned_by_heart(name, tmp_path):
    px, rate, epochs = NETWORKS[name]
    radiograph = np.random.default_rng([5]).integers(0, 256, (8, 150, 150), dtype=np.uint8)
    # Coarse patterns: fine noise would vanish in a small input.
    radiograph = np.kron(radiograph[:, ::30, ::30], np.ones((30, 30), np.uint8)).astype(np.uint8)
    target = np.array([[0], [1], [2], [3], [4], [5], [6], [0]])
    settings = TrainSettings(
        epochs=epochs,
        batch_size=8,
        learning_rate=rate,
        warmup_epochs=3,
        dropout=0.1,
        rotate_deg=0,
        zoom=0,
        blur_sigma_px=0,
        brightness=0,
        contrast=0,
        holes=0,
    )
    readout = Readout(TASKS["combined"], "classification")
    torch.manual_seed(0)
    network = build_network(
        name, outputs=readout.outputs, input_px=px, dropout=settings.dropout, dropout_where="head"
    )
    training = Training(
        network=network,
        radiograph=radiograph,
        target=target,
        criterion=build_criterion(readout, settings, target, torch.device("cpu")),
        settings=settings,
        input_px=px,
        seed=1,
        where=name,
        checkpoint=Checkpoint(tmp_path / "c.pt", ""),
        show=lambda _: None,
    )
    training.run()
    with torch.inference_mode():
        outputs = network.eval()(prepare_images(radiograph, px, torch.device("cpu")))
    assert outputs.argmax(dim=1).tolist() == target[:, 0].tolist()
