"""What a patient's hip is made of: size, landmarks of the template, and the built solids.

Everything is in the hip's own frame, mm: x lateral, y anterior, z superior, the origin midway between
the two sockets; a left hip is its mirror image.

Sources of the sizes: head diameter men 49.2 +- 3.8, women 45.3 +- 3.5 mm and 0.215 (0.173-0.249) of
pelvic height, 175 mm between the heads, neck-shaft angle 129-133, femoral version 10 degrees (method
notes of the project). How often the joint narrows where is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hipoa.phantom.anatomy.bones import N_MODES, Bones, build_bones, turn_about
from hipoa.phantom.anatomy.disease import Disease
from hipoa.phantom.anatomy.solids import CutBall, Grid, RoundCone, Solid, distance_to

TEMPLATE_HEIGHT_MM = 217.0
TEMPLATE_HEAD_MM = 23.6
SOCKET_X_MM = 87.5
PLATE_MM = 1.5
WALL_MM = 6.0
PELVIS_SMOOTH_MM, FEMUR_SMOOTH_MM = 5.0, 5.0
_ROOM_ABOUT_FEMUR_MM = 2.0
_HEAD_DIAMETER_MM = {"F": (45.3, 3.5), "M": (49.2, 3.8)}
_HEAD_TO_HEIGHT = 0.215
# Thin and stout differ by more than any grade: else the grey of a radiograph would tell the grade. Ours.
_FAT_MM, _FAT_RANGE_MM = (24.0, 10.0), (8.0, 44.0)
_NECK_SHAFT_DEG, _FEMUR_VERSION_DEG = (131.0, 3.0), (10.0, 6.0)
# Knees lie on a bolster: in most CTs the femur is turned about its neck by less than the first angle, in the
# others by up to the second, which flexes the shaft by 23-32 degrees and abducts it by 7-19. Ours.
_FEMUR_TURN_DEG, _FAR_TURNED_SHARE = (20.0, 40.0), 0.2
# Old bone is less dense than the notes' 300 HU. Ours, like the texture.
_CANCELLOUS_HU, _TRABECULAR_HU, _TRABECULA_MM = (250.0, 400.0), (25.0, 90.0), (1.0, 2.5)


def unit_vector(vector: tuple[float, float, float]) -> np.ndarray:
    """A vector (3,) of length 1."""
    return np.array(vector) / np.linalg.norm(vector)


LOADS = {
    "superior": unit_vector((0.21, 0.06, 0.97)),
    "medial": unit_vector((-0.60, 0.05, 0.80)),
    "concentric": unit_vector((0.21, 0.06, 0.97)),
}
_PATTERNS = {"superior": 0.65, "medial": 0.20, "concentric": 0.15}


@dataclass(frozen=True)
class Person:
    """A patient's size.

    Attributes:
        sex: "F" or "M".
        age: In years.
        head_radius_mm: Of both femoral heads before disease.
        pelvic_height_mm: Iliac crest to ischial tuberosity.
        fat_mm: Thickness of the fat under the skin in front and behind.
        shape: Of the bones: modes of the shape model, in standard deviations.
        neck_shaft_deg: Angle of the femoral neck and shaft.
        version_deg: Of the femoral neck, forwards.
        pattern: Where the joint narrows: superior, medial or concentric.
        flank_mm: Of the fat at the flanks, which does not follow that in front.
        bulge_mm: How far the skin stands out at the trochanters, of the template's size.
        fat_hu: Of the fat.
        muscle_hu: Of healthy muscle.
        belly_mm: How far the belly stands out in front, above the hips.
        lumbar_mm: How far L4 and L5 lie from the template's place: to the right, upwards.
        spine_hu: Of the spongy bone of sacrum and lumbar spine.
        femur_turn_deg: Of both femora about their necks, the shaft forwards, as flexed hips lie.
        cancellous_hu: Of the spongy bone of hip bone and femur.
        head_shell: Of the heads' own shell: 0 as their spongy bone, 1 as cortical bone.
        trabecular_hu: Standard deviation of the trabeculae.
        trabecula_mm: Their grain.
    """

    sex: str
    age: int
    head_radius_mm: float
    pelvic_height_mm: float
    fat_mm: float
    shape: tuple[float, ...]
    neck_shaft_deg: float
    version_deg: float
    pattern: str
    flank_mm: float = 18.0
    bulge_mm: float = 17.0
    fat_hu: float = -105.0
    muscle_hu: float = 58.0
    belly_mm: float = 0.0
    lumbar_mm: tuple[float, float] = (0.0, 0.0)
    spine_hu: float = 240.0
    femur_turn_deg: float = 0.0
    cancellous_hu: float = 330.0
    head_shell: float = 1.0
    trabecular_hu: float = 45.0
    trabecula_mm: float = 1.5

    @property
    def neck_axis(self) -> np.ndarray:
        """Unit vector (3,) from the head's centre along the neck."""
        down, version = np.radians([self.neck_shaft_deg - 90, self.version_deg])
        return np.array([np.cos(down) * np.cos(version), -np.cos(down) * np.sin(version), -np.sin(down)])

    @property
    def bones(self) -> Bones:
        """The bones before disease, in a hip's frame."""
        x, y, z = (float(way) for way in self.neck_axis)
        socket_x_mm = SOCKET_X_MM * self.scale
        return build_bones(self.shape, self.pelvic_height_mm, socket_x_mm, (x, y, z), self.femur_turn_deg)

    @property
    def scale(self) -> float:
        """Size of the pelvis over the template's."""
        return self.pelvic_height_mm / TEMPLATE_HEIGHT_MM

    def turn_femur(self, way: tuple[float, float, float]) -> np.ndarray:
        """A way (3,) of the straight femur, as the femur lies."""
        return turn_about(self.neck_axis, self.femur_turn_deg) @ way


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
        return room.centre + (room.radius - room.cut) * self.load

    @property
    def load(self) -> np.ndarray:
        """The direction (3,) in which the head presses into its socket."""
        return load_of(self.person, self.disease)

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
        if self.disease.height is not None:
            # A trochanter that has moved up would stand in the ilium.
            room = _ROOM_ABOUT_FEMUR_MM - distance_to(self.femur, points, FEMUR_SMOOTH_MM)
            distance = np.maximum(distance, room)
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
    age = int(rng.integers(38, 82))
    fat_mm = float(np.clip(rng.normal(*_FAT_MM), *_FAT_RANGE_MM))
    # A stream of their own: what lies above the hips changes nothing about them.
    above = rng.spawn(1)[0]
    bone = above.spawn(1)[0]
    return Person(
        sex=sex,
        age=age,
        head_radius_mm=float(diameter / 2),
        pelvic_height_mm=float(height),
        fat_mm=fat_mm,
        # Beyond 1.5 the shapes of so few measured people are not to be trusted.
        shape=tuple(float(mode) for mode in np.clip(rng.normal(size=N_MODES), -1.5, 1.5)),
        neck_shaft_deg=_draw(rng, *_NECK_SHAFT_DEG),
        version_deg=_draw(rng, *_FEMUR_VERSION_DEG),
        pattern=str(rng.choice(list(_PATTERNS), p=list(_PATTERNS.values()))),
        flank_mm=float(rng.uniform(2, _widest_flank_mm(height))),
        bulge_mm=float(rng.uniform(8, 26)),
        fat_hu=float(rng.uniform(-115, -95)),
        muscle_hu=float(rng.uniform(48, 68)),
        belly_mm=float(above.uniform(0, _largest_belly_mm(height, fat_mm))),
        lumbar_mm=(float(above.uniform(-9, 9)), float(above.uniform(-6, 6))),
        spine_hu=float(above.uniform(140, 340)),
        femur_turn_deg=_draw_femur_turn_deg(bone),
        cancellous_hu=float(bone.uniform(*_CANCELLOUS_HU)),
        head_shell=float(bone.uniform(0, 1)),
        trabecular_hu=float(bone.uniform(*_TRABECULAR_HU)),
        trabecula_mm=float(bone.uniform(*_TRABECULA_MM)),
    )


def _draw_femur_turn_deg(rng: np.random.Generator) -> float:
    usual, far = _FEMUR_TURN_DEG
    return float(rng.uniform(usual, far) if rng.random() < _FAR_TURNED_SHARE else rng.uniform(0, usual))


def _widest_flank_mm(pelvic_height_mm: float) -> float:
    """What the scanner's field of view leaves room for."""
    return float(np.clip(222 - 175 * pelvic_height_mm / TEMPLATE_HEIGHT_MM, 14, 50))


def _largest_belly_mm(pelvic_height_mm: float, fat_mm: float) -> float:
    """What the scanner's field of view leaves room for, in front."""
    return float(np.clip(140 - 84 * pelvic_height_mm / TEMPLATE_HEIGHT_MM - 1.2 * fat_mm, 2, 45))


def load_of(person: Person, disease: Disease) -> np.ndarray:
    """The direction (3,) of a hip's load; a head that has migrated upwards bears on its top."""
    return LOADS[person.pattern if disease.height is None else "superior"]


def _draw(rng: np.random.Generator, mean: float, spread: float) -> float:
    return float(mean + spread * np.clip(rng.normal(), -1.8, 1.8))
