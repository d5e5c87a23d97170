"""Joseph's method on a processor: a ray is sampled where it meets each coronal plane of voxels.

P. M. Joseph, "An improved algorithm for reprojecting rays through pixel images", IEEE Trans. Med. Imaging
1(3):192-196, 1982. Where the detector is in line with the voxels, a pixel's row and column decide its
position along one axis each: two interpolations along lines serve for the one in the plane, and all
inner loops run along memory. A tilted CT has the general, slower kernel. Neither needs torch.

Numba keeps the compiled kernels beside this file or, if that folder is read-only, in the user's cache
(``NUMBA_CACHE_DIR`` names another folder); where none can be written, each process compiles them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from hipoa.imaging.attenuation import Curve
from hipoa.imaging.geometry import Rays

_SHIFT_VOXELS, _MOST_PLANES = 0.1, 4
# A CT is in line with the axes if no voxel lies further than this, in voxels, from where it would then.
_IN_LINE_VOXELS = 0.005
_VOXELS = numba.types.Array(numba.int16, 3, "C", readonly=True)
_MASK = numba.types.Array(numba.boolean, 3, "C", readonly=True)
_LINE, _PLANE, _IMAGE = numba.float64[::1], numba.float64[:, ::1], numba.float32[:, ::1]
_CURVE = numba.types.UniTuple(numba.float32, 4)


def integrate(hu: np.ndarray, body: np.ndarray, rays: Rays, curve: Curve) -> np.ndarray:
    """Line integrals of the linear attenuation.

    Args:
        hu: int16 (i, j, k) HU, the last or the first axis along memory.
        body: bool (i, j, k), laid out like ``hu``; everything outside is air, as is all beyond the voxels.
        rays: One per pixel.
        curve: Linear attenuation by HU.

    Returns:
        float32 (H, W), dimensionless.
    """
    project = _project_in_line if is_in_line(rays.ras_from_ijk, hu.shape) else _project_tilted
    return project(hu, body, rays, tuple(map(np.float32, curve)))


def is_in_line(ras_from_ijk: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the voxels' axes are those of the patient, which beam and detector follow."""
    along = np.diag(ras_from_ijk)[:3]
    aside = np.abs(ras_from_ijk[:3, :3] - np.diag(along)) @ np.array(shape)
    return bool((aside <= _IN_LINE_VOXELS * np.abs(along)).all())


def choose_planes(moved_voxels: float) -> int:
    """How many planes are summed before the interpolation along memory.

    Args:
        moved_voxels: How far along memory, in voxels, the outermost ray moves from a plane to the next.

    Returns:
        1-4, so that no sample is taken further than 0.1 voxels from its place.
    """
    return int(np.clip(1 + 2 * _SHIFT_VOXELS / max(moved_voxels, 1e-6), 1, _MOST_PLANES))


def _project_in_line(hu: np.ndarray, body: np.ndarray, rays: Rays, curve: tuple) -> np.ndarray:
    # A pixel's column decides about i, its row about k.
    column = [np.ascontiguousarray(part[0, :, 0]) for part in _cross_planes(rays, rows=slice(1))]
    row = [np.ascontiguousarray(part[:, 0, 2]) for part in _cross_planes(rays, columns=slice(1))]
    dx, dy, dz = np.linalg.norm(rays.ras_from_ijk[:3, :3], axis=0)
    step_mm = np.sqrt((dx * column[1]) ** 2 + dy**2 + (dz * row[1][:, None]) ** 2)
    turned = not hu.flags.c_contiguous
    slow, fast, hu, body = (row, column, hu.T, body.T) if turned else (column, row, hu, body)
    image = np.zeros((len(slow[0]), len(fast[0])), np.float32)
    hu, body = np.ascontiguousarray(hu), np.ascontiguousarray(body)
    _sum_in_line(hu, body, *slow, *fast, choose_planes(np.abs(fast[1]).max()), curve, image)
    return (image if turned else image.T) * step_mm.astype(np.float32)


def _project_tilted(hu: np.ndarray, body: np.ndarray, rays: Rays, curve: tuple) -> np.ndarray:
    start, step = _cross_planes(rays)
    image = np.zeros(start.shape[:2], np.float32)
    lines = [np.ascontiguousarray(part[..., axis]) for axis in (0, 2) for part in (start, step)]
    _sum_tilted(np.ascontiguousarray(hu), np.ascontiguousarray(body), *lines, curve, image)
    step_mm = np.linalg.norm(step @ rays.ras_from_ijk[:3, :3].T, axis=-1)
    return image * step_mm.astype(np.float32)


def _cross_planes(
    rays: Rays, rows: slice = slice(None), columns: slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Where rays meet the plane j = 0, and how far from there to the next one; ijk (H, W, 3) each."""
    source, target = rays.ijk(rows, columns)
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


@numba.njit(fastmath=True)
def _fill(row: Any, hu: Any, body: Any, curve: Any) -> Any:
    """Attenuation of a row of voxels, from its second element on; whether there is any."""
    total = np.float32(0)
    for k in range(len(hu)):
        row[k + 1] = _attenuate(hu[k], curve) if body[k] else np.float32(0)
        total += row[k + 1]
    return total > 0


@numba.njit(fastmath=True, error_model="numpy")
def _place(places: Any, n_voxels: Any, at: Any, share: Any) -> Any:
    """The first voxel of a row that is needed and how many; each place as a number and a share of the next.

    Number 0 is the air before the first voxel.
    """
    low = min(max(int(np.floor(places.min())), 0), n_voxels)
    n = min(max(int(np.floor(places.max())) + 2, 0), n_voxels) - low
    for v in range(len(places)):
        place = min(max(places[v] - low + 1, 0.0), n + 0.999999)
        at[v] = int(place)
        share[v] = np.float32(place - at[v])
    return low, n


@_compile(_VOXELS, _MASK, *[_LINE] * 4, numba.int64, _CURVE, _IMAGE)
def _sum_in_line(  # noqa: C901 (one kernel)
    hu: Any,
    body: Any,
    slow: Any,
    slow_step: Any,
    fast: Any,
    fast_step: Any,
    group: Any,
    curve: Any,
    image: Any,
) -> None:
    n_slow, n_planes, n_fast = hu.shape
    # The two rows beside a place, one even and one odd, and the sum of planes; air at either end.
    rows = np.zeros((group, 2, n_fast + 2), np.float32)
    held, filled = np.empty((group, 2), np.int64), np.empty((group, 2), np.bool_)
    line = np.zeros(n_fast + 2, np.float32)
    at, share = np.empty(len(fast), np.int64), np.empty(len(fast), np.float32)
    for p in range(0, n_planes, group):
        last = min(p + group, n_planes) - 1
        low, n = _place(fast + 0.5 * (p + last) * fast_step, n_fast, at, share)
        held[:] = -2
        rows[:, :, n + 1] = 0
        for u in range(len(slow)):
            some = False
            for g in range(last - p + 1):
                place = slow[u] + (p + g) * slow_step[u]
                i = int(np.floor(place))
                if i < -1 or i >= n_slow:
                    continue
                for s in range(i, i + 2):
                    if held[g, s & 1] != s:
                        held[g, s & 1] = s
                        inside = 0 <= s < n_slow
                        t = s if inside else 0
                        voxels, mask = hu[t, p + g, low : low + n], body[t, p + g, low : low + n]
                        filled[g, s & 1] = inside and _fill(rows[g, s & 1], voxels, mask, curve)
                if filled[g, 0] or filled[g, 1]:
                    b = np.float32(place - i)
                    # A row outside may hold anything, so it has no share.
                    a = np.float32(1) - b if filled[g, i & 1] else np.float32(0)
                    b = b if filled[g, (i + 1) & 1] else np.float32(0)
                    left, right = rows[g, i & 1], rows[g, (i + 1) & 1]
                    if not some:
                        line[: n + 2] = 0
                    some = True
                    for k in range(1, n + 1):
                        line[k] += a * left[k] + b * right[k]
            if some:
                for v in range(len(fast)):
                    image[u, v] += line[at[v]] + share[v] * (line[at[v] + 1] - line[at[v]])


@_compile(_VOXELS, _MASK, *[_PLANE] * 4, _CURVE, _IMAGE)
def _sum_tilted(
    hu: Any,
    body: Any,
    slow: Any,
    slow_step: Any,
    fast: Any,
    fast_step: Any,
    curve: Any,
    image: Any,
) -> None:
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
                        if body[s, p, f]:
                            part = (b if s > i else 1 - b) * (d if f > k else 1 - d)
                            image[v, u] += part * _attenuate(hu[s, p, f], curve)
