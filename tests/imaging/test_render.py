"""Projection: closed forms, the stock renderer as reference, sides and directions, laws of all renderers."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.errors import CtError
from hipoa.imaging.ct.body import Body, find_body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.projection.attenuation import attenuate, cortical_bone_per_mm, make_curve, water_per_mm
from hipoa.imaging.projection.geometry import XrayGeometry
from hipoa.imaging.projection.render import ProjectionRequest, choose_renderer, render

GEOMETRY = XrayGeometry(1000, 800, 160, 40)
RENDERERS = ("joseph_cpu", "trilinear", "siddon")
BEAMS = ("perspective", "orthographic")
MU = make_curve(60, 60)


def everything(shape):
    return Body(np.ones((1, 1, 1), bool), tuple(np.array([0, n]) for n in shape))


def project(volume, centre, renderer="joseph_cpu", geometry=GEOMETRY, body=None, curve=MU):
    placed = replace(geometry, centre_ras_mm=np.asarray(centre, float))
    return render(ProjectionRequest(volume, body or everything(volume.hu.shape), placed), renderer, curve)


def turned(degrees, axes=(0, 1)):
    """A turn by so many degrees in the plane of two axes, 3 x 3."""
    matrix, (a, b) = np.eye(3), axes
    angle = np.radians(degrees)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
    return matrix


STRAIGHT = np.eye(3)


def make_volume(hu, spacing, turn=STRAIGHT, order="F"):
    """A volume whose middle is the origin."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag(spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(hu.shape) - 1) / 2)
    return Volume(np.asarray(hu, np.int16, order=order), matrix)


def difference(image, reference):
    """Root mean square difference over the mean of the reference."""
    return np.sqrt(((image - reference) ** 2).mean()) / reference.mean()


@pytest.fixture(scope="module")
def slab():
    """150 mm of water, wider than the field of view."""
    hu = np.full((140, 60, 140), -1000, np.int16)
    hu[:, 5:55] = 0
    return make_volume(hu, (3, 3, 3))


@pytest.fixture(scope="module")
def ball():
    """A ball of bone with a radius of 24 mm in air, its rim as a scanner averages it."""
    index = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij"), -1)
    share = np.clip(24 / 1.5 - np.linalg.norm(index - 29.5, axis=-1) + 0.5, 0, 1)
    return make_volume(np.rint(2000 * share - 1000), (1.5, 1.5, 1.5))


@pytest.fixture(scope="module")
def anatomy():
    """Smooth lumps between air and bone, without symmetry, and noise."""
    random = np.random.default_rng(5)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (110, 90, 70)), indexing="ij")
    hu = -1000 + 1900 * np.exp(-3 * (x**2 + 1.3 * y**2 + 0.5 * z**2))
    hu += 700 * np.exp(-40 * ((x - 0.3) ** 2 + (y + 0.1) ** 2 + (z - 0.2) ** 2))
    hu[hu > -900] += random.normal(0, 15, np.count_nonzero(hu > -900))
    return hu


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_slab_of_water(slab, renderer, beam):
    """A ray at the distance d from the centre runs 150 mm x sqrt(1 + (d / source-to-hip)^2)."""
    image = project(slab, (0, 0, 0), renderer, XrayGeometry(1000, 800, 160, 40, beam)).line_integral
    offsets = (np.arange(40) - 19.5) * 4 * (beam == "perspective")
    slant = np.sqrt(1 + (offsets[:, None] ** 2 + offsets[None] ** 2) / 800**2)
    assert image == pytest.approx(
        150 * water_per_mm(60) * slant, rel=1e-4 if renderer != "trilinear" else 5e-3
    )


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_shadow_of_a_ball_of_bone(ball, renderer, beam):
    """The shadow's radius on the detector is SDD r / sqrt(SOD^2 - r^2), in parallel rays r.

    Where a ray runs 2 h through the ball it touches the concentric ball of radius sqrt(r^2 - h^2).
    """
    geometry = XrayGeometry(1000, 800, 80, 200, beam)
    image = project(ball, (0, 0, 0), renderer, geometry).line_integral
    mu = attenuate(np.array([1000]), MU)[0]
    assert image[99:101, 99:101].mean() == pytest.approx(48 * mu, rel=0.01)
    assert image.sum() * geometry.mm_per_px**2 == pytest.approx(4 / 3 * np.pi * 24**3 * mu, rel=0.01)
    pixel_mm = geometry.mm_per_px * geometry.magnification
    for half_chord_mm in (5, 10, 15):
        r = np.sqrt(24**2 - half_chord_mm**2)
        shadow_mm = 1000 * r / np.sqrt(800**2 - r**2) if beam == "perspective" else r
        radius_mm = np.sqrt((image > 2 * half_chord_mm * mu).sum() / np.pi) * pixel_mm
        assert radius_mm == pytest.approx(shadow_mm, abs=0.3)


@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_voxel_of_metal_changes_no_pixel_off_its_ray(slab, renderer, beam):
    """A voxel of 3 mm more on the central ray adds 3 mm x (metal - water), and nothing two voxels away."""
    hu = slab.hu.copy(order="F")
    hu[69, 29, 69] = 3000
    more = Volume(hu, slab.ras_from_ijk)
    centre = (slab.ras_from_ijk @ [69, 29, 69, 1])[:3]
    geometry = XrayGeometry(1000, 800, 41, 41, beam)
    with_metal, without = (project(v, centre, renderer, geometry).line_integral for v in (more, slab))
    change = with_metal - without
    added = attenuate(np.array([3000]), MU)[0] - water_per_mm(60)
    assert change[20, 20] == pytest.approx(3 * added, rel=0.02 if renderer != "trilinear" else 0.2)
    away_mm = np.hypot(*np.meshgrid(*[np.arange(41) - 20.0] * 2))
    # Half a voxel aside where voxels are constant, one along each axis where they are interpolated.
    reach_mm = 3 * np.sqrt(2) * (0.5 if renderer == "siddon" else 1)
    # float32 rounds sums of 3.1.
    assert np.abs(change[away_mm > reach_mm + 0.1]).max() < 2e-6
    assert (change[away_mm < 1.2] > 0.1).all()


def test_right_is_left_and_head_is_up(pelvis, heads):
    image = project(pelvis, (0, 4, -300), geometry=XrayGeometry(1000, 800, 240, 60)).line_integral
    brightest = np.unravel_index(image.argmax(), image.shape)
    # The metal lies on the patient's right, 45 mm below the centre.
    assert brightest[1] < 20
    assert brightest[0] > 38
    up = project(pelvis, heads["R"] + [0, 0, 40]).line_integral
    assert np.unravel_index(up.argmax(), up.shape)[0] > 25


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("beam", BEAMS)
@pytest.mark.parametrize(
    "turn",
    [np.eye(3), turned(9), turned(6, (1, 2)) @ turned(8, (0, 2))],
    ids=["straight", "turned", "tilted"],
)
def test_the_interpolating_renderers_agree(anatomy, turn, beam, order):
    volume = make_volume(anatomy, (1.7, 1.9, 2.3), turn, order)
    geometry = XrayGeometry(1000, 780, 130, 50, beam)
    cpu, stock = (
        project(volume, (3.3, -2, 4), name, geometry).line_integral.astype(float)
        for name in ("joseph_cpu", "trilinear")
    )
    assert difference(cpu, stock) < 1e-3


@settings(deadline=None, max_examples=15)
@given(st.floats(-60, 60), st.floats(-40, 40), st.sampled_from(["C", "F"]))
def test_a_beam_on_the_pelvis_falls_obliquely_on_the_hip(right, above, order):
    """Two planes of the patient are moved against each other as the source is; all renderers say how far."""
    hu = np.full((80, 50, 80), -1000, np.int16)
    hu[40, 5, 40] = hu[40, 45, 40] = 3000
    volume = make_volume(hu, (2, 4, 2), order=order)
    centre = (volume.ras_from_ijk @ [40, 5, 40, 1])[:3]
    geometry = XrayGeometry(1000, 900, 100, 200, "perspective", (right, above))
    image = project(volume, centre, "joseph_cpu", geometry).line_integral
    rows, columns = np.indices(image.shape) - 99.5
    behind = np.hypot(rows, columns) < 6
    assert image[behind].sum() > 0
    other = np.where(behind, 0, image)
    # The front voxel lies 160 mm before the hip: its shadow moves by 160 / 740 of the source's offset.
    if np.hypot(right, above) * 160 / 740 > 12:
        moved = [(other * axis).sum() / other.sum() * geometry.mm_per_px for axis in (columns, rows)]
        assert moved == pytest.approx([160 / 740 * right, 160 / 740 * above], abs=0.6)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_beyond_the_ct_is_air(slab, renderer):
    image = project(slab, (0, 0, -209), renderer).line_integral
    assert image[-15:].max() == 0
    assert image[5:15].min() > 2


def make_stock(volume, centre, renderer="siddon"):
    """DiffDRR as it comes, in the geometry of GEOMETRY."""
    import torch
    from diffdrr.drr import DRR
    from diffdrr.pose import RigidTransform

    matrix = volume.ras_from_ijk.copy()
    matrix[:3, 3] -= centre
    subject = SimpleNamespace(
        reorient=torch.tensor([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]]),
        volume=SimpleNamespace(affine=matrix),
        density=SimpleNamespace(data=torch.from_numpy(attenuate(volume.hu.astype(np.float32), MU))),
        mask=None,
    )
    stock = DRR(subject, sdd=1000, height=40, delx=5.0, renderer=renderer, reverse_x_axis=True)
    pose = torch.eye(4)
    pose[1, 3] = 800
    return stock, RigidTransform(pose[None])


@pytest.mark.parametrize("renderer", ["siddon", "trilinear"])
def test_the_hip_s_crop_gives_what_the_whole_ct_gives(pelvis, heads, renderer):
    import torch

    ours = project(pelvis, heads["L"], renderer).line_integral
    stock, pose = make_stock(pelvis, heads["L"], renderer)
    options = {} if renderer == "siddon" else {"n_points": 2500}
    with torch.inference_mode():
        whole = stock(pose, **options)[0, 0].numpy()
    inner = (slice(3, -3),) * 2  # at the CT's outer voxels the two interpolate differently
    assert np.abs(ours - whole)[inner].mean() / whole.mean() < (1e-4 if renderer == "siddon" else 3e-3)


def test_joseph_s_method_gives_what_stock_trilinear_gives(pelvis, heads):
    import torch

    stock, pose = make_stock(pelvis, heads["L"], "trilinear")
    with torch.inference_mode():
        whole = stock(pose, n_points=2500)[0, 0].numpy()
    assert difference(project(pelvis, heads["L"], "joseph_cpu").line_integral, whole) < 1e-3


def test_the_two_voxel_models_agree(pelvis, heads):
    siddon, trilinear = (project(pelvis, heads["R"], name).line_integral for name in ("siddon", "trilinear"))
    assert np.corrcoef(siddon.ravel(), trilinear.ravel())[0, 1] > 0.995


def test_on_a_gpu_as_without_one(pelvis, heads):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU that torch can use")
    assert choose_renderer("auto") == "trilinear"
    for renderer in ("trilinear", "auto"):
        image = project(pelvis, heads["L"], renderer).line_integral
        assert difference(image, project(pelvis, heads["L"]).line_integral) < 1e-3


def test_auto_needs_a_gpu_that_may_be_used(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose_renderer("auto") == "joseph_cpu"
    assert choose_renderer("siddon") == "siddon"


def test_without_a_gpu_torch_is_not_imported(tmp_path, pelvis, landmarks, write_nifti):
    write_nifti(tmp_path / "ct.nii", pelvis.hu, pelvis.ras_from_ijk)
    arguments = ["drr", str(tmp_path / "ct.nii"), "--out", str(tmp_path), "--landmarks", str(landmarks)]
    code = f"""
import os, sys
os.environ["CUDA_VISIBLE_DEVICES"] = ""
from hipoa.cli import main
assert main({arguments!r}) == 0
heavy = {{"torch", "torchio", "diffdrr", "matplotlib", "sklearn"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ct_L.png").is_file()


def test_bone_weighs_more_at_lower_energy(pelvis, heads):
    high, low = (project(pelvis, heads["L"], curve=make_curve(e, 70)).line_integral for e in (80, 50))
    assert cortical_bone_per_mm(50) / water_per_mm(50) > cortical_bone_per_mm(80) / water_per_mm(80)
    assert low.max() / np.median(low) > high.max() / np.median(high)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_bone_alone_leaves_out_soft_tissue(pelvis, heads, renderer):
    image = project(pelvis, heads["L"], renderer, curve=make_curve(60, 60, bone_only=True)).line_integral
    # 24 mm of head at 4 mm per pixel, and the metal of the other side out of sight.
    rows, columns = np.indices(image.shape) - 19.5
    assert image[np.hypot(rows, columns) > 10].max() == 0
    assert image[19:21, 19:21].min() > 40 * attenuate(np.array([800]), MU)[0]


def test_the_table_is_left_out(pelvis, heads):
    hu = pelvis.hu.copy()
    hu[5:-5, 1:3] = 300
    bed = Volume(hu, pelvis.ras_from_ijk)
    plain = project(pelvis, heads["R"], body=find_body(pelvis)).line_integral
    lying = project(bed, heads["R"], body=find_body(bed)).line_integral
    assert lying == pytest.approx(plain, abs=0.02)


def test_nothing_but_air_has_no_body():
    with pytest.raises(CtError, match="only air"):
        find_body(Volume(np.full((30, 30, 30), -1000, np.int16), np.diag([4.0, 4.0, 4.0, 1.0])))


@pytest.mark.parametrize("renderer", ["joseph_cpu", "trilinear"])
def test_the_detector_must_lie_behind_the_body(slab, renderer):
    with pytest.raises(CtError, match=r"the body reaches \d+ mm behind the hip, the detector lies 50"):
        project(slab, (0, 0, 0), renderer, XrayGeometry(850, 800, 160, 40))
    with pytest.raises(CtError, match="the source lies within the body"):
        project(slab, (0, 0, 0), renderer, XrayGeometry(1000, 70, 40, 40))
    parallel = XrayGeometry(850, 70, 160, 40, "orthographic")
    assert project(slab, (0, 0, 0), renderer, parallel).line_integral.min() > 3


def test_the_body_is_the_largest_of_more_parts_than_16_bits_can_number():
    hu = np.full((80, 66, 66), -1000, np.int16)
    hu[12::2, ::2, ::2] = 40
    hu[:10, :10, :10] = 40
    marked = find_body(Volume(hu, np.diag([20.0, 20.0, 20.0, 1.0]))).mark()
    assert marked[:10, :10, :10].all()
    assert not marked[13:].any()
