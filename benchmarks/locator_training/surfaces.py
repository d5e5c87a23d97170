"""Surfaces of bones: the real ones beside this file, and those of the shape model of ``hipoa.phantom``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from hipoa.imaging.localization.sphere_fit import fit_sphere
from hipoa.phantom.anatomy import bones as shape_model

BONES = Path(__file__).parent / "bones"
_UNIT_MM = 0.02  # of the stored points


@dataclass(frozen=True)
class Surface:
    """A closed surface: points (n, 3) in RAS mm, faces (m, 3)."""

    points: np.ndarray
    faces: np.ndarray


@cache
def read_bones(name: str) -> dict[str, np.ndarray]:
    """Points in mm, faces as indices."""
    with np.load(BONES / name) as file:
        scale = {"points": _UNIT_MM, "faces": 1}
        return {key: file[key] * scale[key.rsplit("_", 1)[1]] for key in file}


@cache
def pelvis(number: int) -> tuple[dict[str, Surface], dict[str, np.ndarray]]:
    """A real pelvis: its three bones, and by side the sphere of the socket (4,)."""
    stored = read_bones("pelves.npz")
    parts = {
        part: Surface(stored[f"{part}_points"][number].astype(float), stored[f"{part}_faces"])
        for part in ("left_hip", "right_hip", "sacrum")
    }
    sockets = {side: find_ball(parts[f"{word}_hip"], -1) for side, word in (("L", "left"), ("R", "right"))}
    middle = np.mean([sphere[:3] for sphere in sockets.values()], 0)
    moved = {part: Surface(bone.points - middle, bone.faces) for part, bone in parts.items()}
    return moved, {side: sphere - [*middle, 0] for side, sphere in sockets.items()}


@cache
def real_femur(name: str) -> Surface:
    """A real proximal femur as a right one, the head's centre at the origin and its radius 1."""
    stored = read_bones("femora.npz")
    points, faces = stored[f"{name}_points"].astype(float), stored[f"{name}_faces"]
    if "_l" in name:
        points, faces = points * [-1, 1, 1], faces[:, ::-1]
    head = find_ball(Surface(points, faces), 1)
    return Surface((points - head[:3]) / head[3], faces)


def model_femur(rng: np.random.Generator) -> Surface:
    """A femur of the shape model as a right one, the head's centre at the origin and its radius 1."""
    part = shape_model.read_shape_model()["femur"]
    points = part.deform(tuple(np.clip(rng.normal(size=8), -2, 2)))
    centre, radius = fit_sphere(points[shape_model.find_head(part)])
    points = (points - centre) / radius
    # The model's own frame has x lateral, as a right femur's RAS has.
    return Surface(points, part.faces)


def model_pelvis(rng: np.random.Generator) -> tuple[dict[str, Surface], dict[str, np.ndarray]]:
    """A pelvis of the shape model: its left half on both sides."""
    part = shape_model.read_shape_model()["pelvis"]
    points = part.deform(tuple(np.clip(rng.normal(size=8), -2, 2)))
    points = points * (rng.uniform(205, 235) / np.ptp(points[:, 2]))
    faces = {body: part.faces[part.body[part.faces[:, 0]] == body] for body in range(3)}
    half = Surface(points, faces[shape_model.LEFT])
    ball = find_ball(half, -1)
    away = np.array([0, ball[1], ball[2]])
    half = Surface(points - away, half.faces)
    ball = ball - [0, *away[1:], 0]
    other = Surface(half.points * [-1, 1, 1], half.faces[:, ::-1])
    sockets = {"R": ball, "L": ball * [-1, 1, 1, 1]}
    sacrum = Surface(points - away, faces[shape_model.SACRUM])
    return {"right_hip": half, "left_hip": other, "sacrum": sacrum}, sockets


def normals(surface: Surface) -> np.ndarray:
    """Outward unit normals (n, 3) at the points."""
    corners = surface.points[surface.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(surface.points)
    for corner in range(3):
        np.add.at(total, surface.faces[:, corner], across)
    if np.einsum("ij,ij->", corners[:, 0] - surface.points.mean(0), across) < 0:
        total = -total
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def find_ball(surface: Surface, way: int) -> np.ndarray:
    """The socket (way -1) or the head (way 1) of a bone: centre and radius (4,).

    Points of a ball's surface agree where its centre is, whatever its radius: the densest place wins.
    """
    across, best = normals(surface), (0, np.zeros(4))
    for radius in np.arange(20.0, 31.0, 1.5):
        centres = surface.points - way * radius * across
        tree = KDTree(centres)
        near = tree.query_ball_point(centres, 3.0, return_length=True)
        if near.max() > best[0]:
            at = centres[tree.query_ball_point(centres[near.argmax()], 3.0)].mean(0)
            best = int(near.max()), np.array([*at, radius])
    centre, radius = best[1][:3], best[1][3]
    for _ in range(12):
        away = surface.points - centre
        far = np.linalg.norm(away, axis=1)
        on = (np.abs(far - radius) < 2.0) & ((away * across).sum(1) * way > 0.8 * far)
        centre, radius = fit_sphere(surface.points[on])
    return np.array([*centre, radius])
