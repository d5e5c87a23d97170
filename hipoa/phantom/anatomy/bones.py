"""Hip bone, sacrum and femur of a patient as solids, from a statistical shape model.

Each surface becomes signed distances on a grid of a few millimetres, interpolated between the nodes, so
that a bone can be cut, joined and rasterised like any other solid. The model's left hip bone and femur
serve both sides, since a hip's frame has x lateral; the model itself is not symmetric.

Source: model LLP26 of musculoskeletal-models, Auckland Bioengineering Institute (shape_model/README.md).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hipoa.core.errors import ConfigError
from hipoa.imaging.localization.sphere_fit import fit_sphere
from hipoa.phantom.anatomy.solids import Solid

N_MODES = 8
SACRUM, LEFT = 1, 2  # closed bodies of the pelvis; 0 is the right hip bone
# The code names the file's content, so that another model makes another cohort.
_MODEL_SHA256 = "779b73baa06b15dbccfbf5a94ce082f427e914f6d673b0c03eb0e3ccb418f458"
# The plane of symmetry of the mean pelvis: the axes left, anterior, superior, and a point in it, mm. Found
# by iterative closest points of the mirrored left hip bone on the right one.
_AXES = np.array(
    [
        [0.996619472095212, -0.031451273745814336, -0.07589759693446824],
        [-0.03154225366845299, -0.9995024193234927, -4.336808689942018e-19],
        [0.0758598317568403, -0.002393981255332997, 0.9971156175587528],
    ]
)
_MIDDLE_MM = np.array([30.87325608032847, 9.004451020512727, 1226.0114951578769])
# The femoral head of the mean shape, in these axes: centre, radius, and how far vertices may lie from it, mm.
_HEAD_MM, _HEAD_RADIUS_MM, _ON_HEAD_MM = (84.9964, 6.1491, -15.7060), 22.9130, 1.0
_STEP_MM = 2.5
_BAND_MM = 12.0  # more than an osteophyte's length
_SAMPLES = 4  # per edge of a triangle
_FEMUR_MM = 180.0  # below its head, further than a CT of the hips reaches


@dataclass(frozen=True)
class Field:
    """A solid by its signed distances at the nodes of a grid."""

    values: np.ndarray  # float32 (x, y, z), mm, negative inside
    origin: np.ndarray  # of node (0, 0, 0), mm (3,)
    step_mm: float  # between nodes

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), exact near the surface only."""
        index = np.stack([points[axis] - self.origin[axis] for axis in range(3)]) / self.step_mm
        return ndimage.map_coordinates(self.values, index, order=1, mode="nearest", output=np.float32)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        margin = _BAND_MM / _STEP_MM * self.step_mm
        return self.origin + margin, self.origin + (np.array(self.values.shape) - 1) * self.step_mm - margin

    def moved(self, scale: float, to: np.ndarray) -> Field:
        """The solid scaled about the origin, and then moved."""
        return Field(self.values * np.float32(scale), self.origin * scale + to, self.step_mm * scale)


@dataclass(frozen=True)
class Symmetric:
    """A solid whose left half is the mirror image of its right one, about x = 0."""

    half: Solid

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), negative inside."""
        return self.half.distance(np.stack([np.abs(points[0]), points[1], points[2]]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        low, high = self.half.bounds()
        return np.array([-high[0], *low[1:]]), high


@dataclass(frozen=True)
class Without:
    """A solid with others cut out of it."""

    solid: Solid
    removed: Sequence[Solid]

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), negative inside."""
        distance = self.solid.distance(points)
        for other in self.removed:
            distance = np.maximum(distance, -other.distance(points))
        return distance

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        return self.solid.bounds()


@dataclass(frozen=True)
class Bones:
    """A patient's bones before disease, in a hip's frame (x lateral, y anterior, z superior), mm."""

    hip_bone: Field  # the origin is midway between the sockets
    sacrum: Symmetric  # in the same frame
    femur: Field  # the origin is the head's centre, and the head's radius 1


@lru_cache(maxsize=4)
def build_bones(
    shape: tuple[float, ...],
    height_mm: float,
    socket_x_mm: float,
    neck: tuple[float, float, float],
    femur_turn_deg: float = 0.0,
) -> Bones:
    """The bones of a patient.

    Args:
        shape: First modes of the shape model, in standard deviations.
        height_mm: The height of the pelvis, from iliac crest to ischial tuberosity.
        socket_x_mm: From the middle of the body to a socket's centre.
        neck: Unit vector from the head's centre along the neck, to which the femur is turned.
        femur_turn_deg: Rotation of the femur about its neck; head and neck stay.
    """
    model = read_shape_model()
    pelvis, femur = (model[name].deform(shape) for name in ("pelvis", "femur"))
    head, radius = fit_sphere(femur[find_head(model["femur"])])
    hip = pelvis[model["pelvis"].body == LEFT] - [0, *head[1:]]
    scale = height_mm / np.ptp(hip[:, 2])
    stretch = np.array([socket_x_mm / head[0], scale, scale])
    femur = femur - head
    away = np.linalg.norm(femur, axis=1) / radius
    own_neck = femur[(away > 1.25) & (away < 1.6)].mean(0)
    to_neck = Rotation.align_vectors([neck], [own_neck])[0].as_matrix()
    femur = femur @ (turn_about(np.array(neck), femur_turn_deg) @ to_neck).T
    # The head's centre is taken for the socket's: the joint is built about it anew.
    centred = (pelvis - [0, *head[1:]]) * stretch
    return Bones(
        hip_bone=_field(model["pelvis"], centred, LEFT),
        sacrum=Symmetric(_field(model["pelvis"], centred, SACRUM)),
        femur=_field(model["femur"], femur, 0, -_FEMUR_MM).moved(1 / radius, np.zeros(3)),
    )


@dataclass(frozen=True)
class Surface:
    """Triangles of the shape model, in a hip's frame (x left of the plane of symmetry), mm."""

    vertices: np.ndarray  # of the mean shape (n, 3)
    faces: np.ndarray  # vertices of each triangle (m, 3)
    modes: np.ndarray  # one standard deviation of each mode (N_MODES, n, 3)
    body: np.ndarray  # the closed body of each vertex (n,)

    def deform(self, shape: tuple[float, ...]) -> np.ndarray:
        """Vertices (n, 3) of a shape, given by its first modes in standard deviations."""
        return self.vertices + np.tensordot(np.array(shape), self.modes[: len(shape)], 1)


@cache
def read_shape_model() -> dict[str, Surface]:
    """Pelvis and femur of the shape model."""
    content = (resources.files("hipoa.phantom.anatomy") / "shape_model/llp26_surfaces.npz").read_bytes()
    if hashlib.sha256(content).hexdigest() != _MODEL_SHA256:
        raise ConfigError("shape model", "its file is not the one of this version", "Install hipoa again.")
    stored = np.load(io.BytesIO(content))
    return {
        name: Surface(
            (stored[f"{name}_vertices"].astype(float) - _MIDDLE_MM) @ _AXES.T,
            stored[f"{name}_faces"][:, ::-1],
            stored[f"{name}_modes"][:N_MODES].astype(float) @ _AXES.T,
            stored[f"{name}_body"],
        )
        for name in ("pelvis", "femur")
    }


def find_head(femur: Surface) -> np.ndarray:
    """Which vertices (n,) of the femur lie on its head."""
    away = np.linalg.norm(femur.vertices - _HEAD_MM, axis=1)
    return np.abs(away - _HEAD_RADIUS_MM) < _ON_HEAD_MM


def turn_about(axis: np.ndarray, angle_deg: float) -> np.ndarray:
    """The rotation (3, 3) about a unit vector (3,)."""
    return Rotation.from_rotvec(angle_deg * axis, degrees=True).as_matrix()


def _field(surface: Surface, vertices: np.ndarray, body: int, lowest_mm: float = -np.inf) -> Field:
    """The signed distances to one closed body of a surface, down to a height."""
    points, normals = _sample(vertices, surface.faces[surface.body[surface.faces[:, 0]] == body])
    keep = points[:, 2] > lowest_mm
    points, normals = points[keep], normals[keep]
    low, high = points.min(0) - 1.5 * _BAND_MM, points.max(0) + 1.5 * _BAND_MM
    shape = np.ceil((high - low) / _STEP_MM).astype(int) + 1
    far = np.ones(shape, bool)
    far[tuple(np.rint((points - low) / _STEP_MM).astype(int).T)] = False
    # Only nodes that can lie within the band are searched for.
    steps: Any = ndimage.distance_transform_edt(far)
    index = np.argwhere(steps <= _BAND_MM / _STEP_MM + 1)
    nodes = low + _STEP_MM * index
    # Large leaves: most nodes are far from the surface.
    tree: Any = KDTree(points, leafsize=48)
    away, nearest = tree.query(nodes, distance_upper_bound=_BAND_MM)
    found = np.isfinite(away)
    at = nearest[found]
    along = ((nodes[found] - points[at]) * normals[at]).sum(1)
    values = np.full(shape, np.nan, np.float32)
    # Close to a surface its own plane is better than its sampled points.
    values[tuple(index[found].T)] = np.where(away[found] < 3, along, np.sign(along) * away[found])
    # Nodes far from the surface get a distance with the sign of the nearest node that has one.
    unknown = np.isnan(values)
    of_nearest: Any = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    values[unknown] = _BAND_MM * np.sign(values[tuple(of_nearest)])[unknown]
    return Field(values, low, _STEP_MM)


def _sample(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) spread over triangles, and the outward unit normals (n, 3) there."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    n = _SAMPLES
    share = np.array([(i, j, n - 1 - i - j) for i in range(n) for j in range(n - i)]) / (n - 1)
    points = np.einsum("sc,fcx->fsx", share, corners).reshape(-1, 3)
    across = np.einsum("sc,fcx->fsx", share, normals[faces]).reshape(-1, 3)
    return points, across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
