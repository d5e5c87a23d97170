"""Builds the bones of a hip as solids, from a patient's size and a hip's disease.

Hip bone and femur are those of the shape model; about the joint they give way to a socket, a head and a
neck of simple solids, in which disease can be drawn and measured. The pelvis scales with its height, femur
and socket with the head. Acetabular version 18.5 degrees is from the method notes of the project.
"""

from __future__ import annotations

import numpy as np

from hipoa.phantom.anatomy.bones import Without
from hipoa.phantom.anatomy.disease import Disease
from hipoa.phantom.anatomy.hip import (
    SOCKET_X_MM,
    TEMPLATE_HEAD_MM,
    WALL_MM,
    Hip,
    Person,
    load_of,
    unit_vector,
)
from hipoa.phantom.anatomy.lesions import place_cysts, place_osteophytes
from hipoa.phantom.anatomy.solids import Cup, CutBall, RoundCone, Solid

ROOM_MM = 4.8  # between head and socket where both are centred
_ROOM_MIGRATED_MM = 2.5
_CUP_INCLINATION_DEG, _CUP_VERSION_DEG = 45.0, 18.5
_FALSE_INCLINATION_DEG = 25.0  # a false socket's roof is steeper

_BUTTRESS_MM = np.array([98.0, -20.0, 74.0])  # in the wing of the ilium
# The model's own joint is cut away so far; the socket's wall and the neck reach a little further.
_SEAM_MM, _RIM_MM, _NECK_SEAM = 0.5, 6.0, 1.35
_SHALLOW_EDGE_DEG = 5.0


def build_hip(person: Person, disease: Disease, rng: np.random.Generator) -> Hip:
    """The bones of one hip.

    Args:
        person: The patient's size.
        disease: What is to be drawn.
        rng: For what has no name: where osteophytes and cysts lie.
    """
    true_socket = np.array([SOCKET_X_MM * person.scale, 0, 0])
    radius = person.head_radius_mm
    migrated = disease.height is not None
    load = load_of(person, disease)
    room_mm = disease.joint_space_mm if person.pattern == "concentric" else ROOM_MM
    socket_radius = radius + (_ROOM_MIGRATED_MM if migrated else room_mm)
    shift = head_shift_mm(radius, disease, socket_radius)
    socket = true_socket + (_migration(person, disease, shift) if migrated else 0)
    head = socket + shift * load
    teardrop = _teardrop(person, true_socket)
    flat = radius * (1 - 2 * disease.flattening)
    cut = socket_radius - (shift + flat + disease.joint_space_mm) if disease.flattening > 0 else 0.0
    room = CutBall(socket, socket_radius, load, cut)
    hip = Hip(
        person=person,
        disease=disease,
        head=head,
        socket=socket,
        socket_radius_mm=socket_radius,
        pelvis=[
            _hip_bone(person, disease, true_socket, socket),
            teardrop,
            *_sockets(person, disease, true_socket, socket),
        ],
        hollows=[room, CutBall(true_socket, 0.85 * radius, load, 0)] if migrated else [room],
        femoral_head=CutBall(head, radius, load, 2 * radius * disease.flattening),
        femur=_femur(person, head),
        teardrop=teardrop,
    )
    hip.osteophytes.extend(place_osteophytes(hip, rng))
    hip.cysts.extend(place_cysts(hip, rng))
    return hip


def head_shift_mm(radius: float, disease: Disease, socket_radius: float) -> float:
    """How far the head moves along the load until the least joint space is the one to draw.

    The head's farthest point from the socket's centre is at the edge of what was flattened; the socket
    is flattened to the same gap.
    """
    flat_height = radius * (1 - 2 * disease.flattening)
    flat_radius_2 = radius**2 - flat_height**2
    return float(np.sqrt((socket_radius - disease.joint_space_mm) ** 2 - flat_radius_2) - flat_height)


def junction_drop_mm(person: Person) -> float:
    """How far the medial head-neck junction lies below the head's centre."""
    radius, axis = person.head_radius_mm, person.neck_axis
    neck = _NECK_RADIUS * radius / TEMPLATE_HEAD_MM
    return float(np.sqrt(radius**2 - neck**2) * -axis[2] + neck * np.sqrt(1 - axis[2] ** 2))


_NECK_RADIUS = 15.2


def _migration(person: Person, disease: Disease, shift: float) -> np.ndarray:
    """From the true to the false socket: up to the height to draw, lateral, and a little back."""
    lowest = -1.08 * person.head_radius_mm
    height = (disease.height or 0) * person.pelvic_height_mm
    load = load_of(person, disease)
    up = lowest + height + junction_drop_mm(person) - shift * load[2]
    return np.array([disease.lateral_mm - shift * load[0], -0.2 * up, up])


def _teardrop(person: Person, true_socket: np.ndarray) -> RoundCone:
    radius = person.head_radius_mm
    top, tip = np.array([-radius - 6, 2, -0.3 * radius]), np.array([-radius - 3, 4, 3 - 1.08 * radius])
    return RoundCone(true_socket + top, true_socket + tip, 3, 3)


def _hip_bone(person: Person, disease: Disease, true_socket: np.ndarray, socket: np.ndarray) -> Solid:
    reach = person.head_radius_mm + ROOM_MM + WALL_MM - _SEAM_MM
    axis = _opening(_CUP_INCLINATION_DEG)
    edge_deg = disease.centre_edge_deg if disease.height is None else _SHALLOW_EDGE_DEG
    # The model's own rim may stand further out than the one to draw.
    beyond_rim = Cup(true_socket, 0, reach + _RIM_MM, -axis, -_rim(axis, edge_deg))
    cut: list[Solid] = [RoundCone(true_socket, true_socket, reach, reach), beyond_rim]
    if disease.height is not None:
        outer = person.head_radius_mm + _ROOM_MIGRATED_MM + WALL_MM
        steep = _opening(_FALSE_INCLINATION_DEG)
        cut.append(Cup(socket, 0, outer + _RIM_MM, -steep, -_rim(steep, disease.centre_edge_deg)))
    return Without(person.bones.hip_bone, cut)


def _opening(inclination_deg: float) -> np.ndarray:
    inclination, version = np.radians([inclination_deg, _CUP_VERSION_DEG])
    return np.array(
        [np.cos(inclination) * np.cos(version), np.cos(inclination) * np.sin(version), -np.sin(inclination)]
    )


def _sockets(person: Person, disease: Disease, true: np.ndarray, socket: np.ndarray) -> list[Solid]:
    """The acetabulum; for a migrated head a shallow one, and the false one about the head."""
    radius = person.head_radius_mm
    axis = _opening(_CUP_INCLINATION_DEG)
    if disease.height is None:
        limit = _rim(axis, disease.centre_edge_deg)
        return [Cup(true, 0, radius + ROOM_MM + WALL_MM, axis, limit)]
    inner = radius + _ROOM_MIGRATED_MM
    steep = _opening(_FALSE_INCLINATION_DEG)
    shallow = Cup(true, 0.85 * radius, 0.85 * radius + WALL_MM, axis, _rim(axis, _SHALLOW_EDGE_DEG))
    false = Cup(socket, 0, inner + WALL_MM, steep, _rim(steep, disease.centre_edge_deg))
    ilium = _BUTTRESS_MM * person.scale
    buttress = RoundCone(socket + inner * unit_vector((-0.55, -0.2, 0.9)), ilium, WALL_MM + 2, 5)
    wall = RoundCone(socket + (inner + 3) * unit_vector((-1, 0, 0.25)), true + np.array([-8, -4, 26]), 7, 8)
    return [shallow, false, buttress, wall]


def _rim(axis: np.ndarray, centre_edge_deg: float) -> float:
    """The cup's limit that puts its rim, in the coronal plane, at the centre-edge angle."""
    angle = np.radians(centre_edge_deg)
    return float(np.array([np.sin(angle), 0, np.cos(angle)]) @ axis)


def _femur(person: Person, head: np.ndarray) -> list[Solid]:
    radius = person.head_radius_mm
    scale = radius / TEMPLATE_HEAD_MM
    reach = _NECK_SEAM * radius
    # It starts so far below the head's centre that it does not fill up what flattening took.
    start, end = head + 9 * scale * person.neck_axis, head + 46 * scale * person.neck_axis
    return [
        RoundCone(start, end, _NECK_RADIUS * scale, _NECK_RADIUS * scale),
        Without(person.bones.femur.moved(radius, head), [RoundCone(head, head, reach, reach)]),
    ]
