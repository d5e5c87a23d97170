"""From what a PACS exports and the spreadsheet of the surgeons to a report, without editing a table."""

import csv
import json
import subprocess
import sys

import highdicom
import nibabel as nib
import numpy as np
import openpyxl
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

pytestmark = pytest.mark.slow

MARK = "QXZMARK"
"""Stands in every text of the headers that may tell who it is."""
TEXTS = {
    "PatientName": f"{MARK}^A",
    "OtherPatientNames": f"{MARK}^B",
    "PatientAddress": f"{MARK} C",
    "PatientComments": f"{MARK} D",
    "InstitutionName": f"{MARK} E",
    "StationName": f"{MARK} F",
    "ReferringPhysicianName": f"{MARK}^G",
    "OperatorsName": f"{MARK}^H",
    "StudyDescription": f"{MARK} I",
    "SeriesDescription": f"{MARK} J",
    "ProtocolName": f"{MARK} K",
    "ImageComments": f"{MARK} L",
    "DeviceSerialNumber": f"{MARK} M",
    "StudyID": f"{MARK} N",
    "AccessionNumber": f"{MARK} O",
}
PATIENTS = 6
CROWE = ["", "\N{ROMAN NUMERAL ONE}", "Crowe 2", "\N{FULLWIDTH DIGIT THREE}", "4"]
KL = ["0", "KL1", "\N{FULLWIDTH DIGIT TWO}", "3度", "\N{ROMAN NUMERAL FOUR}"]


def store(path, hu, ras_from_ijk, k, patient, series, number, *, kind="AXIAL", **tags):
    """Slice k of a CT (i, j, k), RAS."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = generate_uid()
    for name, text in (TEXTS | tags).items():
        setattr(image, name, text)
    image.PatientID, image.PatientSex, image.PatientBirthDate = f"{MARK}{patient:05d}", "F", "19500203"
    image.StudyDate, image.StudyTime, image.ContentDate, image.ContentTime = ("20210405", "101500") * 2
    image.StudyInstanceUID, image.SeriesInstanceUID = f"2.25.7{patient}", f"2.25.8{patient}{series}"
    image.FrameOfReferenceUID, image.Modality = f"2.25.6{patient}", "CT"
    image.Manufacturer, image.ManufacturerModelName, image.KVP = "SIEMENS", "SOMATOM Force", 120
    image.ImageType = ["ORIGINAL", "PRIMARY", kind]
    image.SeriesNumber, image.InstanceNumber = number, k + 1
    lps_from_ijk = np.diag([-1, -1, 1, 1]) @ ras_from_ijk
    side_mm = np.linalg.norm(lps_from_ijk[:3, :3], axis=0)
    image.ImagePositionPatient = [round(float(x), 6) for x in (lps_from_ijk @ [0, 0, k, 1])[:3]]
    image.ImageOrientationPatient = [*(lps_from_ijk[:3, 0] / side_mm[0]), *(lps_from_ijk[:3, 1] / side_mm[1])]
    image.PixelSpacing, image.SliceThickness = [float(side_mm[1]), float(side_mm[0])], float(side_mm[2])
    image.Columns, image.Rows = hu.shape[:2]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
    image.PixelData = (hu[..., k].T.clip(-1024) + 1024).astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return image


def export(folder, hu, ras_from_ijk, patient):
    """A study: a scout, the hips by a hard kernel and a soft one, and in the soft one's series the knees."""
    place = folder / (f"{MARK}_{patient}" if patient % 2 else "all")
    below = ras_from_ijk.copy()
    below[2, 3] -= 400
    store(place / f"{patient} scout", hu, ras_from_ijk, 0, patient, 1, 1, kind="LOCALIZER")
    for k in range(hu.shape[2]):
        hard = {"ConvolutionKernel": "Br64d", "AcquisitionNumber": 1}
        store(place / f"{patient} hard {k}", hu, ras_from_ijk, k, patient, 2, 2, **hard)
    soft = {"ConvolutionKernel": "Br40d", "AcquisitionNumber": 1}
    slices = [
        store(place / f"{patient} soft {k}", hu, ras_from_ijk, k, patient, 3, 3, **soft)
        for k in range(hu.shape[2])
    ]
    if patient % 3 == 0:
        # The hips as one file of many frames, in any order.
        for k in range(hu.shape[2]):
            (place / f"{patient} soft {k}").unlink()
        order = np.random.default_rng(patient).permutation(len(slices))
        shuffled = [slices[k] for k in order]
        legacy = highdicom.legacy.LegacyConvertedEnhancedCTImage
        frames = legacy(shuffled, f"2.25.8{patient}3", 3, generate_uid(), 1)
        frames.save_as(place / f"{patient} frames")
    for k in range(12):
        store(place / f"{patient} knee {k}", hu, below, k, patient, 3, 3, **soft)


def write_sheet(path, grades):
    """A row per patient under two rows of headings, as surgeons keep it."""
    book = openpyxl.Workbook()
    sheet = book.active
    for cell, text in {"A1": "股関節の読影", "A3": "患者ID", "B3": "右", "D3": "左", "F3": "備考"}.items():
        sheet[cell] = text
    for cells in ("A1:F1", "A3:A4", "B3:C3", "D3:E3"):
        sheet.merge_cells(cells)
    for cell, text in zip(("B4", "C4", "D4", "E4"), ("Crowe", "KL") * 2, strict=True):
        sheet[cell] = text
    for patient in range(PATIENTS):
        read = [grades.get((patient, side)) for side in "RL"]
        cells = [text for pair in read for text in ((CROWE[pair[0]], KL[pair[1]]) if pair else (None, None))]
        sheet.append([f"{MARK}{patient:05d}", *cells])
    sheet.append([])
    sheet.append(["※ Crowe分類、KL分類"])
    book.save(path)


@pytest.fixture(scope="module")
def done(unrun_module, tmp_path_factory):
    """The study, its grades by patient and side, and all that was printed."""
    made, data = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("data")
    run = [sys.executable, "-m", "hipoa"]
    drawn = "phantom --cohort labelled --shard 0 --shards 1 --spacing-mm [3,3,3] --external 0 --pool 0"
    files = ["--out", made / "cases.csv", "--grades", made / "grades.csv", "--truth", made / "truth.csv"]
    drawn = [*drawn.split(), "--labelled", str(PATIENTS)]
    subprocess.run([*run, *drawn, *map(str, files)], check=True, cwd=unrun_module.folder)
    cases = {}
    for row in csv.DictReader((made / "cases.csv").open()):
        cases.setdefault(row["patient_id"], row)
    readings = {
        (row["case_id"], row["side"]): (int(row["crowe"]), int(row["kl"]))
        for row in csv.DictReader((made / "grades.csv").open())
    }
    grades = {}
    for patient, row in enumerate(cases.values()):
        ct = nib.as_closest_canonical(nib.load(made / row["ct"]))
        export(data / "export", np.asarray(ct.dataobj), ct.affine, patient)
        # A replaced hip has no grade.
        known = {side: readings.get((row["case_id"], side)) for side in "LR"}
        grades |= {(patient, side): reading for side, reading in known.items() if reading}
    write_sheet(data / "grades.xlsx", grades)
    tables = ["--out", data / "cases.csv", "--grades", data / "grades.xlsx"]
    command = [*run, "cases", *map(str, [data / "export", *tables])]
    first = subprocess.run(command, check=True, cwd=unrun_module.folder, capture_output=True, text=True)
    config = {"study": "export", "preset": "micro", "phantom": {}}
    tables = {name: str(data / f"{name}.csv") for name in ("cases", "grades")}
    config["data"] = tables | {"builtin_cohort": False, "shards": 1}
    (unrun_module.folder / "config.yaml").write_text(json.dumps(config))
    second = unrun_module.snakemake()
    printed = first.stdout + first.stderr + second.stdout + second.stderr
    return unrun_module.folder / "results/export", data, grades, printed


def read_hips(results):
    return list(csv.DictReader((results / "hips/labelled.csv").open(encoding="utf-8")))


def test_every_hip_is_read_from_the_soft_kernel_and_has_its_own_grade(done):
    results, data, grades, _ = done
    with (data / "cases.private/crosswalk.csv").open(encoding="utf-8") as file:
        patients = {row["case_id"]: int(row["hospital_patient_id"][-5:]) for row in csv.DictReader(file)}
    hips = read_hips(results)
    assert len(hips) == 2 * PATIENTS
    assert len(grades) > PATIENTS
    assert {(row["status"], row["method"], row["kernel"]) for row in hips} == {("ok", "locator", "Br40d")}
    with (data / "grades.csv").open(encoding="utf-8") as file:
        written = {
            (patients[row["case_id"]], row["side"]): (int(row["crowe"]), int(row["kl"]))
            for row in csv.DictReader(file)
        }
    assert written == grades
    assert (results / "report.html").is_file()


def test_what_the_headers_say_of_people_reaches_no_result_and_no_log(done):
    results, data, _, printed = done
    assert MARK not in printed
    folder = results.parents[1]
    places = [folder / name for name in ("results", "cache", ".snakemake")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if MARK.encode() in path.read_bytes()]
    assert MARK in (data / "cases.private/crosswalk.csv").read_text(encoding="utf-8")
    assert MARK not in (data / "cases_overview.csv").read_text(encoding="utf-8")
