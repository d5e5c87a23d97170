"""One hip's line integrals by DiffDRR, on the hip's part of the CT. torch is imported when it renders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from hipoa.imaging.attenuation import attenuate
from hipoa.imaging.geometry import Projection, XrayGeometry, check_detector_behind, depths_mm, seen_box
from hipoa.imaging.volume import Volume, to_ras

# DiffDRR's own matrix for orientation "AP": the source in front (+A) of the patient.
_AP = ((1.0, 0, 0, 0), (0, 0, -1.0, 0), (0, 1.0, 0, 0), (0, 0, 0, 1.0))
_PATCH_PX = 60


def project_hip(
    volume: Volume,
    body: np.ndarray,
    centre_ras_mm: np.ndarray,
    geometry: XrayGeometry,
    *,
    renderer: str,
    energy_kev: float,
    ct_energy_kev: float,
) -> Projection:
    """Line integrals of the linear attenuation about one hip.

    Args:
        volume: The CT.
        body: bool (i, j, k); everything outside is taken as air.
        centre_ras_mm: The hip centre (3,), on the central ray.
        geometry: Source, detector and field of view.
        renderer: "trilinear" (attenuation interpolated between voxel centres) or "siddon" (constant
            voxels).
        energy_kev: Photon energy of the projection.
        ct_energy_kev: Effective photon energy of the scanner.

    Raises:
        CtError: The body does not fit between source and detector.
    """
    box = seen_box(volume, centre_ras_mm, geometry)
    hu = np.where(body[box], volume.hu[box], np.int16(-1000))
    filled = np.argwhere(hu > -1000)
    if not len(filled):
        return Projection(np.zeros((geometry.detector_px,) * 2, np.float32), geometry.mm_per_px)
    first, last = filled.min(0), filled.max(0) + 1
    start = np.array([s.start for s in box]) + first
    part = hu[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    density = attenuate(np.pad(part, 1, constant_values=-1000), energy_kev, ct_energy_kev)
    matrix = volume.ras_from_ijk.copy()
    matrix[:3, 3] = to_ras(volume.ras_from_ijk, start - 1.0)
    return Projection(_render(density, matrix, centre_ras_mm, geometry, renderer), geometry.mm_per_px)


def _render(
    density_per_mm: np.ndarray,
    ras_from_ijk: np.ndarray,
    centre_ras_mm: np.ndarray,
    geometry: XrayGeometry,
    renderer: str,
) -> np.ndarray:
    ends = [(-0.5, n - 0.5) for n in density_per_mm.shape]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    depth = depths_mm(to_ras(ras_from_ijk, corners), centre_ras_mm, geometry)
    spacing = np.linalg.norm(ras_from_ijk[:3, :3], axis=0)
    check_detector_behind(depth.min() + spacing.max(), depth.max() - spacing.max(), geometry)
    # The isocentre is the origin, so that float32 keeps its precision far from the scanner's.
    matrix = ras_from_ijk.copy()
    matrix[:3, 3] -= centre_ras_mm
    options: dict[str, Any] = {}
    if renderer == "trilinear":
        near, far = depth.min() / geometry.source_to_detector_mm, depth.max() / geometry.source_to_detector_mm
        options = {"alphamin": near, "alphamax": far}
        # A sample per 0.9 of the smallest voxel side: finer changes less than 1e-4 of the image.
        options["n_points"] = int(np.ceil((depth.max() - depth.min()) / (0.9 * spacing.min()))) + 1
    return _call_diffdrr(density_per_mm, matrix, geometry, renderer, options)


def _call_diffdrr(
    density_per_mm: np.ndarray,
    matrix: np.ndarray,
    geometry: XrayGeometry,
    renderer: str,
    options: dict[str, Any],
) -> np.ndarray:
    import torch
    from diffdrr.drr import DRR
    from diffdrr.pose import RigidTransform

    device = "cuda" if torch.cuda.is_available() else "cpu"
    subject: Any = SimpleNamespace(
        reorient=torch.tensor(_AP),
        volume=SimpleNamespace(affine=matrix),
        density=SimpleNamespace(data=torch.from_numpy(density_per_mm)),
        mask=None,
    )
    n = geometry.detector_px
    drr = DRR(
        subject,
        sdd=geometry.source_to_detector_mm,
        height=n,
        delx=geometry.mm_per_px * geometry.magnification,
        renderer=renderer,
        patch_size=_PATCH_PX if n > _PATCH_PX else None,
        reverse_x_axis=True,
    ).to(device)
    pose = torch.eye(4)
    pose[1, 3] = geometry.source_to_hip_mm
    with torch.inference_mode():
        image = drr(RigidTransform(pose[None].to(device)), **options)
    return image[0, 0].float().cpu().numpy()
