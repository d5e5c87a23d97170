"""CTs as hospitals export them: folders of slices, in any order, with other things beside them."""

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from hipoa.core.errors import CtError
from hipoa.imaging.ct.formats import read_volume

NAME = "Doe^Jane"


@pytest.fixture(scope="module")
def stored():
    """HU (columns, rows, slices) of a small volume: air, fat, muscle and bone in any order."""
    rng, shape = np.random.default_rng([5]), (11, 13, 10)
    tissues = rng.choice([-1000, -100, 50, 700], shape, p=[0.3, 0.2, 0.4, 0.1])
    return (tissues + rng.integers(-20, 21, shape)).astype(np.int16)


def refused(folder, message):
    with pytest.raises(CtError, match=message) as error:
        read_volume(folder)
    assert "\n" not in str(error.value)
    assert not any(secret in str(error.value) for secret in (NAME, "12345", "2.25"))


def test_a_series_is_the_volume_that_was_stored(tmp_path, stored, write_stack):
    write_stack(tmp_path, stored)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.spacing_mm, [0.8, 1.2, 3.0])
    # Column 2, row 3 of slice 4 lies at LPS (-48.4, -36.4, 12).
    i, j, k = np.round(volume.ijk(np.array([48.4, 36.4, 12.0]))).astype(int)
    assert volume.hu[i, j, k] == stored[2, 3, 4]
    assert sorted(volume.hu.ravel()) == sorted(stored.ravel())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(10)), st.booleans())
def test_neither_names_nor_numbers_nor_folders_give_the_order(
    tmp_path_factory, write_stack, stored, order, nested
):
    folder = tmp_path_factory.mktemp("series")
    plain = folder / "plain"
    write_stack(plain, stored)
    mixed = folder / "mixed"
    write_stack(mixed, stored, names=[f"{'a/b/' if nested and n % 2 else ''}IM{n}" for n in order])
    np.testing.assert_array_equal(read_volume(plain).hu, read_volume(mixed).hu)
    np.testing.assert_allclose(read_volume(plain).ras_from_ijk, read_volume(mixed).ras_from_ijk)


def test_a_header_of_any_length(tmp_path, stored, write_stack):
    write_stack(tmp_path, stored)
    expected = read_volume(tmp_path)
    for count, file in zip((10, 32_000, 32_700, 33_000, 500_000), sorted(tmp_path.iterdir()), strict=False):
        image = pydicom.dcmread(file)
        image.add_new(0x00091001, "OB", bytes(count))
        image.save_as(file)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, expected.hu)
    assert volume.origin == expected.origin
    assert volume.warnings == ()


def test_each_slice_is_rescaled_by_its_own_numbers(tmp_path, stored, write_slice):
    even = stored // 2 * 2
    for k in range(stored.shape[2]):
        rescale = (2, -1024) if k % 2 else (1, -1000)
        write_slice(tmp_path / f"{k}", even[..., k], (-50, -40, 3.0 * k), rescale=rescale)
    volume = read_volume(tmp_path)
    assert sorted(volume.hu.ravel()) == sorted(even.ravel())


def test_what_else_lies_there_is_no_obstacle(tmp_path, stored, capfd, write_slice, write_stack):
    write_stack(tmp_path, stored)
    expected = read_volume(tmp_path).hu
    write_stack(tmp_path / "short", stored[..., :4], series="2")
    write_stack(tmp_path / "mr", np.repeat(stored, 3, 2), series="3", modality="MR")
    write_slice(tmp_path / "scout", np.ones((300, 200)), (0, 0, 0), series="4", kind="LOCALIZER")
    (tmp_path / "DICOMDIR").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("text")
    capfd.readouterr()
    np.testing.assert_array_equal(read_volume(tmp_path).hu, expected)
    assert capfd.readouterr() == ("", "")


def test_the_finest_series_is_taken_and_of_equals_the_longest(tmp_path, stored, write_stack):
    write_stack(tmp_path / "coarse", stored, series="2")
    fine = np.concatenate([stored, stored[..., :9]], -1)
    write_stack(tmp_path / "fine", fine, series="3", places=[(-50, -40, 1.5 * k) for k in range(19)])
    assert read_volume(tmp_path).spacing_mm[2] == pytest.approx(1.5)
    write_stack(tmp_path / "thick", stored, series="4", places=[(-50, -40, 5.0 * k) for k in range(10)])
    assert read_volume(tmp_path).spacing_mm[2] == pytest.approx(1.5)
    longer = np.concatenate([fine, stored[..., :3]], -1)
    write_stack(tmp_path / "long", longer, series="5", places=[(-50, -40, 1.5 * k) for k in range(22)])
    assert read_volume(tmp_path).origin.slices == 22


def test_prone_and_coronal_slices_give_the_same_body(tmp_path, stored, write_stack):
    write_stack(tmp_path / "axial", stored)
    places = [(-50 + 0.8 * 10, -40 + 1.2 * 12, 3.0 * k) for k in range(10)]
    turned = stored[::-1, ::-1]
    write_stack(tmp_path / "prone", turned, places=places, turn=(-1, 0, 0, 0, -1, 0))
    np.testing.assert_array_equal(read_volume(tmp_path / "axial").hu, read_volume(tmp_path / "prone").hu)


def test_missing_and_uneven_slices_are_named(tmp_path, stored, write_slice, write_stack):
    uneven = "8 slices or more \\(10 unevenly spaced CT images\\). Export the whole series once"
    write_stack(tmp_path / "gap", stored)
    (tmp_path / "gap" / "004.dcm").unlink()
    (tmp_path / "gap" / "005.dcm").unlink()
    refused(tmp_path / "gap", uneven.replace("10", "8"))
    write_stack(tmp_path / "jump", stored, places=[(-50, -40, 3.0 * k + 0.6 * (k > 5)) for k in range(10)])
    refused(tmp_path / "jump", uneven)
    write_stack(tmp_path / "aside", stored, places=[(-50, -40 + 9 * (k == 4), 3.0 * k) for k in range(10)])
    refused(tmp_path / "aside", uneven)
    curve = [(-50, -40 + 0.1 * k**2, 3.0 * k) for k in range(10)]
    write_stack(tmp_path / "curve", stored, places=curve)
    refused(tmp_path / "curve", "slices lie up to .* mm beside the line of the others")


@pytest.mark.parametrize("tilt_deg", [-22.0, 14.0])
def test_a_tilted_gantry_is_straightened(tmp_path, tilt_deg, write_stack):
    """A ball scanned in tilted slices lies where it lies, and is as round."""
    tilt = np.radians(tilt_deg)
    turn = (1, 0, 0, 0, np.cos(tilt), np.sin(tilt))
    centre, radius = np.array([2.0, 5.0, 31.0]), 14.0
    i, j, k = np.meshgrid(range(60), range(50), range(40), indexing="ij")
    places = np.array([(-24, -30 * np.cos(tilt), 1.5 * n - 30 * np.sin(tilt)) for n in range(40)])
    points = places[k] + i[..., None] * 0.8 * np.array(turn[:3]) + j[..., None] * 1.2 * np.array(turn[3:])
    inside = radius - np.linalg.norm(points - centre, axis=-1)
    hu = (-1000 + 2000 * np.clip(inside + 0.5, 0, 1)).astype(np.int16)
    write_stack(tmp_path, hu, places=places, turn=turn)
    volume = read_volume(tmp_path)
    unit = volume.ras_from_ijk[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(unit.T @ unit, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(volume.spacing_mm, [0.8, 1.2 * np.cos(tilt), 1.5], atol=1e-5)
    (note,) = volume.warnings
    assert f"tilted by {abs(tilt_deg):.1f} degrees" in note
    weight = (volume.hu + 1000).clip(0).astype(float)
    index = np.stack(np.meshgrid(*map(range, weight.shape), indexing="ij"), -1)
    ras = index @ volume.ras_from_ijk[:3, :3].T + volume.ras_from_ijk[:3, 3]
    found = (ras * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    np.testing.assert_allclose(found, centre * [-1, -1, 1], atol=0.1)
    spread = np.sqrt(((ras - found) ** 2 * weight[..., None]).sum((0, 1, 2)) / weight.sum())
    np.testing.assert_allclose(spread, radius / np.sqrt(5), rtol=0.03)


def test_a_folder_without_a_ct_and_a_broken_slice(tmp_path, stored, write_stack):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty: it holds no DICOM series of CT with 8 slices or more")
    write_stack(tmp_path / "broken", stored)
    file = tmp_path / "broken" / "006.dcm"
    file.write_bytes(file.read_bytes()[:-150])
    refused(tmp_path / "broken", r"\(1 damaged CT slices, 9 unevenly spaced CT images\)")


def test_what_refers_to_ct_images_is_no_damaged_slice(tmp_path, stored, write_stack):
    write_stack(tmp_path / "ct", stored)
    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.67", "2.25.1"
    report.ReferencedSOPSequence = [Dataset()]
    report.ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    report.save_as(tmp_path / "ct/dose", enforce_file_format=True)
    assert not read_volume(tmp_path / "ct").warnings
