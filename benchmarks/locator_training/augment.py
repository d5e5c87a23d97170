"""Turns a label volume into a CT that no scanner made, another one every time.

After Billot et al., SynthSeg, Medical Image Analysis 2023: HU, texture, metal, pose, size, mirror image,
field of view, slices, blur and noise are drawn at random, far beyond what is plausible. A network that has
learnt heads in all of these finds them in a real CT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from appearance import draw_hu, draw_metal, scan
from canvas import CODE, LABELS, VOXEL_MM, Anatomy
from scipy.spatial.transform import Rotation

from hipoa.imaging.localization.network import HIGH_HU, LOW_HU, SPACING_MM, UNIT_HU

_CLASS_OF = torch.zeros(len(LABELS), dtype=torch.int64)
for _name, _class in (("hip", 3), ("femur", 4), ("head", 4), ("other", 5)):
    _CLASS_OF[[CODE[f"{_name}_shell"], CODE[f"{_name}_inside"]]] = _class
_CLASS_OF[CODE["marrow"]] = 4
_NEAR = 1.3  # radii within which a voxel learns where the head's centre is


@dataclass(frozen=True)
class Scale:
    """One of the two networks: what it sees of a CT.

    Attributes:
        name: "coarse" or "fine".
        spacing_mm: Of its input.
        shape: Of a training crop, in voxels of its input.
        finer: Crops are drawn in voxels so many times finer, and averaged.
    """

    name: str
    spacing_mm: float
    shape: tuple[int, int, int]
    finer: int


SCALES = {
    "coarse": Scale("coarse", SPACING_MM["coarse"], (48, 48, 48), 2),
    "fine": Scale("fine", SPACING_MM["fine"], (48, 48, 48), 1),
}


@dataclass
class Sample:
    """One crop: image (1, i, j, k); on the half grid class and weight (a, b, c), offset (3, ...), radius."""

    image: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    offset: torch.Tensor
    near: torch.Tensor
    radius: torch.Tensor
    heads: dict[str, np.ndarray]
    view: tuple[np.ndarray, np.ndarray]


def make_sample(anatomy: Anatomy, labels: torch.Tensor, scale: Scale, rng: np.random.Generator) -> Sample:
    """Draws one crop of a label volume.

    Args:
        anatomy: The volume.
        labels: Its labels, uint8.
        scale: For which network.
        rng: Of everything that is drawn.
    """
    torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
    step = scale.spacing_mm / scale.finer
    shape = tuple(n * scale.finer for n in scale.shape)
    about = _choose_centre(anatomy, scale, rng)
    matrix, mirrored = _draw_matrix(rng)
    # Source = about + matrix @ (x - middle) + warp, all in mm; x counts from the crop's first voxel.
    extent = np.array(shape) * step
    middle = extent / 2
    warp = _draw_warp(rng, torch_rng)
    source = _source_index(anatomy, about, matrix, middle, shape, step, warp)
    seen = _look_up(labels, source)
    heads = _move_heads(anatomy, about, matrix, middle, warp, mirrored, extent)
    hu = draw_hu(seen, scale.spacing_mm, scale.finer, rng, torch_rng)
    replaced = {side: rng.random() < 0.12 for side in heads}
    draw_metal(hu, heads, replaced, scale.spacing_mm, rng)
    hu = scan(hu, scale.spacing_mm, rng, torch_rng)
    image = (hu.clamp(LOW_HU, HIGH_HU) - LOW_HU) / UNIT_HU
    low, high = _draw_view(heads, extent, rng)
    image = image * _box(scale.shape, scale.spacing_mm, low, high)
    return _label(image, seen, heads, scale, step, low, high)


def make_ct(
    anatomy: Anatomy, labels: torch.Tensor, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """A whole CT of a label volume, drawn as the crops are: HU int16, ras_from_ijk, centres of the heads."""
    step = float(rng.uniform(1.5, 3.0))
    extent = rng.uniform((200, 180, 150), (420, 300, 400))
    shape = tuple(2 * math.ceil(size / step / 2) for size in extent)
    scale = Scale("coarse", step, (shape[0], shape[1], shape[2]), 1)
    sample = make_sample(anatomy, labels, scale, rng)
    hu = (sample.image[0] * UNIT_HU + LOW_HU).numpy()
    hu[hu < LOW_HU + 1] = -1000
    low, high = (np.clip(np.rint(end / step).astype(int), 0, shape) for end in sample.view)
    hu = hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    matrix = np.diag([step, step, step, 1.0])
    matrix[:3, 3] = (low + 0.5) * step
    return hu.astype(np.int16), matrix, {side: head[:3] for side, head in sample.heads.items()}


def _choose_centre(anatomy: Anatomy, scale: Scale, rng: np.random.Generator) -> np.ndarray:
    """What the crop is centred on, in mm from the volume's first voxel."""
    size = np.array(anatomy.labels.shape) * VOXEL_MM
    spots = [head[:3] - anatomy.origin for head in anatomy.heads.values()]
    if spots and scale.name == "coarse":
        return _choose_widely(spots, size, rng)
    draw = rng.random()
    if spots and draw < 0.85:
        spread = rng.normal(0, 11, 3) if draw < 0.7 else rng.uniform(-75, 75, 3)
        return spots[int(rng.integers(len(spots)))] + spread
    if scale.name == "coarse":
        return rng.uniform(0.15, 0.85, 3) * size
    for _ in range(40):
        index = (rng.uniform(0.05, 0.95, 3) * anatomy.labels.shape).astype(int)
        if anatomy.labels[tuple(index)] in _SOLID:
            return index * VOXEL_MM + rng.normal(0, 12, 3)
    return rng.uniform(0.2, 0.8, 3) * size


def _choose_widely(spots: list[np.ndarray], size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random()
    if draw < 0.45:
        return np.mean(spots, 0) + rng.normal(0, 45, 3)
    if draw < 0.75:
        return spots[int(rng.integers(len(spots)))] + rng.normal(0, 55, 3)
    return rng.uniform(0.1, 0.9, 3) * size


_SOLID = {CODE[n] for n in LABELS if n.endswith(("shell", "inside"))} | {CODE["vessel"], CODE["bladder"]}


def _draw_matrix(rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    most = 45 if rng.random() < 0.4 else 15
    turn = Rotation.from_euler("xyz", rng.uniform(-most, most, 3), degrees=True).as_matrix()
    size = np.exp(rng.uniform(-0.16, 0.16)) * np.exp(rng.normal(0, 0.04, 3))
    shear = np.eye(3) + rng.normal(0, 0.03, (3, 3)) * (1 - np.eye(3))
    mirrored = bool(rng.random() < 0.5)
    mirror = np.diag([-1.0 if mirrored else 1.0, 1, 1])
    return mirror @ turn @ shear @ np.diag(size), mirrored


def _draw_warp(rng: np.random.Generator, torch_rng: torch.Generator) -> torch.Tensor:
    """Displacements in mm on a coarse grid (3, 5, 5, 5) over the crop."""
    amplitude = rng.uniform(0, 4) if rng.random() < 0.7 else 0.0
    return amplitude * torch.randn((3, 5, 5, 5), generator=torch_rng)


def _source_index(
    anatomy: Anatomy,
    about: np.ndarray,
    matrix: np.ndarray,
    middle: np.ndarray,
    shape: tuple[int, ...],
    step: float,
    warp: torch.Tensor,
) -> list[torch.Tensor]:
    moved = F.interpolate(warp[None], shape, mode="trilinear", align_corners=True)[0]
    lines = [(torch.arange(n) + 0.5) * step - m for n, m in zip(shape, middle, strict=True)]
    x, y, z = lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]
    m = matrix / VOXEL_MM
    first = about / VOXEL_MM + 0.5
    return [
        (m[a, 0] * x + m[a, 1] * y + (m[a, 2] * z + first[a])).float() + moved[a] / VOXEL_MM for a in range(3)
    ]


def _look_up(labels: torch.Tensor, source: list[torch.Tensor]) -> torch.Tensor:
    """The labels (int32) at voxel indices; air outside."""
    # The outermost voxels of a volume are air.
    flat = source[0].to(torch.int32).clamp_(0, labels.shape[0] - 1)
    for axis in (1, 2):
        flat.mul_(labels.shape[axis])
        flat.add_(source[axis].to(torch.int32).clamp_(0, labels.shape[axis] - 1))
    return torch.index_select(labels.reshape(-1), 0, flat.reshape(-1)).reshape(flat.shape).int()


def _move_heads(
    anatomy: Anatomy,
    about: np.ndarray,
    matrix: np.ndarray,
    middle: np.ndarray,
    warp: torch.Tensor,
    mirrored: bool,
    extent: np.ndarray,
) -> dict[str, np.ndarray]:
    back = np.linalg.inv(matrix)
    heads = {}
    for side, head in anatomy.heads.items():
        target = head[:3] - anatomy.origin
        at = back @ (target - about) + middle
        for _ in range(3):
            place = np.clip(2 * at / extent - 1, -1, 1)
            grid = torch.tensor(place[::-1].copy(), dtype=torch.float32).reshape(1, 1, 1, 1, 3)
            moved = F.grid_sample(warp[None], grid, align_corners=True).reshape(3).numpy()
            at = back @ (target - moved - about) + middle
        radius = head[3] / abs(np.linalg.det(matrix)) ** (1 / 3)
        heads[{"L": "R", "R": "L"}[side] if mirrored else side] = np.array([*at, radius])
    return heads


def _draw_view(
    heads: dict[str, np.ndarray], extent: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The field of view within the crop, mm: often it ends near a head, or through it."""
    low, high = np.full(3, -1.0), extent + 1.0
    if rng.random() < 0.5:
        return low, high
    spots = [head for head in heads.values() if (head[:3] > 0).all() and (head[:3] < extent).all()]
    about = (
        spots[int(rng.integers(len(spots)))] if spots else np.array([*rng.uniform(0.3, 0.7, 3) * extent, 24])
    )
    for _ in range(int(rng.integers(1, 4))):
        axis, far = int(rng.integers(3)), rng.uniform(-0.5, 3.0) * about[3]
        if rng.random() < 0.5:
            low[axis] = max(low[axis], about[axis] - far)
        else:
            high[axis] = min(high[axis], about[axis] + far)
    return low, high


def _box(shape: tuple[int, ...], step: float, low: np.ndarray, high: np.ndarray) -> torch.Tensor:
    lines = [(torch.arange(n) + 0.5) * step for n in shape]
    i, j, k = (((x > a) & (x < b)).float() for x, a, b in zip(lines, low, high, strict=True))
    return i[:, None, None] * j[None, :, None] * k[None, None, :]


def _label(
    image: torch.Tensor,
    seen: torch.Tensor,
    heads: dict[str, np.ndarray],
    scale: Scale,
    step: float,
    low: np.ndarray,
    high: np.ndarray,
) -> Sample:
    cells = 2 * scale.spacing_mm
    shape = tuple(n // 2 for n in scale.shape)
    every = round(cells / step)
    target = _CLASS_OF[seen.long()[every // 2 :: every, every // 2 :: every, every // 2 :: every]]
    held = _box(shape, cells, low, high)
    weight = torch.ones(shape)
    target = torch.where(held > 0, target, 0)
    lines = [(torch.arange(n) + 0.5) * cells for n in shape]
    offset, near = torch.zeros((3, *shape)), torch.zeros(shape)
    radius = torch.zeros(shape)
    for side, head in heads.items():
        away = torch.stack(
            torch.broadcast_tensors(
                (head[0] - lines[0])[:, None, None],
                (head[1] - lines[1])[None, :, None],
                (head[2] - lines[2])[None, None, :],
            )
        ).float()
        far = away.norm(dim=0)
        ball = far < head[3]
        target[ball & (held > 0)] = 1 if side == "L" else 2
        weight[ball & (held == 0)] = 0
        about = far < _NEAR * head[3]
        offset[:, about] = away[:, about] / 20.0
        near[about & (held > 0)] = 1
        radius[about] = (head[3] - 24.0) / 4.0
    return Sample(image[None], target, weight, offset, near, radius, heads, (low, high))
