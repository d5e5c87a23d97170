"""Joseph's method in torch, for DiffDRR: set it as the ``renderer`` of a stock ``diffdrr.drr.DRR``.

P. M. Joseph, IEEE Trans. Med. Imaging 1(3):192-196, 1982. Each plane of voxels across the beam's main axis
is sampled where the rays meet it, by the two-dimensional ``grid_sample``, which torch runs in vectors on a
processor (the three-dimensional one it does not). Planes between which the rays hardly move aside are summed
first. Differentiable in volume, source and target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn.functional import grid_sample

_SHIFT_VOXELS, _MOST_PLANES = 0.12, 8
_GROUPS = 8


class Joseph(torch.nn.Module):
    """A renderer with the call of DiffDRR's own, for any device and any pose.

    It keeps to the trilinear voxel model within 1e-4 as long as the rays run more or less along one axis of
    the voxels: that along which the rays of a pose, on average, pass most of them. No sample is taken
    further than 0.12 voxels from its place.

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
            mask: Labels (X, Y, Z) whose shares come apart, or None. With it no planes are summed first.

        Returns:
            (B, 1, N), or (B, labels, N) with a mask.
        """
        shift = self.voxel_shift - 0.5
        # Each pose alone: the others do not decide how its planes are summed.
        poses = zip(source + shift, target + shift, strict=True)
        return torch.stack([_integrate(volume, *pose, mask) for pose in poses]) * img


def _integrate(
    volume: torch.Tensor, source: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Means of the attenuation along rays from (1 or N, 3) to (N, 3): (1, N), or (labels, N) with a mask."""
    way = target - source
    axis = int(way.detach().abs().mean(0).argmax())
    across = [other for other in range(3) if other != axis]
    ends = torch.stack([source[:, axis].expand(len(target)), target[:, axis]])
    near, far = ends.min(0).values, ends.max(0).values
    # Where the rays meet the plane 0, and how far aside from there to the next one.
    step = way[:, across] / way[:, axis, None]
    start = source[:, across] - source[:, axis, None] * step
    box = _find_box(start, step, volume.movedim(axis, 0).shape)
    planes = volume.movedim(axis, 0)[box]
    start, step = _scale(start, step, box)
    most = _choose_planes(way, axis) if mask is None else 1
    sums = 0
    for first, count, group, all_pass in _group(near, far, len(planes), most):
        part = slice(first, first + count * group)
        middles = first + (group - 1) / 2 + group * torch.arange(count).to(way)[:, None]
        places = torch.addcmul(start, middles[..., None], step)
        values = _sample(planes[part].unflatten(0, (count, group)).sum(1), places, "bilinear")
        if not all_pass:
            values = values * ((middles >= near) & (middles <= far))
        if mask is None:
            sums = sums + values.sum(0, keepdim=True)
        else:
            labels = _sample(mask.movedim(axis, 0)[box][part], places, "nearest")
            sums = sums + _part(values, labels, int(mask.max()) + 1)
    return sums / way[:, axis].abs()


def _choose_planes(way: torch.Tensor, axis: int) -> int:
    """How many planes are summed before they are sampled, by how far aside the rays move between them."""
    steps = (way / way[:, axis, None]).detach().abs()
    steps[:, axis] = 0
    return int(min(max(1 + 2 * _SHIFT_VOXELS / max(float(steps.max()), 1e-6), 1), _MOST_PLANES))


def _find_box(start: torch.Tensor, step: torch.Tensor, shape: torch.Size) -> tuple[slice, ...]:
    """The voxels (P, U, V) that rays touch which meet the first plane at ``start`` (N, 2)."""
    ends = torch.cat([start, start + (shape[0] - 1) * step]).detach()
    lowest, highest = torch.stack([ends.min(0).values, ends.max(0).values]).tolist()
    sides = [slice(0, shape[0])]
    for low, high, n in zip(lowest, highest, shape[1:], strict=True):
        first = min(max(math.floor(low), 0), n - 1)
        sides.append(slice(first, min(max(math.floor(high) + 2, first + 1), n)))
    return tuple(sides)


def _scale(
    start: torch.Tensor, step: torch.Tensor, box: tuple[slice, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in the numbers of grid_sample: -1 to 1 from end to end of a box, its last axis first."""
    first = torch.tensor([side.start for side in box[1:]]).to(start)
    size = torch.tensor([side.stop - side.start for side in box[1:]]).to(start)
    return ((2 * (start - first) + 1) / size - 1).flip(-1), (2 * step / size).flip(-1)


def _group(
    near: torch.Tensor, far: torch.Tensor, n_planes: int, most: int
) -> Iterator[tuple[int, int, int, bool]]:
    """Takes the planes in runs of some groups that are sampled together.

    Planes that some rays do not reach stand alone.

    Args:
        near: Where each ray (N,) begins or ends, in planes.
        far: Where it ends or begins, beyond ``near``.
        n_planes: Of the volume.
        most: How many planes a group has at most.

    Yields:
        The first plane of a run, its groups, the planes in each, and whether all rays reach all of them.
    """
    ends = torch.stack([near.min().ceil(), near.max().ceil(), far.min().floor() + 1, far.max().floor() + 1])
    outer, first, last, end = ends.detach().clamp(0, n_planes).int().tolist()
    last = max(first, last)
    for low, high, size in ((outer, first, 1), (first, last, most), (last, end, 1)):
        while low < high:
            group = min(size, high - low)
            count = min(_GROUPS, (high - low) // group)
            yield low, count, group, low >= first and high <= last
            low += count * group


def _sample(planes: torch.Tensor, places: torch.Tensor, mode: str) -> torch.Tensor:
    """Values (P, N) of planes (P, U, V) at places (P, N, 2) as grid_sample numbers them; 0 outside."""
    return grid_sample(planes[:, None], places[:, None], mode=mode, align_corners=False)[:, 0, 0]


def _part(values: torch.Tensor, labels: torch.Tensor, n_labels: int) -> torch.Tensor:
    """Values (P, N) summed over the planes, apart by label: (n_labels, N)."""
    sums = values.new_zeros(n_labels, values.shape[1])
    return sums.scatter_add(0, labels.long(), values)
