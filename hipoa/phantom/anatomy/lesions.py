"""What osteoarthritis adds to a hip and takes from it: osteophytes and cysts."""

from __future__ import annotations

import numpy as np

from hipoa.phantom.anatomy.hip import PLATE_MM, WALL_MM, Hip, unit_vector
from hipoa.phantom.anatomy.solids import RoundCone, directions

_ARRANGEMENTS = 20  # large cysts may leave no room for the others


def place_osteophytes(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """A spur at the roof's rim as long as drawn, and a collar of smaller ones about the head."""
    size = hip.disease.osteophyte_mm
    if size < 0.3:
        return []
    angle = np.radians(hip.disease.centre_edge_deg)
    rim = hip.socket + (hip.socket_radius_mm + WALL_MM / 2) * np.array([np.sin(angle), 0, np.cos(angle)])
    out = np.array([np.cos(angle - 0.25), 0, -np.sin(angle - 0.25)])
    tip = min(2.0, size / 2)
    spurs = [_place_spur(hip, rim, out, size, tip)]
    axis, radius = hip.person.neck_axis, hip.person.head_radius_mm
    u = unit_vector((axis[2], 0, -axis[0]))
    v = np.cross(axis, u)
    for turn in np.arange(10) * 2 * np.pi / 10:
        # The largest stand medially and laterally, where a radiograph shows them in profile.
        grow = size * (0.45 + 0.4 * abs(np.cos(turn)) + 0.15 * rng.random())
        around = np.cos(turn) * u + np.sin(turn) * v
        surface = hip.head + radius * (0.62 * axis + np.sqrt(1 - 0.62**2) * around)
        spurs.append(RoundCone(surface - 0.1 * grow * around, surface - 0.1 * grow * around, grow, grow))
    return spurs


def _place_spur(hip: Hip, rim: np.ndarray, out: np.ndarray, size: float, tip: float) -> RoundCone:
    """The shortest spur that stands out of the bone as far as drawn: bone beside the rim hides a part."""
    length, way = size - tip, directions(200)
    for _ in range(80):
        end = rim + length * out
        if hip.pelvis_distance(end[:, None] + tip * way).max() >= size:
            break
        length += 0.2
    return RoundCone(rim - 3 * out, rim + length * out, WALL_MM / 2, tip)


def place_cysts(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """Balls under the loaded surfaces, in roof and head by turns, wholly in bone, apart from each other."""
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
        # Further from the load where there is no room near it.
        tries = [(in_roof, 0.55), (not in_roof and diameter < 6, 0.55), (False, 1.2), (True, 1.2)]
        places = np.concatenate([_cyst_places(hip, rng, radius, *each) for each in tries], axis=1)
        bone = np.minimum(hip.pelvis_distance(places), hip.femur_distance(places))
        free = bone < -radius - 0.7
        for other in cysts:
            free &= np.linalg.norm(places - np.asarray(other.a)[:, None], axis=0) > radius + other.ra + 2
        if free.any():
            centre = places[:, np.argmax(free)]
            cysts.append(RoundCone(centre, centre, radius, radius))
    return cysts


def _cyst_places(
    hip: Hip, rng: np.random.Generator, radius: float, in_roof: bool, spread: float
) -> np.ndarray:
    """Centres (3, 300) where a cyst may lie, about the load, mm."""
    aside = rng.uniform(-1, 1, (3, 300))
    load = hip.load
    way = load[:, None] + spread * (aside - load[:, None] * (load @ aside))
    way /= np.linalg.norm(way, axis=0)
    under = PLATE_MM * hip.disease.plate_factor + radius
    if in_roof:
        room = hip.hollows[0]
        reach = np.minimum(room.radius, (room.radius - room.cut) / (load @ way)) + under + 0.5
        return hip.socket[:, None] + reach * way
    flat = hip.person.head_radius_mm * (1 - 2 * hip.disease.flattening)
    reach = (
        np.minimum(hip.person.head_radius_mm, flat / (load @ way)) - under - 1 - 15 * spread * rng.random(300)
    )
    return hip.head[:, None] + reach * way
