"""Joseph's method in torch, for DiffDRR: set it as the ``renderer`` of a stock ``diffdrr.drr.DRR``.

P. M. Joseph, IEEE Trans. Med. Imaging 1(3):192-196, 1982. Each plane of voxels across the beam's main axis
is sampled where the rays meet it, by the two-dimensional ``grid_sample``, which torch runs in vectors on a
processor (the three-dimensional one it does not). Differentiable in volume, source and target.
"""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample

_PLANES = 8


class Joseph(torch.nn.Module):
    """A renderer with the call of DiffDRR's own, for any device and any pose.

    It is exact to the trilinear voxel model as long as the rays run more or less along one axis of the
    voxels: that along which the rays of a call, on average, pass most of them.

    Args:
        voxel_shift: Where in a voxel its index lies, as DiffDRR counts (0.5: in its middle).
    """

    def __init__(self, voxel_shift: float = 0.5):
        super().__init__()
        self.voxel_shift = voxel_shift

    def forward(
        self,
        volume: torch.Tensor,
        source: torch.Tensor,
        target: torch.Tensor,
        img: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Line integrals of the rays from source to target.

        Args:
            volume: Attenuation (X, Y, Z), 1/mm.
            source: Starts of the rays (B, 1 or N, 3), in voxels.
            target: Ends of the rays (B, N, 3), in voxels.
            img: Lengths of the rays (B, 1, N), mm.
            mask: Labels (X, Y, Z) whose shares come apart, or None.

        Returns:
            (B, 1, N), or (B, labels, N) with a mask.
        """
        shift = self.voxel_shift - 0.5
        source, way = source + shift, target - source
        axis = int(way.detach().abs().mean((0, 1)).argmax())
        across = [other for other in range(3) if other != axis]
        along = way[..., axis]
        sums = 0
        for first in range(0, volume.shape[axis], _PLANES):
            part = volume.narrow(axis, first, min(_PLANES, volume.shape[axis] - first)).movedim(axis, 0)
            planes = torch.arange(first, first + len(part)).to(way)[:, None, None]
            alpha = (planes - source[..., axis]) / along
            places = source[..., across] + alpha[..., None] * way[..., across]
            inside = (alpha >= 0) & (alpha <= 1)
            values = _sample(part, places, "bilinear") * inside
            if mask is None:
                sums = sums + values.sum(0)[:, None]
            else:
                labels = mask.narrow(axis, first, len(part)).movedim(axis, 0)
                sums = sums + _part(values, _sample(labels, places, "nearest"), int(mask.max()) + 1)
        return sums * img / along.abs()[:, None]


def _sample(planes: torch.Tensor, places: torch.Tensor, mode: str) -> torch.Tensor:
    """Values (P, B, N) of planes (P, U, V) at places (P, B, N, 2) in voxels; 0 outside."""
    # grid_sample counts from -1 to 1, the last axis first.
    size = torch.tensor(planes.shape[1:]).to(places)
    grid = ((2 * places + 1) / size - 1).flip(-1)
    return grid_sample(planes[:, None], grid, mode=mode, align_corners=False)[:, 0]


def _part(values: torch.Tensor, labels: torch.Tensor, n_labels: int) -> torch.Tensor:
    """Values (P, B, N) summed over the planes, apart by label: (B, n_labels, N)."""
    sums = values.new_zeros(values.shape[1], n_labels, values.shape[2])
    return sums.scatter_add(1, labels.long().movedim(0, 1), values.movedim(0, 1))
