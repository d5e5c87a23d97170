"""One hip's line integrals, by the renderer named. torch is imported only by those that need it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.image import run_forwards, to_ras
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.projection.attenuation import Curve, attenuate_float
from hipoa.imaging.projection.geometry import (
    Projection,
    Rays,
    XrayGeometry,
    check_detector_behind,
    depths_mm,
    move,
    seen_box,
)

_RAYS = 3600
_FAR_MM = 2000.0
# What a graphics card's driver shows: NVIDIA's, that of Windows' Linux, AMD's.
_DRIVERS = ("/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")


def project_hip(
    volume: Volume,
    body: Body,
    centre_ras_mm: np.ndarray,
    geometry: XrayGeometry,
    *,
    renderer: str,
    curve: Curve,
) -> Projection:
    """Line integrals of the linear attenuation about one hip.

    Args:
        volume: The CT.
        body: The patient; everything outside is taken as air.
        centre_ras_mm: The hip centre (3,), in the middle of the image.
        geometry: Source, detector and field of view.
        renderer: "joseph_cpu" (attenuation interpolated between voxel centres, where the ray meets a plane
            of voxels; Numba), "trilinear" (the same, at even steps along the ray; DiffDRR), "siddon"
            (constant voxels; DiffDRR) or "auto" (:func:`choose_renderer`).
        curve: Linear attenuation by HU.

    Raises:
        CtError: The body does not fit between source and detector.
    """
    if geometry.beam == "orthographic":
        # Parallel rays run through the whole body.
        geometry = replace(geometry, source_to_detector_mm=2 * _FAR_MM, source_to_hip_mm=_FAR_MM)
    box = seen_box(volume, centre_ras_mm, geometry)
    _check_between(volume, body, box, centre_ras_mm, geometry)
    chosen = choose_renderer(renderer)
    if chosen == "joseph_cpu":
        # numba takes half a second to import.
        from hipoa.imaging.projection.joseph import integrate

        hu, body, matrix = lay_along_memory(volume, body, box)
        image = integrate(hu, body, Rays(matrix, centre_ras_mm, geometry), curve)
    else:
        import torch

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        hu, matrix = _crop_to_body(volume, body, box, device)
        density_per_mm = attenuate_float(hu.float(), curve)
        image = _render(density_per_mm, Rays(matrix, centre_ras_mm, geometry), chosen)
    return Projection(image, geometry.mm_per_px)


def choose_renderer(renderer: str) -> str:
    """What "auto" stands for here: "trilinear" on a GPU, "joseph_cpu" without one; other names stay.

    torch is asked only where a graphics card's driver is to be seen, since asking takes seconds.
    """
    if renderer != "auto":
        return renderer
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hidden or not any(Path(driver).exists() for driver in _DRIVERS):
        return "joseph_cpu"
    import torch

    return "trilinear" if torch.cuda.is_available() else "joseph_cpu"


def _check_between(
    volume: Volume,
    body: Body,
    box: tuple[slice, ...],
    centre_ras_mm: np.ndarray,
    geometry: XrayGeometry,
) -> None:
    """Refuses a body that reaches behind the detector or before the source."""
    planes = np.arange(box[1].start, box[1].stop)
    sides = [(s.start, s.stop - 1) for s in (box[0], box[2])]
    corners = np.stack(np.meshgrid(sides[0], planes, sides[1], indexing="ij"), -1)
    depth = depths_mm(to_ras(volume.ras_from_ijk, corners), centre_ras_mm, geometry)
    beyond = (depth.min((0, 2)) <= 0) | (depth.max((0, 2)) > geometry.source_to_detector_mm)
    # Most often these planes are air, or none, and the other voxels need not be gone through.
    ends = np.flatnonzero(np.diff(beyond)) + 1
    for run in np.split(planes, ends)[not beyond[:1].any() :: 2]:
        slab = (box[0], slice(run[0], run[-1] + 1), box[2])
        part = body.crop(slab)
        if part.cells.any() and (filled := part.mark() & (volume.hu[slab] > -1000)).any():
            points = to_ras(move(volume.ras_from_ijk, slab), np.argwhere(filled))
            depth = depths_mm(points, centre_ras_mm, geometry)
            check_detector_behind(depth.min(), depth.max(), geometry)


def lay_along_memory(
    volume: Volume, body: Body, box: tuple[slice, ...]
) -> tuple[np.ndarray, Body, np.ndarray]:
    """The voxels as they lie in memory, the first or the last axis along it, and their matrix.

    Axes that were turned round are turned back. Only where the axes are in another order still is the box
    copied.
    """
    hu, axes = run_forwards(volume.hu)
    matrix = volume.ras_from_ijk.copy()
    for axis in axes:
        matrix[:3, 3] += (hu.shape[axis] - 1) * matrix[:3, axis]
        matrix[:3, axis] *= -1
    if hu.flags.c_contiguous or hu.flags.f_contiguous:
        return hu, body.flip(axes), matrix
    return np.ascontiguousarray(volume.hu[box]), body.crop(box), move(volume.ras_from_ijk, box)


def _crop_to_body(volume: Volume, body: Body, box: tuple[slice, ...], device: Any) -> tuple[Any, np.ndarray]:
    """The part of the box that is not air and a voxel of air about it, a tensor there; and its matrix."""
    import torch

    hu = torch.from_numpy(np.array(volume.hu[box], order="C")).to(device)
    within = body.crop(box)
    marked = torch.from_numpy(np.ascontiguousarray(within.cells)).to(device)
    for axis, edge in enumerate(within.edges):
        marked = marked.repeat_interleave(torch.from_numpy(np.diff(edge)).to(device), axis)
    hu = torch.where(marked, hu, -1000).to(torch.int16)
    filled = hu > -1000
    ends = [torch.nonzero(filled.any(2 if axis < 2 else 1).any(1 if axis < 1 else 0)) for axis in range(3)]
    if not all(map(len, ends)):
        return hu.new_full((2, 2, 2), -1000), volume.ras_from_ijk
    part = tuple(slice(int(end[0]), int(end[-1]) + 1) for end in ends)
    before = tuple(slice(s.start + p.start - 1, s.stop) for s, p in zip(box, part, strict=True))
    padded = torch.nn.functional.pad(hu[part], (1,) * 6, value=-1000)
    return padded, move(volume.ras_from_ijk, before)


def _render(density_per_mm: Any, rays: Rays, renderer: str) -> np.ndarray:
    import torch

    device = density_per_mm.device
    source, target = rays.ijk()
    length_mm = np.linalg.norm(np.subtract(*rays.ras_mm()), axis=-1)
    source, target, length_mm = (
        torch.from_numpy(array).to(device, torch.float32)
        for array in (source.reshape(1, -1, 3), target.reshape(1, -1, 3), length_mm[None, None])
    )
    render, options = _make_renderer(tuple(density_per_mm.shape), rays, renderer)
    # On a CPU in pieces: large temporaries cost page faults.
    at_once = _RAYS if device.type == "cpu" else rays.geometry.detector_px**2
    pieces = zip(
        source.split(at_once, 1),
        target.split(at_once, 1),
        length_mm.flatten(2).split(at_once, 2),
        strict=True,
    )
    with torch.inference_mode():
        image = torch.cat([render(density_per_mm, *piece, **options).flatten() for piece in pieces])
    return image.reshape((rays.geometry.detector_px,) * 2).cpu().numpy()


def _make_renderer(shape: tuple[int, ...], rays: Rays, renderer: str) -> tuple[Any, dict[str, Any]]:
    from diffdrr.renderers import Siddon, Trilinear

    render = {"siddon": Siddon, "trilinear": Trilinear}[renderer]()
    if renderer == "siddon":
        return render, {}
    ends = [(-0.5, n - 0.5) for n in shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1)
    depth = depths_mm(to_ras(rays.ras_from_ijk, corners), rays.centre_ras_mm, rays.geometry)
    alpha = depth / rays.geometry.source_to_detector_mm
    # A sample per 0.9 of the smallest voxel side: finer changes less than 1e-4 of the image.
    smallest_mm = 0.9 * np.linalg.norm(rays.ras_from_ijk[:3, :3], axis=0).min()
    n_points = int(np.ceil(np.ptp(depth) / smallest_mm)) + 1
    return render, {"alphamin": alpha.min(), "alphamax": alpha.max(), "n_points": n_points}
