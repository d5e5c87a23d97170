"""Renders line integrals; torch is imported only by the renderers that need it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hipoa.core.errors import CtError
from hipoa.imaging.ct.body import Body
from hipoa.imaging.ct.image import copy_in_pages, run_forwards, to_ras
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.projection.attenuation import Curve
from hipoa.imaging.projection.geometry import Projection, XrayGeometry, crop_matrix
from hipoa.imaging.projection.slices import cut_slices

Box = tuple[slice, slice, slice]
_FAR_MM = 2000.0
# Files that the driver of a graphics card creates: NVIDIA's, WSL's, AMD's.
_DRIVERS = ("/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")


@dataclass(frozen=True)
class ProjectionRequest:
    """One image to be rendered."""

    volume: Volume  # the CT, or the part of it that the rays meet
    body: Body  # the patient without the table; everything outside is taken as air
    geometry: XrayGeometry  # source and detector
    # A point (3,), RAS mm, about which slices are cut beside it; none if None.
    slices_at_ras_mm: np.ndarray | None = None

    def seen_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest RAS mm (3,) that rays reach between source and detector.

        A margin of two voxels and a pixel keeps interpolation at the rim as it is in the whole CT.
        """
        geometry = self.geometry
        margin = 2 * float(self.volume.spacing_mm.max()) + geometry.mm_per_px * geometry.magnification
        corner = slice(None, None, geometry.detector_px - 1)
        ends = np.concatenate([part.reshape(-1, 3) for part in geometry.rays_ras_mm(corner, corner)])
        return ends.min(0) - margin, ends.max(0) + margin

    def seen_box(self) -> Box:
        """The voxels that some ray can touch; from front to back the whole CT is taken."""
        low, high = self.seen_ends()
        corners = self.volume.corners_ras_mm
        low[1], high[1] = corners[:, 1].min(), corners[:, 1].max()
        return self.volume.box(low, high)


def crop_together(requests: Mapping[str, ProjectionRequest]) -> dict[str, ProjectionRequest]:
    """The same images of one CT with one copy of the voxels that the rays of any of them meet in the body."""
    if not requests:
        return {}
    one = next(iter(requests.values()))
    boxes = [each.seen_box() for each in requests.values()]
    i, _, k = (
        slice(min(p.start for p in parts), max(p.stop for p in parts)) for parts in zip(*boxes, strict=True)
    )
    box = i, one.body.bounds()[1], k
    part = Volume(copy_in_pages(one.volume.hu[box]), crop_matrix(one.volume.ras_from_ijk, box))
    body = one.body.crop(box)
    return {name: replace(each, volume=part, body=body) for name, each in requests.items()}


def render(request: ProjectionRequest, renderer: str, curve: Curve) -> Projection:
    """Line integrals of the linear attenuation.

    The renderers are "joseph_cpu" (attenuation interpolated between voxel centres, where the ray meets a
    plane of voxels; Numba), "trilinear" (the same, at even steps along the ray; DiffDRR), "siddon" (constant
    voxels; DiffDRR) and "auto" (:func:`choose_renderer`).

    Raises:
        CtError: The body does not fit between source and detector.
    """
    if request.geometry.beam == "orthographic":
        # Parallel rays run through the whole body.
        far = replace(request.geometry, source_to_detector_mm=2 * _FAR_MM, source_to_hip_mm=_FAR_MM)
        request = replace(request, geometry=far)
    box = request.seen_box()
    _check_body_fits(request, box)
    chosen = choose_renderer(renderer)
    if chosen == "joseph_cpu":
        # numba takes half a second to import.
        from hipoa.imaging.projection.joseph import integrate

        hu, matrix, body = _lay_along_memory(request, box)
        image = integrate(hu, matrix, body, request.geometry, curve)
    else:
        from hipoa.imaging.projection.diffdrr import integrate_on_device

        image = integrate_on_device(request, box, chosen, curve)
    centre = request.slices_at_ras_mm
    slices = None if centre is None else cut_slices(request.volume, centre)
    return Projection(image, request.geometry.mm_per_px, slices)


def choose_renderer(renderer: str) -> str:
    """What "auto" stands for here: "trilinear" on a GPU, "joseph_cpu" without one; other names stay.

    torch is asked only where there is a graphics card's driver, since asking takes seconds.
    """
    if renderer != "auto":
        return renderer
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hidden or not any(Path(driver).exists() for driver in _DRIVERS):
        return "joseph_cpu"
    import torch

    return "trilinear" if torch.cuda.is_available() else "joseph_cpu"


def _check_body_fits(request: ProjectionRequest, box: Box) -> None:
    """Refuses a body that reaches behind the detector or before the source."""
    volume, geometry = request.volume, request.geometry
    planes = np.arange(box[1].start, box[1].stop)
    sides = [(s.start, s.stop - 1) for s in (box[0], box[2])]
    corners = np.stack(np.meshgrid(sides[0], planes, sides[1], indexing="ij"), -1)
    depth = geometry.depths_mm(to_ras(volume.ras_from_ijk, corners))
    beyond = (depth.min((0, 2)) <= 0) | (depth.max((0, 2)) > geometry.source_to_detector_mm)
    # Usually these planes are air or absent, and the other voxels need not be checked.
    ends = np.flatnonzero(np.diff(beyond)) + 1
    for run in np.split(planes, ends)[not beyond[:1].any() :: 2]:
        slab = (box[0], slice(run[0], run[-1] + 1), box[2])
        part = request.body.crop(slab)
        if part.cells.any() and (filled := part.mark() & (volume.hu[slab] > -1000)).any():
            points = to_ras(crop_matrix(volume.ras_from_ijk, slab), np.argwhere(filled))
            _check_depths(geometry.depths_mm(points), geometry)


def _check_depths(depths_mm: np.ndarray, geometry: XrayGeometry) -> None:
    farthest_mm = depths_mm.max()
    if farthest_mm > geometry.source_to_detector_mm:
        behind_mm = farthest_mm - geometry.source_to_hip_mm
        raise CtError(
            "projection",
            f"the body reaches {behind_mm:.0f} mm behind the hip, the detector lies "
            f"{geometry.hip_to_detector_mm:.0f}",
            f"Set source_to_hip_mm to at most {geometry.source_to_detector_mm - behind_mm - 1:.0f}.",
        )
    if depths_mm.min() <= 0:
        raise CtError("projection", "the source lies within the body", "Enlarge source_to_hip_mm.")


def _lay_along_memory(request: ProjectionRequest, box: Box) -> tuple[np.ndarray, np.ndarray, Body]:
    """The voxels as they lie in memory, the first or the last axis along it, their matrix, and the body.

    Axes that were turned round are turned back. Only where the axes are in another order still is the box
    copied.
    """
    volume, body = request.volume, request.body
    hu, axes = run_forwards(volume.hu)
    if not (hu.flags.c_contiguous or hu.flags.f_contiguous):
        return np.ascontiguousarray(volume.hu[box]), crop_matrix(volume.ras_from_ijk, box), body.crop(box)
    matrix = volume.ras_from_ijk.copy()
    for axis in axes:
        matrix[:3, 3] += (hu.shape[axis] - 1) * matrix[:3, axis]
        matrix[:3, axis] *= -1
    return hu, matrix, body.flip(axes)
