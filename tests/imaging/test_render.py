"""Projection: closed forms, the stock renderer as reference, sides and directions."""

from types import SimpleNamespace

import numpy as np
import pytest

from hipoa.errors import CtError
from hipoa.imaging.attenuation import attenuate, cortical_bone_per_mm, water_per_mm
from hipoa.imaging.body import find_body
from hipoa.imaging.geometry import XrayGeometry
from hipoa.imaging.render import project_hip
from hipoa.imaging.volume import Volume

GEOMETRY = XrayGeometry(1000, 800, 160, 40)


def project(volume, centre, renderer="trilinear", geometry=GEOMETRY, body=None, **energies):
    body = np.ones(volume.hu.shape, bool) if body is None else body
    options = {"energy_kev": 60.0, "ct_energy_kev": 60.0} | energies
    return project_hip(volume, body, np.asarray(centre, float), geometry, renderer=renderer, **options)


@pytest.fixture(scope="module")
def slab():
    """150 mm of water, wider than the field of view."""
    hu = np.full((140, 60, 140), -1000, np.int16)
    hu[:, 5:55] = 0
    matrix = np.diag([3.0, 3.0, 3.0, 1.0])
    matrix[:3, 3] = [-208.5, -88.5, -208.5]
    return Volume(hu, matrix)


@pytest.mark.parametrize("renderer", ["siddon", "trilinear"])
def test_a_slab_of_water(slab, renderer):
    """A ray at the distance d from the centre runs 150 mm x sqrt(1 + (d / source-to-hip)^2)."""
    image = project(slab, (0, 0, 0), renderer).line_integral
    offsets = (np.arange(40) - 19.5) * 4
    slant = np.sqrt(1 + (offsets[:, None] ** 2 + offsets[None] ** 2) / 800**2)
    assert image == pytest.approx(150 * water_per_mm(60) * slant, rel=5e-3)


@pytest.mark.parametrize("renderer", ["siddon", "trilinear"])
def test_the_shadow_of_a_ball_of_bone(renderer):
    """The line integral through a ball is mu x its chord; its shadow is as wide as the ball in its plane."""
    hu = np.full((60, 60, 60), -1000, np.int16)
    index = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij"), -1)
    hu[np.linalg.norm(index - 29.5, axis=-1) < 24 / 1.5] = 1000
    matrix = np.diag([1.5, 1.5, 1.5, 1.0])
    matrix[:3, 3] = -29.5 * 1.5
    image = project(Volume(hu, matrix), (0, 0, 0), renderer, XrayGeometry(1000, 800, 80, 80)).line_integral
    mu = attenuate(np.array([1000]), 60, 60)[0]
    assert image[39:41, 39:41].mean() == pytest.approx(48 * mu, rel=0.04)
    assert image.sum() == pytest.approx(4 / 3 * np.pi * 24**3 * mu, rel=0.03)
    assert (image[40] > 0.2 * image.max()).sum() == pytest.approx(48, abs=3)


def test_an_impulse_ray_has_its_weight(slab):
    """A voxel of 3 mm more on the central ray adds 3 mm x (bone - water), and changes no far pixel."""
    hu = slab.hu.copy()
    hu[69, 29, 69] = 3000
    more = Volume(hu, slab.ras_from_ijk)
    centre = (slab.ras_from_ijk @ [69, 29, 69, 1])[:3]
    geometry = XrayGeometry(1000, 800, 41, 41)
    with_metal, without = (project(v, centre, "siddon", geometry).line_integral for v in (more, slab))
    change = with_metal - without
    added = attenuate(np.array([3000]), 60, 60)[0] - water_per_mm(60)
    assert change[20, 20] == pytest.approx(3 * added, rel=0.02)
    assert (np.abs(change) > 1e-4).sum() < 30
    assert change[:10].max() == change[30:].max() == 0


def test_right_is_left_and_head_is_up(pelvis, heads):
    image = project(pelvis, (0, 4, -300), geometry=XrayGeometry(1000, 800, 240, 60)).line_integral
    brightest = np.unravel_index(image.argmax(), image.shape)
    # The metal lies on the patient's right, 45 mm below the centre.
    assert brightest[1] < 20
    assert brightest[0] > 38
    up = project(pelvis, heads["R"] + [0, 0, 40]).line_integral
    assert np.unravel_index(up.argmax(), up.shape)[0] > 30


@pytest.mark.parametrize("renderer", ["siddon", "trilinear"])
def test_the_hip_s_crop_gives_what_the_whole_ct_gives(pelvis, heads, renderer):
    import torch
    from diffdrr.drr import DRR
    from diffdrr.pose import RigidTransform

    ours = project(pelvis, heads["L"], renderer).line_integral
    density = attenuate(pelvis.hu, 60, 60)
    matrix = pelvis.ras_from_ijk.copy()
    matrix[:3, 3] -= heads["L"]
    subject = SimpleNamespace(
        reorient=torch.tensor([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]]),
        volume=SimpleNamespace(affine=matrix),
        density=SimpleNamespace(data=torch.from_numpy(density)),
        mask=None,
    )
    stock = DRR(subject, sdd=1000, height=40, delx=5.0, renderer=renderer, reverse_x_axis=True)
    pose = torch.eye(4)
    pose[1, 3] = 800
    options = {} if renderer == "siddon" else {"n_points": 2500}
    with torch.inference_mode():
        whole = stock(RigidTransform(pose[None]), **options)[0, 0].numpy()
    inner = (slice(3, -3),) * 2  # at the CT's outer voxels the two interpolate differently
    assert np.abs(ours - whole)[inner].mean() / whole.mean() < (1e-4 if renderer == "siddon" else 3e-3)


def test_the_two_voxel_models_agree(pelvis, heads):
    siddon, trilinear = (project(pelvis, heads["R"], name).line_integral for name in ("siddon", "trilinear"))
    assert np.corrcoef(siddon.ravel(), trilinear.ravel())[0, 1] > 0.995


def test_bone_weighs_more_at_lower_energy(pelvis, heads):
    high, low = (
        project(pelvis, heads["L"], energy_kev=e, ct_energy_kev=70.0).line_integral for e in (80, 50)
    )
    assert cortical_bone_per_mm(50) / water_per_mm(50) > cortical_bone_per_mm(80) / water_per_mm(80)
    assert low.max() / np.median(low) > high.max() / np.median(high)


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


def test_the_detector_must_lie_behind_the_body(slab):
    with pytest.raises(CtError, match=r"the body reaches \d+ mm behind the hip, the detector lies 50"):
        project(slab, (0, 0, 0), geometry=XrayGeometry(850, 800, 160, 40))
    with pytest.raises(CtError, match="the source lies within the body"):
        project(slab, (0, 0, 0), geometry=XrayGeometry(1000, 70, 40, 40))


def test_beyond_the_ct_is_air(slab):
    image = project(slab, (0, 0, -209), geometry=GEOMETRY).line_integral
    assert image[-15:].max() == 0
    assert image[5:15].min() > 2
