"""A simulated patient's size and build, and the solids of one hip.

Everything is in the hip's own frame, mm: x lateral, y anterior, z superior, the origin midway between
the two sockets; a left hip is its mirror image.

Sources of the sizes: head diameter men 49.2 +- 3.8, women 45.3 +- 3.5 mm and 0.215 (0.173-0.249) of
pelvic height, 175 mm between the heads, neck-shaft angle 129-133, femoral version 10 degrees (method
notes of the project). The frequencies of the patterns of joint space narrowing are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hipoa.phantom.anatomy.bones import N_MODES, Bones, build_bones, turn_about
from hipoa.phantom.anatomy.disease import Disease
from hipoa.phantom.anatomy.solids import CutBall, Grid, RoundCone, Solid, distance_to

TEMPLATE_HEIGHT_MM = 217.0
_TEMPLATE_HEAD_MM = 23.6
SOCKET_X_MM = 87.5
PLATE_MM = 1.5
WALL_MM = 6.0
PELVIS_SMOOTH_MM, FEMUR_SMOOTH_MM = 5.0, 5.0
_ROOM_ABOUT_FEMUR_MM = 2.0
_HEAD_DIAMETER_MM = {"F": (45.3, 3.5), "M": (49.2, 3.8)}
_HEAD_TO_HEIGHT = 0.215
# The ranges below are our choice. Thin and stout differ by more than any grade: else the grey of a radiograph
# would tell the grade.
_FAT_MM, _FAT_RANGE_MM = (24.0, 10.0), (8.0, 44.0)
_NECK_SHAFT_DEG, _FEMUR_VERSION_DEG = (131.0, 3.0), (10.0, 6.0)
# Knees lie on a bolster: in most CTs the femur is rotated a little about its neck, in the others far, which
# flexes the shaft by 23-32 degrees and abducts it by 7-19.
_FEMUR_TURN_DEG, _FAR_TURNED_SHARE = ((0.0, 20.0), (20.0, 40.0)), 0.2
# Old bone is less dense than the notes' 300 HU.
_CANCELLOUS_HU, _TRABECULAR_HU, _TRABECULA_MM = (250.0, 400.0), (25.0, 90.0), (1.0, 2.5)
_PATTERNS = {"superior": 0.65, "medial": 0.20, "concentric": 0.15}


@dataclass(frozen=True)
class Person:
    """A patient's size and build."""

    sex: str  # "F" or "M"
    age: int
    head_radius_mm: float  # both heads, before disease
    pelvic_height_mm: float  # iliac crest to ischial tuberosity
    fat_mm: float  # subcutaneous, in front and behind
    shape: tuple[float, ...]  # modes of the bones' shape model, in standard deviations
    neck_shaft_deg: float
    version_deg: float  # of the femoral neck, forwards
    pattern: str  # of joint space narrowing: superior, medial or concentric
    flank_mm: float  # fat at the flanks, independent of that in front
    bulge_mm: float  # of the skin at the trochanters, in the template's size
    fat_hu: float
    muscle_hu: float  # healthy
    belly_mm: float  # how far it stands out in front, above the hips
    lumbar_mm: tuple[float, float]  # offset of L4 and L5 from the template: to the right, upwards
    spine_hu: float  # cancellous bone of sacrum and lumbar spine
    femur_turn_deg: float  # rotation of both femora about their necks, the shaft forwards, as in flexed hips
    cancellous_hu: float  # hip bone and femur
    head_shell: float  # the heads' subchondral shell: 0 as their cancellous bone, 1 as cortical bone
    trabecular_hu: float  # standard deviation of the texture
    trabecula_mm: float  # its grain

    @property
    def neck_axis(self) -> np.ndarray:
        """Unit vector (3,) from the head's centre along the neck."""
        down, version = np.radians([self.neck_shaft_deg - 90, self.version_deg])
        return np.array([np.cos(down) * np.cos(version), -np.cos(down) * np.sin(version), -np.sin(down)])

    @property
    def bones(self) -> Bones:
        """The bones before disease, in a hip's frame."""
        x, y, z = self.neck_axis.tolist()
        socket_x_mm = SOCKET_X_MM * self.scale
        return build_bones(self.shape, self.pelvic_height_mm, socket_x_mm, (x, y, z), self.femur_turn_deg)

    @property
    def scale(self) -> float:
        """Size of the pelvis over the template's."""
        return self.pelvic_height_mm / TEMPLATE_HEIGHT_MM

    @property
    def femoral_scale(self) -> float:
        """Size of the femur over the template's."""
        return self.head_radius_mm / _TEMPLATE_HEAD_MM

    def turn_femur(self, vector: tuple[float, float, float]) -> np.ndarray:
        """A vector (3,) of the straight femur, as the femur lies."""
        return turn_about(self.neck_axis, self.femur_turn_deg) @ vector


@dataclass(frozen=True)
class Hip:
    """The bones of one side, in the hip's frame, mm."""

    person: Person
    disease: Disease  # what was to be drawn
    load: np.ndarray  # direction (3,) in which the head presses into its socket
    head: np.ndarray  # centre of the femoral head
    socket: np.ndarray  # centre of the surface the head moves in: the acetabulum's, or the false one's
    socket_radius_mm: float  # of that surface
    pelvis: list[Solid]  # hip bone and roof of the socket, without osteophytes
    # Cut out of the pelvis: the joint cavity first, flattened like the head; then what is left of the
    # acetabulum under a migrated head.
    cavities: list[CutBall]
    femoral_head: CutBall  # flattened by disease
    femur: list[Solid]  # neck, trochanters and shaft
    teardrop: RoundCone
    osteophytes: Sequence[RoundCone] = ()  # the spur at the socket's rim, then those about the head
    cysts: Sequence[RoundCone] = ()  # balls in the subchondral bone

    @property
    def loaded(self) -> np.ndarray:
        """The point of the socket that bears the load, mm (3,)."""
        cavity = self.cavities[0]
        return cavity.centre + (cavity.radius - cavity.cut) * self.load

    def pelvis_distance(self, points: np.ndarray, distance: np.ndarray | None = None) -> np.ndarray:
        """Signed distance in mm (...) of points (3, ...) to the pelvis without its cavities.

        ``distance`` is that to the solids of ``pelvis``, if it is known already.
        """
        if distance is None:
            distance = distance_to(self.pelvis, points, PELVIS_SMOOTH_MM)
        for cavity in self.cavities:
            distance = np.maximum(distance, -cavity.distance(points))
        if self.disease.height is not None:
            # A trochanter that has moved up would stand in the ilium.
            room = _ROOM_ABOUT_FEMUR_MM - distance_to(self.femur, points, FEMUR_SMOOTH_MM)
            distance = np.maximum(distance, room)
        return np.maximum(distance, 2.2 - points[0])

    def bone_distance(self, grid: Grid) -> np.ndarray:
        """Signed distance in mm (I, J, K) of a grid's voxels to femur or pelvis, without osteophytes."""
        points, pelvis = grid.points(), grid.distance(self.pelvis, PELVIS_SMOOTH_MM)
        return np.minimum(self.pelvis_distance(points, pelvis), self.femur_distance(points))

    def femur_distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm (...) of points (3, ...) to the femur."""
        return np.minimum(
            self.femoral_head.distance(points), distance_to(self.femur, points, FEMUR_SMOOTH_MM)
        )


def draw_person(rng: np.random.Generator) -> Person:
    """A random patient of a hip clinic, most of them women."""
    sex = "F" if rng.random() < 0.7 else "M"
    mean_mm, spread_mm = _HEAD_DIAMETER_MM[sex]
    diameter_mm = _draw(rng, mean_mm, spread_mm)
    # A large head goes with a large pelvis, but not in proportion: their ratio is 0.18-0.25.
    height_mm = (diameter_mm + mean_mm) / 2 / _HEAD_TO_HEIGHT * _draw(rng, 1, 0.03)
    age = int(rng.integers(38, 82))
    fat_mm = float(np.clip(rng.normal(*_FAT_MM), *_FAT_RANGE_MM))
    # Flanks and belly stay within the scanner's field of view.
    widest_flank_mm = np.clip(222 - 175 * height_mm / TEMPLATE_HEIGHT_MM, 14, 50)
    largest_belly_mm = np.clip(140 - 84 * height_mm / TEMPLATE_HEIGHT_MM - 1.2 * fat_mm, 2, 45)
    # Separate streams, so that what lies above the hips, and the bone's texture, change nothing about them.
    above = rng.spawn(1)[0]
    bone = above.spawn(1)[0]
    return Person(
        sex=sex,
        age=age,
        head_radius_mm=diameter_mm / 2,
        pelvic_height_mm=height_mm,
        fat_mm=fat_mm,
        # Shapes beyond 1.5 standard deviations of so few measured people are not to be trusted.
        shape=tuple(np.clip(rng.normal(size=N_MODES), -1.5, 1.5).tolist()),
        neck_shaft_deg=_draw(rng, *_NECK_SHAFT_DEG),
        version_deg=_draw(rng, *_FEMUR_VERSION_DEG),
        pattern=str(rng.choice(list(_PATTERNS), p=list(_PATTERNS.values()))),
        flank_mm=rng.uniform(2, widest_flank_mm),
        bulge_mm=rng.uniform(8, 26),
        fat_hu=rng.uniform(-115, -95),
        muscle_hu=rng.uniform(48, 68),
        belly_mm=above.uniform(0, largest_belly_mm),
        lumbar_mm=(above.uniform(-9, 9), above.uniform(-6, 6)),
        spine_hu=above.uniform(140, 340),
        femur_turn_deg=bone.uniform(*_FEMUR_TURN_DEG[bone.random() < _FAR_TURNED_SHARE]),
        cancellous_hu=bone.uniform(*_CANCELLOUS_HU),
        head_shell=bone.uniform(0, 1),
        trabecular_hu=bone.uniform(*_TRABECULAR_HU),
        trabecula_mm=bone.uniform(*_TRABECULA_MM),
    )


def _draw(rng: np.random.Generator, mean: float, spread: float) -> float:
    return float(mean + spread * np.clip(rng.normal(), -1.8, 1.8))
