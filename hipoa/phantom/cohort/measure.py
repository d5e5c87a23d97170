"""Measures a built hip, as one would measure a scan of it: what is there, not what was asked for.

Surfaces are found along rays, heights on slices, and plate, sclerosis and cysts on noise-free fine
renderings. Crowe follows from the measured height.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hipoa.imaging.localization.sphere_fit import fit_sphere
from hipoa.phantom.anatomy.hip import PLATE_MM, SOCKET_X_MM, Hip
from hipoa.phantom.anatomy.solids import Grid, directions
from hipoa.phantom.scanner.voxels import CORTICAL_HU, CYST_HU, render_bones

Distance = Callable[[np.ndarray], np.ndarray]

# Upper bounds of Crowe I, II and III. Source: Crowe, Mani, Ranawat, J Bone Joint Surg 1979.
CROWE_BOUNDS = (0.10, 0.15, 0.20)
# Halving 80 mm 24 times finds a surface to 5 nm, far below float32's own error.
_LONGEST_MM, _HALVINGS = 80.0, 24
_ABOUT_CYSTS_MM = 4.0


@dataclass(frozen=True)
class Measured:
    """What a hip measures; see :class:`hipoa.phantom.anatomy.disease.Disease` for the words.

    Attributes:
        centre: Of the femoral head, in the hip's frame, mm (3,).
        radius_mm: Of the head.
        joint_space_mm: Least distance of head and socket, mm.
        osteophyte_mm: Greatest distance of an osteophyte's surface from the bone that bears it.
        plate_factor: Thickness of the socket's subchondral plate over the normal one.
        sclerosis_hu: Added to the plate at the loaded point.
        cysts: Their number.
        flattening: Lost share of the head's diameter along the load.
        height: Of the medial head-neck junction above the teardrop over pelvic height.
        lateral_mm: From the acetabulum's centre to the head's, lateral.
        centre_edge_deg: From the vertical to the roof's rim, about the socket's centre.
        pelvic_height_mm: Iliac crest to ischial tuberosity.
        teardrop: Lowest point of the teardrop, in the hip's frame, mm (3,).
        junction: The medial head-neck junction, likewise.
    """

    centre: np.ndarray
    radius_mm: float
    joint_space_mm: float
    osteophyte_mm: float
    plate_factor: float
    sclerosis_hu: float
    cysts: int
    flattening: float
    height: float
    lateral_mm: float
    centre_edge_deg: float
    pelvic_height_mm: float
    teardrop: np.ndarray
    junction: np.ndarray

    @property
    def crowe(self) -> int:
        """Crowe 1-4."""
        return 1 + sum(self.height > bound for bound in CROWE_BOUNDS)


def measure_hip(hip: Hip) -> Measured:
    """Measures one hip."""
    centre, radius = fit_head(hip)
    # Opposite the load there may be the neck.
    along = radius + float(reach_mm(hip.femur_distance, centre[:, None], hip.load[:, None])[0])
    plate_factor, sclerosis_hu = _measure_plate(hip)
    pelvic_height = _measure_pelvic_height(hip)
    junction, teardrop = _find_junction(hip, centre), _find_teardrop(hip)
    return Measured(
        centre=centre,
        radius_mm=radius,
        joint_space_mm=_measure_joint_space(hip, centre),
        osteophyte_mm=_measure_osteophytes(hip),
        plate_factor=plate_factor,
        sclerosis_hu=sclerosis_hu,
        cysts=_count_cysts(hip),
        flattening=1 - along / (2 * radius),
        height=float(junction[2] - teardrop[2]) / pelvic_height,
        lateral_mm=float(centre[0]) - SOCKET_X_MM * hip.person.scale,
        centre_edge_deg=_measure_centre_edge(hip),
        pelvic_height_mm=pelvic_height,
        teardrop=teardrop,
        junction=junction,
    )


def reach_mm(distance: Distance, origins: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """How far rays run before they leave a solid: mm (n,).

    Args:
        distance: Signed distance of points (3, n), mm, negative at the origins.
        origins: (3, n) or (3, 1), mm.
        ways: Unit vectors (3, n) or (3, 1).
    """
    number = max(origins.shape[1], ways.shape[1])
    low, high = np.zeros(number), np.full(number, _LONGEST_MM)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = distance(origins + middle * ways) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


def surface_along(distance: Distance, origin: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Where rays from one origin (3,) along ways (3, n) leave a solid: positions (3, n), mm."""
    return origin[:, None] + reach_mm(distance, origin[:, None], ways) * ways


def fit_head(hip: Hip) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere through the head's surface, away from neck and load, mm."""
    way = directions(400)
    way = way[:, (hip.load @ way < 0.3) & (hip.person.neck_axis @ way < 0.4)]
    surface = surface_along(hip.femur_distance, hip.head, way)
    return fit_sphere(surface.T)


def _measure_joint_space(hip: Hip, centre: np.ndarray) -> float:
    way = directions(6000)
    surface = surface_along(hip.femur_distance, centre, way[:, hip.load @ way > 0.3])
    return float(hip.pelvis_distance(surface.astype(np.float32)).min())


def _measure_osteophytes(hip: Hip) -> float:
    if not hip.osteophytes:
        return 0.0
    spur, *collar = hip.osteophytes
    ends = [
        (spur.b, spur.rb, hip.pelvis_distance),
        *((ball.a, ball.ra, hip.femur_distance) for ball in collar),
    ]
    way = directions(500)
    return max(float(native(np.asarray(end)[:, None] + radius * way).max()) for end, radius, native in ends)


def _line(hip: Hip, start: np.ndarray, way: np.ndarray, step_mm: float, number: int) -> np.ndarray:
    """The HU (number,) along a line, rendered as a column of very small voxels."""
    across = np.linalg.svd(way[None])[2][1:]
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([across[0], across[1], way]) * step_mm
    frame[:3, 3] = start
    hu = np.zeros((1, 1, number), np.float32)
    render_bones(hu, Grid((1, 1, number), frame), hip)
    return hu[0, 0]


def _measure_plate(hip: Hip) -> tuple[float, float]:
    step_mm = 0.05
    hu = _line(hip, hip.loaded - 0.5 * step_mm * hip.load, hip.load, step_mm, 140)
    peak = float(hu[8:20].max())
    # Half way between cortex and spongy bone; sclerosis adds to both.
    end = int(np.argmax(hu[8:] < peak - (CORTICAL_HU - hip.person.cancellous_hu) / 2)) + 8
    return end * step_mm / PLATE_MM, peak - CORTICAL_HU


def _count_cysts(hip: Hip) -> int:
    if not hip.cysts:
        return 0
    step_mm = 0.8
    # Nothing else makes a hollow in bone: what is counted is how many are left of those that were placed.
    boxes = np.array([cyst.bounds() for cyst in hip.cysts])
    low, high = boxes[:, 0].min(0) - _ABOUT_CYSTS_MM, boxes[:, 1].max(0) + _ABOUT_CYSTS_MM
    frame = np.diag([step_mm, step_mm, step_mm, 1.0])
    frame[:3, 3] = low
    x, y, z = (int(number) for number in np.ceil((high - low) / step_mm))
    grid = Grid((x, y, z), frame)
    hu = np.zeros(grid.shape, np.float32)
    render_bones(hu, grid, hip)
    hollow = (hu < (CYST_HU + hip.person.cancellous_hu) / 2) & (hip.bone_distance(grid) < -1)
    found = np.zeros(grid.shape, np.int32)
    ndimage.label(hollow, np.ones((3, 3, 3)), output=found)
    return int(found.max())


def _measure_centre_edge(hip: Hip) -> float:
    angle = np.radians(np.arange(0, 90, 0.25))
    room = hip.hollows[0]
    way = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)])
    roof = surface_along(room.distance, room.centre, way) + 2.5 * way
    covered = hip.pelvis_distance(roof) < 0
    return float(np.degrees(angle[np.argmin(covered)]))


def _measure_pelvic_height(hip: Hip) -> float:
    scale = hip.person.scale
    return _extreme(hip, 80 * scale, 185 * scale) - _extreme(hip, -110 * scale, -45 * scale)


def _extreme(hip: Hip, low: float, high: float) -> float:
    """The highest (or, below the hips, lowest) point of the pelvis between two heights, mm."""
    scale = hip.person.scale
    x, y = np.arange(20, 160, 2) * scale, np.arange(-90, 60, 2) * scale
    z = np.arange(low, high, 1.0) if low > 0 else np.arange(high, low, -1.0)

    def on_slice(number: int) -> np.ndarray:
        points = np.stack(np.meshgrid(x, y, z[number], indexing="ij")).astype(np.float32)
        return hip.pelvis_distance(points)[..., 0]

    # From outside inwards: no bone is nearer than the distance says, and half of it is sure.
    last = len(z) - 2
    here = on_slice(last)
    while last > 0 and here.min() >= 0:
        last = max(0, last - max(1, int(here.min() / 2)))
        here = on_slice(last)
    beyond = on_slice(last + 1)
    inside = here < 0
    heights = z[last] + (z[1] - z[0]) * here[inside] / (here - beyond)[inside]
    return float(heights.max() if low > 0 else heights.min())


def _find_junction(hip: Hip, centre: np.ndarray) -> np.ndarray:
    """The crease (3,) between head and neck on the medial side, mm."""
    axis = hip.person.neck_axis
    medial = -np.array([0, 0, 1]) + axis[2] * axis
    medial /= np.linalg.norm(medial)
    # The crease lies at about 0.8 of the radius; a little further the bone of the shape model begins.
    steps = np.arange(0, hip.person.head_radius_mm, 0.05)
    origins = centre[:, None] + steps * axis[:, None]
    width = reach_mm(hip.femur_distance, origins, medial[:, None])
    crease = int(np.argmax(np.diff(width, 2))) + 1
    return centre + steps[crease] * axis + width[crease] * medial


def _find_teardrop(hip: Hip) -> np.ndarray:
    surface = surface_along(hip.teardrop.distance, np.asarray(hip.teardrop.b), directions(2000))
    return surface[:, np.argmin(surface[2])]
