"""Measures a built hip as one would measure a CT of it, independently of what was to be drawn.

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
from hipoa.phantom.anatomy.solids import Grid, fibonacci_sphere
from hipoa.phantom.scanner.voxels import CORTICAL_HU, CYST_HU, render_bones

Distance = Callable[[np.ndarray], np.ndarray]

# Upper bounds of Crowe I, II and III. Source: Crowe, Mani, Ranawat, J Bone Joint Surg 1979.
CROWE_BOUNDS = (0.10, 0.15, 0.20)
# Halving 80 mm 24 times finds a surface to 5 nm, far below float32's own error.
_LONGEST_MM, _HALVINGS = 80.0, 24
_ABOUT_CYSTS_MM = 4.0


@dataclass(frozen=True)
class Measured:
    """The measurements of a hip; positions (3,) in the hip's frame, mm."""

    centre: np.ndarray  # of the femoral head
    radius_mm: float  # of the head
    joint_space_mm: float  # least distance of head and socket
    osteophyte_mm: float  # greatest distance of an osteophyte's surface from the bone that bears it
    plate_factor: float  # thickness of the socket's subchondral plate over the normal one
    sclerosis_hu: float  # added to the plate at the loaded point
    cysts: int
    flattening: float  # lost share of the head's diameter along the load
    height: float  # of the medial head-neck junction above the teardrop over pelvic height
    lateral_mm: float  # from the acetabulum's centre to the head's
    centre_edge_deg: float  # from the vertical to the roof's rim, about the socket's centre
    pelvic_height_mm: float  # iliac crest to ischial tuberosity
    teardrop: np.ndarray  # its lowest point
    junction: np.ndarray  # the medial head-neck junction

    @property
    def crowe(self) -> int:
        """Crowe 1-4."""
        return 1 + sum(self.height > bound for bound in CROWE_BOUNDS)


def measure_hip(hip: Hip) -> Measured:
    """Measures one hip."""
    centre, radius = fit_head(hip)
    # Half of it is the radius: opposite the load there may be the neck.
    along = radius + float(ray_length_mm(hip.femur_distance, centre[:, None], hip.load[:, None])[0])
    plate_factor, sclerosis_hu = _measure_plate(hip)
    scale = hip.person.scale
    pelvic_height = _extreme(hip, 80 * scale, 185 * scale) - _extreme(hip, -110 * scale, -45 * scale)
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
        lateral_mm=float(centre[0]) - SOCKET_X_MM * scale,
        centre_edge_deg=_measure_centre_edge(hip),
        pelvic_height_mm=pelvic_height,
        teardrop=teardrop,
        junction=junction,
    )


def ray_length_mm(distance: Distance, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How far rays run before they leave a solid, mm (n,).

    Origins (3, n) or (3, 1) lie within the solid, directions (3, n) or (3, 1) are unit vectors.
    """
    number = max(origins.shape[1], directions.shape[1])
    low, high = np.zeros(number), np.full(number, _LONGEST_MM)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        inside = distance(origins + middle * directions) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return low


def surface_along(distance: Distance, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Where rays from one origin (3,) along directions (3, n) leave a solid: positions (3, n), mm."""
    return origin[:, None] + ray_length_mm(distance, origin[:, None], directions) * directions


def fit_head(hip: Hip) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of the sphere through the head's surface, away from neck and load, mm."""
    rays = fibonacci_sphere(400)
    rays = rays[:, (hip.load @ rays < 0.3) & (hip.person.neck_axis @ rays < 0.4)]
    return fit_sphere(surface_along(hip.femur_distance, hip.head, rays).T)


def _measure_joint_space(hip: Hip, centre: np.ndarray) -> float:
    rays = fibonacci_sphere(6000)
    surface = surface_along(hip.femur_distance, centre, rays[:, hip.load @ rays > 0.3])
    return float(hip.pelvis_distance(surface.astype(np.float32)).min())


def _measure_osteophytes(hip: Hip) -> float:
    if not hip.osteophytes:
        return 0.0
    spur, *collar = hip.osteophytes
    ends = [(spur.b, spur.rb, hip.pelvis_distance), *((c.a, c.ra, hip.femur_distance) for c in collar)]
    rays = fibonacci_sphere(500)
    return max(float(bone(np.asarray(end)[:, None] + radius * rays).max()) for end, radius, bone in ends)


def _measure_plate(hip: Hip) -> tuple[float, float]:
    # A column of very small voxels along the load.
    step_mm, number = 0.05, 140
    across = np.linalg.svd(hip.load[None])[2][1:]
    frame = np.eye(4)
    frame[:3, :3] = np.column_stack([*across, hip.load]) * step_mm
    frame[:3, 3] = hip.loaded - 0.5 * step_mm * hip.load
    column = np.zeros((1, 1, number), np.float32)
    render_bones(column, Grid(column.shape, frame), hip)
    hu = column[0, 0]
    peak = float(hu[8:20].max())
    # Half way between cortex and cancellous bone; sclerosis adds to both.
    end = int(np.argmax(hu[8:] < peak - (CORTICAL_HU - hip.person.cancellous_hu) / 2)) + 8
    return end * step_mm / PLATE_MM, peak - CORTICAL_HU


def _count_cysts(hip: Hip) -> int:
    if not hip.cysts:
        return 0
    boxes = np.array([cyst.bounds() for cyst in hip.cysts])
    grid = Grid.of_box(boxes[:, 0].min(0) - _ABOUT_CYSTS_MM, boxes[:, 1].max(0) + _ABOUT_CYSTS_MM, 0.8)
    hu = np.zeros(grid.shape, np.float32)
    render_bones(hu, grid, hip)
    hollow = (hu < (CYST_HU + hip.person.cancellous_hu) / 2) & (hip.bone_distance(grid) < -1)
    found = np.zeros(grid.shape, np.int32)
    ndimage.label(hollow, np.ones((3, 3, 3)), output=found)
    return int(found.max())


def _measure_centre_edge(hip: Hip) -> float:
    angle = np.radians(np.arange(0, 90, 0.25))
    cavity = hip.cavities[0]
    rays = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)])
    roof = surface_along(cavity.distance, cavity.centre, rays) + 2.5 * rays
    covered = hip.pelvis_distance(roof) < 0
    return float(np.degrees(angle[np.argmin(covered)]))


def _extreme(hip: Hip, low: float, high: float) -> float:
    """The highest (or, below the hips, lowest) point of the pelvis between two heights, mm."""
    scale = hip.person.scale
    x, y = np.arange(20, 160, 2) * scale, np.arange(-90, 60, 2) * scale
    z = np.arange(low, high, 1.0) if low > 0 else np.arange(high, low, -1.0)

    def on_slice(number: int) -> np.ndarray:
        points = np.stack(np.meshgrid(x, y, z[number], indexing="ij")).astype(np.float32)
        return hip.pelvis_distance(points)[..., 0]

    # From outside inwards, skipping half of the distance to bone, which is approximate.
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
    width = ray_length_mm(hip.femur_distance, origins, medial[:, None])
    crease = int(np.argmax(np.diff(width, 2))) + 1
    return centre + steps[crease] * axis + width[crease] * medial


def _find_teardrop(hip: Hip) -> np.ndarray:
    surface = surface_along(hip.teardrop.distance, np.asarray(hip.teardrop.b), fibonacci_sphere(2000))
    return surface[:, np.argmin(surface[2])]
