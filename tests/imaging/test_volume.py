import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hipoa.core.errors import CtError
from hipoa.imaging.ct.formats import read_volume, stem
from hipoa.imaging.ct.image import copy_in_pages, take_pages
from hipoa.imaging.ct.volume import Volume

SHAPE = (5, 6, 7)


@pytest.fixture
def hu():
    return np.random.default_rng([1]).integers(-1000, 1500, SHAPE).astype(np.int16)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "a.mhd"])
def test_every_format_gives_the_same_volume(tmp_path, hu, name):
    image = sitk.GetImageFromArray(hu.T.copy())
    image.SetSpacing((1.5, 2.0, 3.0))
    image.SetOrigin((-10, 20, -30))
    sitk.WriteImage(image, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    # ITK's axes run to the left and to the back: both are turned.
    assert np.array_equal(volume.hu, hu[::-1, ::-1])
    assert volume.spacing_mm == pytest.approx([1.5, 2.0, 3.0])
    corner = volume.ras_from_ijk @ [4, 5, 0, 1]
    assert corner[:3] == pytest.approx([10, -20, -30])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.permutations(range(3)), st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3))
def test_any_order_of_the_axes_is_the_same_volume(tmp_path, write_nifti, order, signs):
    hu = np.random.default_rng([2]).integers(-1000, 1500, SHAPE).astype(np.int16)
    turned = np.array([[0.995, 0.0998, 0], [-0.0998, 0.995, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3] = np.c_[turned @ np.diag([1.5, 2.0, 2.5]), [-40, 8, 100]]
    turn = np.stack([order, signs], axis=1)
    stored = nib.orientations.apply_orientation(hu, turn)
    affine = matrix @ nib.orientations.inv_ornt_aff(turn, SHAPE)
    volume = read_volume(write_nifti(tmp_path / "turned.nii", stored, affine))
    assert (volume.origin.slices, volume.origin.step_mm) == (7, 2.5)
    assert np.array_equal(volume.hu, hu)
    assert volume.ras_from_ijk == pytest.approx(matrix, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("case 1.nii.gz", "case 1"), ("a.b.nii", "a.b"), ("x.MHA", "x"), ("series", "series"), ("v1.2", "v1.2")],
)
def test_the_stem_is_the_name_without_extensions(tmp_path, name, expected):
    assert stem(tmp_path / name) == expected


def test_padding_and_holes_are_air(tmp_path, hu, write_nifti):
    values = hu.astype(np.float32)
    values[0, 0, 0], values[1, 1, 1] = -32768, np.nan
    volume = read_volume(write_nifti(tmp_path / "a.nii", values, np.eye(4)))
    assert max(volume.hu[0, 0, 0], volume.hu[1, 1, 1]) <= -1000


def test_bad_files_are_refused_by_name(tmp_path, hu, write_nifti):
    def refused(path, message):
        with pytest.raises(CtError, match=message):
            read_volume(path)

    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    (tmp_path / "a.txt").write_text("text")
    refused(tmp_path / "broken.nii.gz", r"broken\.nii\.gz: the file cannot be read as an image")
    refused(tmp_path / "a.txt", "this kind of file is not read")
    for name, array, message in (
        ("4d.nii", np.stack([hu, hu], -1), "4 dimensions"),
        ("display.nii", np.clip(hu / 10 + 100, 0, 255).astype(np.uint8), "not Hounsfield units"),
        ("shifted.nii", hu + np.int16(1024), "from [0-9]+ to .*not Hounsfield units"),
        ("soft.nii", np.clip(hu, -1000, 150), "not Hounsfield units"),
    ):
        refused(write_nifti(tmp_path / name, array, np.eye(4)), message)
    rgb = sitk.GetImageFromArray(np.zeros((4, 4, 4, 3), np.uint8), isVector=True)
    sitk.WriteImage(rgb, str(tmp_path / "rgb.mha"))
    refused(tmp_path / "rgb.mha", "3 values per voxel")


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1, 1, 0, 1.0]),
        np.full((4, 4), np.nan),
        np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    ],
)
def test_a_volume_needs_its_position_in_the_patient(hu, matrix):
    with pytest.raises(CtError, match="voxel-to-patient matrix is"):
        Volume(hu, matrix)


def test_a_point_is_in_the_volume_up_to_the_outer_voxels_rim(hu):
    volume = Volume(hu, np.diag([2, 2, 2, 1.0]))
    for point, inside in (((-0.9, 0, 0), True), ((-1.1, 0, 0), False), ((8.9, 10.9, 12.9), True)):
        assert volume.contains(np.array(point)) == inside
    assert len(list(itertools.chain(volume.corners_ras_mm))) == 8


def test_pages_hold_what_is_written():
    pages = take_pages((3, 4, 5), np.int16)
    assert (pages.shape, pages.dtype, pages.max()) == ((3, 4, 5), np.int16, 0)
    pages[1:] = 7
    assert pages.sum() == 2 * 20 * 7
    assert take_pages((0, 4), np.uint16).shape == (0, 4)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("ways", [(1, 1, 1), (-1, 1, -1)])
def test_a_copy_in_pages_keeps_values_and_the_order_of_memory(axes, ways):
    values = np.arange(120, dtype=np.int16).reshape(4, 5, 6).transpose(axes)
    values = values[tuple(slice(None, None, way) for way in ways)]
    copy = copy_in_pages(values)
    assert (copy == values).all()
    assert copy.strides == np.array(values).strides
    assert not np.shares_memory(copy, values)


def test_pages_that_cannot_be_had():
    with pytest.raises(MemoryError):
        take_pages((2**60,), np.int16)
