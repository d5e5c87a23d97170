"""Where spheres of bone may lie: the surface of bone votes along its normals for their middles.

A Hough transform whose votes follow the gradient: D. H. Ballard, "Generalizing the Hough transform to detect
arbitrary shapes", Pattern Recognition 13(2):111-122, 1981.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hipoa.imaging.hips import USUAL_RADIUS_MM
from hipoa.imaging.scout import Scout

CAP_HU = (-100.0, 400.0)
# From the middle of the head's edge to that of the socket's edge, mm: the joint space and its blur.
GAP_MM = 4.0
_BLUR_MM, _SURFACE_HU, EDGE_HU_PER_MM = 2.0, 60.0, 10.0
_RADII_MM = (18.5, 21.5, 24.5, 27.5)
_CELL_MM, _BEYOND_MM, _SPREAD = 5.0, 20.0, 0.9
_USUAL_SD_MM = 7.0


@dataclass(frozen=True)
class Slope:
    """How steeply HU rise in a scout, along its axes; HU capped at those of cancellous bone.

    Attributes:
        blurred: float32 (a, b, c), contiguous.
        spacing_mm: Size of a cell (3,).
    """

    blurred: np.ndarray
    spacing_mm: np.ndarray

    def at(self, index: np.ndarray) -> np.ndarray:
        """HU per mm (..., 3) at cells (..., 3); at the rim those of the next cell inwards."""
        shape = np.array(self.blurred.shape)
        steps = np.array([shape[1] * shape[2], shape[2], 1])
        at, values = np.clip(index, 1, shape - 2) @ steps, self.blurred.ravel()
        rises = [(values[at + step] - values[at - step]) for step in steps]
        return np.stack(rises, -1) / (2 * self.spacing_mm).astype(np.float32)


def find_slope(scout: Scout) -> Slope:
    """Blurs a scout so that noise makes no slopes."""
    blur = _BLUR_MM / scout.spacing_mm
    return Slope(ndimage.gaussian_filter(np.clip(scout.hu, *CAP_HU), blur, truncate=2), scout.spacing_mm)


def find_spheres(scout: Scout, slope: Slope, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The spheres most voted for: middles (n, 3) in RAS mm, radii (n,) in mm, and their votes (n,).

    Votes are counted in mm3 of surface's cells per mm2 of radius squared.
    """
    on = np.argwhere(scout.hu > _SURFACE_HU)
    way = slope.at(on)
    steep = np.sqrt(np.square(way).sum(1))
    edge = steep > EDGE_HU_PER_MM
    spacing = scout.spacing_mm.astype(np.float32)
    # An axis after the other, along memory.
    at, way = on[edge].T * spacing[:, None], np.ascontiguousarray(way[edge].T) / steep[edge]
    shape = np.ceil((np.array(scout.hu.shape) * spacing + 2 * _BEYOND_MM) / _CELL_MM).astype(int)
    votes = []
    for radius_mm in _RADII_MM:
        # The head's surface faces outwards from its middle, that of its socket towards it.
        count = _count(np.hstack((at + way * radius_mm, at - way * (radius_mm + GAP_MM))), shape)
        votes.append(
            ndimage.gaussian_filter(count, _SPREAD, truncate=2)
            * np.exp(-(((radius_mm - USUAL_RADIUS_MM) / _USUAL_SD_MM) ** 2) / 2)
        )
    best = np.max(votes, 0)
    peaks = np.nonzero((best == ndimage.maximum_filter(best, 3)) & (best > 0))
    order = np.argsort(-best[peaks], kind="stable")[:most]
    peaks = tuple(p[order] for p in peaks)
    radii = np.array(_RADII_MM)[np.argmax([v[peaks] for v in votes], 0)]
    index = ((np.stack(peaks, -1) + 0.5) * _CELL_MM - _BEYOND_MM) / spacing
    score = best[peaks] / radii**2 * np.prod(spacing)
    return index @ scout.ras_from_index[:3, :3].T + scout.ras_from_index[:3, 3], radii, score


def _count(at_mm: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """How many of the points (3, n) lie in each cell, float32 of this shape."""
    cell = ((at_mm + np.float32(_BEYOND_MM)) / np.float32(_CELL_MM)).astype(np.int32)
    inside = np.logical_and.reduce([(0 <= along) & (along < n) for along, n in zip(cell, shape, strict=True)])
    i, j, k = (along[inside] for along in cell)
    flat = (i * shape[1] + j) * shape[2] + k
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float32)
