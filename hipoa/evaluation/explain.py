"""Saliency maps of correctly and incorrectly graded hips.

Attention roll-out for networks of attention blocks with square maps (ViT), Grad-CAM for all others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn import functional

from hipoa.core.errors import CohortError
from hipoa.core.files import read_json, read_npz, write_npz
from hipoa.evaluation.graded import choose_hips, read_graded
from hipoa.evaluation.predictions import find_rows
from hipoa.evaluation.settings import ExplainSettings
from hipoa.grading.inference.predict import load_network, read_heads
from hipoa.grading.model.heads import REGRESSION, OutputHeads
from hipoa.grading.model.networks import GradingNetwork, prepare_images

RIGHT, WRONG = "right", "wrong"
ROLL_OUT, GRAD_CAM = "attention roll-out", "Grad-CAM"


def run(
    settings: ExplainSettings,
    *,
    experiment: str,
    uncertainty: Path,
    models: list[Path],
    records: list[Path],
    stack: Path,
    out: Path,
) -> None:
    """Writes saliency maps of an experiment's best and worst graded hips, each of the model that graded it.

    Args:
        settings: How many hips.
        experiment: Its name.
        uncertainty: The table ``R/uncertainty/{experiment}.csv``.
        models: The trained networks of one repeat.
        records: Their records, in the same order.
        stack: The radiographs of the labelled cohort.
        out: The .npz to write: `hip_id`, `shown` (right or wrong), `grade`, `predicted`, `fold` (n,),
            `heat` (n, px, px) float16 from 0 to 1, and `method`.
    """
    pairs = zip(models, map(read_json, records), strict=True)
    of_fold = {record["fold"]: (model, record) for model, record in pairs}
    repeat = next(record["repeat"] for _, record in of_fold.values())
    table = read_graded(uncertainty).of_cohort("labelled")
    table = table.where(table.repeat == repeat)
    chosen = table.where(np.concatenate(choose_hips(table, settings.explained_hips)))
    content = read_npz(stack)
    images = content["radiograph"][find_rows(chosen.hip, content["hip_id"], stack.name)]
    heat, method = [], ""
    for fold, image in zip(chosen.fold.tolist(), images, strict=True):
        model, record = of_fold[fold]
        network = load_network(model, record)
        found, method = compute_saliency(network, read_heads(record), image, record["input_px"])
        heat.append(found)
    write_npz(
        out,
        {
            "hip_id": chosen.hip,
            "shown": np.where(chosen.error == 0, RIGHT, WRONG),
            "grade": chosen.grade,
            "predicted": chosen.predicted,
            "fold": chosen.fold,
            "heat": np.array(heat, dtype=np.float16).reshape(len(heat), *images.shape[1:]),
            "method": np.array(method),
        },
    )


def compute_saliency(
    network: GradingNetwork, readout: OutputHeads, radiograph: np.ndarray, input_px: int
) -> tuple[np.ndarray, str]:
    """The saliency map of one radiograph (h, w) uint8, by a network that is put into evaluation mode.

    Returns:
        (h, w) from 0 to 1, its maximum 1 unless nothing supports the prediction, and the method.
    """
    network.eval()
    images = prepare_images(radiograph[None], input_px, network.mean.device)
    attentions = find_attentions(network.backbone)
    if attentions:
        heat, method = roll_out(network, attentions, images), ROLL_OUT
    else:
        heat, method = grad_cam(network, readout, images), GRAD_CAM
    large = functional.interpolate(heat[None, None], radiograph.shape, mode="bilinear", align_corners=False)
    large = large[0, 0].clamp(min=0)
    return (large / large.max().clamp(min=1e-12)).cpu().numpy(), method


def find_attentions(backbone: nn.Module) -> list[Any]:
    """The attention modules of a plain ViT of timm, in order; none of any other network."""
    blocks = list(getattr(backbone, "blocks", None) or [])
    found = [getattr(block, "attn", None) for block in blocks]
    plain = all(hasattr(module, "attn_drop") and hasattr(module, "fused_attn") for module in found)
    return found if plain and hasattr(backbone, "num_prefix_tokens") else []


def roll_out(network: GradingNetwork, attentions: Sequence[Any], images: Tensor) -> Tensor:
    """The share of each patch in the class token after all blocks, (rows, columns), by attention roll-out.

    Half of each block's attention is the residual connection (source: Abnar and Zuidema, Quantifying
    attention flow in transformers, ACL 2020). It does not depend on the class that was predicted. The network
    is in evaluation mode, ``images`` (1, 1, H, W).
    """
    with _recording(attentions) as recorded, torch.inference_mode():
        network(images)
    flow = torch.eye(recorded[0].shape[-1], device=images.device)
    for attention in recorded:
        mixed = attention[0].mean(dim=0) + torch.eye(len(flow), device=flow.device)
        flow = mixed / mixed.sum(dim=-1, keepdim=True) @ flow
    prefix = network.backbone.num_prefix_tokens
    # Without a class token the patches are averaged for the classifier.
    of_patches = flow[0, prefix:] if prefix else flow.mean(dim=0)
    rows, columns = network.backbone.patch_embed.grid_size
    return of_patches.reshape(rows, columns)


@contextlib.contextmanager
def _recording(attentions: Sequence[Any]) -> Iterator[list[Tensor]]:
    """Records the attention (1, heads, tokens, tokens) of each module, which its fused kernel hides."""
    recorded: list[Tensor] = []
    fused = [module.fused_attn for module in attentions]
    hooks = [
        module.attn_drop.register_forward_hook(lambda *call: recorded.append(call[2]))
        for module in attentions
    ]
    for module in attentions:
        module.fused_attn = False
    try:
        yield recorded
    finally:
        for module, hook, was in zip(attentions, hooks, fused, strict=True):
            hook.remove()
            module.fused_attn = was


def grad_cam(network: GradingNetwork, readout: OutputHeads, images: Tensor) -> Tensor:
    """The support for the prediction in the last feature maps, (rows, columns), of images (1, 1, H, W).

    Source: Selvaraju et al., Grad-CAM, ICCV 2017; by captum.
    """
    layer = find_last_maps(network, images)

    def predicted(batch: Tensor) -> Tensor:
        return _score_predicted(readout.split(network(batch)), readout.loss)

    heat = LayerGradCam(predicted, layer).attribute(images.clone().requires_grad_(), relu_attributions=True)
    return torch.as_tensor(heat).detach()[0, 0]


def _score_predicted(heads: Mapping[str, Tensor], loss: str) -> Tensor:
    """The sum (n,) over the heads of the predicted class's output, of a regression of the output."""
    parts = [part[:, 0] if loss == REGRESSION else part.max(dim=1).values for part in heads.values()]
    return torch.stack(parts).sum(dim=0)


def find_last_maps(network: GradingNetwork, images: Tensor) -> nn.Module:
    """The last module whose output (1, C, rows, columns) is still spatial.

    Raises:
        CohortError: There is none, so that Grad-CAM does not apply to this network.
    """
    found: list[nn.Module] = []

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            found.append(module)

    leaves = [module for module in network.backbone.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(look) for module in leaves]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    if not found:
        raise CohortError("explain", "the network has no feature maps", "Set explain.explained_hips to 0.")
    return found[-1]
