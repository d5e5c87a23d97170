"""What a scanner makes of labels: HU, texture, metal and its streaks, blur, slices and noise, at random."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from canvas import CODE, LABELS

_BONE = torch.zeros(len(LABELS))
_BONE[[CODE[name] for name in LABELS if name.endswith(("shell", "inside"))]] = 1.0


def _smooth_field(shape: tuple[int, ...], cells: int, torch_rng: torch.Generator) -> torch.Tensor:
    coarse = torch.randn((1, 1, *[max(2, n // cells) for n in shape]), generator=torch_rng)
    return F.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0]


def draw_hu(
    seen: torch.Tensor, step: float, finer: int, rng: np.random.Generator, torch_rng: torch.Generator
) -> torch.Tensor:
    """HU of labels seen in voxels ``finer`` times as fine as ``step`` mm, averaged to these."""
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
    image, bone = _average(values, seen, finer), _average(_BONE, seen, finer)
    shape = tuple(image.shape)
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


def draw_metal(
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


def scan(hu: torch.Tensor, step: float, rng: np.random.Generator, torch_rng: torch.Generator) -> torch.Tensor:
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
