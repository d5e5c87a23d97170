"""Renders a patient's solids in Hounsfield units: soft tissue, bone, disease and metal.

Source of the HU: air -1000, fat -120..-90, muscle 40..80, cancellous 300..400, cortical 500..1900
(method notes of the project). Cancellous bone, trabeculae and the heads' shell are each patient's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from hipoa.phantom.anatomy.bones import Symmetric, Without
from hipoa.phantom.anatomy.hip import PELVIS_SMOOTH_MM, PLATE_MM, SOCKET_X_MM, Hip, Person
from hipoa.phantom.anatomy.implants import render_implant
from hipoa.phantom.anatomy.solids import (
    Ellipsoid,
    Grid,
    RoundCone,
    Solid,
    ball,
    blend,
    fill,
    fraction,
    scale_solid,
)

CORTICAL_HU, CYST_HU = 1050.0, 30.0
_AIR_HU, _GAS_HU, _MUSCLE_HU, _ORGANS_HU, _JOINT_HU = -1000.0, -900.0, 58.0, 5.0, 45.0
_MARROW_HU, _OSTEOPHYTE_HU = -20.0, 480.0
# Our choice. What lies above the hips differs between patients: else the part in view would tell a
# dislocated head.
_LOOPS, _CONTENT_HU, _GASSY_SHARE = (16, 30), (-60.0, 55.0), 0.3
_SCLEROSIS_RADIUS_MM = 13.0
_SLAB = 8
_PELVIC_CORTEX_MM, _HEAD_CORTEX_MM, _SHAFT_CORTEX_MM = 1.3, 1.1, 5.5
# Where the head's shell gives way to the neck's cortex, along the neck, in radii of the head from its centre.
_SHELL_TO_NECK = (0.75, 1.05)


def render(
    grid: Grid, hips: Mapping[str, Hip], implants: Mapping[str, str], rng: np.random.Generator
) -> np.ndarray:
    """The HU (I, J, K) float32 of a patient without noise, in a grid whose frame is the patient's.

    Hips and implants ("replacement" or "nail") are by side; bowel, trabeculae and metal streaks are random.
    """
    person = hips["R"].person
    hu = np.full(grid.shape, _AIR_HU, np.float32)
    _render_trunk(hu, grid, hips)
    _render_bowel(hu, grid, person, rng.spawn(1)[0])
    _render_gas(hu, grid, person, rng)
    for render_hip in (_render_muscles, render_bones):
        for side, hip in hips.items():
            render_hip(hu, mirrored(grid, side), hip)
    _render_spine(hu, grid, person)
    _add_trabeculae(hu, grid, person, rng)
    for side, kind in implants.items():
        render_implant(hu, mirrored(grid, side), hips[side], kind, rng)
    return hu


def mirrored(grid: Grid, side: str) -> Grid:
    """The grid in the frame of a hip, whose x is lateral."""
    return Grid(grid.shape, np.diag([1.0 if side == "R" else -1.0, 1, 1, 1]) @ grid.frame_from_ijk)


def render_bones(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    """Draws one hip's bones and joint into ``hu``; the grid's frame is the hip's."""
    for cavity in hip.cavities:
        fill(hu, grid, [ball(cavity.centre, cavity.radius + 2)], _JOINT_HU)
    _render_pelvis(hu, grid, hip)
    _render_femur(hu, grid, hip)
    _render_osteophytes(hu, grid, hip)
    _render_sclerosis(hu, grid, hip)
    for cyst in hip.cysts:
        fill(hu, grid, [cyst], CYST_HU)


def _outline(points: np.ndarray, right: Hip, left: Hip, inset_mm: float) -> np.ndarray:
    """A rough signed distance to the skin, moved inwards."""
    person = right.person
    half_width = np.where(points[0] > 0, _half_width_mm(points[2], right), _half_width_mm(points[2], left))
    half_width = half_width - inset_mm
    belly_mm = person.belly_mm * np.exp(-(((points[2] / person.scale - 95) / 55) ** 2))
    half_depth = 84 * person.scale + 1.2 * person.fat_mm + belly_mm / 2 - inset_mm
    middle = belly_mm / 2 - 12
    shape = _power_2_5(points[0] / half_width) + _power_2_5((points[1] - middle) / half_depth)
    return (shape ** np.float32(0.4) - 1) * half_depth


def _power_2_5(x: np.ndarray) -> np.ndarray:
    """The absolute value to the power 2.5, by a root: a tenth of the time of numpy's power."""
    return x * x * np.sqrt(np.abs(x))


def _half_width_mm(z: np.ndarray, hip: Hip) -> np.ndarray:
    """From the middle of the body to the skin, which follows a trochanter that has moved up and out."""
    scale = hip.person.scale
    # Python's floats: numpy's would make float64 of all points.
    aside, up = max(0.0, float(hip.head[0]) - SOCKET_X_MM * scale), float(hip.head[2])
    bulge = np.exp(-((((z - up) / scale + 10) / 75) ** 2))
    return 149 * scale + (hip.person.bulge_mm * scale + aside) * bulge + hip.person.flank_mm


def _render_trunk(hu: np.ndarray, grid: Grid, hips: Mapping[str, Hip]) -> None:
    person, width = hips["R"].person, grid.width_mm()
    # A few slices at a time stay in a core's cache.
    for start in range(0, grid.shape[0], _SLAB):
        window = (slice(start, min(start + _SLAB, grid.shape[0])), slice(grid.shape[1]), slice(grid.shape[2]))
        points = grid.points(window)
        skin = _outline(points, hips["R"], hips["L"], 0)
        blend(hu, window, fraction(skin, width), person.fat_hu)
        wall = fraction(skin + 1.15 * person.fat_mm, 3) * fraction(25 * person.scale - points[2], 30)
        blend(hu, window, wall, person.muscle_hu)
        blend(hu, window, fraction(skin + 1.15 * person.fat_mm + 14, 6) * wall, person.fat_hu)
    organs = [Ellipsoid((0, 20, 10), (42, 34, 30)), Ellipsoid((0, -45, 5), (26, 22, 45))]
    fill(hu, grid, organs, _ORGANS_HU, smooth_mm=10)


def _render_bowel(hu: np.ndarray, grid: Grid, person: Person, rng: np.random.Generator) -> None:
    """Loops of bowel up to the top of the CT, filled with fluid, stool or gas, elsewhere in each CT."""
    for _ in range(int(rng.integers(*_LOOPS))):
        centre, size = rng.uniform((-78, -8, 45), (78, 34, 185)), rng.uniform(14, 32, 3) * [1, 0.8, 1]
        fill(hu, grid, [scale_solid(Ellipsoid(centre, size), person.scale)], rng.uniform(*_CONTENT_HU), 4)
        if rng.random() < _GASSY_SHARE:
            bubble = Ellipsoid(centre, size * rng.uniform(0.4, 0.8))
            fill(hu, grid, [scale_solid(bubble, person.scale)], _GAS_HU)


def _render_gas(hu: np.ndarray, grid: Grid, person: Person, rng: np.random.Generator) -> None:
    """Gas in the bowel: a few pockets, and a little in the rectum."""
    regions = [((-60, 5, 40), (70, 45, 125))] * int(rng.integers(2, 7)) + [((-8, -52, 0), (8, -42, 30))]
    for low, high in regions:
        centre, size = rng.uniform(low, high), rng.uniform(6, 15, 3) * [1.2, 0.8, 1]
        fill(hu, grid, [scale_solid(Ellipsoid(centre, size), person.scale)], _GAS_HU)


def _add_trabeculae(hu: np.ndarray, grid: Grid, person: Person, rng: np.random.Generator) -> None:
    """Trabecular texture, blurred to what a CT of these voxels shows of it."""
    coarse = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), person.trabecula_mm / grid.width_mm(), mode="wrap"
    )
    part = np.clip((hu - _MUSCLE_HU) / (person.cancellous_hu - _MUSCLE_HU), 0, 1)
    hu += part * (person.trabecular_hu / coarse.std()) * coarse


def _render_muscles(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    """Muscle on an affected side: up to 16 % less volume and 8 HU lower."""
    scale, affected = hip.person.scale, (hip.disease.grade - 1) / 6
    slim = (1 - 0.16 * affected) ** (1 / 3)
    bulk = [
        Ellipsoid((96, -62, 28), np.array((54, 36, 84)) * slim),  # glutei
        Ellipsoid((118, -8, 60), np.array((22, 42, 62)) * slim),
        Ellipsoid((98, 2, -95), np.array((62, 66, 84)) * slim),  # thigh
        Ellipsoid((48, -8, -75), np.array((40, 46, 56)) * slim),  # adductors
        RoundCone((44, 0, 130), (84, 30, 32), 22 * slim, 18 * slim),  # iliopsoas
        RoundCone((84, 30, 32), (100, 0, -50), 18 * slim, 12 * slim),
    ]
    window, distance = grid.rasterise([scale_solid(solid, scale) for solid in bulk], 6)
    inside = np.maximum(distance, _outline(grid.points(window), hip, hip, 0.6 * hip.person.fat_mm))
    blend(hu, window, fraction(inside, 3), hip.person.muscle_hu - 8 * affected)


def _render_pelvis(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    window, distance = grid.rasterise(hip.pelvis, PELVIS_SMOOTH_MM)
    points, width = grid.points(window), grid.width_mm()
    bone = hip.pelvis_distance(points, distance)
    blend(hu, window, fraction(bone, width), CORTICAL_HU)
    from_socket = hip.cavities[0].distance(points)
    plate = PLATE_MM * hip.disease.plate_factor - from_socket
    # The thick plate covers the socket; elsewhere bone meets the joint's sphere by chance only.
    cancellous = np.maximum(bone + _PELVIC_CORTEX_MM, np.where(from_socket < 6, plate, -np.inf))
    blend(hu, window, fraction(cancellous, width), hip.person.cancellous_hu)


def _render_femur(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    window, person = grid.near([hip.femoral_head, *hip.femur]), hip.person
    points, width = grid.points(window), grid.width_mm()
    distance = hip.femur_distance(points)
    # The head's own shell, cortical bone beyond it.
    x, y, z = (float(component) / person.head_radius_mm for component in person.neck_axis)
    along_neck = x * points[0] + y * points[1] + z * points[2] - float(hip.head @ (x, y, z))
    inner, outer = _SHELL_TO_NECK
    on_head = np.clip((outer - along_neck) / (outer - inner), 0, 1)
    shell_hu = CORTICAL_HU - on_head * (1 - person.head_shell) * (CORTICAL_HU - person.cancellous_hu)
    blend(hu, window, fraction(distance, width), shell_hu)
    scale = person.femoral_scale
    along_shaft = np.clip((hip.head[2] - points[2] - 45 * scale) / (40 * scale), 0, 1)
    cortex = _HEAD_CORTEX_MM * hip.disease.plate_factor + along_shaft * _SHAFT_CORTEX_MM
    inside_hu = person.cancellous_hu + along_shaft * (_MARROW_HU - person.cancellous_hu)
    blend(hu, window, fraction(distance + cortex, width), inside_hu)


def _render_osteophytes(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    if hip.osteophytes:
        window, distance = grid.rasterise(hip.osteophytes, 2)
        points = grid.points(window)
        # They widen bone but close no joint space, and leave the femur's and the pelvis's own HU.
        own = hip.bone_distance(grid.crop(window))
        from_socket = hip.cavities[0].distance(points)
        covered = np.where((points - hip.socket[:, None, None, None])[2] > 6, -from_socket, -np.inf)
        new = np.maximum.reduce([distance, -own, covered])
        blend(hu, window, fraction(new, grid.width_mm()), _OSTEOPHYTE_HU)


def _render_sclerosis(hu: np.ndarray, grid: Grid, hip: Hip) -> None:
    if hip.disease.sclerosis_hu > 0:
        window, distance = grid.rasterise([ball(hip.loaded, _SCLEROSIS_RADIUS_MM)])
        bone = hip.bone_distance(grid.crop(window))
        hu[window] += hip.disease.sclerosis_hu * fraction(distance, 4) * fraction(bone, grid.width_mm())


def _render_spine(hu: np.ndarray, grid: Grid, person: Person) -> None:
    scale = person.scale
    lumbar = [
        Ellipsoid((0, -1, 110), (27, 19, 14)),
        RoundCone((0, -25, 108), (0, -56, 100), 6, 5),
        *(RoundCone((side * 22, -17, 113), (side * 46, -27, 118), 6, 4) for side in (1, -1)),
        Ellipsoid((0, 5, 144), (26, 19, 14)),
        RoundCone((0, -20, 142), (0, -50, 134), 6, 5),
    ]
    sacrum = Without(person.bones.sacrum, [Symmetric(person.bones.hip_bone)])
    to_right, up = person.lumbar_mm
    shift = np.eye(4)
    shift[:3, 3] = -to_right, 0, -up
    moved = Grid(grid.shape, shift @ grid.frame_from_ijk)
    parts: list[tuple[Grid, list[Solid]]] = [
        (grid, [sacrum]),
        (moved, [scale_solid(bone, scale) for bone in lumbar]),
    ]
    for frame, solids in parts:
        window, distance = frame.rasterise(solids, 5)
        blend(hu, window, fraction(distance, grid.width_mm()), CORTICAL_HU * 0.7)
        blend(hu, window, fraction(distance + 1.2, grid.width_mm()), person.spine_hu)
    for side in (1, -1):
        foramina = [
            RoundCone((side * 20, -30, 70 - 22 * n), (side * 15, -95, 66 - 22 * n), 4, 4) for n in range(3)
        ]
        fill(hu, grid, [scale_solid(foramen, scale) for foramen in foramina], _MUSCLE_HU)
