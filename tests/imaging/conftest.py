"""Small CTs with known contents."""

import locale
import uuid

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from hipoa.imaging.ct import formats
from hipoa.imaging.ct.volume import Volume

AXIAL = (1, 0, 0, 0, 1, 0)
NAME = "Doe^Jane"
HEADS = {"R": np.array([86.0, 4.0, -300.0]), "L": np.array([-86.0, 4.0, -300.0])}


def fill_ball(hu, ras_from_ijk, centre, radius, value):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij"), -1)
    points = index @ ras_from_ijk[:3, :3].T + ras_from_ijk[:3, 3]
    hu[np.linalg.norm(points - centre, axis=-1) <= radius] = value


@pytest.fixture(scope="session")
def pelvis():
    """A water body with two balls of bone; on the patient's right side a ball of metal below the head."""
    spacing = np.array([4.0, 4.0, 4.0])
    shape = (80, 50, 60)
    ras_from_ijk = np.diag([*spacing, 1.0])
    ras_from_ijk[:3, 3] = [-158, -96, -420]
    hu = np.full(shape, -1000, np.int16)
    hu[6:-6, 6:-6] = 0
    for centre in HEADS.values():
        fill_ball(hu, ras_from_ijk, centre, 24, 800)
    fill_ball(hu, ras_from_ijk, HEADS["R"] + [0, 0, -45], 10, 3000)
    return Volume(hu, ras_from_ijk)


@pytest.fixture(scope="session")
def landmarks(tmp_path_factory):
    path = tmp_path_factory.mktemp("landmarks") / "heads.csv"
    rows = [f"{side},{r},{a},{s},24" for side, (r, a, s) in HEADS.items()]
    path.write_text("\n".join(["side,centre_r_mm,centre_a_mm,centre_s_mm,radius_mm", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def write_nifti():
    def write(path, array, ras_from_ijk):
        image = nib.Nifti1Image(array, ras_from_ijk)
        image.set_sform(ras_from_ijk, 1)
        image.set_qform(ras_from_ijk, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return path

    return write


@pytest.fixture
def heads():
    return HEADS


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """What fails is tried again at once."""
    monkeypatch.setattr(formats, "PAUSES_S", (0, 0))


def store_slice(
    path,
    pixels,
    place,
    turn=AXIAL,
    *,
    series="1",
    modality="CT",
    kind="ORIGINAL",
    rescale=(1, 0),
    number=None,
    compressor="",
    spacing=(0.8, 1.2),
    tags=(),
):
    """One DICOM file: pixels (columns, rows), its first pixel's place in LPS mm."""
    # ITK stores (pixels - intercept) / slope.
    slope, intercept = rescale
    image = sitk.GetImageFromArray(pixels.T.astype(np.int16))
    image.SetSpacing(spacing)
    for key, value in {
        "0008|0008": f"{kind}\\PRIMARY\\AXIAL",
        "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
        "0008|0018": f"2.25.9{uuid.uuid4().int}",
        "0008|0060": modality,
        "0010|0010": NAME,
        "0010|0020": "12345",
        "0020|000d": "2.25.7",
        "0020|000e": f"2.25.7{series}",
        "0020|0032": "\\".join(f"{x:.6f}" for x in place),
        "0020|0037": "\\".join(f"{x:.9f}" for x in turn),
        "0028|1052": str(intercept),
        "0028|1053": str(slope),
        **({} if number is None else {"0020|0011": str(number)}),
        **dict(tags),
    }.items():
        image.SetMetaData(key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.KeepOriginalImageUIDOn()
    if compressor:
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
    before = locale.setlocale(locale.LC_ALL)
    writer.Execute(image)
    # Writing, GDCM changes the locale, in which what comes after would read its text files.
    locale.setlocale(locale.LC_ALL, before)


def store_stack(folder, hu, *, places=None, names=None, **options):
    places = [(-50, -40, 3.0 * k) for k in range(hu.shape[2])] if places is None else places
    for k in range(hu.shape[2]):
        name = names[k] if names else f"{k:03d}.dcm"
        store_slice(folder / name, hu[..., k], places[k], **options)


@pytest.fixture(scope="session")
def write_slice():
    return store_slice


@pytest.fixture(scope="session")
def write_stack():
    return store_stack
