"""Metal in a hip, and the streaks that it leaves in a CT."""

from __future__ import annotations

import numpy as np

from hipoa.phantom.anatomy.hip import TEMPLATE_HEAD_MM, Hip
from hipoa.phantom.anatomy.solids import Grid, RoundCone, blend, fill, fraction

METAL_HU, PROSTHETIC_HEAD_MM = 3071.0, 16.0
_EFFUSION_HU = 45.0
# Dark along the metal's long way and bright across it, with finer rays between; weaker further off.
_STREAK_HU, _STREAK_MM, _RAYS = 260.0, 45.0, (9, 14, 23)
_FULL_MM2 = 250.0  # a section of metal so large has streaks of full strength


def render_implant(hu: np.ndarray, grid: Grid, hip: Hip, kind: str, rng: np.random.Generator) -> None:
    """Draws metal into ``hu``; the grid's frame is the hip's.

    Args:
        hu: HU (I, J, K), changed in place.
        grid: Its voxels.
        hip: The hip's bones, drawn already.
        kind: "replacement" (cup, ball and stem) or "nail" (a nail and its screw in the neck).
        rng: For the streaks.
    """
    _streak(hu, grid, _replace_joint(hu, grid, hip) if kind == "replacement" else _nail(hu, grid, hip), rng)


def _shaft(hip: Hip) -> tuple[np.ndarray, np.ndarray, float]:
    """The end of the neck and a point down the shaft, mm (3,), and the femur's size over the template's."""
    scale = hip.person.head_radius_mm / TEMPLATE_HEAD_MM
    base = hip.head + hip.person.neck_axis * 52 * scale
    return base, base + hip.person.turn_femur((-7, 2, -95)) * scale, scale


def _replace_joint(hu: np.ndarray, grid: Grid, hip: Hip) -> np.ndarray:
    """Returns the metal's fraction 0-1 of every voxel (I, J, K)."""
    base, shaft, _ = _shaft(hip)
    removed = hip.socket_radius_mm + 1
    fill(hu, grid, [RoundCone(hip.head, hip.head + 0.35 * (base - hip.head), removed, removed)], _EFFUSION_HU)
    window, distance = grid.rasterise([RoundCone(hip.socket, hip.socket, removed + 1, removed + 1)])
    points = grid.points(window)
    opening = -0.68 * (points[0] - hip.socket[0]) + 0.73 * (points[2] - hip.socket[2])
    cup = np.maximum.reduce([distance, -distance - 4, -opening])
    metal = np.zeros(grid.shape, np.float32)
    metal[window] = fraction(cup, grid.width_mm())
    blend(hu, window, metal[window], METAL_HU)
    ball = RoundCone(hip.head, hip.head, PROSTHETIC_HEAD_MM, PROSTHETIC_HEAD_MM)
    return metal + _draw(hu, grid, [ball, RoundCone(hip.head, base, 6, 9), RoundCone(base, shaft, 9, 5)])


def _nail(hu: np.ndarray, grid: Grid, hip: Hip) -> np.ndarray:
    base, shaft, scale = _shaft(hip)
    tip = base + hip.person.turn_femur((5, -6, 30)) * scale
    outside = base + hip.person.turn_femur((16, 0, -12)) * scale
    screw = RoundCone(outside, hip.head + 6 * hip.person.neck_axis, 5, 5)
    return _draw(hu, grid, [RoundCone(tip, shaft, 6, 5.5), screw])


def _draw(hu: np.ndarray, grid: Grid, solids: list[RoundCone]) -> np.ndarray:
    fill(hu, grid, solids, METAL_HU)
    window, distance = grid.rasterise(solids)
    metal = np.zeros(grid.shape, np.float32)
    metal[window] = fraction(distance, grid.width_mm())
    return metal


def _streak(hu: np.ndarray, grid: Grid, metal: np.ndarray, rng: np.random.Generator) -> None:
    """Adds rays about the metal of every axial slice, strongest beside it; none in air."""
    spacing = np.linalg.norm(grid.frame_from_ijk[:3, :3], axis=0)
    i, j = np.ogrid[: hu.shape[0], : hu.shape[1]]
    phases = rng.uniform(0, 2 * np.pi, len(_RAYS))
    for k in np.flatnonzero(metal.sum((0, 1)) > 0.5):
        at = np.argwhere(metal[:, :, k] > 0.5) * spacing[:2]
        if len(at) < 2:
            continue
        (x, y), spread = at.mean(0), np.cov(at.T)
        long_way = 0.5 * np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
        dx, dy = i * spacing[0] - x, j * spacing[1] - y
        angle = np.arctan2(dy, dx)
        rays = -np.cos(2 * (angle - long_way))
        rays += sum(0.4 * np.cos(n * angle + phase) for n, phase in zip(_RAYS, phases, strict=True))
        strength = _STREAK_HU * min(1.0, len(at) * spacing[0] * spacing[1] / _FULL_MM2)
        tissue = np.clip(1 + hu[:, :, k] / 1000, 0, 1) * (1 - np.clip(metal[:, :, k], 0, 1))
        hu[:, :, k] += strength * rays * np.exp(-np.hypot(dx, dy) / _STREAK_MM) * tissue
