"""DiffDRR's renderers, on a GPU if there is one: trilinear interpolation, or Siddon's constant voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffdrr.renderers import Siddon, Trilinear

from hipoa.imaging.ct.image import measure_voxels, to_ras
from hipoa.imaging.projection.attenuation import Curve, attenuate
from hipoa.imaging.projection.geometry import XrayGeometry, crop_matrix
from hipoa.imaging.projection.render import Box, ProjectionRequest

_RAYS = 3600


def integrate_on_device(request: ProjectionRequest, box: Box, renderer: str, curve: Curve) -> np.ndarray:
    """Line integrals, float32 (H, W), by "trilinear" or "siddon"; the rays touch only the box of voxels."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hu, matrix = _crop_to_body(request, box, device)
    density_per_mm = attenuate(hu.float(), curve)
    geometry = request.geometry
    length_mm = np.linalg.norm(np.subtract(*geometry.rays_ras_mm()), axis=-1)
    source, target, length = (
        torch.from_numpy(array).to(device, torch.float32)
        for array in (
            *(part.reshape(1, -1, 3) for part in geometry.rays_ijk(matrix)),
            length_mm.reshape(1, 1, -1),
        )
    )
    render, options = _make_renderer(tuple(hu.shape), matrix, geometry, renderer)
    # On a CPU in pieces: large temporaries cost page faults.
    at_once = _RAYS if device.type == "cpu" else geometry.detector_px**2
    pieces = zip(source.split(at_once, 1), target.split(at_once, 1), length.split(at_once, 2), strict=True)
    with torch.inference_mode():
        image = torch.cat([render(density_per_mm, *piece, **options).flatten() for piece in pieces])
    return image.reshape((geometry.detector_px,) * 2).cpu().numpy()


def _crop_to_body(
    request: ProjectionRequest, box: Box, device: torch.device
) -> tuple[torch.Tensor, np.ndarray]:
    """The part of the box that is not air and a voxel of air about it, a tensor there; and its matrix."""
    volume = request.volume
    hu = torch.from_numpy(np.array(volume.hu[box], order="C")).to(device)
    within = request.body.crop(box)
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
    return padded, crop_matrix(volume.ras_from_ijk, before)


def _make_renderer(
    shape: tuple[int, ...], matrix: np.ndarray, geometry: XrayGeometry, renderer: str
) -> tuple[Any, dict[str, Any]]:
    if renderer == "siddon":
        return Siddon(), {}
    corners = np.stack(np.meshgrid(*[(-0.5, n - 0.5) for n in shape], indexing="ij"), -1)
    depth = geometry.depths_mm(to_ras(matrix, corners))
    alpha = depth / geometry.source_to_detector_mm
    # A sample per 0.9 of the smallest voxel side: finer changes less than 1e-4 of the image.
    smallest_mm = 0.9 * measure_voxels(matrix).min()
    n_points = int(np.ceil(np.ptp(depth) / smallest_mm)) + 1
    return Trilinear(), {"alphamin": alpha.min(), "alphamax": alpha.max(), "n_points": n_points}
