"""Builds the solids of a hip from a patient's size and the hip's disease.

Hip bone and femur are those of the shape model; about the joint they give way to a socket, a head and a
neck of simple solids, in which disease can be drawn and measured. The pelvis scales with its height, femur
and socket with the head. Acetabular version 18.5 degrees is from the method notes of the project.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hipoa.phantom.anatomy.bones import Without
from hipoa.phantom.anatomy.disease import Disease
from hipoa.phantom.anatomy.hip import SOCKET_X_MM, WALL_MM, Hip, Person
from hipoa.phantom.anatomy.lesions import place_cysts, place_osteophytes
from hipoa.phantom.anatomy.solids import Cup, CutBall, RoundCone, Solid, ball, unit_vector

_JOINT_SPACE_MM = 4.8  # between head and socket where both are centred
_FALSE_JOINT_SPACE_MM = 2.5
_CUP_INCLINATION_DEG, _CUP_VERSION_DEG = 45.0, 18.5
_FALSE_INCLINATION_DEG = 25.0  # a false socket's roof is steeper
_LOADS = {
    "superior": unit_vector((0.21, 0.06, 0.97)),
    "medial": unit_vector((-0.60, 0.05, 0.80)),
    "concentric": unit_vector((0.21, 0.06, 0.97)),
}
_NECK_RADIUS_MM = 15.2  # of the template
_BUTTRESS_MM = np.array([98.0, -20.0, 74.0])  # in the wing of the ilium
# The model's own joint is cut away so far; the socket's wall and the neck reach a little further.
_SEAM_MM, _RIM_MM, _NECK_SEAM = 0.5, 6.0, 1.35
_SHALLOW_EDGE_DEG, _SHALLOW_SIZE = 5.0, 0.85  # of the acetabulum under a migrated head


def build_hip(person: Person, disease: Disease, rng: np.random.Generator) -> Hip:
    """Builds the bones of one hip; positions of osteophytes and cysts are random."""
    true_socket = np.array([SOCKET_X_MM * person.scale, 0, 0])
    radius, migrated = person.head_radius_mm, disease.height is not None
    # A head that has migrated upwards bears on its top.
    load = _LOADS["superior" if migrated else person.pattern]
    space_mm = disease.joint_space_mm if person.pattern == "concentric" else _JOINT_SPACE_MM
    socket_radius = radius + (_FALSE_JOINT_SPACE_MM if migrated else space_mm)
    shift = _head_shift_mm(radius, disease, socket_radius)
    socket = true_socket + (_migration(person, disease, shift * load) if migrated else 0)
    head = socket + shift * load
    top, tip = np.array([-radius - 6, 2, -0.3 * radius]), np.array([-radius - 3, 4, 3 - 1.08 * radius])
    teardrop = RoundCone(true_socket + top, true_socket + tip, 3, 3)
    flat = radius * (1 - 2 * disease.flattening)
    cut = socket_radius - (shift + flat + disease.joint_space_mm) if disease.flattening > 0 else 0.0
    cavities = [CutBall(socket, socket_radius, load, cut)]
    if migrated:
        cavities.append(CutBall(true_socket, _SHALLOW_SIZE * radius, load, 0))
    sockets, removed = _sockets(person, disease, true_socket, socket)
    hip = Hip(
        person=person,
        disease=disease,
        load=load,
        head=head,
        socket=socket,
        socket_radius_mm=socket_radius,
        pelvis=[Without(person.bones.hip_bone, removed), teardrop, *sockets],
        cavities=cavities,
        femoral_head=CutBall(head, radius, load, 2 * radius * disease.flattening),
        femur=_femur(person, head),
        teardrop=teardrop,
    )
    return replace(hip, osteophytes=place_osteophytes(hip, rng), cysts=place_cysts(hip, rng))


def _head_shift_mm(radius: float, disease: Disease, socket_radius: float) -> float:
    """How far the head moves along the load until the least joint space is the one to draw.

    The head's farthest point from the socket's centre is at the edge of what was flattened; the socket
    is flattened to the same gap.
    """
    flat_height = radius * (1 - 2 * disease.flattening)
    flat_radius_2 = radius**2 - flat_height**2
    return float(np.sqrt((socket_radius - disease.joint_space_mm) ** 2 - flat_radius_2) - flat_height)


def junction_drop_mm(person: Person) -> float:
    """How far the medial head-neck junction lies below the head's centre."""
    down, neck = person.neck_axis[2], _NECK_RADIUS_MM * person.femoral_scale
    return float(np.sqrt(person.head_radius_mm**2 - neck**2) * -down + neck * np.sqrt(1 - down**2))


def _migration(person: Person, disease: Disease, shift: np.ndarray) -> np.ndarray:
    """From the true to the false socket: up to the height to draw, lateral, and a little back."""
    lowest = -1.08 * person.head_radius_mm
    height = (disease.height or 0) * person.pelvic_height_mm
    up = lowest + height + junction_drop_mm(person) - shift[2]
    return np.array([disease.lateral_mm - shift[0], -0.2 * up, up])


def _sockets(
    person: Person, disease: Disease, true: np.ndarray, socket: np.ndarray
) -> tuple[list[Solid], list[Solid]]:
    """The acetabulum, for a migrated head a shallow one and the false one; what they replace of the bone."""
    radius, axis = person.head_radius_mm, _opening(_CUP_INCLINATION_DEG)
    reach = radius + _JOINT_SPACE_MM + WALL_MM
    limit = _rim(axis, disease.centre_edge_deg if disease.height is None else _SHALLOW_EDGE_DEG)
    # The model's own rim may stand further out than the one to draw.
    removed: list[Solid] = [
        ball(true, reach - _SEAM_MM),
        Cup(true, 0, reach - _SEAM_MM + _RIM_MM, -axis, -limit),
    ]
    if disease.height is None:
        return [Cup(true, 0, reach, axis, limit)], removed
    inner, steep = radius + _FALSE_JOINT_SPACE_MM, _opening(_FALSE_INCLINATION_DEG)
    outer, steep_limit = inner + WALL_MM, _rim(steep, disease.centre_edge_deg)
    shallow = _SHALLOW_SIZE * radius
    ilium = _BUTTRESS_MM * person.scale
    sockets: list[Solid] = [
        Cup(true, shallow, shallow + WALL_MM, axis, limit),
        Cup(socket, 0, outer, steep, steep_limit),
        RoundCone(socket + inner * unit_vector((-0.55, -0.2, 0.9)), ilium, WALL_MM + 2, 5),
        RoundCone(socket + (inner + 3) * unit_vector((-1, 0, 0.25)), true + np.array([-8, -4, 26]), 7, 8),
    ]
    return sockets, [*removed, Cup(socket, 0, outer + _RIM_MM, -steep, -steep_limit)]


def _opening(inclination_deg: float) -> np.ndarray:
    """The unit vector (3,) out of a cup."""
    inclination, version = np.radians([inclination_deg, _CUP_VERSION_DEG])
    return np.array(
        [np.cos(inclination) * np.cos(version), np.cos(inclination) * np.sin(version), -np.sin(inclination)]
    )


def _rim(axis: np.ndarray, centre_edge_deg: float) -> float:
    """The cup's limit that puts its rim, in the coronal plane, at the centre-edge angle."""
    angle = np.radians(centre_edge_deg)
    return float(np.array([np.sin(angle), 0, np.cos(angle)]) @ axis)


def _femur(person: Person, head: np.ndarray) -> list[Solid]:
    radius, scale = person.head_radius_mm, person.femoral_scale
    # The neck starts so far below the head's centre that it does not fill up what flattening took.
    start, end = head + 9 * scale * person.neck_axis, head + 46 * scale * person.neck_axis
    return [
        RoundCone(start, end, _NECK_RADIUS_MM * scale, _NECK_RADIUS_MM * scale),
        Without(person.bones.femur.moved(radius, head), [ball(head, _NECK_SEAM * radius)]),
    ]
