"""The renderers that are compared, on one crop of one hip: each is a function without arguments -> image."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import distributions
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffdrr.drr import DRR
from diffdrr.pose import RigidTransform

from hipoa.imaging.projection.attenuation import Curve, attenuate
from hipoa.imaging.projection.geometry import XrayGeometry
from hipoa.imaging.projection.render import ProjectionRequest, crop_together, render

Renderer = Callable[[], np.ndarray]
# Divides 150: a patch that does not is ignored by DiffDRR.
_PATCH_PX = 30


def make_renderers(request: ProjectionRequest, curve: Curve) -> dict[str, Renderer]:
    """All that are installed, by name; what each needs is laid ready, so that only rendering is timed."""
    part, whole, crop = _lay_ready(request, curve, "cpu")
    renderers = {
        "hipoa joseph_cpu, crop": lambda: _hipoa(part, "joseph_cpu", curve),
        "hipoa joseph_cpu, whole CT": lambda: _hipoa(request, "joseph_cpu", curve),
        "DiffDRR siddon, whole CT (its default)": diffdrr(whole, "siddon"),
        "DiffDRR siddon, crop, patches": diffdrr(crop, "siddon", patch_size=_PATCH_PX),
        "DiffDRR trilinear, crop, patches": diffdrr(crop, "trilinear", patch_size=_PATCH_PX),
    }
    if _is_installed("nanodrr"):
        renderers["nanodrr, crop"] = nanodrr(crop)
    if _is_installed("itk-rtk"):
        renderers["ITK-RTK Joseph, crop"] = rtk(crop)
    return renderers


def make_gpu_renderers(request: ProjectionRequest, curve: Curve) -> dict[str, Renderer]:
    """Those that run on a GPU, what they need lying there; hipoa's own lie in memory and bring it there."""
    part, whole, crop = _lay_ready(request, curve, "cuda")
    renderers = {
        "hipoa joseph_cpu, crop": lambda: _hipoa(part, "joseph_cpu", curve),
        "hipoa trilinear, crop, from memory": lambda: _hipoa(part, "trilinear", curve),
        "DiffDRR siddon, whole CT (its default)": diffdrr(whole, "siddon"),
        "DiffDRR siddon, crop": diffdrr(crop, "siddon"),
        "DiffDRR trilinear, crop": diffdrr(crop, "trilinear"),
    }
    if _is_installed("nanodrr"):
        renderers["nanodrr, crop"] = nanodrr(crop)
    return renderers


def _is_installed(distribution: str) -> bool:
    return any(distributions(name=distribution))


class Scene:
    """Attenuation in 1/mm and the geometry, with the hip as the origin.

    Args:
        density: float32 (i, j, k).
        ras_from_ijk: Its 4 x 4 matrix.
        request: Where the hip is, source and detector.
        device: Of torch, where it is rendered.
    """

    def __init__(
        self, density: np.ndarray, ras_from_ijk: np.ndarray, request: ProjectionRequest, device: str
    ) -> None:
        self.device = device
        self.density, self.geometry = np.ascontiguousarray(density), request.geometry
        self.matrix = ras_from_ijk.copy()
        self.matrix[:3, 3] -= request.geometry.centre_ras_mm

    @property
    def pixel_mm(self) -> float:
        """Of the detector."""
        return self.geometry.mm_per_px * self.geometry.magnification

    @property
    def n_points(self) -> int:
        """One sample for each voxel from front to back."""
        return self.density.shape[1]


def _lay_ready(
    request: ProjectionRequest, curve: Curve, device: str
) -> tuple[ProjectionRequest, Scene, Scene]:
    """The crop as hipoa takes it; the whole CT and the crop as the others do, lying on the device."""
    part = crop_together({"": request})[""]
    whole, crop = (
        Scene(
            attenuate(np.where(one.body.mark(), one.volume.hu, np.float32(-1000)), curve),
            one.volume.ras_from_ijk,
            request,
            device,
        )
        for one in (request, part)
    )
    return part, whole, crop


def _hipoa(request: ProjectionRequest, renderer: str, curve: Curve) -> np.ndarray:
    return render(request, renderer, curve).line_integral


def diffdrr(scene: Scene, renderer: str, **options: Any) -> Renderer:
    """DiffDRR as it comes."""
    geometry: XrayGeometry = scene.geometry
    subject: Any = SimpleNamespace(
        reorient=torch.tensor([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]]),
        volume=SimpleNamespace(affine=scene.matrix),
        density=SimpleNamespace(data=torch.from_numpy(scene.density)),
        mask=None,
    )
    size = {"height": geometry.detector_px, "delx": scene.pixel_mm}
    drr = DRR(subject, sdd=geometry.source_to_detector_mm, renderer=renderer, **size, **options)
    drr.to(scene.device)
    pose = torch.eye(4, device=scene.device)[None]
    pose[:, 1, 3] = geometry.source_to_hip_mm
    samples = {"n_points": scene.n_points + 1} if renderer == "trilinear" else {}

    def render() -> np.ndarray:
        with torch.inference_mode():
            return drr(RigidTransform(pose), **samples)[0, 0].cpu().numpy()

    return render


def nanodrr(scene: Scene) -> Renderer:
    """The AP view of nanodrr, one sample per voxel."""
    import nanodrr.drr
    import torchio
    from nanodrr.camera import make_rt_inv
    from nanodrr.data import Subject

    image = torchio.ScalarImage(tensor=torch.from_numpy(scene.density)[None], affine=scene.matrix)
    subject = Subject.from_images(image, convert_to_mu=False)
    geometry, n = scene.geometry, scene.geometry.detector_px
    size = {"delx": scene.pixel_mm, "dely": scene.pixel_mm, "x0": 0.0, "y0": 0.0, "height": n, "width": n}
    drr = nanodrr.drr.DRR.from_carm_intrinsics(geometry.source_to_detector_mm, **size).to(scene.device)
    place = torch.tensor([[0.0, geometry.source_to_hip_mm, 0.0]])
    pose = make_rt_inv(torch.zeros(1, 3), place, orientation="AP").to(scene.device)
    subject = subject.to(scene.device)

    def render() -> np.ndarray:
        with torch.inference_mode():
            return drr(subject, pose, n_samples=scene.n_points)[0, 0].cpu().numpy()

    return render


def rtk(scene: Scene) -> Renderer:
    """ITK-RTK's Joseph projector, whose source lies on its z axis: our A; its y is our S."""
    import itk
    from itk import RTK

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
    geometry, n = scene.geometry, scene.geometry.detector_px
    spacing = np.diag(scene.matrix)[:3]
    turned = [slice(None, None, int(np.sign(step))) for step in spacing]
    far = [n - 1 if step < 0 else 0 for n, step in zip(scene.density.shape, spacing, strict=True)]
    origin = (scene.matrix @ [*far, 1.0])[:3]
    volume = itk.image_from_array(np.ascontiguousarray(scene.density[tuple(turned)].transpose(1, 2, 0)))
    volume.SetSpacing([float(abs(spacing[axis])) for axis in (0, 2, 1)])
    volume.SetOrigin([float(origin[axis]) for axis in (0, 2, 1)])
    detector = itk.image_from_array(np.zeros((1, n, n), np.float32))
    detector.SetSpacing([scene.pixel_mm, scene.pixel_mm, 1.0])
    detector.SetOrigin([-(n - 1) / 2 * scene.pixel_mm] * 2 + [0.0])
    view = RTK.ThreeDCircularProjectionGeometry.New()
    view.AddProjection(geometry.source_to_hip_mm, geometry.source_to_detector_mm, 0.0)
    kind = type(volume)
    project = RTK.JosephForwardProjectionImageFilter[kind, kind].New()
    project.SetInput(0, detector)
    project.SetInput(1, volume)
    project.SetGeometry(view)
    project.SetNumberOfWorkUnits(1)
    project.InPlaceOff()

    def render() -> np.ndarray:
        project.Modified()
        project.Update()
        return itk.array_from_image(project.GetOutput())[0, ::-1, ::-1]

    return render
