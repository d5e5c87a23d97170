"""Small exports, as a PACS makes them."""

from collections import Counter

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

_SENT = Counter()


def store_image(path, k, *, patient="0012345", study="1", series="1", number=3, modality="CT", **tags):
    """One image of 4 x 4 pixels: slice k of a series."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    _SENT[series] += 1
    image.SOPInstanceUID = f"2.25.9{study}{series}{_SENT[series]}"
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Modality = modality
    image.Manufacturer, image.ManufacturerModelName = "SIEMENS", "SOMATOM Force"
    image.ConvolutionKernel, image.KVP, image.SliceThickness = "Br40d", 120, 2
    image.PatientName, image.PatientID = "Doe^Jane", patient
    image.PatientSex, image.PatientBirthDate, image.PatientAge = "F", "19500203", "071Y"
    image.StudyDate, image.AccessionNumber = "20210405", "ACC77"
    image.StudyInstanceUID = f"2.25.7{study}"
    image.SeriesInstanceUID = f"2.25.8{study}{series}"
    image.FrameOfReferenceUID = f"2.25.6{study}"
    image.SeriesNumber, image.InstanceNumber = number, k + 1
    image.ImagePositionPatient = [-50, -50, 2.0 * k]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [25, 25]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = 4
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope = -1024, 1
    image.PixelData = bytes(32)
    for name, value in tags.items():
        setattr(image, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)


def store_series(folder, *, count=10, prefix="", **tags):
    """A series in a folder."""
    for k in range(count):
        store_image(folder / f"{prefix}{k:03d}", k, **tags)


@pytest.fixture
def write_image():
    return store_image


@pytest.fixture
def write_series():
    return store_series
