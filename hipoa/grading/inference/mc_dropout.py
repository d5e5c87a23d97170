"""Monte Carlo dropout: the parts of a network before the first dropout run once per hip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hipoa.core.errors import NetworkError
from hipoa.grading.model.networks import GradingNetwork, has_dropout
from hipoa.grading.settings import PredictSettings

# So many passes with dropout are never all the same by chance.
_SURE_PASSES = 200


def count_shared(network: GradingNetwork, input_px: int) -> int:
    """How many of encode, pool and classify, from the first, give the same in every pass with dropout on."""
    if not has_dropout(network.backbone):
        return 2
    # The backbone's own dropout may all lie behind the last maps or tokens.
    image = torch.rand(1, 1, input_px, input_px, device=network.mean.device)
    return int(torch.equal(network.encode(image), network.encode(image)))


def sample_outputs(
    network: GradingNetwork,
    done: int,
    shared: Tensor,
    seeds: Sequence[int],
    settings: PredictSettings,
    where: str,
) -> Tensor:
    """Outputs (n, passes, outputs) of n hips with dropout on.

    Args:
        network: With dropout on.
        done: How many of its parts are the same in every pass.
        shared: (n, ...), the result of the last of these; the images if there is none.
        seeds: (n,) of the passes of each hip.
        settings: Numbers of passes, and of images at once.
        where: The name of the model, for messages.

    Raises:
        NetworkError: The passes are all the same, or not finite.
    """
    sampled = [
        _sample_hip(network, done, shared[row : row + 1], seed, settings) for row, seed in enumerate(seeds)
    ]
    if not sampled:
        return shared.new_zeros(0, settings.passes, network.backbone.num_classes)
    outputs = torch.stack(sampled)
    if not bool(outputs.isfinite().all()):
        raise NetworkError(
            where,
            "its outputs are not finite numbers",
            "Train it again, with half_precision: false if it was true.",
        )
    if _are_same(outputs) and _are_same(_sample_surely(network, done, shared[:1], seeds[0], settings)):
        raise NetworkError(
            where,
            f"all {settings.passes} passes are the same",
            "Set dropout above 0, or dropout_where to everywhere.",
        )
    return outputs


def _are_same(outputs: Tensor) -> bool:
    return bool((outputs == outputs[:, :1]).all())


def _sample_surely(
    network: GradingNetwork, done: int, shared: Tensor, seed: int, settings: PredictSettings
) -> Tensor:
    """Outputs (1, passes, outputs) of one hip in more passes: a few may be the same by chance."""
    more = settings.model_copy(update={"passes": _SURE_PASSES})
    return _sample_hip(network, done, shared, seed, more)[None]


def _sample_hip(
    network: GradingNetwork, done: int, shared: Tensor, seed: int, settings: PredictSettings
) -> Tensor:
    torch.manual_seed(seed)
    size = settings.predict_batch_size
    counts = [min(size, settings.passes - start) for start in range(0, settings.passes, size)]
    # Concatenation keeps the memory layout, which a repeat would not.
    return torch.cat([network.finish(torch.cat([shared] * count), done) for count in counts])
