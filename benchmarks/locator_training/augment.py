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
from canvas import CODE, LABELS, VOXEL_MM, Anatomy
from scipy.spatial.transform import Rotation

CLASSES = ("rest", "left head", "right head", "pelvis", "femur", "other bone")
LOW_HU, HIGH_HU, UNIT_HU = -200.0, 600.0, 400.0
_CLASS_OF = torch.zeros(len(LABELS), dtype=torch.int64)
for _name, _class in (("hip", 3), ("femur", 4), ("head", 4), ("other", 5)):
    _CLASS_OF[[CODE[f"{_name}_shell"], CODE[f"{_name}_inside"]]] = _class
_CLASS_OF[CODE["marrow"]] = 4
_BONE = torch.zeros(len(LABELS))
_BONE[[CODE[name] for name in LABELS if name.endswith(("shell", "inside"))]] = 1.0
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
    "coarse": Scale("coarse", 5.0, (48, 48, 48), 2),
    "fine": Scale("fine", 2.0, (48, 48, 48), 1),
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
    hu = _draw_hu(seen, scale, rng, torch_rng)
    replaced = {side: rng.random() < 0.12 for side in heads}
    _draw_metal(hu, heads, replaced, scale.spacing_mm, rng)
    hu = _scan(hu, scale.spacing_mm, rng, torch_rng)
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


def _smooth_field(shape: tuple[int, ...], cells: int, torch_rng: torch.Generator) -> torch.Tensor:
    coarse = torch.randn((1, 1, *[max(2, n // cells) for n in shape]), generator=torch_rng)
    return F.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0]


def _draw_hu(
    seen: torch.Tensor, scale: Scale, rng: np.random.Generator, torch_rng: torch.Generator
) -> torch.Tensor:
    hu = dict.fromkeys(LABELS, -1000.0)
    muscle = rng.uniform(25, 80)
    contrast = rng.random() < 0.45
    hu |= {"fat": rng.uniform(-130, -60), "muscle": muscle, "organ": rng.uniform(-20, 90)}
    hu |= {"vessel": rng.uniform(100, 550) if contrast else rng.uniform(20, 70)}
    hu |= {"bladder": rng.uniform(100, 900) if rng.random() < 0.3 else rng.uniform(-10, 50)}
    hu |= {"gas": rng.uniform(-1000, -400), "lung": rng.uniform(-950, -600), "joint": rng.uniform(-10, 110)}
    hu |= {"table": rng.uniform(-300, 500), "marrow": rng.uniform(-110, 120)}
    spongy = rng.uniform(90, 420)
    for bone in ("hip", "femur", "head", "other"):
        inside = float(np.clip(spongy * rng.uniform(0.6, 1.5), 60, 600))
        # The shell of a real head is often no brighter than what it holds.
        shell = inside + (rng.uniform(-40, 150) if rng.random() < 0.45 else rng.uniform(100, 1000))
        hu |= {f"{bone}_inside": inside, f"{bone}_shell": shell}
    if rng.random() < 0.5:
        hu["head_inside"] = hu["femur_inside"] * rng.uniform(0.9, 1.6)
    values = torch.tensor([hu[name] for name in LABELS])
    image, bone = _average(values, seen, scale.finer), _average(_BONE, seen, scale.finer)
    shape, step = tuple(image.shape), scale.spacing_mm
    uneven = 1 + rng.uniform(0, 0.35) * _smooth_field(
        shape, max(2, round(rng.uniform(12, 40) / step)), torch_rng
    )
    fine = rng.uniform(0, 90) * _smooth_field(shape, max(1, round(rng.uniform(2, 8) / step)), torch_rng)
    if rng.random() < 0.4:
        # Bands, as trabeculae along the load are.
        way, wave = rng.normal(size=3), rng.uniform(5, 20)
        way = way / np.linalg.norm(way) * 2 * math.pi * step / wave
        lines = [torch.arange(n) * w for n, w in zip(shape, way, strict=True)]
        bands = torch.sin(lines[0][:, None, None] + lines[1][None, :, None] + lines[2][None, None, :])
        fine = fine + rng.uniform(0, 120) * bands
    image = image + bone * (image * (uneven - 1) + fine).float()
    soft = ((image > -200) & (bone < 0.05)).float()
    return image + soft * rng.uniform(0, 18) * _smooth_field(shape, max(1, round(8 / step)), torch_rng)


def _average(values: torch.Tensor, seen: torch.Tensor, finer: int) -> torch.Tensor:
    found = torch.index_select(values, 0, seen.reshape(-1)).reshape(seen.shape)
    return F.avg_pool3d(found[None, None], finer)[0, 0] if finer > 1 else found


def _distance_to_line(shape: tuple[int, ...], step: float, a: np.ndarray, b: np.ndarray) -> torch.Tensor:
    lines = [(torch.arange(n) + 0.5) * step - p for n, p in zip(shape, a, strict=True)]
    x, y, z = lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]
    way = b - a
    t = ((x * way[0] + y * way[1] + z * way[2]) / max(float(way @ way), 1e-6)).clamp(0, 1)
    return ((x - t * way[0]) ** 2 + (y - t * way[1]) ** 2 + (z - t * way[2]) ** 2).sqrt().float()


def _draw_metal(
    hu: torch.Tensor,
    heads: dict[str, np.ndarray],
    replaced: dict[str, bool],
    step: float,
    rng: np.random.Generator,
) -> None:
    """Replaced hips, nails and screws, with streaks."""
    marked = []
    for side, head in heads.items():
        lateral = 1 if side == "R" else -1
        if replaced[side]:
            _replace_hip(hu, head, lateral, step, rng)
            marked.append(head[:3])
        elif rng.random() < 0.1:
            way = np.array([lateral * rng.uniform(0.5, 1), rng.normal(0, 0.3), -rng.uniform(0.3, 1)])
            tip = head[:3] + rng.normal(0, 6, 3)
            end = tip + way / np.linalg.norm(way) * rng.uniform(60, 120)
            rod = _distance_to_line(tuple(hu.shape), step, tip, end)
            hu[rod < rng.uniform(2.5, 6)] = rng.uniform(1500, 3071)
            marked.append(head[:3])
    if rng.random() < 0.06:
        a = rng.uniform(0, 1, 3) * hu.shape * step
        rod = _distance_to_line(tuple(hu.shape), step, a, a + rng.normal(0, 60, 3))
        hu[rod < rng.uniform(2, 7)] = 3000.0
        marked.append(a)
    for centre in marked:
        _draw_streaks(hu, centre, step, rng)


def _replace_hip(
    hu: torch.Tensor, head: np.ndarray, lateral: int, step: float, rng: np.random.Generator
) -> None:
    shape, centre = tuple(hu.shape), head[:3]
    ball = _distance_to_line(shape, step, centre, centre)
    if rng.random() < 0.8:
        hu[ball < 1.15 * head[3]] = rng.uniform(-50, 80)
    cup = rng.uniform(18, 27)
    if rng.random() < 0.8:
        up = (torch.arange(shape[2]) + 0.5) * step - centre[2]
        hu[(ball < cup + 4) & (ball > cup) & (up[None, None] > -8)] = rng.uniform(1500, 3071)
    hu[ball < rng.uniform(11, 18)] = rng.uniform(2000, 3071)
    low = centre + np.array([lateral * rng.uniform(25, 45), rng.uniform(-8, 8), -rng.uniform(25, 45)])
    stem = low + np.array([lateral * 8, 0, -130])
    for a, b, width in ((centre, low, rng.uniform(5, 8)), (low, stem, rng.uniform(6, 10))):
        hu[_distance_to_line(shape, step, a, b) < width] = rng.uniform(2000, 3071)


def _draw_streaks(hu: torch.Tensor, centre: np.ndarray, step: float, rng: np.random.Generator) -> None:
    lines = [(torch.arange(n) + 0.5) * step - p for n, p in zip(hu.shape, centre, strict=True)]
    angle = torch.atan2(lines[1][None, :], lines[0][:, None])
    number, phase = int(rng.integers(2, 9)), rng.uniform(0, 6.3)
    band = torch.sin(number * angle + phase) * rng.uniform(0, 300)
    hu += band[..., None].float() * torch.exp(-((lines[2] / rng.uniform(15, 35)) ** 2))[None, None].float()


def _scan(
    hu: torch.Tensor, step: float, rng: np.random.Generator, torch_rng: torch.Generator
) -> torch.Tensor:
    """Blur, slices and noise."""
    hu = _blur(hu, rng.uniform(0.2, 1.6) / step)
    if rng.random() < 0.6:
        axis = 2 if rng.random() < 0.8 else int(rng.integers(2))
        slices = round(rng.uniform(2, 6) / step)
        if slices > 1:
            hu = _thicken(hu, axis, slices, bool(rng.random() < 0.5))
    noise = rng.uniform(0, 30) if rng.random() < 0.7 else rng.uniform(30, 120)
    grain = torch.randn(hu.shape, generator=torch_rng)
    if rng.random() < 0.5:
        grain = _blur(grain, 0.6)
        grain = grain / grain.std()
    return hu + noise * grain


def _blur(hu: torch.Tensor, sigma: float) -> torch.Tensor:
    if sigma < 0.25:
        return hu
    reach = max(1, math.ceil(2 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = weights / weights.sum()
    for axis in range(3):
        size = [1, 1, 1]
        size[axis] = len(weights)
        padding = [0, 0, 0]
        padding[axis] = reach
        hu = F.conv3d(hu[None, None], weights.reshape(1, 1, *size), padding=padding)[0, 0]
    return hu


def _thicken(hu: torch.Tensor, axis: int, slices: int, stepped: bool) -> torch.Tensor:
    """Averages along one axis, each slice on its own or in steps as thick slices have them."""
    turned = hu.movedim(axis, -1)
    shape = turned.shape
    flat = turned.reshape(1, -1, shape[-1])
    if stepped:
        means = F.avg_pool1d(flat, slices, slices, ceil_mode=True)
        flat = F.interpolate(means, shape[-1], mode="linear", align_corners=False)
    else:
        flat = F.avg_pool1d(flat, slices, 1, slices // 2, count_include_pad=False)[..., : shape[-1]]
    return flat.reshape(shape).movedim(-1, axis)


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
