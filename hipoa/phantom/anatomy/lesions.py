"""Osteophytes and subchondral cysts of a hip."""

from __future__ import annotations

import numpy as np

from hipoa.phantom.anatomy.hip import PLATE_MM, WALL_MM, Hip
from hipoa.phantom.anatomy.solids import RoundCone, ball, fibonacci_sphere, unit_vector

_ARRANGEMENTS = 20  # large cysts may leave no room for the others


def place_osteophytes(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """A spur at the roof's rim as long as drawn, and a collar of smaller ones about the head."""
    size = hip.disease.osteophyte_mm
    if size < 0.3:
        return []
    angle = np.radians(hip.disease.centre_edge_deg)
    rim = hip.socket + (hip.socket_radius_mm + WALL_MM / 2) * np.array([np.sin(angle), 0, np.cos(angle)])
    outwards = np.array([np.cos(angle - 0.25), 0, -np.sin(angle - 0.25)])
    osteophytes = [_place_spur(hip, rim, outwards, size)]
    axis, radius = hip.person.neck_axis, hip.person.head_radius_mm
    u = unit_vector((axis[2], 0, -axis[0]))
    v = np.cross(axis, u)
    for angle in np.arange(10) * 2 * np.pi / 10:
        # The largest stand medially and laterally, where a radiograph shows them in profile.
        grow = size * (0.45 + 0.4 * abs(np.cos(angle)) + 0.15 * rng.random())
        around = np.cos(angle) * u + np.sin(angle) * v
        surface = hip.head + radius * (0.62 * axis + np.sqrt(1 - 0.62**2) * around)
        osteophytes.append(ball(surface - 0.1 * grow * around, grow))
    return osteophytes


def _place_spur(hip: Hip, rim: np.ndarray, outwards: np.ndarray, size: float) -> RoundCone:
    """The shortest spur that stands out of the bone as far as drawn: bone beside the rim hides a part."""
    tip = min(2.0, size / 2)
    length, surface = size - tip, tip * fibonacci_sphere(200)
    for _ in range(80):
        end = rim + length * outwards
        if hip.pelvis_distance(end[:, None] + surface).max() >= size:
            break
        length += 0.2
    return RoundCone(rim - 3 * outwards, rim + length * outwards, WALL_MM / 2, tip)


def place_cysts(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """Balls under the loaded surfaces of head and roof, wholly in bone and apart from each other."""
    cysts: list[RoundCone] = []
    for _ in range(_ARRANGEMENTS):
        cysts = max(cysts, _arrange_cysts(hip, rng), key=len)
        if len(cysts) == len(hip.disease.cyst_mm):
            break
    return cysts


def _arrange_cysts(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    cysts: list[RoundCone] = []
    for number, diameter in enumerate(sorted(hip.disease.cyst_mm, reverse=True)):
        radius = diameter / 2
        in_roof = number % 2 == 1 and diameter < 6
        # Further from the load if there is no room near it.
        tries = [(in_roof, 0.55), (not in_roof and diameter < 6, 0.55), (False, 1.2), (True, 1.2)]
        centres = np.concatenate([_draw_centres(hip, rng, radius, *each) for each in tries], axis=1)
        bone = np.minimum(hip.pelvis_distance(centres), hip.femur_distance(centres))
        free = bone < -radius - 0.7
        for other in cysts:
            free &= np.linalg.norm(centres - np.asarray(other.a)[:, None], axis=0) > radius + other.ra + 2
        if free.any():
            cysts.append(ball(centres[:, np.argmax(free)], radius))
    return cysts


def _draw_centres(
    hip: Hip, rng: np.random.Generator, radius: float, in_roof: bool, spread: float
) -> np.ndarray:
    """Candidate centres (3, 300) of a cyst, about the load, mm."""
    aside, load = rng.uniform(-1, 1, (3, 300)), hip.load
    direction = load[:, None] + spread * (aside - load[:, None] * (load @ aside))
    direction /= np.linalg.norm(direction, axis=0)
    along = load @ direction
    depth = PLATE_MM * hip.disease.plate_factor + radius
    if in_roof:
        cavity = hip.cavities[0]
        reach = np.minimum(cavity.radius, (cavity.radius - cavity.cut) / along) + depth + 0.5
        return hip.socket[:, None] + reach * direction
    flat = hip.person.head_radius_mm * (1 - 2 * hip.disease.flattening)
    reach = np.minimum(hip.person.head_radius_mm, flat / along) - depth - 1 - 15 * spread * rng.random(300)
    return hip.head[:, None] + reach * direction
