"""Networks of timm that grade radiographs, with one dropout setting for all of them.

In timm every network has dropout 0 by default, and switching on ``nn.Dropout`` modules alone misses
functional dropout (DenseNet, EfficientNet) and attention dropout (ViT): fifty passes would be fifty copies.
So the whole network is put into training mode, and batch normalisation and stochastic depth back into
evaluation mode.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hipoa.core.errors import NetworkError, WeightsError

# Dropout proper; patches, blocks and paths are dropped by other methods, which stay off.
_RATES = ("drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate")
HEADER = "hipoa"
"""The entry of a file of weights that names its network, mean and std, as JSON."""

_NEVER_ON = ("DropPath", "PatchDropout", "DropBlock2d")


class GradingNetwork(nn.Module):
    """A network of timm that takes grey images and normalises them as its weights expect.

    Only the backbone's own tensors are saved, classifier included. ``dropout`` is the probability directly
    before the classifier; ``mean`` and ``std`` are those of the three channels, in grey values 0-1.
    """

    def __init__(
        self, backbone: nn.Module, dropout: float, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone: Any = backbone
        self.dropout = nn.Dropout(dropout)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def encode(self, images: Tensor) -> Tensor:
        """The last maps or tokens (n, ...) of grey images (n, 1, H, W)."""
        return self.backbone.forward_features((images - self.mean) / self.std)

    def pool(self, encoded: Tensor) -> Tensor:
        """The features (n, D) that the classifier sees, from the last maps or tokens (n, ...)."""
        return self.backbone.forward_head(encoded, pre_logits=True)

    def extract(self, images: Tensor) -> Tensor:
        """The features (n, D) that the classifier sees, from grey images (n, 1, H, W) of 0-1."""
        return self.pool(self.encode(images))

    def classify(self, features: Tensor) -> Tensor:
        """Outputs (n, outputs) from features (n, D), through the dropout before the classifier."""
        return self.backbone.get_classifier()(self.dropout(features))

    def forward(self, images: Tensor) -> Tensor:
        """Outputs (n, outputs) from grey images (n, 1, H, W)."""
        return self.finish(images, 0)

    def finish(self, values: Tensor, done: int) -> Tensor:
        """Outputs (n, outputs) from the result of the first `done` of encode, pool and classify."""
        for part in (self.encode, self.pool, self.classify)[done:]:
            values = part(values)
        return values


def build_network(
    name: str,
    *,
    outputs: int,
    input_px: int,
    dropout: float,
    dropout_where: str,
    pretrained: Path | None = None,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
) -> GradingNetwork:
    """Builds a network of timm for grading; position embeddings are resampled to ``input_px``.

    Args:
        name: The name of the network, with the tag of its weights.
        outputs: The number of outputs of the new classifier.
        input_px: Side of the input, pixels.
        dropout: Probability of dropping a unit.
        dropout_where: ``head``, directly before the classifier; ``everywhere``, there and in every other
            dropout layer of the network.
        pretrained: Written by the stage weights; None for random weights.
        normalisation: Mean and std; None for those of the pre-trained weights.

    Raises:
        NetworkError: timm does not know the network, or it cannot take this input.
        WeightsError: The weights are another network's.
    """
    accepted = _parameters(name)
    options: dict[str, Any] = {"num_classes": outputs}
    if "img_size" in accepted:
        options["img_size"] = input_px
    if dropout_where == "everywhere":
        options |= {rate: dropout for rate in _RATES if rate in accepted}
    if pretrained is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(pretrained)}}
        normalisation = normalisation or _read_normalisation(name, pretrained)
    backbone: Any = timm.create_model(name, **options)
    _check(name, backbone, input_px)
    # timm initialises classifiers in different ways, some with large logits.
    nn.init.normal_(backbone.get_classifier().weight, std=0.01)
    nn.init.zeros_(backbone.get_classifier().bias)
    config = backbone.pretrained_cfg
    mean, std = normalisation or (config["mean"], config["std"])
    network = GradingNetwork(backbone, dropout if dropout_where == "head" else 0.0, mean, std)
    # The layout that convolutions are fastest in, on a GPU and on a CPU; pyright's stubs lack it.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def prepare_images(radiograph: np.ndarray, input_px: int, device: torch.device) -> Tensor:
    """Images (n, 1, input_px, input_px) float32 of 0-1 for a network, from radiographs (n, h, w) uint8."""
    images = torch.from_numpy(np.ascontiguousarray(radiograph)).to(device)[:, None].float() / 255
    if images.shape[-2:] == (input_px, input_px):
        return images
    return functional.interpolate(images, (input_px, input_px), mode="bilinear", antialias=True).clamp(0, 1)


def has_dropout(network: nn.Module) -> bool:
    """Whether any layer of the network drops units in training mode."""

    def drops(module: nn.Module) -> bool:
        if isinstance(module, _DropoutNd):
            return module.p > 0
        # Functional dropout: the rate is a plain attribute of the module.
        return any(isinstance(rate := getattr(module, name, 0), float) and rate > 0 for name in _RATES)

    return any(drops(module) for module in network.modules() if type(module).__name__ not in _NEVER_ON)


def dropout_on(network: nn.Module, where: str = "network") -> None:
    """Puts a network into the mode of a stochastic pass: dropout on, all else as in evaluation.

    Batch normalisation keeps its statistics, and whole paths, patches and blocks are not dropped.

    Raises:
        NetworkError: There is no dropout, so that all passes would be the same; it names ``where``.
    """
    if not has_dropout(network):
        raise NetworkError(
            where,
            "dropout is 0: all passes would be the same",
            "Set dropout above 0 and train again.",
        )
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) or type(module).__name__ in _NEVER_ON:
            module.eval()


def _parameters(name: str) -> set[str]:
    """The parameters of the network's class, found without memory or time for its weights."""
    try:
        with torch.device("meta"):
            network = timm.create_model(name)
    except (RuntimeError, ValueError) as error:
        raise NetworkError(
            f'network "{name}"',
            f"timm {timm.__version__} does not know it",
            "Use a name of timm.list_models().",
        ) from error
    return set(inspect.signature(type(network).__init__).parameters)


def _check(name: str, backbone: Any, input_px: int) -> None:
    classifier = backbone.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise NetworkError(
            f'network "{name}"',
            f"its classifier is {type(classifier).__name__}, not one linear layer",
            "Choose a network with one linear classifier.",
        )
    patch = getattr(getattr(backbone, "patch_embed", None), "patch_size", (1, 1))
    if any(input_px % side for side in patch):
        raise NetworkError(
            f'network "{name}"',
            f"input_px is {input_px}, its patches are {patch[0]} pixels wide",
            f"Set input_px to a multiple of {patch[0]}.",
        )


def _read_normalisation(name: str, pretrained: Path) -> tuple[list[float], list[float]]:
    with safe_open(pretrained, framework="pt") as file:
        header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    if header.get("network") != name:
        raise WeightsError(
            pretrained.name,
            f'it holds weights of "{header.get("network", "an unnamed network")}", not of "{name}"',
            "Make it with the stage weights.",
        )
    return header["mean"], header["std"]
