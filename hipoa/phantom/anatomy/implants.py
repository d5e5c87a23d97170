"""Metal implants, and their streak artefacts in a CT."""

from __future__ import annotations

import numpy as np

from hipoa.phantom.anatomy.hip import Hip
from hipoa.phantom.anatomy.solids import Grid, RoundCone, ball, blend, fill, fraction

METAL_HU, PROSTHETIC_HEAD_MM = 3071.0, 16.0
_EFFUSION_HU = 45.0
# Dark along the metal's long axis and bright across it, with finer rays between; weaker further off.
_STREAK_HU, _STREAK_MM, _RAYS = 260.0, 45.0, (9, 14, 23)
_FULL_MM2 = 250.0  # a section of metal so large has streaks of full strength


def render_implant(hu: np.ndarray, grid: Grid, hip: Hip, kind: str, rng: np.random.Generator) -> None:
    """Draws metal and its streaks into the HU (I, J, K) of a hip; the grid's frame is the hip's.

    ``kind`` is "replacement" (cup, ball and stem) or "nail" (a nail and its screw in the neck).
    """
    scale, turn = hip.person.femoral_scale, hip.person.turn_femur
    base = hip.head + hip.person.neck_axis * 52 * scale  # the end of the neck
    shaft = base + turn((-7, 2, -95)) * scale
    metal = np.zeros(grid.shape, np.float32)
    if kind == "replacement":
        _replace_socket(hu, grid, hip, base, metal)
        head = ball(hip.head, PROSTHETIC_HEAD_MM)
        solids = [head, RoundCone(hip.head, base, 6, 9), RoundCone(base, shaft, 9, 5)]
    else:
        tip, outside = base + turn((5, -6, 30)) * scale, base + turn((16, 0, -12)) * scale
        screw = RoundCone(outside, hip.head + 6 * hip.person.neck_axis, 5, 5)
        solids = [RoundCone(tip, shaft, 6, 5.5), screw]
    window, distance = grid.rasterise(solids)
    filled = fraction(distance, grid.width_mm())
    blend(hu, window, filled, METAL_HU)
    metal[window] += filled
    _add_streaks(hu, grid, metal, rng)


def _replace_socket(hu: np.ndarray, grid: Grid, hip: Hip, base: np.ndarray, metal: np.ndarray) -> None:
    """Removes head and joint surface and draws the cup; adds the filled fraction to ``metal``."""
    removed = hip.socket_radius_mm + 1
    fill(hu, grid, [RoundCone(hip.head, hip.head + 0.35 * (base - hip.head), removed, removed)], _EFFUSION_HU)
    window, distance = grid.rasterise([ball(hip.socket, removed + 1)])
    points = grid.points(window)
    opening = -0.68 * (points[0] - hip.socket[0]) + 0.73 * (points[2] - hip.socket[2])
    metal[window] = fraction(np.maximum.reduce([distance, -distance - 4, -opening]), grid.width_mm())
    blend(hu, window, metal[window], METAL_HU)


def _add_streaks(hu: np.ndarray, grid: Grid, metal: np.ndarray, rng: np.random.Generator) -> None:
    """Adds rays about the metal of every axial slice, strongest beside it; none in air."""
    spacing = np.linalg.norm(grid.frame_from_ijk[:3, :3], axis=0)
    i, j = np.ogrid[: hu.shape[0], : hu.shape[1]]
    phases = rng.uniform(0, 2 * np.pi, len(_RAYS))
    for k in np.flatnonzero(metal.sum((0, 1)) > 0.5):
        at = np.argwhere(metal[:, :, k] > 0.5) * spacing[:2]
        if len(at) < 2:
            continue
        (x, y), spread = at.mean(0), np.cov(at.T)
        long_axis = 0.5 * np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
        dx, dy = i * spacing[0] - x, j * spacing[1] - y
        angle = np.arctan2(dy, dx)
        rays = -np.cos(2 * (angle - long_axis))
        rays += sum(0.4 * np.cos(n * angle + phase) for n, phase in zip(_RAYS, phases, strict=True))
        strength = _STREAK_HU * min(1.0, len(at) * spacing[0] * spacing[1] / _FULL_MM2)
        tissue = np.clip(1 + hu[:, :, k] / 1000, 0, 1) * (1 - np.clip(metal[:, :, k], 0, 1))
        hu[:, :, k] += strength * rays * np.exp(-np.hypot(dx, dy) / _STREAK_MM) * tissue
