"""What lies about the bones: trunk and thighs, bowel, bladder, vessels, spine, arms, a table."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from canvas import CODE, VOXEL_MM, Canvas
from scipy import ndimage

from hipoa.phantom.anatomy.solids import Ellipsoid, RoundCone, Solid


def draw_flesh(
    canvas: Canvas, heads: dict[str, np.ndarray], poses: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    """Trunk and thighs with fat and muscle, bowel, bladder and vessels."""
    middle = np.mean([h[:3] for h in heads.values()], 0)
    wide, deep = rng.uniform(150, 215), rng.uniform(85, 135)
    canvas.paint(
        [
            Ellipsoid(middle + [0, rng.uniform(-15, 10), z], (wide * f, deep * f, 150))
            for z, f in ((0, 0.97), (110, 1.0), (190, 0.95))
        ],
        "fat",
        30,
    )
    fat = rng.uniform(6, 45)
    legs: list[Solid] = []
    for side, head in heads.items():
        mirror = np.array([1 if side == "R" else -1, 1, 1])
        knee = head[:3] + (poses[side] @ np.array([-10.0, 0, -330])) * mirror
        thick = rng.uniform(62, 95)
        start = head[:3] + mirror * [10, -8, -25]
        legs.append(RoundCone(start, knee, thick, 0.75 * thick))
    canvas.paint(legs, "fat", 25)
    body = canvas.labels > 0
    # A coarse depth is deep enough for fat.
    depth = ndimage.distance_transform_edt(body[::3, ::3, ::3]) * 3 * VOXEL_MM
    uneven = 1 + 0.5 * _noise(depth.shape, 6, rng)
    muscle = enlarge((depth > fat * uneven) | (_noise(depth.shape, 3, rng) > 2.2), canvas.labels.shape) & body
    canvas.labels[muscle] = CODE["muscle"]
    streaks = enlarge(_noise(depth.shape, 1.3, rng) > rng.uniform(0.8, 1.8), canvas.labels.shape)
    canvas.labels[streaks & muscle] = CODE["fat"]
    inner = Ellipsoid(middle + [0, 0, 70], (75, 60, 120))
    window, distance = canvas.grid.rasterise([inner])
    part = canvas.labels[window]
    part[(distance < 0) & (part > 0)] = CODE["fat" if rng.random() < 0.6 else "organ"]
    for _ in range(int(rng.integers(5, 25))):
        at, size = middle + rng.uniform((-75, -50, -10), (75, 55, 190)), rng.uniform(10, 32, 3)
        canvas.paint([Ellipsoid(at, size)], "gas" if rng.random() < 0.25 else "organ", only=canvas.labels > 0)
    if rng.random() < 0.8:
        bladder = Ellipsoid(middle + [0, 20, rng.uniform(-5, 30)], rng.uniform(18, 50, 3))
        canvas.paint([bladder], "bladder", only=canvas.labels > 0)
    for sign in (-1, 1):
        thick = rng.uniform(3.5, 7)
        path = [(sign * 20, 20, 170), (sign * 55, 38, 40), (sign * 82, 42, 0), (sign * 80, 38, -120)]
        path = [middle + np.array(p) + rng.normal(0, 5, 3) for p in path]
        for a, b in pairwise(path):
            canvas.paint([RoundCone(a, b, thick, thick)], "vessel", only=canvas.labels > 0)


def draw_lumbar(canvas: Canvas, sacrum: np.ndarray, rng: np.random.Generator) -> None:
    """The lumbar spine above a sacrum's points (n, 3)."""
    top = sacrum[np.argsort(sacrum[:, 2])[-200:]].mean(0)
    for n in range(5):
        at = top + np.array([rng.normal(0, 3), 8 + 4 * n, 12 + 36 * n])
        canvas.bone(make_vertebra(at, rng))


def make_vertebra(at: np.ndarray, rng: np.random.Generator) -> list[Solid]:
    """Body and processes of a vertebra."""
    size = rng.uniform(0.9, 1.15)
    return [
        Ellipsoid(at, np.array([27, 20, 16]) * size),
        RoundCone(at + [0, -24, -2], at + [0, -58, -10], 6, 5),
        *(RoundCone(at + [s * 20, -17, 0], at + [s * 46, -27, 3], 6, 4) for s in (1, -1)),
    ]


def draw_extras(canvas: Canvas, heads: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Arms and a table, or not."""
    middle = np.mean([h[:3] for h in heads.values()], 0)
    if rng.random() < 0.3:
        draw_arms(canvas, middle, rng)
    if rng.random() < 0.4:
        draw_table(canvas, middle, rng)


def draw_arms(canvas: Canvas, middle: np.ndarray, rng: np.random.Generator) -> None:
    """Forearms and hands beside the body or on the belly."""
    for sign in (-1, 1):
        if rng.random() < 0.3:
            continue
        x, y, wrist = middle + [sign * rng.uniform(120, 200), rng.uniform(-40, 100), rng.uniform(-60, 80)]
        tilt = rng.uniform(-60, 60, 2)
        up = np.array([x + tilt[0], y + tilt[1], wrist + 170])
        low = np.array([x, y, wrist])
        canvas.paint([RoundCone(up, low, 36, 27), Ellipsoid(low - [0, 0, 50], (20, 42, 55))], "muscle")
        for depth in (-14, 14):
            canvas.bone([RoundCone(up + [0, depth, 0], low + [0, depth, 8], 8, 8)], shell_mm=3)
        canvas.bone([Ellipsoid(low - [0, 0, 14], (9, 24, 15))])
        fingers = (-24, -8, 8, 24)
        canvas.bone([RoundCone(low + [0, d, -30], low + [1, 1.4 * d, -85], 5, 7) for d in fingers])


def draw_table(canvas: Canvas, middle: np.ndarray, rng: np.random.Generator) -> None:
    """The shells of a table, behind or, prone, in front."""
    side = -1 if rng.random() < 0.7 else 1
    y = middle[1] + side * rng.uniform(95, 125)
    points = canvas.grid.points()
    sag = rng.uniform(0, 0.0008) * (points[0] - middle[0]) ** 2
    for depth in (0.0, rng.uniform(10, 30)):
        sheet = np.abs(points[1] - side * (depth - sag) - y) < rng.uniform(1.2, 2.5)
        canvas.labels[sheet & (canvas.labels == 0)] = CODE["table"]


def _noise(shape: tuple[int, ...], smooth: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), smooth, mode="wrap")
    return field / field.std()


def enlarge(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of every third voxel along each axis at full size."""
    for axis, size in enumerate(shape):
        mask = np.take(mask, np.minimum(np.arange(size) // 3, mask.shape[axis] - 1), axis)
    return mask
