"""Which files make up a CT, by whatever it is named: a folder, a zip, a DICOMDIR, one of its images."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from hipoa.core.errors import CtError
from hipoa.core.fingerprints import fingerprint
from hipoa.core.tables.rows import Case
from hipoa.imaging.ct.dicom.gather import gather
from hipoa.imaging.ct.formats import find_volumes, read_volume, stem

HU = np.random.default_rng([9]).choice([-1000, -100, 50, 700], (9, 8, 10)).astype(np.int16)
OTHER = HU[::-1].copy()


def refused(path, message, series=""):
    with pytest.raises(CtError, match=message) as error:
        find_volumes(path, series)
    assert "\n" not in str(error.value)
    assert "Doe" not in str(error.value)
    assert "2.25" not in str(error.value)


def same(path, hu=HU, series=""):
    """Whether a path is read as these values, and silently."""
    volume = read_volume(path, series)
    return volume.warnings == () and np.array_equal(volume.hu, hu[::-1, ::-1])


def names(path):
    return sorted(file.name for file in gather(path))


def pack(path, folder, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def list_disc(path, *series):
    """Writes a DICOMDIR: of each series the names of its files, in parts."""
    records = []
    for files in series:
        for kind, parts in [("SERIES", None), *(("IMAGE", parts) for parts in files)]:
            record = Dataset()
            record.DirectoryRecordType = kind
            if parts:
                record.ReferencedFileID = list(parts)
            records.append(record)
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.DirectoryRecordSequence = records
    directory.save_as(path, enforce_file_format=True)
    return path


# Folders


def test_linked_files_and_folders_are_read_and_loops_end(tmp_path, write_stack):
    write_stack(tmp_path / "archive" / "series", HU)
    case = tmp_path / "case"
    case.mkdir()
    (case / "series").symlink_to(tmp_path / "archive" / "series")
    (case / "again").symlink_to(tmp_path / "archive")
    (tmp_path / "archive" / "up").symlink_to(case)
    (case / "here").symlink_to(case)
    assert same(case)
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in (tmp_path / "archive" / "series").iterdir():
        (linked / file.name).symlink_to(file)
    assert same(linked)


def test_links_that_lead_nowhere_are_no_missing_slices(tmp_path, write_stack):
    write_stack(tmp_path / "case", HU)
    (tmp_path / "case" / "010.dcm").symlink_to(tmp_path / "not" / "mounted")
    refused(tmp_path / "case", "1 links in it lead nowhere. Fetch what they lead to, or delete them")
    (tmp_path / "case" / "010.dcm").unlink()
    assert same(tmp_path / "case")


def test_what_systems_put_into_folders_is_not_looked_at(tmp_path, write_stack):
    write_stack(tmp_path, HU)
    for name in (".DS_Store", "._000.dcm", "Thumbs.db", "__MACOSX/._001.dcm", "@eaDir/000.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7 1.2.840.10008.5.1.4.1.1.2\0")
    assert same(tmp_path)
    assert read_volume(tmp_path).origin.set_aside == ""


# Zips


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_holds_what_its_folder_holds(tmp_path, write_stack, compression):
    write_stack(tmp_path / "case" / "a" / "b", HU, names=[f"IM{k}" for k in range(10)])
    (tmp_path / "case" / "._IM0").write_bytes(b"of a Mac")
    path = pack(tmp_path / "CT 1.ZIP", tmp_path / "case", compression=compression)
    assert names(path) == names(tmp_path / "case") == [f"IM{k}" for k in range(10)]
    for packed, loose in zip(gather(path), gather(tmp_path / "case"), strict=True):
        with packed.open("rb") as one, loose.open("rb") as other:
            one.seek(200)
            other.seek(200)
            assert one.read() == other.read()
    assert same(path)
    assert stem(path) == "CT 1"


def test_a_folder_of_zips_is_read_and_a_zip_beside_slices_is_set_aside(tmp_path, write_stack):
    places = [(-50, -40, 3.0 * k) for k in range(10)]
    write_stack(tmp_path / "parts" / "one", HU[..., :5], places=places[:5])
    write_stack(tmp_path / "parts" / "two", HU[..., 5:], places=places[5:])
    zips = tmp_path / "zips" / "deeper"
    zips.mkdir(parents=True)
    for part in ("one", "two"):
        pack(zips / f"{part}.zip", tmp_path / "parts" / part)
    (zips / "notes.txt").write_text("text")
    assert len(names(tmp_path / "zips")) == 11
    assert same(tmp_path / "zips")
    write_stack(tmp_path / "beside", HU)
    # Another person's: what is in it does not count.
    write_stack(tmp_path / "other", HU, series="3", tags={"0010|0020": "777"})
    pack(tmp_path / "beside" / "other.zip", tmp_path / "other", compression=zipfile.ZIP_STORED)
    assert same(tmp_path / "beside")
    assert read_volume(tmp_path / "beside").origin.set_aside == "1 zip files"


def test_a_zip_may_part_its_folders_as_windows_does(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("DICOM\\", "DICOM\\IM1", "__MACOSX\\IM1", "DICOM\\IM2"):
            archive.writestr(name, name)
    one, two = gather(tmp_path / "x.zip")
    with one.open("rb") as first, two.open("rb") as second:
        assert (first.read(), second.read()) == (b"DICOM\\IM1", b"DICOM\\IM2")


def mark_locked(path):
    """Sets the mark of a password in each header of a zip."""
    data = bytearray(path.read_bytes())
    for head, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = data.find(head)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(head, at + 4)
    path.write_bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_cannot_be_read_says_why(tmp_path, write_stack):
    write_stack(tmp_path / "case", HU[..., :2])
    whole = pack(tmp_path / "whole.zip", tmp_path / "case").read_bytes()
    path = tmp_path / "x.zip"
    for share in (0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path, r"x\.zip: the zip is cut, damaged or one of several parts. Copy it again, or unpack it")
    path.write_bytes(whole)
    mark_locked(path)
    refused(path, "the zip is locked by a password. Give a DICOM folder: if this holds one, unpack it")
    (tmp_path / "alone").mkdir()
    path.rename(tmp_path / "alone" / "x.zip")
    refused(tmp_path / "alone", r"x\.zip: the zip is locked")
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "in.zip").write_bytes(whole)
    refused(
        pack(tmp_path / "out.zip", tmp_path / "nested"), "the zip holds zips. Unpack it and name the folder"
    )
    with zipfile.ZipFile(path, "w") as twice:
        twice.writestr("IM1", "one")
        twice.writestr("IM1", "other")
    refused(path, "files in the zip have one name")
    with zipfile.ZipFile(tmp_path / "table.xlsx", "w") as table:
        table.writestr("docProps/app.xml", "")
        table.writestr("[Content_Types].xml", "")
    refused(tmp_path / "table.xlsx", "it is a document or table of an office program")


def test_a_small_zip_that_unpacks_to_much_is_refused_unread(tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a", bytes(2**20))
        # What it says of itself is what counts: nothing is unpacked.
        archive.getinfo("a").file_size = 3 * 2**30
    refused(bomb, "the zip would unpack to 3 GB, more than a CT of its size can")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(2**22))
    assert names(bomb) == ["a"]


# DICOMDIR


@pytest.fixture
def disc(tmp_path, write_stack):
    """A disc with two series and a program's folder; its DICOMDIR lists the first with capitals."""
    root = tmp_path / "disc"
    write_stack(root / "dicom" / "a", HU, names=[f"im{k}" for k in range(10)], number=1)
    write_stack(root / "DICOM" / "B", OTHER, names=[f"IM{k}" for k in range(10)], series="2", number=2)
    # Not on the disc: another person's, copied beside.
    write_stack(root / "copied", HU, series="3", tags={"0010|0020": "777"})
    one, two = ([("DICOM", folder, f"IM{k}") for k in range(10)] for folder in "AB")
    return list_disc(root / "DICOMDIR", one, two)


def test_a_dicomdir_names_what_it_lists(disc, monkeypatch):
    assert len(gather(disc)) == 20
    assert same(disc, HU, series="1")
    assert same(disc, OTHER, series="2")
    refused(disc.parent, "several people")
    assert stem(disc) == "disc"
    monkeypatch.chdir(disc.parent)
    assert stem(Path("DICOMDIR")) == stem(Path()) == "disc"
    assert same(Path("DICOMDIR"), HU, series="1")


def test_of_a_disc_whole_series_may_be_missing_but_no_slices(disc):
    folder = disc.parent / "DICOM" / "B"
    for file in sorted(folder.iterdir()):
        file.unlink()
        left = len(list(folder.iterdir()))
        if left in (9, 1):
            refused(
                disc, "files that it lists are missing of 1 of 2 series. Copy the whole disc, or name the"
            )
    assert same(disc)


@pytest.mark.filterwarnings("ignore:.*VR CS")
def test_a_dicomdir_leads_nowhere_else(tmp_path, write_stack):
    write_stack(tmp_path / "secret", HU, names=[f"IM{k}" for k in range(10)])
    folder = tmp_path / "disc"
    folder.mkdir()
    for up in (("..", "secret"), (str(tmp_path / "secret"),)):
        path = list_disc(folder / "DICOMDIR", [(*up, f"IM{k}") for k in range(10)])
        refused(path, "none of the files that it lists lies in its folder. Copy the whole disc")
    path.write_bytes(path.read_bytes()[:-30] + b"\xff" * 30)
    refused(path, "DICOMDIR: (the DICOMDIR is damaged|none of the files)")


# One image


@pytest.mark.parametrize("name", ["IM000003", "x.dcm", "1.2.3", "X.IMA", "a b.DCM"])
def test_any_image_names_its_series(tmp_path, write_stack, name):
    write_stack(tmp_path, HU, names=[f"IM00000{k}" for k in range(10)], number=1)
    # Whatever lies beside: another person's, one whose number begins alike, files that are no image.
    write_stack(tmp_path, OTHER, names=[f"B{k}" for k in range(10)], series="1234", tags={"0010|0020": "777"})
    write_stack(tmp_path / "deeper", HU, series="1")
    (tmp_path / "notes.txt").write_text("2.25.71")
    image = (tmp_path / "IM000003").rename(tmp_path / name)
    assert len(gather(image)) == 10
    assert same(image)
    assert same(tmp_path / "B4", OTHER)
    refused(image, "it has no CT series 7 to use", series="7")
    refused(tmp_path, "several people")


def without_preamble(path):
    path.write_bytes(path.read_bytes()[132:])


def test_an_image_without_a_preamble_and_a_damaged_one_are_of_their_series(tmp_path, write_stack):
    write_stack(tmp_path, HU)
    for file in tmp_path.iterdir():
        without_preamble(file)
    assert len(gather(tmp_path / "003.dcm")) == 10
    (tmp_path / "000.dcm").write_bytes((tmp_path / "000.dcm").read_bytes()[:700])
    assert len(gather(tmp_path / "003.dcm")) == 10


def test_an_image_that_names_no_series_is_refused(tmp_path, write_stack):
    write_stack(tmp_path, HU[..., :1])
    image = tmp_path / "000.dcm"
    header = dcmread(image)
    del header.SeriesInstanceUID
    header.save_as(image)
    refused(image, "it does not say of which series it is. Name the folder of the series")


def test_an_image_of_several_frames_is_a_ct_alone(tmp_path, write_stack):
    write_stack(tmp_path, HU[..., :2], tags={"0028|0008": "1"})
    assert len(gather(tmp_path / "000.dcm")) == 2
    header = dcmread(tmp_path / "000.dcm")
    header.NumberOfFrames = 2
    header.save_as(tmp_path / "000.dcm")
    assert names(tmp_path / "000.dcm") == ["000.dcm"]
    header.ConcatenationUID = "2.25.7"
    header.save_as(tmp_path / "000.dcm")
    assert len(gather(tmp_path / "000.dcm")) == 2


# What a run notices


def state(path):
    return fingerprint([Case("a", "P", path)])


def test_a_series_named_by_an_image_changes_with_each_of_its_images(tmp_path, write_stack):
    write_stack(tmp_path, HU)
    (tmp_path / "deeper").mkdir()
    before = state(tmp_path / "003.dcm")
    (tmp_path / "deeper" / "any").write_bytes(b"is not of it")
    (tmp_path / ".DS_Store").write_bytes(b"nor this")
    assert state(tmp_path / "003.dcm") == before
    os.utime(tmp_path / "007.dcm", ns=(1, 1))
    changed = state(tmp_path / "003.dcm")
    (tmp_path / "008.dcm").unlink()
    assert len({before, changed, state(tmp_path / "003.dcm")}) == 3


def test_a_dicomdir_changes_with_its_folder_and_a_zip_with_itself(disc, tmp_path):
    before = state(disc)
    os.utime(disc.parent / "DICOM" / "B" / "IM4", ns=(10**18, 10**18))
    assert state(disc) != before
    path = pack(tmp_path / "x.zip", disc.parent)
    before = state(path)
    os.utime(path, ns=(1, 1))
    assert state(path) != before


def test_a_linked_folder_changes_with_what_it_leads_to(tmp_path, write_stack):
    write_stack(tmp_path / "archive", HU)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "series").symlink_to(tmp_path / "archive")
    (tmp_path / "archive" / "loop").symlink_to(tmp_path / "case")
    before = state(tmp_path / "case")
    os.utime(tmp_path / "archive" / "003.dcm", ns=(1, 1))
    assert state(tmp_path / "case") != before


# What is seen of it


@pytest.mark.parametrize("name", ["cut.mha", "alone.mhd", "cut.nrrd"])
def test_a_file_that_itk_cannot_read_costs_one_line(tmp_path, name):
    import SimpleITK as sitk  # noqa: N813

    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(HU), str(path))
    raw = path.with_suffix(".raw")
    if raw.exists():
        raw.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-900])
    command = [sys.executable, "-m", "hipoa", "drr", str(path), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
