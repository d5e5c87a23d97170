"""What comes as a CT and is none, or a bad one: each kind has its line, or its correction."""

import csv
import gzip
import struct

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy.spatial.transform import Rotation

from hipoa.core.errors import CtError
from hipoa.core.files import read_npz
from hipoa.imaging import project
from hipoa.imaging.ct import formats
from hipoa.imaging.ct.dicom import series
from hipoa.imaging.ct.formats import find_volumes, read_labels, read_volume
from hipoa.imaging.ct.image import LPS_TO_RAS
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import ShardOptions

SHAPE = (18, 16, 14)
AFFINE = np.array([[1.5, 0, 0, -12], [0, 2, 0, -20], [0, 0, 2.5, 90], [0, 0, 0, 1.0]])
SECRETS = ("Doe", "Jane", "12345", "2.25", "1.2.840", "1970")
PERSON = "Doe^Jane_1970"


def draw_body():
    """HU of air, fat, muscle and bone, with noise."""
    hu = np.full(SHAPE, -1000)
    hu[3:-3, 3:-3] = -100
    hu[4:-4, 4:-4] = 50
    hu[7:11, 6:10, 2:-2] = 700
    noise = np.random.default_rng([3]).normal(0, 8, SHAPE).round().clip(-20, 20)
    return (hu + noise).astype(np.int16)


HU = draw_body()
SHIFTED = (HU + 1024).astype(np.uint16)


def save(path, array, affine=AFFINE, *, sform=1, qform=1, forms=None, patch=None):
    """A NIfTI file; ``forms`` gives sform and qform apart, ``patch`` writes bytes into the header."""
    first, second = forms or (affine, affine)
    header = nib.Nifti1Header(endianness=">" if array.dtype.byteorder == ">" else "<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_qform(second, qform)
    header.set_sform(first, sform)
    header["vox_offset"] = 352
    raw = bytearray(header.binaryblock + bytes(4) + array.tobytes("F"))
    for offset, value in (patch or {}).items():
        raw[offset : offset + len(value)] = value
    path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
    return path


def nifti(array: np.ndarray = HU, affine=AFFINE, name="ct.nii", **options):
    return lambda folder: save(folder / name, array, affine, **options)


def raw(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def cut(share, name):
    def make(folder):
        path = save(folder / name, HU)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        return path

    return make


def damaged(folder):
    path = save(folder / "ct.nii.gz", HU)
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(content)
    return path


def shorter_than_promised(folder):
    path = save(folder / "whole.nii", HU)
    (folder / "ct.nii.gz").write_bytes(gzip.compress(path.read_bytes()[:-1000]))
    return folder / "ct.nii.gz"


def promising(name, side=1500):
    huge = struct.pack("<4h", 3, side, side, side)
    return nifti(name=name, patch={40: huge})


def colours(folder):
    rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return save(folder / "ct.nii", rgb)


def itk(name, array=HU, replace=(), components=1):
    """A MetaImage or NRRD file, ``replace`` changes its header."""

    def make(folder):
        image = sitk.GetImageFromArray(np.asarray(array).T.copy(), isVector=components > 1)
        image.SetSpacing((1.5, 2.0, 2.5))
        sitk.WriteImage(image, str(folder / name))
        content = (folder / name).read_bytes()
        for old, new in replace:
            assert old in content
            content = content.replace(old, new, 1)
        (folder / name).write_bytes(content)
        return folder / name

    return make


def vectors(name):
    return itk(name, np.zeros((3, *SHAPE), np.int16), components=3)


def cut_itk(name):
    def make(folder):
        path = itk(name)(folder)
        path.write_bytes(path.read_bytes()[:-900])
        return path

    return make


def without_voxels(folder):
    path = itk("ct.mhd")(folder)
    (folder / "ct.raw").unlink()
    return path


def sheared(deg, across=(1, 2)):
    matrix = AFFINE.copy()
    matrix[across[0], across[1]] = np.tan(np.radians(deg)) * matrix[across[1], across[1]]
    return nifti(affine=matrix, qform=0)


def other_affine(**changes):
    matrix = AFFINE.copy()
    for name, value in changes.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


def nifti_named(name):
    return lambda folder: save(folder / "ct.nii", HU).rename(folder / name)


MIRRORED = np.diag([-1.0, 1, 1, 1]) @ AFFINE
SINGULAR = other_affine(m22=0)

REFUSED = {
    "an empty file": (raw("ct.nii", b""), "the file is empty"),
    "an empty compressed file": (raw("ct.nii.gz", b""), "the file is empty"),
    "an empty MetaImage": (raw("ct.mha", b""), "the file is empty"),
    "text by the name of NIfTI": (raw("ct.nii", b"no image at all"), "no whole NIfTI header"),
    "text by the name of MetaImage": (raw("ct.mha", b"no image at all"), "cannot be read as an image"),
    "text by the name of NRRD": (raw("ct.nrrd", b"no image at all"), "cannot be read as an image"),
    "plain by the name of compressed": (raw("ct.nii.gz", b"plain"), "by its name it is compressed"),
    "compressed by the name of plain": (raw("ct.nii", gzip.compress(b"x")), "by its content compressed"),
    "no header in the compressed file": (raw("ct.nii.gz", gzip.compress(b"x")), "no whole NIfTI header"),
    "a cut NIfTI": (cut(0.6, "ct.nii"), r"the file is cut: it holds 5\d % of its voxels"),
    "a cut NIfTI header": (cut(0.02, "ct.nii"), "no whole NIfTI header"),
    "a cut compressed NIfTI": (cut(0.6, "ct.nii.gz"), "the file is cut: its compressed data end too early"),
    "a compressed NIfTI without its end": (cut(0.9999, "ct.nii.gz"), "its compressed data end too early"),
    "a damaged compressed NIfTI": (damaged, "the file is damaged"),
    "fewer voxels than promised": (shorter_than_promised, r"the file is cut: it holds 8\d % of its voxels"),
    "more voxels than memory": (promising("ct.nii"), "the file is cut: it holds 0 %"),
    "more compressed voxels than memory": (promising("ct.nii.gz"), "the file is cut: it holds 0 %"),
    "more voxels than any CT": (promising("ct.nii.gz", 30000), "30000 x 30000 voxels, more than any CT has"),
    "more voxels in a MetaImage": (
        itk("ct.mha", replace=[(b"DimSize = 18 16 14", b"DimSize = 9999 9999 99")]),
        "9999 x 99 voxels, more than any CT has",
    ),
    "more voxels in an NRRD": (
        itk("ct.nrrd", replace=[(b"sizes: 18 16 14", b"sizes: 9999 9999 99")]),
        "9999 x 99 voxels, more than any CT has",
    ),
    "several volumes": (nifti(np.stack([HU, HU], -1)), r"4 dimensions \(18 x 16 x 14 x 2\)"),
    "vectors": (nifti(np.zeros((*SHAPE, 1, 3), np.int16)), "5 dimensions"),
    "one slice": (nifti(HU[..., 5]), r"a single slice \(18 x 16( x 1)? voxels\)"),
    "an axis of one voxel": (nifti(HU[:, 3:4]), r"a single slice \(18 x 1 x 14 voxels\)"),
    "colours": (colours, "3 values per voxel"),
    "complex numbers": (nifti(HU.astype(np.complex64)), "2 values per voxel"),
    "a vector MetaImage": (vectors("ct.mha"), "3 values per voxel"),
    "a vector NRRD": (vectors("ct.nrrd"), "3 values per voxel"),
    "forms that disagree": (
        nifti(forms=(AFFINE, other_affine(m03=8))),
        "its sform and qform place the same voxel up to 20.0 mm apart. Find out which",
    ),
    "forms that exchange the sides": (nifti(forms=(AFFINE, MIRRORED)), "apart and exchange left and right"),
    "no orientation": (nifti(sform=0, qform=0), r"sform and qform codes are 0\). Left and right cannot"),
    "a singular form": (nifti(forms=(SINGULAR, AFFINE), qform=0), "sform: .* singular"),
    "a form of no numbers": (
        nifti(qform=0, patch={280: struct.pack("<f", np.nan)}),
        "sform: the voxel-to-patient matrix is not 4 x 4 and finite",
    ),
    "voxels of 150 mm": (nifti(affine=np.diag([150, 2, 2, 1.0])), "the voxels measure 150 x 2 x 2 mm"),
    "voxels of 2 micrometres": (nifti(affine=np.diag([0.002, 1, 1, 1])), "measure 0.002 x 1 x 1 mm"),
    "endless scaling": (nifti(patch={112: struct.pack("<2f", 1, np.inf)}), "contradicts itself"),
    "no finite voxel": (nifti(np.full(SHAPE, np.nan, np.float32)), "no voxel is above"),
    "nothing but padding": (nifti(np.full(SHAPE, -2000, np.int16)), "no voxel is above -1300 HU"),
    "one value": (nifti(np.full(SHAPE, 7, np.int16)), "every voxel has the value 7"),
    "a mask": (nifti((HU > 300).astype(np.uint8)), "from 0 to 1, .*that of a mask"),
    "a CT scaled to 0-1": (nifti(((HU + 1024) / 2000).astype(np.float32)), "a CT scaled to 0-1"),
    "labels": (nifti((HU > 300).astype(np.uint8) * 75), "from 0 to 75, .*labels, or grey values"),
    "grey values": (nifti(((HU + 1100) / 8).clip(0, 255).astype(np.uint8)), "labels, or grey values"),
    "signed grey values": (nifti(((HU + 1100) / 8 - 128).astype(np.int8)), "not Hounsfield units"),
    "MR": (
        nifti(np.random.default_rng([4]).gamma(2, 200, SHAPE).astype(np.uint16)),
        "an MR image, or a CT without its rescaling",
    ),
    "an offset of 1000": (nifti((HU + 1000).clip(0).astype(np.int16)), "without its rescaling"),
    "an offset of 1024 without air": (nifti(SHIFTED[4:-4, 4:-4]), "without its rescaling"),
    "a soft window": (nifti(HU.clip(-160, 240)), "the values are clipped at 240 HU: bone has more"),
    "a window without air": (nifti(HU.clip(-300, 1500)), "the values are clipped at -300 HU: air has -1000"),
    "signed stored as unsigned": (nifti(HU.view(np.uint16)), "signed values|without its rescaling"),
    "a shear of 45 degrees": (sheared(45), "axes are 45.0 degrees from right angles"),
    "a shear within slices": (sheared(10, (0, 1)), "axes are 10.0 degrees from right angles"),
    "NRRD without a space": (
        itk("ct.nrrd", replace=[(b"space: left-posterior-superior\n", b"")]),
        "its NRRD header does not say how it lies in the patient",
    ),
    "NRRD in the scanner's space": (
        itk("ct.nrrd", replace=[(b"left-posterior-superior", b"scanner-xyz")]),
        "its NRRD header does not say",
    ),
    "a cut NRRD": (cut_itk("ct.nrrd"), "cannot be read as an image"),
    "MetaImage without a matrix": (
        itk("ct.mha", replace=[(b"TransformMatrix = 1 0 0 0 1 0 0 0 1\n", b"")]),
        "its MetaImage header does not say how it lies in the patient",
    ),
    "a cut MetaImage": (cut_itk("ct.mha"), "cannot be read as an image"),
    "a header without its voxels": (
        without_voxels,
        "a header alone: the file of its voxels .* is not there. Put that file beside it",
    ),
    "a file that is not there": (lambda folder: folder / "ct.nii", r"cannot be read \(No such file"),
    "no DICOM by the name of DICOM": (raw("ct.dcm", b"DICM\0"), "this kind of file is not read. Give the CT"),
    "a cut zip": (raw("ct.zip", b"PK\3\4"), "the zip is cut, damaged or one of several parts. Copy it again"),
    "a text": (raw("ct.txt", b"text"), "it is a text, .*not read as a CT. Give the CT itself: a folder, zip"),
    "an empty file of any name": (raw("ct", b""), "the file is empty"),
    "a PDF": (raw("ct.pdf", b"%PDF-1.7\n"), "it is a PDF"),
    "a picture": (raw("ct.png", b"\x89PNG\r\n"), r"it is a picture \(PNG\)"),
    "a photograph": (raw("IM000001", b"\xff\xd8\xff\xe0"), r"it is a picture \(JPEG\)"),
    "a web page": (raw("ct.dcm", b"\n<!DOCTYPE html><html>"), "it is a web page"),
    "an old table": (raw("ct.xls", b"\xd0\xcf\x11\xe0\xa1\xb1"), "table of an office program"),
    "a 7z": (raw("ct.7z", b"7z\xbc\xaf\x27\x1c"), "it is a 7z archive.*Unpack it and name the folder"),
    "a RAR": (raw("ct.rar", b"Rar!\x1a\7"), "it is a RAR archive.*Unpack it and name the folder"),
    "a tar": (raw("ct.tar", bytes(257) + b"ustar"), "it is a tar archive.*Unpack it and name the folder"),
    "a compressed tar": (raw("ct.tgz", gzip.compress(b"x")), "compressed by gzip.*else unpack it"),
    "NIfTI by another name": (nifti_named("ct"), r"it is NIfTI.*Let its name end in \.nii\."),
    "NRRD by another name": (raw("ct", b"NRRD0004\n"), r"it is NRRD.*Let its name end in \.nrrd"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_is_no_good_is_refused_in_one_line(tmp_path, kind):
    make, message = REFUSED[kind]
    folder = tmp_path / PERSON
    folder.mkdir()
    path = make(folder)
    with pytest.raises(CtError, match=message) as error:
        read_volume(path)
    told = f"{error.value.found}. {error.value.do}"
    assert not any(secret in told for secret in SECRETS)
    assert "\n" not in str(error.value)
    assert len(told) < 300


def in_metres(folder):
    matrix = np.diag([0.001, 0.001, 0.001, 1]) @ AFFINE
    return save(folder / "ct.nii", HU, matrix, patch={123: b"\x01"})


def holes(value):
    array = HU.astype(np.float32)
    array[5, 5, :3] = value
    return nifti(array)


def with_holes():
    hu = HU.copy()
    hu[5, 5, :3] = -1024
    return hu


def padded(folder):
    array = HU.copy()
    array[5, 5, 0], array[5, 5, 1:3] = -32768, -2000
    return save(folder / "ct.nii", array)


def beside_another(folder):
    save(folder / "ct.nii", HU[::-1].copy())
    return save(folder / "ct.nii.gz", HU)


def of_two_members(folder):
    path = save(folder / "ct.nii", HU)
    content = path.read_bytes()
    (folder / "ct.nii.gz").write_bytes(
        gzip.compress(content[:5000]) + gzip.compress(content[5000:]) + b"\0" * 9
    )
    return folder / "ct.nii.gz"


def scaled(name):
    values = ((HU.astype(np.int32) + 1024) * 2).astype(np.uint16)
    return nifti(values, name=name, patch={112: struct.pack("<2f", 0.5, -1024)})


CORRECTED = {
    "float64": (nifti(HU + 0.3), HU, ""),
    "float64, compressed": (nifti(HU - 0.3, name="ct.nii.gz"), HU, ""),
    "int32": (nifti(HU.astype(np.int32)), HU, ""),
    "big-endian": (nifti(HU.astype(">i2")), HU, ""),
    "a slope and an intercept": (scaled("ct.nii"), HU, ""),
    "a slope and an intercept, compressed": (scaled("ct.nii.gz"), HU, ""),
    "a fourth axis of one volume": (nifti(HU[..., None]), HU, ""),
    "two members of gzip": (of_two_members, HU, ""),
    "another file of nearly its name": (beside_another, HU, ""),
    "padding": (padded, with_holes(), ""),
    "no numbers": (holes(np.nan), with_holes(), "0.074 % of the voxels are not finite: taken as air"),
    "endless numbers": (holes(np.inf), with_holes(), "not finite: taken as air"),
    "a singular sform beside a qform": (nifti(forms=(SINGULAR, AFFINE)), HU, "the sform is unusable"),
    "an impossible qform beside a sform": (
        nifti(patch={256: struct.pack("<3f", 3, 3, 3)}),
        HU,
        "the qform is unusable: the other form was taken",
    ),
    "only a qform": (nifti(sform=0), HU, ""),
    "only a sform": (nifti(qform=0), HU, ""),
    "metres": (in_metres, HU, "the sform was in units of 1000 mm"),
    "an offset of 1024": (nifti(SHIFTED), HU, "the values were 1024 too high"),
    "an offset of 1024 in int16": (nifti(SHIFTED.astype(np.int16)), HU, "the values were 1024 too high"),
    "no numbers about an offset of 1024": (
        nifti(np.where(HU < -900, np.nan, HU).astype(np.float32)),
        np.where(HU < -900, -1024, HU),
        "of the voxels are not finite",
    ),
}


@pytest.mark.parametrize("kind", CORRECTED)
def test_what_is_certain_is_corrected_and_said(tmp_path, kind):
    make, expected, note = CORRECTED[kind]
    volume = read_volume(make(tmp_path))
    # All up to -1000 is air.
    np.testing.assert_array_equal(np.maximum(volume.hu, -1024), expected)
    np.testing.assert_allclose(volume.ras_from_ijk, AFFINE, atol=1e-4)
    assert note in "; ".join(volume.warnings)
    assert bool(note) == bool(volume.warnings)


def test_a_drawing_without_noise_is_not_clipped(tmp_path):
    drawn = np.where(HU > 300, 600, np.where(HU > -900, 0, -400)).astype(np.int16)
    np.testing.assert_array_equal(read_volume(save(tmp_path / "ct.nii", drawn)).hu, drawn)


@pytest.mark.parametrize("deg", [-20, 12])
def test_a_tilted_nifti_is_straightened(tmp_path, deg):
    volume = read_volume(sheared(deg)(tmp_path))
    axes = volume.ras_from_ijk[:3, :3]
    assert np.abs(axes.T @ axes - np.diag(volume.spacing_mm**2)).max() < 1e-6
    (note,) = volume.warnings
    assert f"tilted by {abs(deg):.1f} degrees: straightened" in note
    # A row that lies along the table's way is interpolated nowhere.
    rows = [tuple(row[row > -1024]) for row in volume.hu[:, 0]]
    assert rows == [tuple(row) for row in HU[:, 0]]


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "ct.nrrd", "ct.nhdr", "ct.mha", "ct.mhd"])
def test_an_oblique_ct_keeps_its_place_in_every_format(tmp_path, name):
    turn = Rotation.from_euler("zyx", [0.2, -0.1, 0.3]).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn @ np.diag([1.5, 2, 2.5]), (-9, 8, 70)
    if ".nii" in name:
        save(tmp_path / name, HU, matrix)
    else:
        image = sitk.GetImageFromArray(HU.T.copy())
        lps = LPS_TO_RAS @ matrix
        image.SetDirection((lps[:3, :3] / [1.5, 2, 2.5]).ravel())
        image.SetSpacing((1.5, 2, 2.5))
        image.SetOrigin(lps[:3, 3])
        sitk.WriteImage(image, str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.hu, HU)
    np.testing.assert_allclose(volume.ras_from_ijk, matrix, atol=1e-4)
    assert formats.stem(tmp_path / name) == "ct"


def test_a_plain_file_is_mapped_and_an_image_outlives_its_reader(tmp_path):
    volume = read_volume(save(tmp_path / "ct.nii", HU, np.diag([-1.5, 2, 2.5, 1])))
    base = volume.hu
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not volume.hu.flags.writeable
    volume = read_volume(itk("ct.mha")(tmp_path))
    np.ones(10**6)
    np.testing.assert_array_equal(volume.hu, HU[::-1, ::-1])


def test_labels_keep_their_values(tmp_path):
    labels = (HU > 300).astype(np.float64) * 60000
    for name, array in (("a.nii.gz", labels), ("b.nii", labels.astype(np.uint16))):
        image = read_labels(save(tmp_path / name, array), layers=False)
        values, matrix = image.values, image.ras_from_ijk
        np.testing.assert_array_equal(values, labels)
        np.testing.assert_allclose(matrix, AFFINE)


# Folders of DICOM slices


def places(change=None):
    where = [[-12.0, -20.0, 90 + 2.5 * k] for k in range(SHAPE[2])]
    for k, axis, mm in change or ():
        where[k][axis] += mm
    return where


def stack(array: np.ndarray = HU, **options):
    return lambda write, folder: write(folder, array, **{"places": places()[: array.shape[2]]} | options)


def change_slice(number, change):
    """A good folder in which the bytes of one slice were changed; none: it is away."""

    def fill(write, folder):
        write(folder, HU, places=places())
        file = folder / f"{number:03d}.dcm"
        content = change(file.read_bytes())
        file.write_bytes(content) if content else file.unlink()

    return fill


def two_patients(write, folder):
    write(folder / "a", HU, places=places())
    write(folder / "b", HU, places=places(), series="2", tags={"0010|0020": "678"}.items())


def unplaced(write, folder):
    write(folder, HU, places=places())
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"\x20\0\x32\0", b"\x20\0\x33\0"))


NO_SERIES = "it holds no DICOM series of CT with 8 slices or more"
FOLDERS = {
    "an empty folder": (lambda write, folder: None, NO_SERIES),
    "a folder of an image": (
        lambda write, folder: save(folder / "Doe.nii.gz", HU),
        rf"{NO_SERIES} \(1 files that are no DICOM images\). Name the image file in it",
    ),
    "a folder of an image in two files": (
        lambda write, folder: sitk.WriteImage(sitk.GetImageFromArray(HU), str(folder / "Doe.mhd")),
        rf"{NO_SERIES} \(2 files that are no DICOM images\). Name the image file in it",
    ),
    "localisers": (stack(kind="LOCALIZER"), rf"{NO_SERIES} \(14 localisers\)"),
    "MR slices": (stack(modality="MR"), r"\(14 images of other modalities\)"),
    "too few slices": (stack(HU[..., :5]), r"\(5 CT images in shorter series\)"),
    "captures": (
        stack(tags={"0008|0016": "1.2.840.10008.5.1.4.1.1.7"}.items()),
        r"\(14 captures of screens\)",
    ),
    "thick projections": (
        stack(tags={"0008|0008": "DERIVED\\SECONDARY\\AXIAL\\MIP"}.items()),
        r"\(14 projections of several slices\)",
    ),
    "slices without position": (unplaced, r"\(14 CT images without position, orientation or pixel size\)"),
    "two patients": (two_patients, "it holds CTs of several people: they differ in patient ID"),
    "grey slices": (
        stack(((HU + 1100) / 8).clip(0, 255).astype(np.int16)),
        "labels, or grey values for display",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_is_no_good_is_refused_in_one_line(tmp_path, write_stack, kind):
    fill, message = FOLDERS[kind]
    folder = tmp_path / PERSON
    folder.mkdir()
    fill(write_stack, folder)
    with pytest.raises(CtError, match=message) as error:
        read_volume(folder)
    told = f"{error.value.found}. {error.value.do}"
    assert not any(secret in told for secret in (*SECRETS, "678"))
    assert len(told.splitlines()) == 1


def test_a_damaged_slice_at_the_end_is_said(tmp_path, write_stack):
    change_slice(0, lambda content: content[:-150])(write_stack, tmp_path)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, HU[::-1, ::-1, 1:])
    assert volume.warnings == ("1 damaged CT slices left out",)


def run_lengths(pixels):
    """An image (columns, rows) as DICOM's RLE, in literal runs (PS3.5, annex G)."""
    planes = pixels.T.astype("<i2").tobytes()
    parts = []
    for plane in (planes[1::2], planes[0::2]):
        runs = [plane[n : n + 128] for n in range(0, len(plane), 128)]
        part = b"".join(bytes([len(run) - 1]) + run for run in runs)
        parts.append(part + b"\0" * (len(part) % 2))
    return struct.pack("<16I", 2, 64, 64 + len(parts[0]), *[0] * 13) + b"".join(parts)


def element(group, number, kind, value):
    """An element of a DICOM file with its type said (PS3.5, 7.1.2)."""
    value = value.encode() if isinstance(value, str) else value
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if kind == "OB" else struct.pack("<H", len(value))
    return struct.pack("<2H", group, number) + kind.encode() + length + value


def write_run_lengths(path, pixels, place):
    """A CT slice in DICOM's RLE, which ITK reads and does not write."""
    columns, rows = pixels.shape
    kind = "1.2.840.10008.5.1.4.1.1.2"
    start = (
        element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", kind) + element(2, 3, "UI", f"2.25.{path.stem}1")
    )
    start += element(2, 0x10, "UI", "1.2.840.10008.1.2.5")
    short = {0x10: rows, 0x11: columns, 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 1}
    content = [
        element(8, 0x16, "UI", kind),
        element(8, 0x18, "UI", f"2.25.{path.stem}1"),
        element(8, 0x60, "CS", "CT"),
        element(0x20, 0x0E, "UI", "2.25.77"),
        element(0x20, 0x32, "DS", "\\".join(map(str, place))),
        element(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0"),
        element(0x28, 2, "US", struct.pack("<H", 1)),
        element(0x28, 4, "CS", "MONOCHROME2"),
        *(element(0x28, n, "US", struct.pack("<H", value)) for n, value in list(short.items())[:2]),
        element(0x28, 0x30, "DS", "1.2\\0.8"),
        *(element(0x28, n, "US", struct.pack("<H", value)) for n, value in list(short.items())[2:]),
        element(0x28, 0x1052, "DS", "0"),
        element(0x28, 0x1053, "DS", "1"),
    ]
    frame, item = run_lengths(pixels), b"\xfe\xff\x00\xe0"
    voxels = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + item + struct.pack("<I", 0)
    voxels += item + struct.pack("<I", len(frame)) + frame + b"\xfe\xff\xdd\xe0" + struct.pack("<I", 0)
    head = bytes(128) + b"DICM" + element(2, 0, "UL", struct.pack("<I", len(start))) + start
    path.write_bytes(head + b"".join(content) + voxels)


@pytest.mark.parametrize("compressor", ["JPEG2000", "JPEG", "RLE"])
def test_compressed_slices_are_read(tmp_path, write_stack, compressor):
    if compressor == "RLE":
        for k in range(SHAPE[2]):
            write_run_lengths(tmp_path / f"{k + 1}.dcm", HU[..., k], places()[k])
    else:
        write_stack(tmp_path, HU, places=places(), compressor=compressor)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, HU[::-1, ::-1])


def test_a_copy_of_a_slice_is_left_out(tmp_path, write_stack):
    write_stack(tmp_path, HU, places=places())
    (tmp_path / "copy").write_bytes((tmp_path / "003.dcm").read_bytes())
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, HU[::-1, ::-1])
    assert volume.warnings == ("1 copies of slices left out",)


def test_of_equal_series_the_lowest_number_is_taken_unless_another_is_named(tmp_path, write_stack):
    for number, change in ((7, 1), (4, 2), (20231124, 3)):
        options = {"series": str(number), "number": number}
        write_stack(tmp_path / str(number), HU + np.int16(change), places=places(), **options)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, HU[::-1, ::-1] + 2)
    assert volume.warnings == ("3 CT series are equally fine, sharp and long: series 4 was taken",)
    named = read_volume(tmp_path, "7")
    np.testing.assert_array_equal(named.hu, HU[::-1, ::-1] + 1)
    assert named.warnings == ()
    assert len(find_volumes(tmp_path)) == 3
    with pytest.raises(CtError, match="it has no CT series 9") as error:
        read_volume(tmp_path, "9")
    assert "it has 4: 14 slices, step 2.5 mm; 7: 14 slices, step 2.5 mm; a: 14 slices" in str(error.value)
    with pytest.raises(CtError, match="series 3 was named, but the CT is one file"):
        read_volume(save(tmp_path / "ct.nii", HU), "3")


# Faults that pass


@pytest.mark.parametrize("fault", [OSError(5, "Input/output error"), RuntimeError("ITK"), MemoryError()])
def test_a_fault_that_passes_is_no_fault(tmp_path, monkeypatch, fault):
    path = save(tmp_path / "ct.nii.gz", HU)
    read, calls = formats.read_nifti, []

    def fail_once(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise fault
        return read(*arguments)

    monkeypatch.setattr(formats, "read_nifti", fail_once)
    np.testing.assert_array_equal(read_volume(path).hu, HU)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OSError(5, "Input/output error", PERSON), r"the file cannot be read \(Input/output error\)"),
        (RuntimeError(PERSON), "cannot be read as an image"),
        (MemoryError(), "too little memory"),
        (KeyError(PERSON), r"the reader failed \(KeyError\)"),
    ],
)
def test_a_fault_that_stays_is_one_line_without_names(tmp_path, monkeypatch, fault, message):
    path = save(tmp_path / "ct.nii.gz", HU)
    calls = []

    def fail(*_):
        calls.append(1)
        raise fault

    monkeypatch.setattr(formats, "read_nifti", fail)
    with pytest.raises(CtError, match=message) as error:
        read_volume(path)
    assert PERSON not in str(error.value)
    assert len(calls) == 1 + len(formats.PAUSES_S)


def test_a_folder_that_fails_once_is_read(tmp_path, monkeypatch, write_stack):
    write_stack(tmp_path, HU, places=places())
    find, read, faults = series.find_stacks, series.read_pixels, [OSError(5, "I/O"), RuntimeError("ITK")]

    def fail_once(function):
        def call(*arguments):
            if faults:
                raise faults.pop()
            return function(*arguments)

        return call

    monkeypatch.setattr(series, "find_stacks", fail_once(find))
    monkeypatch.setattr(series, "read_pixels", fail_once(read))
    np.testing.assert_array_equal(read_volume(tmp_path).hu, HU[::-1, ::-1])
    assert not faults


# A cohort


SETTINGS = ProjectSettings.model_validate({"detector_px": 32})
BAD = {
    "c03": (cut(0.5, "c03.nii.gz"), "its compressed data end too early"),
    "c07": (nifti(sform=0, qform=0, name="c07.nii.gz"), "does not say how it lies in the patient"),
    "c08": (nifti(((HU + 1100) / 8).clip(0, 255).astype(np.uint8), name="c08.nii.gz"), "grey values"),
    "c14": (nifti(np.stack([HU, HU], -1), name="c14.nii.gz"), "several volumes in one file"),
    "c19": (raw("c19.nii.gz", b""), "the file is empty"),
}


@pytest.fixture
def cohort(tmp_path, pelvis, landmarks):
    """Twenty cases, five of them bad; the good ones are one CT."""
    folder = tmp_path / PERSON
    folder.mkdir()
    save(folder / "good.nii", pelvis.hu, pelvis.ras_from_ijk)
    rows = ["case_id,patient_id,ct,landmarks"]
    for name in (f"c{n:02d}" for n in range(20)):
        ct = BAD[name][0](folder).name if name in BAD else "good.nii"
        rows.append(f"{name},p,{PERSON}/{ct},{landmarks}")
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def run(folder, readers=0):
    project.run(
        SETTINGS,
        ShardOptions(shards=0, readers=readers),
        cases=folder / "cases.csv",
        cohort="pool",
        out=folder / "out.csv",
        stack=folder / "out.npz",
        cache=folder / "cache",
    )
    with (folder / "out.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_five_bad_cts_of_twenty_cost_only_themselves(cohort, capsys):
    rows = run(cohort, readers=2)
    assert len(rows) == 40
    good = [row for row in rows if row["status"] == "ok"]
    assert len(good) == 30
    assert read_npz(cohort / "out.npz")["line_integral"].shape == (30, 32, 32)
    for row in rows:
        message = BAD[row["case_id"]][1] if row["case_id"] in BAD else ""
        assert message in row["reason"]
        assert bool(message) == bool(row["reason"])
    told = (cohort / "out.csv").read_text(encoding="utf-8") + capsys.readouterr().err
    assert not any(secret in told for secret in SECRETS)


def test_a_drive_that_fails_once_spoils_no_case(cohort, monkeypatch):
    seen = set()
    read = formats.read_nifti

    def fail_first(path, dtype):
        if path.name == "good.nii" and len(seen) < 2:
            seen.add(len(seen))
            raise OSError(5, "Input/output error")
        return read(path, dtype)

    monkeypatch.setattr(formats, "read_nifti", fail_first)
    assert sum(row["status"] == "ok" for row in run(cohort)) == 30


def test_what_was_corrected_stands_in_the_rows(tmp_path, pelvis, landmarks):
    values = (pelvis.hu + 1024).astype(np.uint16)
    save(tmp_path / "ct.nii", values, pelvis.ras_from_ijk)
    text = f"case_id,patient_id,ct,landmarks\na,p,ct.nii,{landmarks}\n"
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    rows = run(tmp_path)
    assert all("the values were 1024 too high" in row["warnings"] for row in rows)


def test_a_finer_series_that_cannot_be_used_is_said(tmp_path, pelvis, landmarks, write_stack):
    hu = pelvis.hu[::-1, ::-1]
    first = [(-158.0, -100.0, -420 + 4.0 * k) for k in range(hu.shape[2])]
    write_stack(tmp_path / "ct/pelvis", hu, places=first, series="1", number=2, spacing=(4, 4))
    finer = [(-158.0, -100.0, -420 + 2.0 * k) for k in range(hu.shape[2])]
    write_stack(tmp_path / "ct/mask", hu // 700, places=finer, series="2", number=3, spacing=(4, 4))
    text = f"case_id,patient_id,ct,landmarks\na,p,ct,{landmarks}\n"
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    assert all("1 finer CT series cannot be used: the values" in row["warnings"] for row in run(tmp_path))


def test_the_series_that_shows_the_hips_is_taken(tmp_path, pelvis, landmarks, write_stack):
    """A longer series of the chest lies beside that of the pelvis."""
    hu = pelvis.hu[::-1, ::-1]
    chest = hu[..., [*range(20), *range(20), *range(20), *range(20)]]
    first = [(-158.0, -100.0, -420 + 4.0 * k) for k in range(hu.shape[2])]
    write_stack(tmp_path / "ct/pelvis", hu, places=first, series="1", number=2, spacing=(4, 4))
    far = [(-158.0, -100.0, 100 + 4.0 * k) for k in range(chest.shape[2])]
    write_stack(tmp_path / "ct/chest", chest, places=far, series="2", number=3, spacing=(4, 4))
    text = "case_id,patient_id,ct,landmarks,series\n" + "".join(
        f"{name},p,ct,{landmarks},{series}\n" for name, series in (("a", ""), ("b", "2"), ("c", "3"))
    )
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    rows = run(tmp_path)
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["refused"] * 2
    assert not any("series" in row["warnings"] for row in rows)
    assert [row["set_aside"] for row in rows[:4]] == ["series 3"] * 4
    assert "lies outside the CT" in rows[4]["reason"]
