"""A first table of cases from what a PACS exports: complete, readable, stable, and without a name."""

import csv
import os
import shutil

import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage

from hipoa.cases import cases, headers, studies
from hipoa.core.errors import CtError, TableError
from hipoa.core.files import read_csv
from hipoa.core.tables.study_tables import read_tables
from hipoa.imaging.ct.dicom.gather import gather
from hipoa.imaging.ct.dicom.series import find_stacks


def make(folder, out=None, **options):
    out = out or folder.parent / "cases.csv"
    cases.run(folder, out=out, **options)
    return read_csv(out)


def overview(folder):
    return read_csv(folder.parent / "cases_overview.csv")


def write_others(write_image, write_series, folder):
    """What an export holds beside the series of CT that are wanted."""
    write_image(folder / "scout", 0, series="7", number=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(folder, prefix="short", series="8", number=8, count=5)
    write_series(folder, prefix="mr", series="9", number=9, modality="MR")
    (folder / "readme.txt").write_text("to whom it may concern")


def test_a_study_in_a_folder_of_its_own_is_named_by_it(tmp_path, write_series):
    write_series(tmp_path / "export/p/st/se")
    (row,) = make(tmp_path / "export")
    assert row["ct"] == "export/p/st/se"
    assert [row[name] for name in ("series", "sex", "age", "slices", "step_mm", "extent_mm")] == [
        *("3", "F", "71", "10", "2", "18")
    ]
    assert [row[name] for name in ("manufacturer", "kernel", "kv", "exclude")] == [
        "Siemens",
        "Br40d",
        "120",
        "",
    ]
    assert read_tables(tmp_path / "cases.csv").cases[0].case_id == row["case_id"]


def test_a_study_of_several_series_is_named_by_their_common_folder(tmp_path, write_series, write_image):
    write_series(tmp_path / "export/st/bone", series="2", number=2, ConvolutionKernel="Br64d")
    write_series(tmp_path / "export/st/soft", series="3", number=3)
    write_others(write_image, write_series, tmp_path / "export/st/more")
    (row,) = make(tmp_path / "export")
    assert row["ct"] == "export/st"
    assert row["series"] in ("2", "3")
    stacks = {
        line["series"]: line["status"] for line in overview(tmp_path / "export") if line["what"] == "stack"
    }
    assert stacks[row["series"]] == "taken"
    assert set(stacks) == {"2", "3"}


def test_patients_in_one_flat_folder_are_named_by_an_image_of_the_series(tmp_path, write_series):
    for patient in ("1", "2", "3"):
        write_series(tmp_path / "export", prefix=patient, patient=f"4{patient}", study=patient)
    rows = make(tmp_path / "export")
    assert sorted(row["ct"] for row in rows) == ["export/1000", "export/2000", "export/3000"]
    assert len({row["patient_id"] for row in rows}) == 3
    assert len(read_tables(tmp_path / "cases.csv").cases) == 3


def test_series_of_two_studies_in_folders_of_their_own_under_one_are_named_by_them(tmp_path, write_series):
    write_series(tmp_path / "export/mix/1", study="1")
    write_series(tmp_path / "export/mix/2", study="2")
    write_series(tmp_path / "export/mix/3", study="1", series="2", number=2, ConvolutionKernel="Br64d")
    assert {row["ct"] for row in make(tmp_path / "export")} <= {f"export/mix/{n}" for n in (1, 2, 3)}


def test_a_zip_of_a_study_is_named_and_one_of_two_studies_is_set_aside(tmp_path, write_series, capsys):
    write_series(tmp_path / "a/x/se", study="1")
    write_series(tmp_path / "b/1", study="2", patient="5")
    write_series(tmp_path / "b/2", study="3", patient="6")
    (tmp_path / "export").mkdir()
    shutil.make_archive(str(tmp_path / "export/one"), "zip", tmp_path / "a")
    shutil.make_archive(str(tmp_path / "export/two"), "zip", tmp_path / "b")
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/one.zip"]
    assert "2  its files lie among those of others" in capsys.readouterr().out


def test_zips_of_the_series_of_one_study_are_named_by_their_folder(tmp_path, write_series):
    for series in ("1", "2"):
        write_series(tmp_path / series, series=series, number=int(series))
        (tmp_path / "export/st").mkdir(parents=True, exist_ok=True)
        shutil.make_archive(str(tmp_path / f"export/st/{series}"), "zip", tmp_path / series)
    (row,) = make(tmp_path / "export")
    assert row["ct"] == "export/st"
    # Then the folder would be refused, and the zip file is named.
    (tmp_path / "export/st/cut.zip").write_bytes((tmp_path / "export/st/1.zip").read_bytes()[:-30])
    shutil.rmtree(tmp_path / "cases.private")
    (tmp_path / "cases.csv").unlink()
    (row,) = make(tmp_path / "export")
    assert row["ct"] in ("export/st/1.zip", "export/st/2.zip")


def test_a_study_that_was_exported_twice_is_one_case(tmp_path, write_series):
    write_series(tmp_path / "export/a")
    shutil.copytree(tmp_path / "export/a", tmp_path / "export/b/c")
    shutil.make_archive(str(tmp_path / "export/a"), "zip", tmp_path / "export/a")
    (row,) = make(tmp_path / "export")
    assert row["ct"] == "export"


def test_what_is_no_ct_is_counted_and_no_case(tmp_path, write_series, write_image, capsys):
    write_others(write_image, write_series, tmp_path / "export")
    (tmp_path / "export/bad.dcm").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (tmp_path / "export/bad.zip").write_bytes(b"PK\3\4" + bytes(50))
    (tmp_path / "export/ct.nii.gz").write_bytes(bytes(50))
    assert make(tmp_path / "export") == []
    assert {line["what"]: line["images"] for line in overview(tmp_path / "export") if line["case_id"]} == {
        "images of CT in no stack: too few, uneven, or copies": "5",
        "images of other modalities": "10",
        "localisers": "1",
    }
    said = capsys.readouterr().out
    assert "20 files: 5 images of CT in 0 stacks, of 1 studies of 1 patients" in said
    for line in (
        *("1  no CT of enough evenly spaced slices", "10  images of other modalities", "1  localisers"),
        *("1  CTs or maps as NIfTI, MetaImage or NRRD: write their rows yourself",),
        *("1  zip files that are locked, damaged, empty, or within zip files: unpack them",),
    ):
        assert f" {line}\n" in said


def test_where_a_patient_lies_of_whom_no_slice_can_be_read_is_said_in_private(tmp_path, write_series, capsys):
    write_series(tmp_path / "export/a")
    write_series(tmp_path / "export/b/ct", study="2", patient="4")
    for slice_ in (tmp_path / "export/b/ct").iterdir():
        slice_.write_bytes(slice_.read_bytes()[:600])
    shutil.make_archive(str(tmp_path / "export/c"), "zip", tmp_path / "export/b")
    make(tmp_path / "export")
    where = tmp_path / "cases.private/set_aside.csv"
    assert {row["folder"]: (row["what"], row["files"]) for row in read_csv(where)} == {
        str(tmp_path / "export/b/ct"): ("damaged CT slices", "10"),
        str(tmp_path / "export/c.zip"): ("damaged CT slices", "10"),
    }
    assert where.stat().st_mode & 0o077 == 0
    said = capsys.readouterr().out
    assert "files set aside (where they lie: cases.private/set_aside.csv):\n       20  damaged CT" in said


def test_the_stack_named_hip_goes_before_a_finer_one_of_another_part(tmp_path, write_series):
    write_series(tmp_path / "export/st/head", series="2", number=2, count=20, BodyPartExamined="HEAD")
    write_series(tmp_path / "export/st/hip", series="5", number=5, count=10, BodyPartExamined="PELVIS")
    (row,) = make(tmp_path / "export")
    assert (row["series"], row["check"]) == ("5", "")


def test_of_several_regions_without_a_name_the_reading_takes_one(tmp_path, write_series):
    write_series(tmp_path / "export/st/a", series="2", number=2, count=40)
    write_series(tmp_path / "export/st/b", series="5", number=5, count=10)
    (row,) = make(tmp_path / "export")
    assert (row["ct"], row["series"], row["slices"]) == ("export/st", "", "")
    assert "the run takes the first stack that shows both hips" in row["check"]
    # In a folder with others no path names them both: the larger region.
    write_series(tmp_path / "export/st", prefix="x", patient="9", study="9")
    shutil.rmtree(tmp_path / "cases.private")
    (tmp_path / "cases.csv").unlink()
    row = next(row for row in make(tmp_path / "export") if row["ct"] == "export/st/a")
    assert (row["series"], row["slices"]) == ("2", "40")
    assert "the largest was taken" in row["check"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"PatientSex": "M"}, "one patient ID for several people"),
        ({"PatientBirthDate": "19490203"}, "one patient ID for several people"),
        ({"study": "1", "patient": "8"}, "one study for several people"),
        (
            {"PatientBirthDate": "", "IssuerOfPatientID": "B"},
            "one patient ID of several issuers",
        ),
    ],
)
def test_two_people_are_never_one(tmp_path, write_series, capsys, other, why):
    birth = {"PatientBirthDate": ""} if "IssuerOfPatientID" in other else {}
    write_series(tmp_path / "export/a", IssuerOfPatientID="A", **birth)
    write_series(tmp_path / "export/b", **{"study": "2", **other})
    write_series(tmp_path / "export/c", study="3", patient="77")
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/c"]
    assert f"2  {why}" in capsys.readouterr().out


def test_a_patient_of_a_former_export_is_no_one_of_another_sex(tmp_path, write_series, capsys):
    write_series(tmp_path / "one/a")
    write_series(tmp_path / "two/b", study="2", PatientSex="M", PatientBirthDate="")
    write_series(tmp_path / "two/c", study="3", patient="4")
    make(tmp_path / "one")
    assert [row["ct"] for row in make(tmp_path / "two")] == ["one/a", "two/c"]
    assert "1  one patient ID for several people" in capsys.readouterr().out


def test_one_person_stays_one_whatever_the_export_writes_of_the_id(tmp_path, write_series):
    write_series(tmp_path / "export/a", patient="0012345", PatientBirthDate="", IssuerOfPatientID="A")
    write_series(tmp_path / "export/b", study="2", patient="12345 ")
    assert len({row["patient_id"] for row in make(tmp_path / "export")}) == 1


def test_who_has_no_id_is_known_by_name_and_date_of_birth_and_flagged(tmp_path, write_series, capsys):
    for n, birth in enumerate(["19500203", "19500203", "19600203"]):
        write_series(tmp_path / f"export/{n}", study=str(n), patient="ANONYMOUS", PatientBirthDate=birth)
    for n in (3, 4):
        write_series(tmp_path / f"export/{n}", study=str(n), patient="", PatientName="")
    rows = {row["ct"]: row for row in make(tmp_path / "export")}
    patients = [rows[f"export/{n}"]["patient_id"] for n in range(5)]
    assert patients[0] == patients[1]
    assert len(set(patients)) == 4
    assert "no patient ID: known by name" in rows["export/0"]["check"]
    assert "counted as a person of its own" in rows["export/3"]["check"]
    assert "to look at:\n        3  no patient ID: known by name" in capsys.readouterr().out


def test_names_stay_when_other_studies_come_and_rows_stay_as_the_user_left_them(
    tmp_path, write_series, capsys
):
    write_series(tmp_path / "export/b", study="2")
    (before,) = make(tmp_path / "export")
    with (tmp_path / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Case_ID", "note", "patient_id", "ct", "exclude"])
        writer.writerow([before["case_id"], "a hip, replaced", before["patient_id"], before["ct"], "L"])
    kept = (tmp_path / "cases.csv").read_bytes()
    make(tmp_path / "export")
    assert (tmp_path / "cases.csv").read_bytes() == kept
    assert "0 new cases, 1 were there and stay as they are" in capsys.readouterr().out
    write_series(tmp_path / "export/a", study="1")
    write_series(tmp_path / "export/c", study="3", patient="4")
    rows = make(tmp_path / "export")
    assert (rows[0]["note"], rows[0]["exclude"], rows[0]["case_id"]) == (
        "a hip, replaced",
        "L",
        before["case_id"],
    )
    assert [row["patient_id"] == before["patient_id"] for row in rows].count(True) == 2
    assert len({row["case_id"] for row in rows}) == 3
    assert "2 new cases" in capsys.readouterr().out
    assert len(read_tables(tmp_path / "cases.csv").cases) == 3


def test_a_row_that_the_user_wrote_for_a_ct_is_not_doubled_and_said(tmp_path, write_series, capsys):
    write_series(tmp_path / "export/a")
    write_series(tmp_path / "export/b", study="2")
    (tmp_path / "cases.csv").write_text("case_id,patient_id,ct\nmine,me,export/a/\n")
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/a/", "export/b"]
    assert "1  rows of the table are not of this key" in capsys.readouterr().out


def rename(path, rename_patient):
    """Saves a table of cases as Excel does, with empty columns behind, under other patient_ids."""
    header, *rows = list(csv.reader(path.open()))
    at = header.index("patient_id")
    for number, row in enumerate(rows):
        row[at] = rename_patient(number, row[at])
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows([*line, "", ""] for line in (header, *rows))


def test_a_patient_that_the_user_renamed_stays_one(tmp_path, write_series):
    write_series(tmp_path / "export/a")
    make(tmp_path / "export")
    rename(tmp_path / "cases.csv", lambda _number, _name: "HIP-1")
    write_series(tmp_path / "more/b", study="2")
    write_series(tmp_path / "more/c", study="3", patient="4")
    rows = make(tmp_path / "more")
    patients = {row["ct"]: row["patient_id"] for row in rows}
    assert [patients["export/a"], patients["more/b"]] == ["HIP-1", "HIP-1"]
    assert patients["more/c"].startswith("P")
    assert sum(line["status"] == "taken" for line in read_csv(tmp_path / "cases_overview.csv")) == 3
    write_series(tmp_path / "again/d", study="4", PatientSex="M", PatientBirthDate="")
    assert len(make(tmp_path / "again")) == 3  # the table says that the patient is a woman


def test_a_patient_under_two_names_of_the_user_is_to_be_looked_at(tmp_path, write_series, capsys):
    write_series(tmp_path / "export/a")
    write_series(tmp_path / "export/b", study="2")
    make(tmp_path / "export")
    rename(tmp_path / "cases.csv", lambda number, _name: f"HIP-{number}")
    write_series(tmp_path / "more/c", study="3")
    assert make(tmp_path / "more")[2]["check"].startswith("their patient has several patient_ids")
    assert "1  their patient has several patient_ids in the table" in capsys.readouterr().out


def test_a_ct_of_nobody_is_set_aside(tmp_path, write_series, capsys):
    nobody = {
        "patient": "",
        "PatientName": "",
        "StudyInstanceUID": "",
        "SeriesInstanceUID": "",
        "StudyDate": "",
    }
    write_series(tmp_path / "export/a", **nobody)
    write_series(tmp_path / "export/b", study="2")
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/b"]
    assert "1  neither patient nor study nor series is named" in capsys.readouterr().out


def test_the_order_of_rows_says_nothing_of_the_hospitals_numbers(tmp_path, write_series):
    for number in range(12):
        write_series(tmp_path / f"export/{number}", study=str(number), patient=str(100 + number))
    patients = [row["patient_id"] for row in make(tmp_path / "export")]
    assert patients == sorted(patients)


def test_an_export_that_was_moved_is_said(tmp_path, write_series, capsys):
    write_series(tmp_path / "export/a")
    make(tmp_path / "export")
    assert "not there" not in capsys.readouterr().out
    (tmp_path / "export").rename(tmp_path / "moved")
    assert [row["ct"] for row in make(tmp_path / "moved")] == ["export/a"]
    assert (
        "1  rows name a CT that is not there: correct their paths, or take them out"
        in capsys.readouterr().out
    )
    (tmp_path / "cases.csv").unlink()
    assert [row["ct"] for row in make(tmp_path / "moved")] == ["moved/a"]


def test_a_run_that_was_stopped_goes_on(tmp_path, write_series, monkeypatch):
    for n in range(5):
        write_series(tmp_path / f"export/{n}", study=str(n), count=20)
    monkeypatch.setattr(headers, "PORTION_FILES", 30)
    read = headers.read_files
    seen = []

    def stop(places):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(places))
        return read(places)

    with monkeypatch.context() as patched:
        patched.setattr(headers, "read_files", stop)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "export")
    assert not (tmp_path / "cases.csv").exists()
    monkeypatch.setattr(headers, "read_files", lambda places: seen.append(len(places)) or read(places))
    write_series(tmp_path / "export/0", study="0", count=10)  # sent again meanwhile
    rows = make(tmp_path / "export")
    assert seen[:2] == [30, 30]
    assert sum(seen) == 110
    assert [row["slices"] for row in rows] == ["20"] * 5
    assert not (tmp_path / "cases.private/headers.jsonl").exists()


def test_processes_read_what_one_does(tmp_path, write_series, monkeypatch):
    monkeypatch.setattr(headers, "FEW_FILES", 5)
    for n in range(3):
        write_series(tmp_path / f"export/{n}", study=str(n))
    assert [row["slices"] for row in make(tmp_path / "export", processes=2)] == ["10"] * 3


def test_linked_folders_are_read_once_and_links_to_nothing_harm_no_one(tmp_path, write_series, capsys):
    write_series(tmp_path / "elsewhere/a")
    (tmp_path / "export/x").mkdir(parents=True)
    (tmp_path / "export/x/linked").symlink_to(tmp_path / "elsewhere/a")
    (tmp_path / "export/x/loop").symlink_to(tmp_path / "export")
    (tmp_path / "export/x/gone").symlink_to(tmp_path / "nowhere")
    (row,) = make(tmp_path / "export")
    assert row["ct"] == "export/x/linked"
    assert "1  files and folders that cannot be read" in capsys.readouterr().out


def test_a_path_that_no_table_can_hold_is_set_aside(tmp_path, write_series, capsys):
    write_series(tmp_path / "export" / os.fsdecode(b"M\xfcller"))
    write_series(tmp_path / "export/b c", study="2", patient="4")
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/b c"]
    assert "1  its path cannot stand in a table" in capsys.readouterr().out


def arrange_in_folders(folder, write_series):
    write_series(folder / "st/soft", series="3", number=3)
    write_series(folder / "st/bone", series="4", number=3, ConvolutionKernel="Br64d")


def arrange_flat(folder, write_series):
    write_series(folder, prefix="b", series="4", number=3, ConvolutionKernel="Br64d")
    write_series(folder, prefix="c", series="3", number=3)
    write_series(folder, prefix="a", series="3", number=3, patient="9", study="9", PatientSex="M")


def arrange_in_folders_of_series(folder, write_series):
    arrange_in_folders(folder / "x", write_series)
    write_series(folder / "x/st/other", patient="9", study="9", PatientSex="M")


def arrange_zipped(folder, write_series):
    arrange_in_folders(folder.parent / "unpacked", write_series)
    folder.mkdir()
    shutil.make_archive(str(folder / "one"), "zip", folder.parent / "unpacked")


def arrange_multi_frame(folder, write_image):
    for patient in ("1", "2"):
        frames = [Dataset() for _ in range(9)]
        for k, frame in enumerate(frames):
            frame.PlanePositionSequence = [Dataset()]
            frame.PlanePositionSequence[0].ImagePositionPatient = [-50, -50, 2.0 * (k * 2 % 9)]
        shared = Dataset()
        shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [Dataset()], [Dataset()]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        shared.PixelMeasuresSequence[0].PixelSpacing = [25, 25]
        tags = {"SOPClassUID": EnhancedCTImageStorage, "NumberOfFrames": 9, "PixelData": bytes(32 * 9)}
        tags |= {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
        write_image(folder / patient, 0, patient=f"4{patient}", study=patient, **tags)


def test_files_of_several_frames_are_named_one_by_one(tmp_path, write_image):
    arrange_multi_frame(tmp_path / "export", write_image)
    rows = make(tmp_path / "export")
    assert sorted(row["ct"] for row in rows) == ["export/1", "export/2"]
    for row in rows:
        assert row["slices"] == "9"
        (taken,) = find_stacks(gather(tmp_path / row["ct"]), "a CT", row["series"])
        assert len(taken.slices) == 9


def test_files_that_go_meanwhile_are_said(tmp_path, write_series, monkeypatch, capsys):
    write_series(tmp_path / "export/a")
    write_series(tmp_path / "export/b", study="2", patient="4")
    sort = studies.sort_stacks

    def lose(slices):
        if slices[0].identity.patient == "4":
            raise OSError
        return sort(slices)

    monkeypatch.setattr(studies, "sort_stacks", lose)
    assert [row["ct"] for row in make(tmp_path / "export")] == ["export/a"]
    assert "1  its files could be read first and then no more" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "case"), [("0012345", 0), ("4", 1)])
def test_grades_by_the_hospitals_numbers_find_the_cases(tmp_path, write_series, capsys, number, case):
    write_series(tmp_path / "export/a")
    write_series(tmp_path / "export/b", study="2", patient="4")
    (tmp_path / "grades of 2020.csv").write_text(
        f"患者ID,R Crowe,R KL,L Crowe,L KL\n{number},1,2,1,3\n99,1,2,1,3\n"
    )
    (tmp_path / "cases.csv").write_text("case_id,patient_id,ct\nmine,me,export/a\n")
    name = make(tmp_path / "export", grades=tmp_path / "grades of 2020.csv")[case]["case_id"]
    readings = read_tables(tmp_path / "cases.csv", tmp_path / "grades.csv").readings
    assert {(one.case_id, one.side, one.kl) for one in readings} == {(name, "R", 2), (name, "L", 3)}
    said = capsys.readouterr().out
    assert "grades.csv: 2 readings of 1 CTs" in said
    assert "12345" not in said


@pytest.mark.parametrize(
    "arrange", [arrange_in_folders, arrange_flat, arrange_in_folders_of_series, arrange_zipped]
)
def test_what_is_named_is_what_is_read(tmp_path, write_series, arrange):
    arrange(tmp_path / "export", write_series)
    rows = make(tmp_path / "export")
    assert rows
    for row in rows:
        taken, *_ = find_stacks(gather(tmp_path / row["ct"]), "a CT", row["series"])
        (line,) = [
            line
            for line in overview(tmp_path / "export")
            if (line["case_id"], line["status"]) == (row["case_id"], "taken")
        ]
        assert (line["images"], line["series"]) == (row["slices"], row["series"])
        assert len(taken.slices) == int(row["slices"])
        assert taken.slices[0].acquired.kernel == row["kernel"] == "Br40d"


def test_no_mark_of_a_header_leaves_the_private_folder(tmp_path, write_series, capsys):
    marks = {
        name: f"MARK{name}"
        for name in (
            *("PatientComments", "StudyID", "StudyDescription", "SeriesDescription", "ProtocolName"),
            *(
                "BodyPartExamined",
                "InstitutionName",
                "ReferringPhysicianName",
                "OtherPatientIDs",
                "AccessionNumber",
            ),
            *("OperatorsName", "StationName", "DeviceSerialNumber", "ImageComments", "Manufacturer"),
            *(
                "ManufacturerModelName",
                "ConvolutionKernel",
                "IssuerOfPatientID",
                "PatientName",
                "PatientAddress",
            ),
        )
    }
    marks |= {"StudyDate": "19990909", "PatientBirthDate": "19310909", "PatientAge": "067Y"}
    write_series(tmp_path / "export/a", patient="MARKID", **marks)
    write_series(tmp_path / "export/b", study="2", patient="", **marks)
    write_series(tmp_path / "export/c", study="3", patient="MARKTWO", **marks | {"PatientSex": "M"})
    write_series(tmp_path / "export/d", study="4", patient="MARKTWO", **marks)
    make(tmp_path / "export")
    said = capsys.readouterr()
    texts = [said.out, said.err]
    texts += [path.read_text() for path in tmp_path.glob("*.csv")]
    for text in texts:
        for mark in ("MARK", "19990909", "19310909", "2.25."):
            assert mark not in text
    private = (tmp_path / "cases.private/crosswalk.csv").read_text()
    for mark in ("MARKID", "MARKTWO", "MARKAccessionNumber", "19990909"):
        assert mark in private


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("sheet.csv", "MRN,side,KL\n1,R,7\n", 'row 2, "KL": "7" is not one of 0-4'),
        ("lost.xlsx", None, "the file cannot be read"),
        ("grades.csv", "MRN,side,KL\n1,R,2\n", "would be written over it. Give the spreadsheet another name"),
    ],
)
def test_a_spreadsheet_that_cannot_be_used_is_refused_before_the_export_is_read(
    tmp_path, write_series, capsys, name, text, why
):
    write_series(tmp_path / "export/a", patient="1")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(TableError, match=why):
        make(tmp_path / "export", grades=tmp_path / name)
    assert not (tmp_path / "cases.csv").exists()
    assert not capsys.readouterr().out
    assert text is None or (tmp_path / name).read_text() == text


def test_what_is_no_folder_or_no_table_is_refused(tmp_path, write_series):
    write_series(tmp_path / "export")
    with pytest.raises(CtError, match="it is no folder"):
        make(tmp_path / "none")
    shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path / "export")
    with pytest.raises(CtError, match=r"it is no folder\. Unpack it, and name the folder"):
        make(tmp_path / "all.zip")
    with pytest.raises(TableError, match=r"ends in \.csv"):
        make(tmp_path / "export", tmp_path / "cases.xlsx")
    (tmp_path / "cases.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match="it is no table of cases"):
        make(tmp_path / "export")
    for out, private in ((tmp_path / "export/cases.csv", None), (tmp_path / "x.csv", tmp_path / "export/p")):
        with pytest.raises(CtError, match="the table would lie within the export"):
            make(tmp_path / "export", out, private=private)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CtError, match="holds no file"):
        make(tmp_path / "empty", tmp_path / "new.csv")
