"""Solids as signed distance fields, and their rasterisation on a voxel grid.

Points are arrays (3, ...) in mm. Voxels at a surface are filled in part, by their distance over the voxel
width, so that structures thinner than a voxel keep their attenuation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Protocol

import numpy as np

_FAR_MM = 1e3

Window = tuple[slice, slice, slice]


class Solid(Protocol):
    """Anything with a signed distance and a bounding box."""

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), negative inside."""
        ...

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        ...


@dataclass(frozen=True)
class RoundCone:
    """The hull of a ball of radius ``ra`` about ``a`` and one of radius ``rb`` about ``b``, mm."""

    a: Sequence[float] | np.ndarray
    b: Sequence[float] | np.ndarray
    ra: float
    rb: float

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        a, along = np.asarray(self.a, np.float32), np.subtract(self.b, self.a).astype(np.float32)
        x, y, z = points[0] - a[0], points[1] - a[1], points[2] - a[2]
        length = max(float(along @ along), 1e-9)
        t = np.clip((x * along[0] + y * along[1] + z * along[2]) / length, 0, 1)
        radius = np.sqrt((x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2)
        return radius - (self.ra + (self.rb - self.ra) * t)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        ends = np.array([self.a, self.b], float)
        radii = np.array([[self.ra], [self.rb]])
        return (ends - radii).min(0), (ends + radii).max(0)


def ball(centre: np.ndarray, radius: float) -> RoundCone:
    """A ball, mm."""
    return RoundCone(centre, centre, radius, radius)


@dataclass(frozen=True)
class Cup:
    """A shell from ``inner`` to ``outer`` radius about ``centre``, open where u . axis > ``limit``."""

    centre: np.ndarray
    inner: float
    outer: float
    axis: np.ndarray
    limit: float

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        x, y, z = (points[i] - np.float32(self.centre[i]) for i in range(3))
        radius = np.sqrt(x * x + y * y + z * z)
        opening = x * self.axis[0] + y * self.axis[1] + z * self.axis[2] - self.limit * radius
        return np.maximum.reduce([radius - self.outer, self.inner - radius, opening]).astype(np.float32)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        return np.subtract(self.centre, self.outer), np.add(self.centre, self.outer)


@dataclass(frozen=True)
class CutBall:
    """A ball without its cap about the unit vector ``pole``, ``cut`` mm deep: a flattened head."""

    centre: np.ndarray
    radius: float
    pole: np.ndarray
    cut: float

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        x, y, z = (points[i] - np.float32(self.centre[i]) for i in range(3))
        height = x * self.pole[0] + y * self.pole[1] + z * self.pole[2]
        ball = np.sqrt(x * x + y * y + z * z) - self.radius
        return np.maximum(ball, height - (self.radius - self.cut)).astype(np.float32)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        return np.subtract(self.centre, self.radius), np.add(self.centre, self.radius)


@dataclass(frozen=True)
class Ellipsoid:
    """Half axes along x, y, z, mm; the distance is exact only at the surface."""

    centre: Sequence[float] | np.ndarray
    axes: Sequence[float] | np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside."""
        x, y, z = ((points[i] - np.float32(self.centre[i])) / np.float32(self.axes[i]) for i in range(3))
        return (np.sqrt(x * x + y * y + z * z) - 1) * np.float32(min(self.axes))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        return np.subtract(self.centre, self.axes), np.add(self.centre, self.axes)


def scale_solid(solid: RoundCone | Ellipsoid, scale: float) -> Solid:
    """The solid scaled about the origin."""
    lengths: list[Any] = [getattr(solid, field.name) for field in fields(solid)]
    # Radii stay Python's floats: numpy's would make float64 of all distances.
    scaled: list[Any] = [x * scale if isinstance(x, float | int) else np.multiply(x, scale) for x in lengths]
    return type(solid)(*scaled)


def unit_vector(vector: tuple[float, float, float]) -> np.ndarray:
    """A vector (3,) of length 1."""
    return np.array(vector) / np.linalg.norm(vector)


def fibonacci_sphere(number: int) -> np.ndarray:
    """Unit vectors (3, number) spread evenly over the sphere."""
    z = 1 - (2 * np.arange(number) + 1) / number
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(number)
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(angle), flat * np.sin(angle), z])


def merge(a: np.ndarray, b: np.ndarray, smooth_mm: float) -> np.ndarray:
    """The union of two distances; ``smooth_mm`` rounds the crease between them."""
    if smooth_mm <= 0:
        return np.minimum(a, b)
    share = np.clip(0.5 + 0.5 * (b - a) / smooth_mm, 0, 1)
    return b + share * (a - b) - smooth_mm * share * (1 - share)


def distance_to(solids: Sequence[Solid], points: np.ndarray, smooth_mm: float = 0) -> np.ndarray:
    """Signed distance (...) in mm of points (3, ...) to the union of solids."""
    result = np.full(points.shape[1:], _FAR_MM, np.float32)
    for solid in solids:
        result = merge(result, solid.distance(points), smooth_mm)
    return result


@dataclass(frozen=True)
class Grid:
    """Voxels in the frame of the solids."""

    shape: tuple[int, int, int]
    frame_from_ijk: np.ndarray  # matrix (4, 4) from voxel index to the frame, mm; may mirror

    @classmethod
    def of_box(cls, low: np.ndarray, high: np.ndarray, step_mm: float) -> Grid:
        """Cubic voxels of a box of the frame, mm."""
        i, j, k = np.ceil((high - low) / step_mm).astype(int).tolist()
        frame = np.diag([step_mm, step_mm, step_mm, 1.0])
        frame[:3, 3] = low
        return cls((i, j, k), frame)

    def width_mm(self) -> float:
        """The width over which a surface is spread: the mean voxel size."""
        return float(np.linalg.norm(self.frame_from_ijk[:3, :3], axis=0).mean())

    def window(self, low: np.ndarray, high: np.ndarray) -> Window:
        """The voxels that a box of the frame can touch; may be empty."""
        corners = np.array([*product(*zip(low, high, strict=True), [1])])
        index = (np.linalg.inv(self.frame_from_ijk) @ corners.T)[:3]
        start = np.clip(np.floor(index.min(1)).astype(int), 0, self.shape)
        stop = np.clip(np.ceil(index.max(1)).astype(int) + 1, 0, self.shape)
        return (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))

    def points(self, window: Window | None = None) -> np.ndarray:
        """Positions (3, I, J, K) of a window's voxels, or of all, mm."""
        matrix = self.frame_from_ijk.astype(np.float32)
        i, j, k = np.ogrid[window or tuple(map(slice, self.shape))]
        rows = [row[0] * i.astype(np.float32) + row[1] * j + (row[2] * k + row[3]) for row in matrix[:3]]
        return np.stack([row.astype(np.float32) for row in rows])

    def crop(self, window: Window) -> Grid:
        """The grid of a window's voxels."""
        i, j, k = window
        start = np.eye(4)
        start[:3, 3] = i.start, j.start, k.start
        return Grid((i.stop - i.start, j.stop - j.start, k.stop - k.start), self.frame_from_ijk @ start)

    def distance(self, solids: Sequence[Solid], smooth_mm: float = 0) -> np.ndarray:
        """Distance (I, J, K) in mm to the union of solids; a large number far from all of them."""
        result = np.full(self.shape, _FAR_MM, np.float32)
        for solid in solids:
            near = self.near([solid], smooth_mm)
            result[near] = merge(result[near], solid.distance(self.points(near)), smooth_mm)
        return result

    def rasterise(self, solids: Sequence[Solid], smooth_mm: float = 0) -> tuple[Window, np.ndarray]:
        """The voxels near a union of solids and their distance to it: window and (I, J, K) in mm."""
        window = self.near(solids, smooth_mm)
        return window, self.crop(window).distance(solids, smooth_mm)

    def near(self, solids: Sequence[Solid], smooth_mm: float = 0) -> Window:
        """The voxels near a union of solids."""
        low, high = zip(*(solid.bounds() for solid in solids), strict=True)
        margin_mm = smooth_mm + 3 * self.width_mm() + 2
        return self.window(np.min(low, 0) - margin_mm, np.max(high, 0) + margin_mm)


def fraction(distance: np.ndarray, width_mm: float) -> np.ndarray:
    """The filled fraction 0-1 of voxels of this width at this distance from a surface."""
    return np.clip(0.5 - distance / width_mm, 0, 1)


def blend(hu: np.ndarray, window: Window, part: np.ndarray, value: float | np.ndarray) -> None:
    """Moves the HU of a window towards a value, by the fraction 0-1 that it fills."""
    hu[window] += part * (value - hu[window])


def fill(hu: np.ndarray, grid: Grid, solids: Sequence[Solid], value: float, smooth_mm: float = 0) -> None:
    """Gives the union of solids this HU."""
    window, distance = grid.rasterise(solids, smooth_mm)
    blend(hu, window, fraction(distance, grid.width_mm()), value)
