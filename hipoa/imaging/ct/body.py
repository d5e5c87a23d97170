"""Segments the patient's body, without the table, the cushion and the blanket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.volume import Volume

GRID_MM = 4.0
_BODY_HU = -400
_TABLE_MM = 6.0


@dataclass(frozen=True)
class Body:
    """A mask of the patient, in cells of some voxels each."""

    cells: np.ndarray  # bool (a, b, c), along i, j, k
    # Along each axis the first voxel of each cell, and after the last cell the number of voxels.
    edges: tuple[np.ndarray, ...]

    def bounds(self) -> tuple[slice, slice, slice]:
        """The box of voxels that the body fills."""
        i, j, k = (
            slice(int(edge[part.start]), int(edge[part.stop]))
            for edge, part in zip(self.edges, _extent(self.cells), strict=True)
        )
        return i, j, k

    def crop(self, box: tuple[slice, ...]) -> Body:
        """The mask of a box of voxels."""
        kept, edges = [], []
        for edge, part in zip(self.edges, box, strict=True):
            first = max(int(np.searchsorted(edge, part.start, "right")) - 1, 0)
            last = max(int(np.searchsorted(edge, part.stop)), first + 1)
            kept.append(slice(first, last))
            edges.append(np.clip(edge[first : last + 1] - part.start, 0, part.stop - part.start))
        return Body(self.cells[tuple(kept)], tuple(edges))

    def refine(self, every: int, slices: int) -> Body:
        """The mask of a whole CT, from that of every n-th of its slices."""
        return Body(self.cells, (*self.edges[:2], np.minimum(every * self.edges[2], slices)))

    def flip(self, axes: tuple[int, ...]) -> Body:
        """The mask with these axes counted from the other end."""
        edges = [edge[-1] - edge[::-1] if axis in axes else edge for axis, edge in enumerate(self.edges)]
        return Body(np.flip(self.cells, axes), tuple(edges))

    def transpose(self, axes: tuple[int, ...]) -> Body:
        """The mask with its axes in another order."""
        return Body(self.cells.transpose(axes), tuple(self.edges[axis] for axis in axes))

    def mark(self) -> np.ndarray:
        """The mask at full resolution: bool (i, j, k)."""
        marked = self.cells
        for axis, edge in enumerate(self.edges):
            marked = np.repeat(marked, np.diff(edge), axis)
        return marked


def find_body(volume: Volume) -> Body:
    """Marks the patient generously: the largest connected component and a margin about it.

    What is thinner than a dozen millimetres and no part of the body (the shells of a table, sheets) is left
    out; so is everything unconnected. Holes (lung, bowel) may stay unmarked: they are air.

    Raises:
        CtError: There is nothing but air.
    """
    steps = [max(1, round(GRID_MM / s)) for s in volume.spacing_mm]
    width = volume.spacing_mm * steps
    margin_mm = _TABLE_MM + 1.5 * width.max()
    coarse = volume.hu[:: steps[0], :: steps[1], :: steps[2]] > _BODY_HU
    # Half of a CT is air about the patient.
    box = tuple(
        slice(max(part.start - int(margin_mm / w), 0), part.stop + int(margin_mm / w))
        for part, w in zip(_extent(coarse), width, strict=True)
    )
    # Contiguous, as a file's axes often are not.
    kept = ~_grow(~np.ascontiguousarray(coarse[box]), _TABLE_MM, width)
    largest = _find_largest(kept)
    if not largest.any():
        raise CtError("CT", "there is no body in it, only air", "Give a CT of the pelvis in HU.")
    cells = np.zeros_like(coarse, order="C")
    cells[box] = _grow(largest, margin_mm, width)
    shape = zip(steps, cells.shape, volume.hu.shape, strict=True)
    return Body(cells, tuple(np.minimum(step * np.arange(n + 1), size) for step, n, size in shape))


def _extent(cells: np.ndarray) -> list[slice]:
    """The bounding box of the marked cells; empty if there are none."""
    touched = [np.flatnonzero(cells.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return [slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0) for found in touched]


def _find_largest(cells: np.ndarray) -> np.ndarray:
    """The largest connected component."""
    try:
        # In half the time of 32 bits, which only noise needs.
        labelled: Any = ndimage.label(cells, output=np.int16)
    except RuntimeError:
        labelled = ndimage.label(cells)
    parts, count = labelled
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count > 1 else cells


def _grow(cells: np.ndarray, reach_mm: float, width_mm: np.ndarray) -> np.ndarray:
    """Dilates a mask by a ball: all cells whose centre lies within reach of a marked one's."""
    a, b, c = (int(reach_mm / width) for width in width_mm)
    # Along the last axis first, for each distance that the others leave.
    lines = [cells]
    for far in range(1, c + 1):
        lines.append(lines[-1].copy())
        lines[-1][..., far:] |= cells[..., :-far]
        lines[-1][..., :-far] |= cells[..., far:]
    grown = np.zeros_like(cells)
    for i, j in np.ndindex(2 * a + 1, 2 * b + 1):
        rest = reach_mm**2 - ((i - a) * width_mm[0]) ** 2 - ((j - b) * width_mm[1]) ** 2
        if rest >= 0:
            (to_i, from_i), (to_j, from_j) = _overlap(i - a), _overlap(j - b)
            grown[to_i, to_j] |= lines[int(np.sqrt(rest) / width_mm[2])][from_i, from_j]
    return grown


def _overlap(by: int) -> tuple[slice, slice]:
    return slice(max(by, 0), min(by, 0) or None), slice(max(-by, 0), min(-by, 0) or None)
