"""A label volume while it is drawn, and what it is when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from surfaces import Surface

from hipoa.phantom.anatomy.solids import Grid, Solid

VOXEL_MM = 2.0
LABELS = (
    *("air", "fat", "muscle", "organ", "vessel", "bladder", "gas", "joint"),
    *("hip_shell", "hip_inside", "femur_shell", "femur_inside", "marrow", "head_shell", "head_inside"),
    *("other_shell", "other_inside", "table", "lung"),
)
"""What a voxel may be; its place in this tuple is its value."""
CODE = {name: number for number, name in enumerate(LABELS)}
_ABOUT_HEADS_MM = np.array([[-120.0, -115.0, -190.0], [120.0, 125.0, 190.0]])


@dataclass(frozen=True)
class Anatomy:
    """A label volume.

    Attributes:
        labels: uint8 (i, j, k), codes of :data:`LABELS`; i to the right, j to the front, k to the head.
        origin: RAS mm (3,) of voxel (0, 0, 0).
        heads: By side, L or R, centre (3,) in RAS mm and radius in mm: (4,).
        kind: "bones", "model", "patient" or what is drawn without a hip.
    """

    labels: np.ndarray
    origin: np.ndarray
    heads: dict[str, np.ndarray]
    kind: str


def fill(surface: Surface, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The voxels within a surface and those on it: bool (i, j, k) each. Small holes are closed first."""
    corners = surface.points[surface.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
    points = [surface.points]
    for low, high, n in ((0, 2.5, 3), (2.5, 5, 6), (5, 12, 12), (12, np.inf, 30)):
        some = corners[(longest > low) & (longest <= high)]
        share = np.array([(i, j, n - 1 - i - j) for i in range(n) for j in range(n - i)]) / (n - 1)
        points.append(np.einsum("sc,fcx->fsx", share, some).reshape(-1, 3))
    index = np.concatenate(points) @ np.linalg.inv(grid.frame_from_ijk)[:3, :3].T
    index = np.rint(index + np.linalg.inv(grid.frame_from_ijk)[:3, 3]).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(1)]
    shell = np.zeros(grid.shape, bool)
    shell[tuple(index.T)] = True
    if not len(index):
        return shell, shell
    low, high = np.maximum(index.min(0) - 3, 0), index.max(0) + 4
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    # Where the grid cuts a bone its cut end is open: closed for the filling by a lid.
    part = np.pad(shell[box], 1)
    part = ndimage.binary_dilation(part, np.ones((3, 3, 3)))
    part = np.stack([ndimage.binary_fill_holes(plane) for plane in part.transpose(2, 0, 1)]).transpose(
        1, 2, 0
    )
    part = ndimage.binary_erosion(part, np.ones((3, 3, 3)))[1:-1, 1:-1, 1:-1]
    inside = np.zeros(grid.shape, bool)
    inside[box] = part
    return inside | shell, shell


def make_grid(heads: np.ndarray, about: np.ndarray = _ABOUT_HEADS_MM) -> Grid:
    """Voxels of 2 mm about points (n, 3)."""
    low, high = heads.min(0) + about[0], heads.max(0) + about[1]
    frame = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    frame[:3, 3] = low
    x, y, z = np.ceil((high - low) / VOXEL_MM).astype(int)
    return Grid((int(x), int(y), int(z)), frame)


class Canvas:
    """A label volume while it is drawn."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.labels = np.zeros(grid.shape, np.uint8)

    def paint(
        self, solids: Sequence[Solid], label: str, smooth_mm: float = 0, only: np.ndarray | None = None
    ):
        """Gives the voxels of solids a label, all or only those that are marked."""
        if not solids:
            return
        window, distance = self.grid.rasterise(solids, smooth_mm)
        inside = distance < 0
        if only is not None:
            inside &= only[window]
        self.labels[window][inside] = CODE[label]

    def bone(self, solids: Sequence[Solid], name: str = "other", shell_mm: float = 2.0, smooth_mm: float = 0):
        """Paints a bone: its shell and what is inside."""
        self.paint(solids, f"{name}_shell", smooth_mm)
        if solids:
            window, distance = self.grid.rasterise(solids, smooth_mm)
            self.labels[window][distance < -shell_mm] = CODE[f"{name}_inside"]

    def voxels(self, inside: np.ndarray, shell: np.ndarray, name: str) -> None:
        """Paints a bone given as voxels."""
        self.labels[inside] = CODE[f"{name}_inside"]
        self.labels[shell] = CODE[f"{name}_shell"]
