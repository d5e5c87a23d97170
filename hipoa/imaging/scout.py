"""A coarse CT, on which bones are sought, and how the patient lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from scipy import ndimage

from hipoa.imaging.body import Body
from hipoa.imaging.geometry import box_about
from hipoa.imaging.image import run_forwards
from hipoa.imaging.volume import Volume, to_ras

_SPACING_MM = 3.0
# Beyond the second is metal; four of it are still an int16.
_AIR_HU, _MOST_HU = np.int16(-1000), np.int16(8191)
_RIM_MM = 10.0
# The body is wider than deep; by less than this its outline does not tell how it is turned.
_LEAST_OBLONG, _MOST_TURN_DEG = 1.15, 50.0


@dataclass(frozen=True)
class Scout:
    """A CT in cells of about 3 mm, or of one voxel where voxels are larger, along the file's axes.

    Attributes:
        hu: float32 (a, b, c) HU; air outside the body.
        ras_from_index: 4 x 4 matrix from cell indices (their middles) to RAS mm.
        ends: (2, 3), cell indices between which the CT lies.
        axes: (3, 3), unit vectors in RAS to the patient's right, front and head, however turned about the
            long axis.
        middle_mm: How far along the first of them the middle of the body lies.
        open_sides: Whether the CT ends within the body on the patient's left and right.
    """

    hu: np.ndarray
    ras_from_index: np.ndarray
    ends: np.ndarray
    axes: np.ndarray
    middle_mm: float
    open_sides: tuple[bool, bool]

    @property
    def spacing_mm(self) -> np.ndarray:
        """Size of a cell in mm (3,)."""
        return np.linalg.norm(self.ras_from_index[:3, :3], axis=0)

    def index(self, ras_mm: np.ndarray) -> np.ndarray:
        """Cell indices (..., 3), not rounded, of points in RAS mm (..., 3)."""
        return to_ras(np.linalg.inv(self.ras_from_index), ras_mm)

    def sample(self, ras_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """HU (...) at points in RAS mm (..., 3), and whether the CT reaches there (...).

        At the CT's end the last value goes on, so that the end is no surface.
        """
        index = self.index(ras_mm)
        known = ((index > self.ends[0]) & (index < self.ends[1])).all(-1)
        hu = ndimage.map_coordinates(self.hu, np.moveaxis(index, -1, 0), order=1, mode="nearest")
        return hu, known


def make_scout(volume: Volume, body: Body) -> Scout:
    """Averages cells of voxels.

    Args:
        volume: The CT.
        body: The patient; everything outside is taken as air.
    """
    steps = np.maximum(1, np.rint(_SPACING_MM / volume.spacing_mm)).astype(int)
    return _cut(volume, body, body.bounds(), steps, _find_axes(volume, body))


def magnify(
    volume: Volume, body: Body, centre_ras_mm: np.ndarray, reach_mm: float, spacing_mm: float
) -> Scout:
    """A box about a point in finer cells, which lie along R, A, S.

    Args:
        volume: The CT.
        body: The patient; everything outside is taken as air.
        centre_ras_mm: The point (3,), in the CT.
        reach_mm: Half the side of the box.
        spacing_mm: Size of a cell.
    """
    box = box_about(volume, centre_ras_mm - reach_mm, centre_ras_mm + reach_mm)
    steps = np.maximum(1, np.floor(spacing_mm / volume.spacing_mm + 0.1)).astype(int)
    part = _cut(volume, body, box, steps, (np.eye(3), 0.0, (False, False)))
    corners = volume.corners_ras_mm
    first = _find_corner(volume, body) + spacing_mm / 2
    low = first + spacing_mm * np.maximum(np.floor((centre_ras_mm - reach_mm - first) / spacing_mm), 0)
    high = np.minimum(centre_ras_mm + reach_mm, corners.max(0))
    shape = np.maximum(2, np.ceil((high - low) / spacing_mm)).astype(int)
    matrix = np.diag([*[spacing_mm] * 3, 1.0])
    matrix[:3, 3] = low
    hu = np.asarray(part.sample(to_ras(matrix, np.moveaxis(np.indices(tuple(shape)), 0, -1)))[0], np.float32)
    ends = (np.array([corners.min(0), corners.max(0)]) - low) / spacing_mm
    return Scout(hu, matrix, ends, np.eye(3), 0.0, (False, False))


def _find_corner(volume: Volume, body: Body) -> np.ndarray:
    """The lowest R, A and S (3,) of the body and a rim of air about it, but nothing beyond the CT."""
    ends = [(part.start - 0.5, part.stop - 0.5) for part in body.bounds()]
    corners = to_ras(volume.ras_from_ijk, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))
    return np.maximum(corners.min(0) - _RIM_MM, volume.corners_ras_mm.min(0))


def _cut(
    volume: Volume,
    body: Body,
    box: tuple[slice, ...],
    steps: np.ndarray,
    lie: tuple[np.ndarray, float, tuple[bool, bool]],
) -> Scout:
    steps = np.minimum(steps, np.array(volume.hu.shape) // 2)
    shape = np.array(volume.hu.shape) // steps
    low = np.array([max(part.start // step - 1, 0) for part, step in zip(box, steps, strict=True)])
    high = np.array([min(-(-p.stop // s) + 1, n) for p, s, n in zip(box, steps, shape, strict=True)])
    cut = tuple(slice(a * step, b * step) for a, b, step in zip(low, high, steps, strict=True))
    hu = _average(volume.hu[cut], steps)
    middles = [np.arange(a, b) * step + step // 2 for a, b, step in zip(low, high, steps, strict=True)]
    cells = [np.searchsorted(edge, at, "right") - 1 for edge, at in zip(body.edges, middles, strict=True)]
    np.putmask(hu, ~body.cells[np.ix_(*cells)], _AIR_HU)
    first = low * steps + (steps - 1) / 2
    matrix = volume.ras_from_ijk @ np.diag([*steps, 1.0])
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, first)
    ends = (np.array([[-0.5] * 3, np.array(volume.hu.shape) - 0.5]) - first) / steps
    return Scout(hu, matrix, ends, *lie)


def _average(hu: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Means of cells, float32, of two voxels along each axis: enough against noise, and fast."""
    hu, flipped = run_forwards(hu)
    order = np.argsort(hu.strides)[::-1]
    turned, steps = hu.transpose(order), steps[order]
    picks = [sorted({(step - 1) // 4, step - 1 - (step - 1) // 4}) for step in steps.tolist()]
    rows, columns = (
        [slice(first, None, step) for first in firsts]
        for step, firsts in zip(steps[1:], picks[1:], strict=True)
    )
    means = np.empty(np.array(turned.shape) // steps, np.float32)
    # A plane of cells stays in the cache; along memory all voxels cost no more than some.
    for number, start in enumerate(range(0, len(turned), steps[0])):
        parts = [turned[start + first, row] for first, row in product(picks[0], rows)]
        lines = reduce(np.add, (np.clip(part, _AIR_HU, _MOST_HU) for part in parts))
        means[number] = reduce(np.add, (lines[:, column].astype(np.float32) for column in columns))
    means /= np.float32(np.prod([len(firsts) for firsts in picks]))
    return np.ascontiguousarray(np.flip(means.transpose(np.argsort(order)), flipped))


def _find_axes(volume: Volume, body: Body) -> tuple[np.ndarray, float, tuple[bool, bool]]:
    i, j = (
        (edge[1:] + edge[:-1]) / 2 * s for edge, s in zip(body.edges[:2], volume.spacing_mm[:2], strict=True)
    )
    touched = np.asarray(body.cells.any(1))
    full = np.asarray(touched.any(0))
    left, right = (bool(touched[end, full].mean() > 0.2) for end in (0, -1))
    x, y = volume.ras_from_ijk[:3, :2].T / volume.spacing_mm[:2, None]
    turn = 0.0 if left or right else _find_turn(body.cells[:, :, full].astype(np.float32), i, j)
    across = np.array([1.0, 0, 0]) if turn == 0 else np.cos(turn) * x + np.sin(turn) * y
    across[2] = 0
    across /= np.linalg.norm(across)
    up = np.array([0.0, 0, 1])
    axes = np.stack([across, np.cross(up, across), up])
    mass = body.cells.sum((1, 2)), body.cells.sum((0, 2)), body.cells.sum((0, 1))
    at = [m @ (edge[1:] + edge[:-1] - 1) / 2 / m.sum() for m, edge in zip(mass, body.edges, strict=True)]
    middle = float(to_ras(volume.ras_from_ijk, np.array(at)) @ across)
    return axes, middle, (left, right)


def _find_turn(cells: np.ndarray, i: np.ndarray, j: np.ndarray) -> float:
    """By how much the body's wide side is turned from i towards j, radians; 0 where it has none."""
    mass = cells.sum((0, 1))
    mi, mj = i @ cells.sum(1) / mass, j @ cells.sum(0) / mass
    ii, jj = i**2 @ cells.sum(1) / mass - mi**2, j**2 @ cells.sum(0) / mass - mj**2
    ij = i @ np.tensordot(j, cells, (0, 1)) / mass - mi * mj
    ii, jj, ij = (np.median(x) for x in (ii, jj, ij))
    half = np.hypot((ii - jj) / 2, ij)
    oblong = np.sqrt(((ii + jj) / 2 + half) / max((ii + jj) / 2 - half, 1.0))
    turn = float(np.arctan2(2 * ij, ii - jj) / 2)
    return turn if oblong > _LEAST_OBLONG and abs(turn) < np.radians(_MOST_TURN_DEG) else 0.0
