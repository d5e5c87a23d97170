"""Air and soft tissue say whether numbers are HU: what is refused, what is corrected, and what must pass."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.ct.hounsfield import to_hu

DATA = Path(__file__).parents[1] / "data"
SHAPE = (72, 56, 40)


def draw(noise_hu=10.0, fat=0.35, air=True, lung=False, contrast_hu=50, metal=False):
    """HU of a body with fat about muscle, two bones and gas, or of what lies within it."""
    rng = np.random.default_rng([8])
    i, j, k = (np.linspace(-1, 1, n).reshape(np.roll([n, 1, 1], axis)) for axis, n in enumerate(SHAPE))
    radius = (i**2 + j**2 + 0 * k) / (0.8 if air else 2.2)
    hu = np.select([radius < 1 - fat, radius < 1], [50, -105], -1000).astype(float)
    for side in (-0.35, 0.35):
        bone = np.sqrt((i - side) ** 2 + (j - 0.1) ** 2 + 0 * k)
        hu = np.select([bone < 0.12, bone < 0.16], [250 + 400 * bone, 1100], hu)
    hu[34:38, 12:16, :9] = -1000
    hu[30:42, 30:36] = contrast_hu
    if lung:
        hu[14:30, 20:44] = -840 + rng.normal(0, 70, hu[14:30, 20:44].shape)
    if metal:
        hu[22:26, 28:34, 8:30] = 3071
    hu = ndimage.gaussian_filter(hu, 0.5) + rng.normal(0, noise_hu, SHAPE) * np.clip(1.1 + hu / 1000, 0.4, 1)
    return np.rint(hu).clip(-1024, 3071).astype(np.int16)


HU = draw()
WITHIN = draw(air=False)


def whole(values):
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def wide(hu):
    return hu.astype(float)


def collar(hu, value):
    values = np.full_like(hu, value)
    values[8:-8, 7:-7] = hu[8:-8, 7:-7]
    return values


def outside(hu):
    """Where no body is."""
    return ~ndimage.binary_fill_holes(ndimage.binary_opening(hu > -400, iterations=2))


def cylinder(hu, value, radius=1.0):
    i, j = (np.linspace(-1, 1, n) for n in SHAPE[:2])
    return np.where((i[:, None] ** 2 + j**2 > radius**2)[..., None], value, hu).astype(np.int16)


def turn(hu):
    return whole(ndimage.rotate(wide(hu), 12, axes=(0, 1), reshape=False, order=1, cval=0))


def boneless(hu):
    """Of the bones a speck is left."""
    speck = np.arange(hu.size).reshape(hu.shape) % 9973 == 0
    return np.where(speck, 700, np.where(hu > 150, 60, hu)).astype(np.int16)


def wrap(values):
    """As 16 bits with a sign hold it."""
    return values.astype(np.int64).astype(np.uint16).view(np.int16)


PASSING = {
    "a body in air": HU,
    "within the body": WITHIN,
    "little noise": draw(1),
    "much noise": draw(60),
    "very much noise": draw(150),
    "much fat": draw(fat=0.8),
    "a thin patient": draw(fat=0.12),
    "within a thin patient": draw(fat=0.2, air=False),
    "lungs": draw(lung=True),
    "contrast medium": draw(contrast_hu=320),
    "metal": draw(metal=True),
    "metal within the body": draw(metal=True, air=False),
    "undershoots of a sharp kernel": np.where(np.arange(SHAPE[2]) % 5 == 0, HU - 180, HU).astype(np.int16),
    "low voltage": np.where(HU > 0, HU * 1.35, HU * np.where(HU < -500, 1, 1.15)).astype(np.int16),
    "the scanner's lowest value": HU.clip(-1000, None),
    "a circle of padding, -1024": cylinder(HU, -1024),
    "a circle of padding, -2000": cylinder(HU, -2000),
    "a circle of padding, -3024": cylinder(HU, -3024),
    "a circle of padding, -32768": cylinder(HU, -32768),
    "a collar of air": collar(HU, -1000),
    "a masked body in -1000": np.where(outside(HU), -1000, HU).astype(np.int16),
    "a masked body in -3024": np.where(outside(HU), -3024, HU).astype(np.int16),
    "few slices": HU[..., 10:13],
    "coarse": HU[::3, ::3, ::2],
}


@pytest.mark.parametrize("kind", PASSING)
def test_hu_pass_untouched(kind):
    hu = PASSING[kind]
    found, notes = to_hu(hu, "ct")
    assert found is hu
    assert notes == ()


NO_HU = "not Hounsfield units of air, fat, muscle and bone"
REFUSED = {
    "1000 too high, its noise cut at 0": (
        whole(wide(HU) + 1000).clip(0),
        "MR image, or a CT without its rescal",
    ),
    "1024 too high within the body": (WITHIN + 1024, f"{NO_HU}.*800 to 1300|{NO_HU}.*below -50|rescaling"),
    "8192 too high within the body": (WITHIN + 8192, f"{NO_HU}|rescaling"),
    "1024 too low within the body": (WITHIN - 1024, "not Hounsfield units"),
    "500 too high": (HU + 500, NO_HU),
    "400 too high": (HU + 400, NO_HU),
    "1048 too high": (HU + 1048, f"{NO_HU}|rescaling"),
    "unsigned as signed": (
        wrap(wide(HU) + 1024 - 32768),
        "no voxel is above -1300 HU: it is empty, or shifted",
    ),
    "signed as unsigned": (whole(HU.view(np.uint16).astype(float)), "signed values|without its rescaling"),
    "signed as unsigned in 12 bits": (whole(wide(HU) % 4096), "without its rescaling"),
    "16 times": (whole(wide(HU) * 16), NO_HU),
    "16 times, then shifted": (whole((wide(HU) + 1024) * 16 - 1024), NO_HU),
    "10 times": (whole(wide(HU) * 10), NO_HU),
    "twice": (whole(wide(HU) * 2), NO_HU),
    "twice within the body": (whole(wide(WITHIN) * 2), f"{NO_HU}: (air|fat) lies at -2"),
    "half": (whole(wide(HU) * 0.5), f"{NO_HU}: (air|fat) lies at -[45]"),
    "half within the body": (whole(wide(WITHIN) * 0.5), f"{NO_HU}: fat lies at -5"),
    "a tenth": (whole(wide(HU) * 0.1), "not Hounsfield units"),
    "a slope of 2 left out": (whole((wide(HU) + 1024) / 2 - 1024), "not Hounsfield units"),
    "a slope of a half left out": (whole((wide(HU) + 1024) * 2 - 1024), NO_HU),
    "upside down": (-HU, NO_HU),
    "upside down within the body": (-WITHIN, "not Hounsfield units"),
    "upside down without a sign": (3071 - HU, "without its rescaling"),
    "a soft window": (HU.clip(-160, 240), "clipped at 240 HU: bone has more"),
    "a window without air": (HU.clip(-300, 1500), "clipped at -300 HU: air has -1000"),
    "no bone": (boneless(HU), f"{NO_HU}: hardly one is above 200"),
    "a collar of 3000": (collar(HU, 3000), f"{NO_HU}: .* above 1300, as only metal is"),
    "blanked within the body": (
        np.where(abs(HU - 50) < 12, 0, HU).astype(np.int16),
        "0, and not about the body",
    ),
    "MR with undershoots": (
        whole(np.random.default_rng([4]).gamma(2, 200, SHAPE) - np.where(np.arange(40) == 0, 300, 0)),
        NO_HU,
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_hu_is_refused(kind):
    values, message = REFUSED[kind]
    with pytest.raises(CtError, match=message) as error:
        to_hu(values.astype(np.int16), "ct")
    assert "rescale slope and intercept" in error.value.do


SHARP = PASSING["undershoots of a sharp kernel"]
OFFSETS = {
    "1024 too high": (HU, 1024),
    "1000 too high": (HU, 1000),
    "8192 too high": (HU, 8192),
    "1024 too low": (HU, -1024),
    "1000 too low": (HU, -1000),
    "1024 too high, undershoots below 0": (SHARP, 1024),
    "1000 too high, undershoots below 0": (SHARP, 1000),
    "1024 too high, much fat": (draw(fat=0.8), 1024),
    "1024 too high, lungs": (draw(lung=True), 1024),
    "1024 too high, metal": (draw(metal=True), 1024),
    "1024 too high, a circle of padding": (cylinder(HU, -1024, 1.2), 1024),
}


@pytest.mark.parametrize("kind", OFFSETS)
def test_a_certain_offset_is_taken_back_and_said(kind):
    hu, offset = OFFSETS[kind]
    found, (note,) = to_hu((hu + offset).astype(np.int16), "ct")
    np.testing.assert_array_equal(np.maximum(found, -1024), np.maximum(hu, -1024))
    assert note.startswith(
        f"the values were {abs(offset)} too {'high' if offset > 0 else 'low'}: taken as HU"
    )


def test_an_offset_as_large_as_the_type_does_not_run_over():
    hu = cylinder(HU, -32768)
    found, _ = to_hu(np.where(hu > -2000, hu + 8192, -32768).astype(np.int16), "ct")
    assert found.max() == HU[hu > -2000].max()
    assert found.min() > -3100
    assert (found[hu == -32768] <= -1000).all()


BACKGROUNDS = {
    "0 about a masked body": (np.where(outside(HU), 0, HU), 0),
    "-1 about a masked body": (np.where(outside(HU), -1, HU), -1),
    "0 in the corners of a turned CT": (turn(HU), 0),
    "a collar of 0": (collar(HU, 0), 0),
    "a circle of 0": (cylinder(HU, 0), 0),
    "0 about a masked body with lungs": (np.where(outside(draw(lung=True)), 0, draw(lung=True)), 0),
}


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_one_value_all_about_the_body_is_air_and_said(kind):
    values, value = BACKGROUNDS[kind]
    values = values.astype(np.int16)
    found, (note,) = to_hu(values, "ct")
    assert f"about the body, had the value {value}: taken as air" in note
    changed = found != values
    assert (found[changed] == -1000).all()
    # All but the thinnest ends of a wedge; single voxels of tissue that happen to have the value stay.
    assert changed.sum() > 0.97 * (values == value).sum() - 0.01 * values.size
    assert not changed[(values != value)].any()


def test_the_same_of_a_mapped_file_leaves_the_file_alone(tmp_path, write_nifti):
    values = np.where(outside(HU), 0, HU).astype(np.int16)
    path = write_nifti(tmp_path / "ct.nii", values, np.diag([3.0, 3, 3, 1]))
    before = path.read_bytes()
    volume = read_volume(path)
    assert (volume.hu[outside(HU)] == -1000).mean() > 0.98
    assert len(volume.warnings) == 1
    assert path.read_bytes() == before


def blur(value, spread):
    """Such a value with the noise of a compressed image, (i, j, k)."""
    return np.rint(np.random.default_rng([6]).normal(value, spread, SHAPE))


MIXED = np.random.default_rng([7]).integers(-1, 1, SHAPE)
LIKELY = np.where(np.arange(HU.size).reshape(SHAPE) % 7 == 0, 1, 0)
COMPRESSED = {
    "0 with some noise": (blur(0, 1.5), "-?[01]"),
    "0 with hardly any noise": (blur(0, 0.5), "-?[0-4]"),
    "0 and -1": (MIXED, "-?[0-4]"),
    "0 and now and then 1": (LIKELY, "-?[0-4]"),
    "3 HU to both sides": (np.random.default_rng([9]).integers(-3, 4, SHAPE), "-?[01]"),
    "-500 with some noise": (blur(-500, 1.5), "-(499|50[01])"),
    "one value of muscle": (np.full(SHAPE, 50), "(4[6-9]|5[0-4])"),
    "one value of fat": (np.full(SHAPE, -100), "-(9[6-9]|10[0-4])"),
    "fat with some noise": (blur(-100, 1.5), "-(99|10[01])"),
}


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("hu", [HU, draw(60), draw(lung=True)], ids=["noise", "much noise", "lungs"])
def test_a_narrow_band_about_the_body_is_refused_until_it_is_air(kind, hu):
    background, at = COMPRESSED[kind]
    values = np.where(outside(HU), background, hu).astype(np.int16)
    message = rf"\d\d% of the voxels, about the body, lie at about {at} HU, where air has -1000"
    with pytest.raises(CtError, match=message) as error:
        to_hu(values, "ct")
    assert "set all about the body to -1000" in error.value.do
    assert to_hu(np.where(outside(HU), -1000, values).astype(np.int16), "ct")[1] == ()


@pytest.mark.parametrize("value", [50, -100])
def test_a_little_of_one_value_of_tissue_about_the_body_is_refused(value):
    """Of which the body holds so much that no wider band shows."""
    values = collar(np.where(outside(HU), -1000, draw(25, fat=0.8 if value < 0 else 0.12)), value)
    values = values.astype(np.int16)[5:-5, 4:-4]
    with pytest.raises(CtError, match=f"about the body, lie at about {value} HU"):
        to_hu(values, "ct")


def test_an_offset_leaves_a_band_about_the_body_where_it_is_seen():
    values = np.where(cylinder(HU, 3000) == 3000, blur(0, 1.5), HU)
    with pytest.raises(CtError, match=r"about the body, lie at about -?[01] HU"):
        to_hu((values + 1024).astype(np.int16), "ct")


def test_a_narrow_band_within_the_body_changes_nothing():
    """A bladder of water and a phantom in the field of view."""
    noise = blur(0, 1.5).astype(np.int16)
    values = HU.copy()
    values[26:46, 20:40, 4:36] = noise[26:46, 20:40, 4:36]
    assert to_hu(values, "ct")[0] is values


@pytest.mark.parametrize("noise_hu", [0, 0.5, 1, 2, 3, 5])
@pytest.mark.parametrize("air", [True, False])
def test_fat_of_little_noise_about_the_body_passes(noise_hu, air):
    values = draw(noise_hu, air=air)
    assert to_hu(values, "ct")[0] is values


def test_fat_of_less_noise_than_muscle_about_the_body_passes():
    values = np.where(abs(WITHIN + 105) < 40, blur(-110, 2), draw(30, air=False)).astype(np.int16)
    assert to_hu(values, "ct")[0] is values


def test_drawings_without_noise_pass():
    """Of tissues that have one value nothing can be said, not even that it lies about the body."""
    drawn = np.where(HU > 300, 600, np.where(HU > -900, 0, -400)).astype(np.int16)
    fat = np.where((HU > -150) & (HU < -60), -100, np.where(HU < -900, -1000, HU)).astype(np.int16)
    for values in (drawn, fat):
        assert to_hu(values, "ct")[0] is values


@pytest.mark.parametrize("name", ["sts_020.nii.gz", "sts_044.nii.gz"])
def test_real_hips_cut_from_the_body_pass_and_are_refused_1024_higher(name):
    hu = np.ascontiguousarray(read_volume(DATA / name).hu)
    assert to_hu(hu, "ct")[1] == ()
    with pytest.raises(CtError, match="rescale slope and intercept"):
        to_hu(hu + np.int16(1024), "ct")


@pytest.mark.parametrize("offset", [1024, 1000])
def test_a_real_ct_with_undershoots_is_corrected(real_ct, offset):
    hu = np.ascontiguousarray(read_volume(real_ct / "pelvis_ct_3mm.nii.gz").hu)
    assert to_hu(hu, "ct")[1] == ()
    found, (note,) = to_hu(hu + np.int16(offset), "ct")
    assert f"{offset} too high" in note
    np.testing.assert_array_equal(np.maximum(found, -2000), np.maximum(hu, -2000))


def test_a_real_ct_masked_with_0_is_corrected(real_ct):
    hu = np.ascontiguousarray(read_volume(real_ct / "pelvis_ct_3mm.nii.gz").hu)
    found, (note,) = to_hu(np.where(outside(hu), 0, hu).astype(np.int16), "ct")
    assert "about the body, had the value 0: taken as air" in note
    assert (found[outside(hu)] <= -1000).mean() > 0.98
