"""The bones of a statistical shape model as solids: hip bone, sacrum and femur of a patient.

A surface becomes a field of signed distances on a grid of a few millimetres, between whose nodes one
interpolates: then a bone can be cut, joined and rasterised like any other solid. The model's left hip
bone and femur serve for both sides, since a hip's frame has x lateral; the model's own right half lies
askew to its left one.

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
# Another model is another cohort: what is made anew follows the code, which therefore names the file.
_MODEL_SHA256 = "779b73baa06b15dbccfbf5a94ce082f427e914f6d673b0c03eb0e3ccb418f458"
_STEP_MM = 2.5
_BAND_MM = 12.0  # further than an osteophyte stands out
_SAMPLES = 4  # per edge of a triangle
_FEMUR_MM = 180.0  # below its head, further than a CT of the hips reaches
_ON_HEAD_MM = 1.0
_RIGHT, _SACRUM, _LEFT = 0, 1, 2


@dataclass(frozen=True)
class Field:
    """A solid by its signed distances at the nodes of a grid.

    Attributes:
        values: float32 (x, y, z), mm, negative inside.
        origin: Of node (0, 0, 0), mm (3,).
        step_mm: Between nodes.
    """

    values: np.ndarray
    origin: np.ndarray
    step_mm: float

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), exact near the surface only."""
        index = np.empty(points.shape)
        for axis in range(3):
            np.subtract(points[axis], self.origin[axis], out=index[axis])
        index /= self.step_mm
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
    hollows: Sequence[Solid]

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), negative inside."""
        distance = self.solid.distance(points)
        for hollow in self.hollows:
            distance = np.maximum(distance, -hollow.distance(points))
        return distance

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        return self.solid.bounds()


@dataclass(frozen=True)
class Bones:
    """A patient's bones before disease, in a hip's frame (x lateral, y anterior, z superior), mm.

    Attributes:
        hip_bone: The origin is midway between the sockets.
        sacrum: In the same frame.
        femur: Its origin is the head's centre, and its head's radius 1.
    """

    hip_bone: Field
    sacrum: Symmetric
    femur: Field


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
        shape: Of the first modes of the shape model, in standard deviations.
        height_mm: Of the pelvis, iliac crest to ischial tuberosity.
        socket_x_mm: From the middle of the body to a socket's centre.
        neck: Unit vector from the head's centre along the neck, to which the femur is turned.
        femur_turn_deg: Of the femur about its neck: the shaft swings forwards, head and neck stay.
    """
    model = _model()
    pelvis, femur = (_shaped(model[name], shape) for name in ("pelvis", "femur"))
    head, radius = fit_sphere(femur[_head_vertices()])
    hip = pelvis[model["pelvis"].body == _LEFT] - [0, *head[1:]]
    scale = height_mm / np.ptp(hip[:, 2])
    stretch = np.array([socket_x_mm / head[0], scale, scale])
    femur = femur - head
    away = np.linalg.norm(femur, axis=1) / radius
    to_neck = _turn(femur[(away > 1.25) & (away < 1.6)].mean(0), np.array(neck))
    femur = femur @ (turn_about(np.array(neck), femur_turn_deg) @ to_neck).T
    # The head's centre is taken for the socket's: the joint is built about it anew.
    centred = (pelvis - [0, *head[1:]]) * stretch
    return Bones(
        hip_bone=_field(model["pelvis"], centred, _LEFT),
        sacrum=Symmetric(_field(model["pelvis"], centred, _SACRUM)),
        femur=_field(model["femur"], femur, 0, -_FEMUR_MM).moved(1 / radius, np.zeros(3)),
    )


@dataclass(frozen=True)
class _Surface:
    vertices: np.ndarray
    faces: np.ndarray
    modes: np.ndarray
    body: np.ndarray


@cache
def _model() -> dict[str, _Surface]:
    """Pelvis and femur of the model, level and in a hip's frame: x left of the middle plane."""
    content = (resources.files("hipoa.phantom.anatomy") / "shape_model/llp26_surfaces.npz").read_bytes()
    if hashlib.sha256(content).hexdigest() != _MODEL_SHA256:
        raise ConfigError("shape model", "its file is not the one of this version", "Install hipoa again.")
    stored = np.load(io.BytesIO(content))
    raw = {
        name: _Surface(
            stored[f"{name}_vertices"].astype(float),
            stored[f"{name}_faces"],
            stored[f"{name}_modes"][:N_MODES].astype(float),
            stored[f"{name}_body"],
        )
        for name in ("pelvis", "femur")
    }
    axes, middle = _middle_plane(raw["pelvis"])
    return {
        name: _Surface((s.vertices - middle) @ axes.T, s.faces[:, ::-1], s.modes @ axes.T, s.body)
        for name, s in raw.items()
    }


def _middle_plane(pelvis: _Surface) -> tuple[np.ndarray, np.ndarray]:
    """Rows lateral (left), anterior, superior (3, 3), and a point (3,) of the plane of symmetry."""
    left, right = (pelvis.vertices[pelvis.body == body] for body in (_LEFT, _RIGHT))
    tree = KDTree(right)
    mirror = left * [-1, 1, 1]
    turn, shift = np.eye(3), right.mean(0) - mirror.mean(0)
    for _ in range(60):
        nearest = right[tree.query(mirror @ turn.T + shift)[1]]
        u, _, vt = np.linalg.svd((mirror - mirror.mean(0)).T @ (nearest - nearest.mean(0)))
        turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
        shift = nearest.mean(0) - turn @ mirror.mean(0)
    mirrored = mirror @ turn.T + shift
    lateral = (left - mirrored).mean(0)
    lateral /= np.linalg.norm(lateral)
    superior = np.array([0.0, 0, 1]) - lateral[2] * lateral
    superior /= np.linalg.norm(superior)
    anterior = np.cross(lateral, superior)
    anterior *= -np.sign(anterior[1])
    return np.stack([lateral, anterior, superior]), ((left + mirrored) / 2).mean(0)


def _shaped(surface: _Surface, shape: tuple[float, ...]) -> np.ndarray:
    return surface.vertices + np.tensordot(np.array(shape), surface.modes[: len(shape)], 1)


@cache
def _head_vertices() -> np.ndarray:
    """Which vertices of the femur are on its head: those of the best sphere of the mean shape."""
    vertices = _model()["femur"].vertices
    top = vertices[:, 2].max()
    chosen = vertices[:, 2] > top - 25
    chosen &= vertices[:, 0] < np.median(vertices[chosen, 0])
    for _ in range(30):
        centre, radius = fit_sphere(vertices[chosen])
        away = np.linalg.norm(vertices - centre, axis=1)
        chosen = np.abs(away - radius) < _ON_HEAD_MM
    return chosen


def turn_about(axis: np.ndarray, angle_deg: float) -> np.ndarray:
    """The rotation (3, 3) about a unit vector (3,)."""
    return Rotation.from_rotvec(angle_deg * axis, degrees=True).as_matrix()


def _turn(vector: np.ndarray, to: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) of one direction to another."""
    return Rotation.align_vectors(to[None], vector[None])[0].as_matrix()


def _field(surface: _Surface, vertices: np.ndarray, body: int, lowest_mm: float = -np.inf) -> Field:
    """The signed distances to one closed body of a surface, down to a height."""
    points, normals = _sample(vertices, surface.faces[surface.body[surface.faces[:, 0]] == body])
    keep = points[:, 2] > lowest_mm
    points, normals = points[keep], normals[keep]
    low, high = points.min(0) - 1.5 * _BAND_MM, points.max(0) + 1.5 * _BAND_MM
    shape = np.ceil((high - low) / _STEP_MM).astype(int) + 1
    index = np.argwhere(_near((points - low) / _STEP_MM, shape))
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
    return Field(_fill(values), low, _STEP_MM)


def _near(places: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The nodes (x, y, z) that can be within the band of points (n, 3) in steps: only they need be asked."""
    free = np.ones(shape, bool)
    free[tuple(np.rint(places).astype(int).T)] = False
    away: Any = ndimage.distance_transform_edt(free)
    return away <= _BAND_MM / _STEP_MM + 1


def _fill(values: np.ndarray) -> np.ndarray:
    """Gives the nodes far from the surface a distance, with the sign of the nearest node that has one."""
    unknown = np.isnan(values)
    # scipy returns what was asked for, which its annotation does not know.
    nearest: Any = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    sign = np.sign(values[tuple(nearest)])
    return np.where(unknown, _BAND_MM * sign, values).astype(np.float32)


def _sample(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) spread over triangles, and the outward unit normals (n, 3) there."""
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    if np.einsum("ij,ij->", corners[:, 0], across) < 0:
        normals = -normals
    n = _SAMPLES
    share = np.array([(i, j, n - 1 - i - j) for i in range(n) for j in range(n - i)]) / (n - 1)
    points = np.einsum("sc,fcx->fsx", share, corners).reshape(-1, 3)
    across = np.einsum("sc,fcx->fsx", share, normals[faces]).reshape(-1, 3)
    return points, across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
