"""The bones of a hip as solids, from a patient's size and a hip's disease.

Everything is in the hip's own frame, mm: x lateral, y anterior, z superior, the origin midway between
the two sockets; a left hip is its mirror image. Bony landmarks of the pelvis scale with its height,
the femur and the socket with the head.

Sources of the sizes: head diameter men 49.2 +- 3.8, women 45.3 +- 3.5 mm and 0.215 (0.173-0.249) of
pelvic height, 175 mm between the heads, neck-shaft angle 129-133, femoral version 10, acetabular
version 18.5 degrees (method notes of the project). The landmarks are ours, read off anatomical atlases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hipoa.phantom.disease import Disease
from hipoa.phantom.shapes import Cup, CutBall, Grid, Plate, RoundCone, Solid, distance_to

TEMPLATE_HEIGHT_MM = 217.0
TEMPLATE_HEAD_MM = 23.6
SOCKET_X_MM = 87.5
PLATE_MM = 1.5
ROOM_MM = 4.8  # between head and socket where both are centred
PELVIS_SMOOTH_MM, FEMUR_SMOOTH_MM = 5.0, 5.0
_ROOM_MIGRATED_MM = 2.5
_WALL_MM = 6.0
_HEAD_DIAMETER_MM = {"F": (45.3, 3.5), "M": (49.2, 3.8)}
_HEAD_TO_HEIGHT = 0.215
_NECK_SHAFT_DEG, _FEMUR_VERSION_DEG = 131.0, 10.0
_CUP_INCLINATION_DEG, _CUP_VERSION_DEG = 45.0, 18.5


def _unit(vector: tuple[float, float, float]) -> np.ndarray:
    return np.array(vector) / np.linalg.norm(vector)


LOAD = _unit((0.21, 0.06, 0.97))

_WING_CENTRE = ((98, -20, 74), 3.0)
_WING_RING = (
    ((88, 8, 32), 9.0),
    ((101, 32, 34), 7.0),
    ((118, 38, 78), 6.0),
    ((126, 14, 114), 5.0),
    ((118, -18, 131), 5.0),
    ((93, -55, 124), 5.0),
    ((62, -82, 106), 6.0),
    ((43, -93, 74), 7.0),
    ((58, -64, 38), 8.0),
    ((80, -25, 20), 10.0),
)
_PELVIC_BARS = (
    ((88, 2, 32), (94, -10, 52), 12.0, 8.0),  # body of the ilium
    ((78, -10, 20), (52, -56, 52), 9.0, 10.0),  # pelvic brim
    ((82, -24, -4), (66, -36, -62), 12.0, 12.0),  # posterior column
    ((66, -36, -58), (60, -34, -70), 13.0, 10.0),  # ischial tuberosity
    ((72, 14, -6), (30, 38, -6), 8.0, 6.5),  # upper pubic ramus
    ((30, 38, -6), (9, 43, -14), 6.5, 7.0),
    ((9, 43, -12), (9, 39, -36), 7.0, 6.0),  # pubic body
    ((10, 38, -38), (36, 4, -60), 5.5, 5.5),  # lower rami
    ((36, 4, -60), (58, -28, -72), 5.5, 9.0),
)


@dataclass(frozen=True)
class Person:
    """A patient's size.

    Attributes:
        sex: "F" or "M".
        age: In years.
        head_radius_mm: Of both femoral heads before disease.
        pelvic_height_mm: Iliac crest to ischial tuberosity.
        fat_mm: Thickness of the fat under the skin.
    """

    sex: str
    age: int
    head_radius_mm: float
    pelvic_height_mm: float
    fat_mm: float

    @property
    def scale(self) -> float:
        """Size of the pelvis over the template's."""
        return self.pelvic_height_mm / TEMPLATE_HEIGHT_MM


@dataclass(frozen=True)
class Hip:
    """The built bones of one side, in the hip's frame, mm.

    Attributes:
        person: The patient.
        disease: What was to be drawn.
        head: Centre of the femoral head.
        socket: Centre of the surface the head moves in: the acetabulum's, or the false one's.
        socket_radius_mm: Of that surface.
        pelvis: Hip bone and the roof of the socket, without osteophytes.
        hollows: What is cut out of the pelvis: the joint's room first, flattened like the head; then what
            is left of the acetabulum under a migrated head.
        femoral_head: The head, flattened by disease.
        femur: Neck, trochanters and shaft.
        teardrop: The teardrop figure.
        osteophytes: The spur at the rim of the socket, then those about the head.
        cysts: Balls in the subchondral bone.
    """

    person: Person
    disease: Disease
    head: np.ndarray
    socket: np.ndarray
    socket_radius_mm: float
    pelvis: list[Solid]
    hollows: list[CutBall]
    femoral_head: CutBall
    femur: list[Solid]
    teardrop: RoundCone
    osteophytes: list[RoundCone] = field(default_factory=list)
    cysts: list[RoundCone] = field(default_factory=list)

    @property
    def loaded(self) -> np.ndarray:
        """The point of the socket that bears the load, mm (3,)."""
        room = self.hollows[0]
        return room.centre + (room.radius - room.cut) * LOAD

    def pelvis_distance(self, points: np.ndarray, distance: np.ndarray | None = None) -> np.ndarray:
        """Signed distance in mm (...) of points (3, ...) to the pelvis with the joint's room cut out.

        Args:
            points: Positions in the hip's frame, mm.
            distance: That to the solids of ``pelvis``, where it is known already.
        """
        if distance is None:
            distance = distance_to(self.pelvis, points, PELVIS_SMOOTH_MM)
        for hollow in self.hollows:
            distance = np.maximum(distance, -hollow.distance(points))
        return np.maximum(distance, 2.2 - points[0])

    def bone_distance(self, grid: Grid) -> np.ndarray:
        """Signed distance in mm (I, J, K) of a grid's voxels to femur or pelvis, without osteophytes."""
        points = grid.all_points()
        pelvis = self.pelvis_distance(points, grid.distance(self.pelvis, PELVIS_SMOOTH_MM))
        return np.minimum(pelvis, self.femur_distance(points))

    def femur_distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm (...) of points (3, ...) to the femur."""
        return np.minimum(
            self.femoral_head.distance(points), distance_to(self.femur, points, FEMUR_SMOOTH_MM)
        )


def draw_person(rng: np.random.Generator) -> Person:
    """A patient of this kind of clinic: mostly women."""
    sex = "F" if rng.random() < 0.7 else "M"
    mean, spread = _HEAD_DIAMETER_MM[sex]
    diameter = mean + spread * np.clip(rng.normal(), -1.8, 1.8)
    # A large head goes with a large pelvis, but not in proportion: their ratio is 0.18-0.25.
    height = (diameter + mean) / 2 / _HEAD_TO_HEIGHT * (1 + 0.03 * np.clip(rng.normal(), -1.8, 1.8))
    return Person(
        sex=sex,
        age=int(rng.integers(38, 82)),
        head_radius_mm=float(diameter / 2),
        pelvic_height_mm=float(height),
        fat_mm=float(np.clip(rng.normal(22, 5), 12, 30)),
    )


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
    socket_radius = radius + (_ROOM_MIGRATED_MM if migrated else ROOM_MM)
    shift = head_shift_mm(radius, disease, socket_radius)
    socket = true_socket + (_migration(person, disease, shift) if migrated else 0)
    head = socket + shift * LOAD
    teardrop = _teardrop(person, true_socket)
    flat = radius * (1 - 2 * disease.flattening)
    cut = socket_radius - (shift + flat + disease.joint_space_mm) if disease.flattening > 0 else 0.0
    room = CutBall(socket, socket_radius, LOAD, cut)
    hip = Hip(
        person=person,
        disease=disease,
        head=head,
        socket=socket,
        socket_radius_mm=socket_radius,
        pelvis=[*_pelvic_bones(person), teardrop, *_sockets(person, disease, true_socket, socket)],
        hollows=[room, CutBall(true_socket, 0.85 * radius, LOAD, 0)] if migrated else [room],
        femoral_head=CutBall(head, radius, LOAD, 2 * radius * disease.flattening),
        femur=_femur(person, head),
        teardrop=teardrop,
    )
    hip.osteophytes.extend(_osteophytes(hip, rng))
    hip.cysts.extend(_cysts(hip, rng))
    return hip


def head_shift_mm(radius: float, disease: Disease, socket_radius: float) -> float:
    """How far the head moves along the load until the least joint space is the one to draw.

    The head's farthest point from the socket's centre is at the edge of what was flattened; the socket
    is flattened to the same gap.
    """
    flat_height = radius * (1 - 2 * disease.flattening)
    flat_radius_2 = radius**2 - flat_height**2
    return float(np.sqrt((socket_radius - disease.joint_space_mm) ** 2 - flat_radius_2) - flat_height)


def neck_axis() -> np.ndarray:
    """Unit vector (3,) from the head's centre along the neck."""
    down, version = np.radians([_NECK_SHAFT_DEG - 90, _FEMUR_VERSION_DEG])
    return np.array([np.cos(down) * np.cos(version), -np.cos(down) * np.sin(version), -np.sin(down)])


def junction_drop_mm(radius: float) -> float:
    """How far the medial head-neck junction lies below the head's centre."""
    neck = _NECK_RADIUS * radius / TEMPLATE_HEAD_MM
    axis = neck_axis()
    return float(np.sqrt(radius**2 - neck**2) * -axis[2] + neck * np.sqrt(1 - axis[2] ** 2))


_NECK_RADIUS = 15.2


def _migration(person: Person, disease: Disease, shift: float) -> np.ndarray:
    """From the true to the false socket: up to the height to draw, lateral, and a little back."""
    lowest = -1.08 * person.head_radius_mm
    height = (disease.height or 0) * person.pelvic_height_mm
    up = lowest + height + junction_drop_mm(person.head_radius_mm) - shift * LOAD[2]
    return np.array([disease.lateral_mm - shift * LOAD[0], -0.2 * up, up])


def _teardrop(person: Person, true_socket: np.ndarray) -> RoundCone:
    radius = person.head_radius_mm
    top, tip = np.array([-radius - 6, 2, -0.3 * radius]), np.array([-radius - 3, 4, 3 - 1.08 * radius])
    return RoundCone(true_socket + top, true_socket + tip, 3, 3)


def _pelvic_bones(person: Person) -> list[Solid]:
    scale = person.scale

    def scaled(corner: tuple[tuple[float, float, float], float]) -> tuple[np.ndarray, float]:
        return np.array(corner[0]) * scale, corner[1] * scale

    ring = [scaled(corner) for corner in _WING_RING]
    centre = scaled(_WING_CENTRE)
    wing = [
        Plate(np.array([centre[0], a[0], b[0]]), (centre[1], a[1], b[1]))
        for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)
    ]
    bars = [
        RoundCone(np.array(a) * scale, np.array(b) * scale, ra * scale, rb * scale)
        for a, b, ra, rb in _PELVIC_BARS
    ]
    return [*wing, *bars]


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
        return [Cup(true, 0, radius + ROOM_MM + _WALL_MM, axis, limit)]
    inner = radius + _ROOM_MIGRATED_MM
    steep = _opening(25)
    shallow = Cup(true, 0.85 * radius, 0.85 * radius + _WALL_MM, axis, _rim(axis, 5))
    false = Cup(socket, 0, inner + _WALL_MM, steep, _rim(steep, disease.centre_edge_deg))
    ilium = np.array(_WING_CENTRE[0]) * person.scale
    buttress = RoundCone(socket + inner * _unit((-0.55, -0.2, 0.9)), ilium, _WALL_MM + 2, 5)
    wall = RoundCone(socket + (inner + 3) * _unit((-1, 0, 0.25)), true + np.array([-8, -4, 26]), 7, 8)
    return [shallow, false, buttress, wall]


def _rim(axis: np.ndarray, centre_edge_deg: float) -> float:
    """The cup's limit that puts its rim, in the coronal plane, at the centre-edge angle."""
    angle = np.radians(centre_edge_deg)
    return float(np.array([np.sin(angle), 0, np.cos(angle)]) @ axis)


def _femur(person: Person, head: np.ndarray) -> list[Solid]:
    scale = person.head_radius_mm / TEMPLATE_HEAD_MM
    base = neck_axis() * 52

    def bar(a: Sequence[float] | np.ndarray, b: Sequence[float], ra: float, rb: float) -> RoundCone:
        return RoundCone(head + (base + a) * scale, head + (base + b) * scale, ra * scale, rb * scale)

    return [
        # It starts so far below the head's centre that it does not fill up what flattening took.
        bar(-neck_axis() * 43, (0, 0, 0), _NECK_RADIUS, _NECK_RADIUS),
        bar((-2, 1, 2), (-1, 0, -18), 16.5, 18.5),
        bar((-1, 0, -18), (-4, 2, -45), 18.5, 15.5),
        bar((-4, 2, -45), (-11, 4, -125), 15.5, 13.8),
        bar((2, -4, -6), (9, -10, 20), 17, 10),
        bar((-12, -10, -28), (-21, -12, -33), 9, 6),
    ]


def _osteophytes(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """A spur at the roof's rim as long as drawn, and a collar of smaller ones about the head."""
    size = hip.disease.osteophyte_mm
    if size < 0.3:
        return []
    angle = np.radians(hip.disease.centre_edge_deg)
    rim = hip.socket + (hip.socket_radius_mm + _WALL_MM / 2) * np.array([np.sin(angle), 0, np.cos(angle)])
    out = np.array([np.cos(angle - 0.25), 0, -np.sin(angle - 0.25)])
    tip = min(2.0, size / 2)
    spurs = [RoundCone(rim - 3 * out, rim + (size - tip) * out, _WALL_MM / 2, tip)]
    axis, radius = neck_axis(), hip.person.head_radius_mm
    u = _unit((axis[2], 0, -axis[0]))
    v = np.cross(axis, u)
    for turn in np.arange(10) * 2 * np.pi / 10:
        # The largest stand medially and laterally, where a radiograph shows them in profile.
        grow = size * (0.45 + 0.4 * abs(np.cos(turn)) + 0.15 * rng.random())
        around = np.cos(turn) * u + np.sin(turn) * v
        surface = hip.head + radius * (0.62 * axis + np.sqrt(1 - 0.62**2) * around)
        spurs.append(RoundCone(surface - 0.1 * grow * around, surface - 0.1 * grow * around, grow, grow))
    return spurs


def _cysts(hip: Hip, rng: np.random.Generator) -> list[RoundCone]:
    """Balls under the loaded surfaces, in roof and head by turns, wholly in bone, apart from each other."""
    cysts: list[RoundCone] = []
    for number, diameter in enumerate(sorted(hip.disease.cyst_mm, reverse=True)):
        radius = diameter / 2
        places = _cyst_places(hip, rng, radius, in_roof=number % 2 == 1 and diameter < 6)
        bone = np.minimum(hip.pelvis_distance(places), hip.femur_distance(places))
        free = bone < -radius - 0.7
        for other in cysts:
            free &= np.linalg.norm(places - np.asarray(other.a)[:, None], axis=0) > radius + other.ra + 2
        if free.any():
            centre = places[:, np.argmax(free)]
            cysts.append(RoundCone(centre, centre, radius, radius))
    return cysts


def _cyst_places(hip: Hip, rng: np.random.Generator, radius: float, *, in_roof: bool) -> np.ndarray:
    """Centres (3, 300) where a cyst may lie, near the load, mm."""
    aside = rng.uniform(-1, 1, (3, 300))
    way = LOAD[:, None] + 0.55 * (aside - LOAD[:, None] * (LOAD @ aside))
    way /= np.linalg.norm(way, axis=0)
    under = PLATE_MM * hip.disease.plate_factor + radius
    if in_roof:
        room = hip.hollows[0]
        reach = np.minimum(room.radius, (room.radius - room.cut) / (LOAD @ way)) + under + 0.5
        return hip.socket[:, None] + reach * way
    flat = hip.person.head_radius_mm * (1 - 2 * hip.disease.flattening)
    reach = np.minimum(hip.person.head_radius_mm, flat / (LOAD @ way)) - under - 1 - 8 * rng.random(300)
    return hip.head[:, None] + reach * way
