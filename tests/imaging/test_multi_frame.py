"""CTs of which one file holds all slices, and compressed ones: the same voxels as of one file a slice."""

import copy
import zipfile

import gdcm
import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)
from scipy import ndimage

from hipoa.core.errors import CtError
from hipoa.imaging.ct.dicom import pixels
from hipoa.imaging.ct.dicom.gather import gather
from hipoa.imaging.ct.dicom.headers import read_header
from hipoa.imaging.ct.dicom.series import find_stacks, open_stack
from hipoa.imaging.ct.formats import read_volume

HU = np.random.default_rng([4]).choice([-1000, -100, 50, 700], (11, 13, 12)).astype(np.int16)
HU += np.random.default_rng([5]).integers(-20, 21, HU.shape).astype(np.int16)
ORDER = np.random.default_rng([6]).permutation(12)
PER_FRAME = "PerFrameFunctionalGroupsSequence"


@pytest.fixture
def classic(tmp_path, write_stack):
    """A series of one file a slice, with the elements that a conversion asks for."""
    places = [(-50, -40, 3.0 * k) for k in range(12)]
    write_stack(tmp_path / "classic", HU, places=places, rescale=(1, -1024), number=3)
    for k, path in enumerate(sorted((tmp_path / "classic").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = k + 1
        dataset.FrameOfReferenceUID = "2.25.5"
        dataset.ConvolutionKernel = "Br40d"
        dataset.Manufacturer = "SIEMENS"
        for name in ("PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
            setattr(dataset, name, "")
        for name in ("PatientSex", "ReferringPhysicianName", "PositionReferenceIndicator"):
            setattr(dataset, name, "")
        dataset.save_as(path)
    return tmp_path / "classic"


def convert(folder, order=ORDER):
    """The series as one file, its frames in another order."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    image = LegacyConvertedEnhancedCTImage(slices, generate_uid(), 3, generate_uid(), 1)
    groups = list(image[PER_FRAME].value)
    image.PerFrameFunctionalGroupsSequence = [groups[k] for k in order]
    image.PixelData = image.pixel_array[list(order)].tobytes()
    return image


def same(folder, classic):
    expected, volume = read_volume(classic), read_volume(folder)
    np.testing.assert_array_equal(volume.hu, expected.hu)
    np.testing.assert_array_equal(volume.ras_from_ijk, expected.ras_from_ijk)
    assert volume.warnings == expected.warnings == ()
    return volume


@pytest.mark.parametrize("order", [range(12), ORDER])
def test_a_converted_series_is_the_same_to_the_byte(tmp_path, classic, order):
    (tmp_path / "legacy").mkdir()
    convert(classic, order).save_as(tmp_path / "legacy/IM1")
    volume = same(tmp_path / "legacy", classic)
    assert (volume.origin.series, volume.origin.slices) == ("3", 12)


def test_frames_have_their_own_rescaling_kind_and_kernel(tmp_path, classic):
    (tmp_path / "enhanced").mkdir()
    image = convert(classic)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    stored = image.pixel_array.astype(np.int32)
    shared = image.SharedFunctionalGroupsSequence[0]
    for k, groups in enumerate(image[PER_FRAME].value):
        shift = 7 * k
        groups.PixelValueTransformationSequence = copy.deepcopy(shared.PixelValueTransformationSequence)
        rescaling = groups.PixelValueTransformationSequence[0]
        rescaling.RescaleIntercept = float(rescaling.RescaleIntercept) - shift
        stored[k] += shift
    image.PixelData = stored.astype(np.uint16 if image.PixelRepresentation == 0 else np.int16).tobytes()
    image.save_as(tmp_path / "enhanced/IM1")
    same(tmp_path / "enhanced", classic)
    groups = image[PER_FRAME][4]
    groups.CTImageFrameTypeSequence = copy.deepcopy(shared.CTImageFrameTypeSequence)
    groups.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    image.save_as(tmp_path / "enhanced/IM1")
    assert len(read_header(tmp_path / "enhanced/IM1").frames) == 11


def write_phases(folder, classic, shift):
    """Two phases as the frames of one compressed file, which nothing but their order tells apart."""
    folder.mkdir()
    image = convert(classic, np.arange(12))
    stored = image.pixel_array
    image[PER_FRAME].value.extend(copy.deepcopy(list(image[PER_FRAME].value)))
    image.NumberOfFrames = 24
    image.PixelData = np.concatenate([stored, stored + shift]).astype(stored.dtype).tobytes()
    image.compress(RLELossless)
    image.save_as(folder / "IM1")


def test_compressed_frames_of_one_place_are_copies_only_with_the_same_pixels(tmp_path, classic, monkeypatch):
    opened = []
    read_whole = pixels._read_whole
    monkeypatch.setattr(pixels, "_read_whole", lambda file: opened.append(file) or read_whole(file))
    expected = read_volume(classic).hu
    write_phases(tmp_path / "phases", classic, shift=5)
    np.testing.assert_array_equal(read_volume(tmp_path / "phases").hu, expected)
    np.testing.assert_array_equal(read_volume(tmp_path / "phases", "3b").hu, expected + 5)
    write_phases(tmp_path / "copies", classic, shift=0)
    volume = read_volume(tmp_path / "copies")
    np.testing.assert_array_equal(volume.hu, expected)
    assert volume.warnings == ("12 copies of slices left out",)
    assert len(opened) == 3 * 2  # to compare the frames, and to read them


def test_frames_in_a_zip_are_unpacked_once(tmp_path, classic, monkeypatch):
    convert(classic).save_as(tmp_path / "IM1")
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "IM1", "IM1")
    found = find_stacks(gather(tmp_path / "x.zip"), "x.zip")[0]
    opened = []
    unpack = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile, "open", lambda *args, **kw: opened.append(args) or unpack(*args, **kw)
    )
    image = open_stack(found, "x.zip").load(slice(None))
    assert len(opened) == 1
    np.testing.assert_array_equal(image.values, HU[::-1, ::-1])


def test_a_file_with_other_than_its_frames_is_damaged(tmp_path, classic):
    (tmp_path / "cut").mkdir()
    image = convert(classic)
    del image[PER_FRAME].value[-1]
    image.save_as(tmp_path / "cut/IM1")
    with pytest.raises(CtError, match=r"1 damaged CT slices\). Copy or export the series again"):
        read_volume(tmp_path / "cut")


def test_one_series_of_both_kinds_is_one_ct(tmp_path, classic):
    convert(classic).save_as(classic / "legacy")
    assert read_volume(classic).origin.set_aside == "series 3b"


@pytest.mark.parametrize("modality", ["OT", None])
def test_ct_images_are_known_by_their_class(tmp_path, classic, modality):
    expected = read_volume(classic).hu
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        assert dataset.SOPClassUID == CTImageStorage
        del dataset.Modality
        if modality:
            dataset.Modality = modality
        dataset.save_as(path)
    np.testing.assert_array_equal(read_volume(classic).hu, expected)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_plain_coding_is_read(tmp_path, classic, syntax):
    (tmp_path / "other").mkdir()
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        for element in dataset:  # decoded, not as the file has them
            assert element.VR
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
        # As if it were new: pydicom turns no order of bytes round.
        dataset, meta = pydicom.Dataset(dict(dataset.items())), dataset.file_meta
        dataset.file_meta = meta
        options = {"implicit_vr": implicit, "little_endian": little, "enforce_file_format": True}
        dataset.save_as(tmp_path / "other" / path.name, **options)
    same(tmp_path / "other", classic)


def test_a_file_without_a_preamble_is_read(classic):
    expected = read_volume(classic).hu
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        meta = dataset.file_meta
        del dataset.file_meta, dataset.preamble
        assert meta.TransferSyntaxUID.is_little_endian
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_volume(classic).hu, expected)


@pytest.mark.parametrize("signed", [False, True])
def test_only_the_bits_that_count_are_read(classic, signed):
    expected = read_volume(classic).hu
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array.astype(np.int32) - (1024 if signed else 0)
        dataset.RescaleIntercept = 0 if signed else -1024
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)
        # An overlay lies in the highest bit.
        dataset.PixelData = ((stored & 0xFFF) | 0x4000).astype("<u2").tobytes()
        dataset.save_as(path)
    np.testing.assert_array_equal(read_volume(classic).hu, expected)


def compress(source, target, syntax):
    """Writes a slice as GDCM codes it."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize(
    ("syntax", "off"),
    [
        ("JPEGLosslessProcess14_1", 0),
        ("JPEGLSLossless", 0),
        ("JPEG2000Lossless", 0),
        ("RLELossless", 0),
        ("JPEGExtendedProcess2_4", 12),
    ],
)
def test_every_compressed_coding_is_read_without_a_word(tmp_path, classic, capfd, syntax, off):
    (tmp_path / "small").mkdir()
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.save_as(path)
        compress(path, tmp_path / "small" / path.name, getattr(gdcm.TransferSyntax, syntax))
    expected = read_volume(classic)
    capfd.readouterr()
    volume = read_volume(tmp_path / "small")
    assert capfd.readouterr() == ("", "")
    np.testing.assert_allclose(volume.hu, expected.hu, atol=off)
    np.testing.assert_array_equal(volume.ras_from_ijk, expected.ras_from_ijk)


def test_lossy_coding_takes_no_air_for_metal_and_no_metal_for_air(tmp_path, classic):
    (tmp_path / "small").mkdir()
    body = np.zeros((64, 64))
    body[16:52, 16:52] = 1100
    body[26:44, 26:44] = 4092
    noise = np.random.default_rng([8]).normal(3, 8, (64, 64))
    stored = (ndimage.gaussian_filter(body, 1.0) + noise).clip(0, 4095).astype(np.uint16)
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
        dataset.Rows, dataset.Columns, dataset.PixelData = 64, 64, stored.tobytes()
        dataset.save_as(path)
        compress(path, tmp_path / "small" / path.name, gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    found = find_stacks(gather(tmp_path / "small"), "small")[0]
    values = open_stack(found, "small").load(slice(None)).values[::-1, ::-1, 3]
    np.testing.assert_allclose(values.T + 1024, stored, atol=30)


def test_a_coding_that_is_not_read_is_named(tmp_path, classic):
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.save_as(path)
    with pytest.raises(CtError, match=r"in a way that is not read \(High-Throughput JPEG 2000.*uncompressed"):
        read_volume(classic)


@pytest.mark.filterwarnings("ignore:End of file")
def test_a_compressed_slice_that_is_cut_is_named(classic):
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    cut = next(classic.iterdir())
    cut.write_bytes(cut.read_bytes()[:-60])
    with pytest.raises(CtError, match=r"a slice of the series, cannot be read as an image. Copy or export"):
        read_volume(classic)


def test_pixels_of_no_whole_bytes_are_not_guessed(classic):
    for path in classic.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated = dataset.BitsStored = 12
        dataset.HighBit = 11
        dataset.save_as(path)
    with pytest.raises(CtError, match="12 damaged CT slices"):
        read_volume(classic)
