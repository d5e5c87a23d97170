"""Joseph's method on the CPU: a ray is sampled where it meets each coronal plane of voxels.

P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE Trans. Med. Imaging
1(3):192-196, 1982. Where the detector is in line with the voxels, a pixel's row and column decide its
position along one axis each: a line of voxels is brought to the pixels along it once, and then has a share
in the lines of pixels beside it. All inner loops run along memory, and what is not the body's is not
touched. A tilted CT has the general, slower kernel. Neither needs torch.

Numba keeps the compiled kernels beside this file or, if that folder is read-only, in the user's cache
(``NUMBA_CACHE_DIR`` names another folder); where none can be written, each process compiles them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.image import measure_voxels
from hipoa.imaging.projection.attenuation import Curve
from hipoa.imaging.projection.geometry import XrayGeometry

_SHIFT_VOXELS, _MOST_PLANES = 0.24, 8
# A CT is in line with the axes if no voxel lies further than this, in voxels, from where it would then.
_IN_LINE_VOXELS = 0.005
_VOXELS = numba.types.Array(numba.int16, 3, "C", readonly=True)
_CELLS = numba.types.Array(numba.boolean, 3, "A", readonly=True)
_NUMBERS, _PLANE, _IMAGE = numba.int64[::1], numba.float64[:, ::1], numba.float32[:, ::1]
_TWO_NUMBERS, _LINES = numba.types.UniTuple(_NUMBERS, 2), numba.types.UniTuple(numba.float64[::1], 2)
_THREE_NUMBERS, _FOUR_PLANES = numba.types.UniTuple(_NUMBERS, 3), numba.types.UniTuple(_PLANE, 4)
_PIXELS = numba.types.Tuple((_NUMBERS, _NUMBERS, numba.uint16[:, ::1], _IMAGE))
_CURVE = numba.types.UniTuple(numba.float32, 4)


def integrate(
    hu: np.ndarray, ras_from_ijk: np.ndarray, body: Body, geometry: XrayGeometry, curve: Curve
) -> np.ndarray:
    """Line integrals of the linear attenuation, float32 (H, W), dimensionless.

    Args:
        hu: int16 (i, j, k) HU, the last or the first axis along memory.
        ras_from_ijk: 4 x 4 matrix of the voxels.
        body: Everything outside is air, as is all beyond the voxels.
        geometry: Source and detector.
        curve: Linear attenuation by HU.
    """
    project = _project_in_line if _is_in_line(ras_from_ijk, hu.shape) else _project_tilted
    return project(hu, ras_from_ijk, body, geometry, tuple(map(np.float32, curve)))


def _is_in_line(ras_from_ijk: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the voxels' axes are those of the patient, which beam and detector follow."""
    along = np.diag(ras_from_ijk)[:3]
    aside = np.abs(ras_from_ijk[:3, :3] - np.diag(along)) @ np.array(shape)
    return bool((aside <= _IN_LINE_VOXELS * np.abs(along)).all())


def _choose_planes(moved_voxels: float) -> int:
    """How many planes (1-8) are summed before they are interpolated, at most 0.24 voxels from their place.

    The outermost ray moves by so many voxels along an axis from a plane to the next.
    """
    return int(np.clip(1 + 2 * _SHIFT_VOXELS / max(moved_voxels, 1e-6), 1, _MOST_PLANES))


def _project_in_line(
    hu: np.ndarray, ras_from_ijk: np.ndarray, body: Body, geometry: XrayGeometry, curve: tuple
) -> np.ndarray:
    # A pixel's column decides about i, its row about k.
    column = [part[0, :, 0] for part in _cross_planes(*geometry.rays_ijk(ras_from_ijk, rows=slice(1)))]
    row = [part[:, 0, 2] for part in _cross_planes(*geometry.rays_ijk(ras_from_ijk, columns=slice(1)))]
    dx, dy, dz = measure_voxels(ras_from_ijk)
    square = np.add.outer((dz * row[1]) ** 2, (dx * column[1]) ** 2 + dy**2, dtype=np.float32)
    turned = not hu.flags.c_contiguous
    slow, fast = (row, column) if turned else (column, row)
    hu, body = (hu.T, body.transpose((2, 1, 0))) if turned else (hu, body)
    firsts, cell = _group_planes(
        body.edges[1], _choose_planes(max(np.abs(fast[1]).max(), np.abs(slow[1]).max()))
    )
    middles = (firsts[:-1] + firsts[1:] - 1) / 2
    image = np.zeros((len(slow[0]), len(fast[0])), np.float32)
    lines = _locate_lines(slow, middles)
    pixels = _locate_pixels(fast[0] + middles[:, None] * fast[1], hu.shape[2])
    edges = (_number(body.edges[0]), body.edges[2])
    _sum_in_line(hu, body.cells, edges, (firsts, cell), lines, pixels, curve, image)
    return (image if turned else image.T) * np.sqrt(square, out=square)


def _group_planes(edges: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring planes that are summed; all lie in one cell, so that a CT and a part of it agree.

    Returns:
        The first plane of each group and the number of planes behind them (n + 1,); each group's cell (n,).
    """
    size = np.diff(edges)
    n_groups = -(-size // most)
    cell = np.repeat(np.arange(len(size)), n_groups)
    before = np.arange(len(cell)) - np.repeat(np.cumsum(n_groups) - n_groups, n_groups)
    return np.append(edges[cell] + before * size[cell] // n_groups[cell], edges[-1]), cell


def _number(edges: np.ndarray) -> np.ndarray:
    """The cell of each voxel along an axis."""
    return np.repeat(np.arange(len(edges) - 1), np.diff(edges))


def _locate_lines(slow: list[np.ndarray], planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the first line of pixels lies at some planes, and how far from there to the next line; voxels."""
    (start, step), last = slow, len(slow[0]) - 1
    first = start[0] + planes * step[0]
    return first, (start[last] + planes * step[last] - first) / max(last, 1)


def _locate_pixels(places: np.ndarray, n_voxels: int) -> tuple[np.ndarray, ...]:
    """Which part of a line of voxels is needed, and where in it the pixels (n, V) of some planes lie.

    Returns:
        The first voxel (n,) and how many (n,); each place as a number (n, V), of which 0 is the air before
        the first voxel, and a share of the next (n, V).
    """
    low = np.clip(np.floor(places.min(1)).astype(np.int64), 0, n_voxels)
    count = np.clip(np.floor(places.max(1)).astype(np.int64) + 2, 0, n_voxels) - low
    inside = np.clip(places - low[:, None] + 1, 0, count[:, None] + 0.999999)
    # Unsigned: the kernel need not ask whether a number counts from the end.
    at = inside.astype(np.uint16)
    return low, count, at, (inside - at).astype(np.float32)


def _project_tilted(
    hu: np.ndarray, ras_from_ijk: np.ndarray, body: Body, geometry: XrayGeometry, curve: tuple
) -> np.ndarray:
    start, step = _cross_planes(*geometry.rays_ijk(ras_from_ijk))
    image = np.zeros(start.shape[:2], np.float32)
    lines = tuple(np.ascontiguousarray(part[..., axis]) for axis in (0, 2) for part in (start, step))
    numbers = tuple(map(_number, body.edges))
    _sum_tilted(np.ascontiguousarray(hu), body.cells, numbers, lines, curve, image)
    step_mm = np.linalg.norm(step @ ras_from_ijk[:3, :3].T, axis=-1)
    return image * step_mm.astype(np.float32)


def _cross_planes(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays meet the plane j = 0, and how far from there to the next one; ijk (H, W, 3) each."""
    step = (target - source) / (target - source)[..., 1:2]
    return source - source[..., 1:2] * step, step


def _compile(*arguments: Any) -> Callable[[Callable], Any]:
    signature = numba.void(*arguments)
    options: dict[str, Any] = {"fastmath": True, "nogil": True, "error_model": "numpy"}

    def compile_kernel(function: Callable) -> Any:
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return numba.njit(signature, **options)(function)

    return compile_kernel


@numba.njit(fastmath=True)
def _attenuate(hu: Any, curve: Any) -> Any:
    start, per_hu, bend, more = curve
    x, zero = np.float32(hu), np.float32(0)
    return per_hu * max(x - start, zero) + more * max(x - bend, zero)


@numba.njit
def _find_runs(cells: Any, edges: Any, runs: Any, n_runs: Any) -> None:
    """Where the body begins and ends along each line of cells (n, c), in voxels: so many runs (n, :, 2)."""
    for p in range(len(cells)):
        n_runs[p] = 0
        for c in range(len(edges) - 1):
            if cells[p, c]:
                if c == 0 or not cells[p, c - 1]:
                    runs[p, n_runs[p], 0] = edges[c]
                    n_runs[p] += 1
                runs[p, n_runs[p] - 1, 1] = edges[c + 1]


@numba.njit(fastmath=True)
def _add(line: Any, planes: Any, runs: Any, n_runs: Any, low: Any, count: Any, curve: Any) -> Any:
    """Sums a part of a line of voxels in some planes; False if none of it belongs to the body."""
    some = False
    for r in range(n_runs):
        start, stop = max(runs[r, 0], low), min(runs[r, 1], low + count)
        if stop > start:
            if not some:
                line[: count + 2] = 0
            some = True
            part = line[start - low + 1 : stop - low + 1]
            for p in range(len(planes)):
                voxels = planes[p, start:stop]
                for k in range(len(voxels)):
                    part[k] += _attenuate(voxels[k], curve)
    return some


@numba.njit(fastmath=True, error_model="numpy")
def _find_lines(voxel: Any, first: Any, step: Any, n_lines: Any) -> Any:
    """The first and the last line of pixels that lie less than a voxel from this line of voxels."""
    one, other = (voxel - 1 - first) / step, (voxel + 1 - first) / step
    low, high = min(one, other), max(one, other)
    return max(int(np.floor(low)) + 1, 0), min(int(np.ceil(high)) - 1, n_lines - 1)


@numba.njit(fastmath=True)
def _spread(line: Any, at: Any, share: Any, seen: Any) -> None:
    """Interpolates a line of voxels at the pixels."""
    after = line[1:]
    for v in range(len(seen)):
        voxel = line[at[v]]
        seen[v] = voxel + share[v] * (after[at[v]] - voxel)


@_compile(_VOXELS, _CELLS, _TWO_NUMBERS, _TWO_NUMBERS, _LINES, _PIXELS, _CURVE, _IMAGE)
def _sum_in_line(
    hu: Any, cells: Any, body_edges: Any, groups: Any, lines: Any, pixels: Any, curve: Any, image: Any
) -> None:
    (slow_cell, edges), (planes, plane_cell), (first_line, line_step) = body_edges, groups, lines
    low, count, at, share = pixels
    runs = np.empty((cells.shape[1], cells.shape[2] // 2 + 1, 2), np.int64)
    n_runs = np.empty(cells.shape[1], np.int64)
    # The sum of some planes along a line of voxels, air at either end, and the same at the pixels.
    line, seen = np.empty(hu.shape[2] + 2, np.float32), np.empty(image.shape[1], np.float32)
    held = -1
    for i in range(hu.shape[0]):
        if slow_cell[i] != held:
            held = slow_cell[i]
            _find_runs(cells[held], edges, runs, n_runs)
        for g in range(len(low)):
            first, last = _find_lines(i, first_line[g], line_step[g], image.shape[0])
            c, part = plane_cell[g], hu[i, planes[g] : planes[g + 1]]
            if first <= last and _add(line, part, runs[c], n_runs[c], low[g], count[g], curve):
                _spread(line, at[g], share[g], seen)
                for u in range(first, last + 1):
                    weight = np.float32(1 - abs(first_line[g] + u * line_step[g] - i))
                    row = image[u]
                    for v in range(len(row)):
                        row[v] += weight * seen[v]


@_compile(_VOXELS, _CELLS, _THREE_NUMBERS, _FOUR_PLANES, _CURVE, _IMAGE)
def _sum_tilted(hu: Any, cells: Any, numbers: Any, lines: Any, curve: Any, image: Any) -> None:
    (slow_cell, plane_cell, fast_cell), (slow, slow_step, fast, fast_step) = numbers, lines
    n_slow, n_planes, n_fast = hu.shape
    height, width = image.shape
    for p in range(n_planes):
        for v in range(height):
            for u in range(width):
                x, y = slow[v, u] + p * slow_step[v, u], fast[v, u] + p * fast_step[v, u]
                i, k = int(np.floor(x)), int(np.floor(y))
                b, d = np.float32(x - i), np.float32(y - k)
                for s in range(max(i, 0), min(i + 2, n_slow)):
                    for f in range(max(k, 0), min(k + 2, n_fast)):
                        if cells[slow_cell[s], plane_cell[p], fast_cell[f]]:
                            part = (b if s > i else 1 - b) * (d if f > k else 1 - d)
                            image[v, u] += part * _attenuate(hu[s, p, f], curve)
