"""Bodies without a hip: shoulders, chests, bellies, heads, knees, and bones that belong to nobody."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from canvas import CODE, VOXEL_MM, Anatomy, Canvas, make_grid
from scipy import ndimage
from scipy.spatial.transform import Rotation
from tissue import draw_table, enlarge, make_vertebra

from hipoa.phantom.anatomy.solids import Cup, Ellipsoid, RoundCone, Solid


def draw_shoulder(rng: np.random.Generator) -> Anatomy:
    """A shoulder or both: the humeral head is as round as a femoral one, its socket is shallow."""
    grid = make_grid(np.array([[-150.0, 0, 0], [150, 0, 0]]), np.array([[-60, -110, -170], [60, 110, 90]]))
    canvas = Canvas(grid)
    wide = rng.uniform(150, 180)
    canvas.paint(
        [Ellipsoid((0, 0, -60), (wide, 105, 170)), RoundCone((0, 0, 60), (0, 0, 120), 60, 55)], "fat", 30
    )
    sides = (-1, 1)
    for s in sides:
        raised = rng.uniform(0, 160) if rng.random() < 0.4 else rng.uniform(-10, 25)
        turn = Rotation.from_euler("y", -s * raised, degrees=True).as_matrix()
        head = np.array([s * rng.uniform(140, 165), rng.uniform(-15, 15), rng.uniform(-15, 15)])
        canvas.paint([RoundCone(head, head + turn @ [s * 20, 0, -180], 58, 45)], "fat", 25)
    body = canvas.labels > 0
    depth = ndimage.distance_transform_edt(body[::3, ::3, ::3]) * 3 * VOXEL_MM
    canvas.labels[enlarge(depth > rng.uniform(5, 25), body.shape) & body] = CODE["muscle"]
    for s in sides:
        canvas.paint([Ellipsoid((s * 70, 10, -90), (55, 75, 140))], "lung", only=body)
    canvas.paint(
        [Ellipsoid((25, 20, -130), rng.uniform(25, 45, 3))], "vessel" if rng.random() < 0.6 else "organ"
    )
    for n in range(-5, 4):
        canvas.bone(make_vertebra(np.array([0, -45, 30.0 * n]), rng))
    _draw_ribs(canvas, rng)
    for s in sides:
        raised = rng.uniform(0, 160) if rng.random() < 0.4 else rng.uniform(-10, 25)
        turn = Rotation.from_euler("y", -s * raised, degrees=True).as_matrix()
        head = np.array([s * rng.uniform(140, 165), rng.uniform(-15, 15), rng.uniform(-15, 15)])
        radius = rng.uniform(20, 27)
        medial = np.array([-s, rng.uniform(-0.2, 0.4), rng.uniform(-0.1, 0.2)])
        medial /= np.linalg.norm(medial)
        glenoid = head + medial * (radius + rng.uniform(2, 5))
        blade = [
            Cup(head, radius + 3, radius + 9, -medial, -0.85),
            RoundCone(glenoid + medial * 8, glenoid + [-s * 40, -30, 10], 9, 5),
            RoundCone(glenoid + [-s * 30, -35, 15], glenoid + [-s * 45, -60, -90], 4, 4),
            RoundCone(glenoid + [-s * 30, -35, 15], glenoid + [-s * 75, -65, -20], 4, 3),
            RoundCone(glenoid + [-s * 40, -45, 25], head + [s * 5, -10, radius + 14], 6, 8),
            RoundCone(glenoid + [-s * 8, 25, 15], head + [-s * 8, 25, 14], 6, 6),
        ]
        canvas.bone(blade)
        canvas.bone([RoundCone(head + [-s * 10, 10, radius + 16], (s * 20, 50, 20), 7, 9)])
        stem = head + turn @ np.array([s * 14, 0, -30.0])
        far = head + turn @ np.array([s * 20, 0, -190.0])
        canvas.bone(
            [
                RoundCone(head, head, radius, radius),
                RoundCone(head + turn @ [s * 12, 4, -6], stem, 17, 15),
                RoundCone(stem, far, 15, 11),
            ],
            smooth_mm=8,
            shell_mm=rng.uniform(1, 3),
        )
        canvas.paint([RoundCone(stem + 0.3 * (far - stem), far, 6, 6)], "marrow")
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "shoulder")


def _draw_ribs(canvas: Canvas, rng: np.random.Generator) -> None:
    thick = rng.uniform(4, 6.5)
    for n in range(-6, 3):
        for s in (-1, 1):
            angles = np.linspace(-1.2, 1.35, 9)
            path = [
                (s * 112 * np.cos(a), 5 + 88 * np.sin(a), 28 * n - 30 * (a + 1.2) / 2.5 + 10) for a in angles
            ]
            canvas.bone([RoundCone(a, b, thick, thick) for a, b in pairwise(path)])
    canvas.bone([RoundCone((0, 92, -150), (0, 88, 10), 11, 13)])


def _perhaps_table(canvas: Canvas, rng: np.random.Generator) -> None:
    if rng.random() < 0.4:
        draw_table(canvas, np.zeros(3), rng)


def _torso(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    canvas.paint(
        [Ellipsoid((0, 0, z), (rng.uniform(150, 185), rng.uniform(95, 120), 200)) for z in (-80, 80)],
        "fat",
        30,
    )
    body = canvas.labels > 0
    depth = ndimage.distance_transform_edt(body[::3, ::3, ::3]) * 3 * VOXEL_MM
    canvas.labels[enlarge(depth > rng.uniform(6, 35), body.shape) & body] = CODE["muscle"]
    return body


def draw_chest(rng: np.random.Generator) -> Anatomy:
    """Lungs, ribs and a heart whose chambers may be as bright and round as a head."""
    grid = make_grid(np.zeros((1, 3)), np.array([[-190, -130, -150], [190, 130, 150]]))
    canvas = Canvas(grid)
    body = _torso(canvas, rng)
    for s in (-1, 1):
        canvas.paint([Ellipsoid((s * 68, 0, 10), (58, 80, 150))], "lung", only=body)
    heart = np.array([rng.uniform(-35, 10), 25, -40])
    canvas.paint([Ellipsoid(heart, (52, 45, 55))], "organ")
    bright = "vessel" if rng.random() < 0.75 else "organ"
    for _ in range(int(rng.integers(2, 6))):
        canvas.paint([Ellipsoid(heart + rng.normal(0, 20, 3), rng.uniform(12, 30, 3))], bright)
    arch = [(12, -25, -150), (12, -25, 50), (5, -5, 75), (-10, 25, 60), (-15, 20, -10)]
    canvas.paint([RoundCone(a, b, 13, 13) for a, b in pairwise(arch)], bright)
    for n in range(-5, 6):
        canvas.bone(make_vertebra(np.array([0, -50, 30.0 * n]), rng))
    _draw_ribs(canvas, rng)
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "chest")


def draw_belly(rng: np.random.Generator) -> Anatomy:
    """Liver, kidneys and bowel, with contrast medium or not."""
    grid = make_grid(np.zeros((1, 3)), np.array([[-190, -130, -130], [190, 130, 130]]))
    canvas = Canvas(grid)
    body = _torso(canvas, rng)
    canvas.paint([Ellipsoid((0, 10, 0), (125, 75, 160))], "fat", only=body)
    canvas.paint(
        [Ellipsoid((70, 20, 50), (70, 70, 75)), Ellipsoid((-80, -20, 60), (40, 45, 50))], "organ", 10
    )
    for s in (-1, 1):
        at = np.array([s * 55, -30, rng.uniform(-30, 20)])
        label = "vessel" if rng.random() < 0.5 else "organ"
        canvas.paint([Ellipsoid(at, rng.uniform((22, 20, 45), (32, 30, 60)))], label)
        canvas.paint([Ellipsoid(at + [-s * 12, 5, 0], (10, 10, 18))], "bladder")
    for _ in range(int(rng.integers(10, 30))):
        at, size = rng.uniform((-110, -10, -130), (110, 75, 60)), rng.uniform(10, 28, 3)
        label = str(rng.choice(["organ", "gas", "bladder"], p=[0.6, 0.25, 0.15]))
        canvas.paint([Ellipsoid(at, size)], label, only=body)
    canvas.paint([RoundCone((-5, -20, -130), (-5, -20, 130), 10, 11)], "vessel")
    for n in range(-4, 5):
        canvas.bone(make_vertebra(np.array([0, -45, 34.0 * n]), rng))
    if rng.random() < 0.5:
        _draw_ribs(canvas, rng)
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "belly")


def draw_head(rng: np.random.Generator) -> Anatomy:
    """A skull with brain, orbits, jaw and teeth, and the neck."""
    grid = make_grid(np.zeros((1, 3)), np.array([[-110, -130, -190], [110, 130, 130]]))
    canvas = Canvas(grid)
    size = np.array([72, 92, 80]) * rng.uniform(0.92, 1.08)
    canvas.paint(
        [
            Ellipsoid((0, 0, 0), size + 8),
            RoundCone((0, -15, -60), (0, -15, -200), 60, 65),
            Ellipsoid((0, 55, -75), (55, 45, 60)),
        ],
        "muscle",
        15,
    )
    thick = rng.uniform(4, 8)
    canvas.bone([Ellipsoid((0, 0, 0), size)], shell_mm=1.5)
    canvas.paint([Ellipsoid((0, 0, 0), size - thick)], "organ")
    for s in (-1, 1):
        canvas.bone([Cup(np.array([s * 33, 78, -28]), 17, 21, np.array([0, 1.0, 0]), 0.3)])
        canvas.paint([Ellipsoid((s * 33, 80, -28), (14, 14, 14))], "organ")
        canvas.bone(
            [
                RoundCone((s * 48, 15, -40), (s * 50, 15, -85), 6, 7),
                RoundCone((s * 50, 15, -85), (s * 18, 75, -110), 8, 9),
            ]
        )
        canvas.bone([Ellipsoid((s * 48, 5, -38), (20, 24, 14))], shell_mm=5)
        canvas.paint([Ellipsoid((s * 50, -10, -55), (9, 9, 12))], "gas")
    canvas.bone([Ellipsoid((0, 70, -70), (32, 22, 16))], shell_mm=4)
    canvas.paint([Ellipsoid((0, 60, -45), (14, 25, 18))], "gas")
    for n in range(6):
        canvas.bone(
            [
                Ellipsoid((0, -15, -70 - 20 * n), (20, 14, 9)),
                RoundCone((0, -30, -72 - 20 * n), (0, -52, -78 - 20 * n), 5, 4),
            ]
        )
    canvas.paint([RoundCone((0, 20, -100), (0, 20, -200), 9, 9)], "gas")
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "head")


def draw_knee(rng: np.random.Generator) -> Anatomy:
    """One knee or both: round condyles on a shaft."""
    grid = make_grid(np.zeros((1, 3)), np.array([[-150, -90, -160], [150, 90, 160]]))
    canvas = Canvas(grid)
    for s in (-1, 1):
        bend = Rotation.from_euler("x", -rng.uniform(0, 50), degrees=True).as_matrix()
        at = np.array([s * rng.uniform(60, 85), 0, 0.0])
        canvas.paint(
            [RoundCone(at, at + [0, 0, 220], 55, 75), RoundCone(at, at + bend @ [0, 0, -220], 52, 45)],
            "fat",
            20,
        )
        canvas.paint(
            [
                RoundCone(at, at + [0, -5, 220], 42, 62),
                RoundCone(at + [0, -20, 0], at + bend @ [0, -20, -220], 30, 38),
            ],
            "muscle",
            10,
        )
        f, size = s * rng.uniform(20, 25), rng.uniform(0.9, 1.15)
        round_mm = rng.uniform(19, 25)
        femur: list[Solid] = [RoundCone(at + [0, 0, 40], at + [s * 15, 0, 200], 17 * size, 14 * size)]
        femur += [RoundCone(at + [d, -4, 12], at + [d * 0.7, -14, 6], round_mm, round_mm) for d in (-f, f)]
        femur += [RoundCone(at + [0, 4, 20], at + [0, 0, 60], 24, 18)]
        canvas.bone(femur, smooth_mm=8, shell_mm=rng.uniform(1, 2.5))
        canvas.paint([RoundCone(at + [2, 0, 90], at + [s * 15, 0, 200], 8, 8)], "marrow")
        plateau = at + bend @ np.array([0, -4, -24.0])
        canvas.bone(
            [
                Ellipsoid(plateau, np.array([36, 24, 13]) * size),
                RoundCone(plateau - [0, 0, 14], at + bend @ np.array([0, -4, -210]), 20, 12),
            ],
            smooth_mm=8,
        )
        canvas.bone(
            [RoundCone(plateau + [s * 34, -14, -14], at + bend @ np.array([s * 30, -14, -210]), 9, 6)]
        )
        canvas.bone([Ellipsoid(at + [0, 38, 22], (21, 10, 20))])
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "knee")


def draw_clutter(rng: np.random.Generator) -> Anatomy:
    """Bones, balls and pools of contrast medium that belong to nobody."""
    grid = make_grid(np.zeros((1, 3)), np.array([[-140, -100, -140], [140, 100, 140]]))
    canvas = Canvas(grid)
    body = _torso(canvas, rng)
    for _ in range(int(rng.integers(6, 18))):
        at = rng.uniform(-110, 110, 3) * [1, 0.7, 1]
        kind = rng.integers(0, 4)
        if kind == 0:
            canvas.bone([Ellipsoid(at, rng.uniform(6, 40, 3))], shell_mm=rng.uniform(1, 4))
        elif kind == 1:
            wide = rng.uniform(4, 22, 2)
            canvas.bone(
                [RoundCone(at, at + rng.uniform(-120, 120, 3), wide[0], wide[1])], shell_mm=rng.uniform(1, 5)
            )
        elif kind == 2:
            canvas.paint(
                [Ellipsoid(at, rng.uniform(8, 35, 3))],
                str(rng.choice(["vessel", "bladder", "organ", "gas"])),
                only=body,
            )
        else:
            radius, way = rng.uniform(12, 40), rng.normal(size=3)
            canvas.bone(
                [
                    Cup(
                        at,
                        radius,
                        radius + rng.uniform(3, 10),
                        way / np.linalg.norm(way),
                        rng.uniform(-0.6, 0.8),
                    )
                ]
            )
    _perhaps_table(canvas, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], {}, "clutter")
