import csv

import numpy as np
import pytest

from hipoa.core.files import read_npz
from hipoa.imaging import project
from hipoa.imaging.localization import scan
from hipoa.imaging.settings import ProjectSettings
from hipoa.imaging.shard import ShardOptions

SETTINGS = ProjectSettings.model_validate({"detector_px": 40})


@pytest.fixture
def tables(tmp_path, pelvis, landmarks, write_nifti):
    """Three CTs: a good one, one that is no CT, and a good one with its left hip excluded."""
    write_nifti(tmp_path / "ct/NAME^SECRET.nii.gz", pelvis.hu, pelvis.ras_from_ijk)
    (tmp_path / "ct/broken.nii.gz").write_bytes(b"nothing")
    rows = [
        "case_id,patient_id,ct,landmarks,exclude",
        f"good,p1,ct/NAME^SECRET.nii.gz,{landmarks},",
        f"bad,p2,ct/broken.nii.gz,{landmarks},",
        f"half,p1,ct/NAME^SECRET.nii.gz,{landmarks},L",
    ]
    (tmp_path / "cases.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "grades.csv").write_text("case_id,side,crowe,kl\ngood,L,1,2\n")
    return tmp_path


def run(folder, *, settings=SETTINGS, out="0", **changes):
    shard = {name: changes.pop(name) for name in ("shard", "shards") if name in changes}
    options = ShardOptions(**{"shards": 0, "readers": 0} | shard)
    paths = {"cases": folder / "cases.csv", "cache": folder / "cache", "out": folder / f"{out}.csv"}
    paths["stack"] = folder / f"{out}.npz"
    project.run(settings, options, **{"cohort": "pool"} | paths | changes)
    rows = {row["hip_id"]: row for row in csv.DictReader((folder / f"{out}.csv").open())}
    return rows, read_npz(folder / f"{out}.npz")


def test_one_row_per_hip_and_a_bad_ct_harms_no_other(tables, heads):
    rows, stack = run(tables)
    assert list(rows) == ["good_L", "good_R", "bad_L", "bad_R", "half_L", "half_R"]
    assert [row["status"] for row in rows.values()] == ["ok", "ok", "refused", "refused", "excluded", "ok"]
    assert stack["hip_id"].tolist() == ["good_L", "good_R", "half_R"]
    assert stack["line_integral"].shape == (3, 40, 40)
    assert stack["mm_per_px"].tolist() == [SETTINGS.field_of_view_mm / 40] * 3
    assert "cannot be read as an image" in rows["bad_L"]["reason"]
    centre = [float(rows["good_R"][f"centre_{axis}_mm"]) for axis in "ras"]
    assert centre == heads["R"].tolist()
    assert rows["good_L"]["method"] == "landmarks"
    assert [rows["good_L"][name] for name in ("series", "slices", "step_mm", "renderer")] == [
        *("", "60", "4.0", "joseph_cpu")
    ]
    again, _ = run(tables, out="kept")
    assert again["good_L"] == rows["good_L"]


def test_no_name_of_a_file_is_told(tables, capsys):
    run(tables)
    assert "SECRET" not in (tables / "0.csv").read_text() + capsys.readouterr().err


def test_metal_near_a_hip_is_an_implant(tables):
    rows, _ = run(tables)
    assert (rows["good_R"]["implant"], rows["good_L"]["implant"]) == ("fixation", "")
    assert rows["good_R"]["warnings"].split("; ")[-1] == "metal near the hip: nails, screws or plates"


def test_a_hip_outside_the_ct_is_refused_alone(tables, landmarks):
    text = landmarks.read_text().replace("L,-86", "L,-300")
    (tables / "far.csv").write_text(text)
    cases = (tables / "cases.csv").read_text().replace(str(landmarks), str(tables / "far.csv"), 1)
    (tables / "cases.csv").write_text(cases)
    rows, _ = run(tables)
    assert rows["good_L"]["status"] == "refused"
    assert "outside the CT" in rows["good_L"]["reason"]
    assert rows["good_R"]["status"] == "ok"


def test_a_cut_field_of_view_is_a_warning(tables):
    wide = ProjectSettings.model_validate({"detector_px": 40, "field_of_view_mm": 300})
    rows, _ = run(tables, settings=wide)
    assert "the CT ends within the field of view (above, below" in rows["good_R"]["warnings"]


def test_a_finished_case_is_not_opened_again(tables, monkeypatch):
    first, stack = run(tables)
    opened = []
    find = scan.find_volumes
    monkeypatch.setattr(
        scan, "find_volumes", lambda path, series: opened.append(path.name) or find(path, series)
    )
    again, same = run(tables, out="1")
    assert opened == ["broken.nii.gz"]  # a refusal is not kept
    assert (tables / "1.csv").read_text().splitlines()[1] == (tables / "0.csv").read_text().splitlines()[1]
    assert np.array_equal(stack["line_integral"], same["line_integral"])
    (tables / "ct/NAME^SECRET.nii.gz").touch()
    run(tables, out="2")
    assert len(opened) == 4
    run(tables, out="3", settings=ProjectSettings.model_validate({"detector_px": 42}))
    assert len(opened) == 7
    assert first["good_L"] == again["good_L"]


def test_another_patient_id_opens_no_ct(tables, monkeypatch):
    run(tables)
    (tables / "cases.csv").write_text((tables / "cases.csv").read_text().replace(",p1,", ",p9,"))
    monkeypatch.setattr(scan, "find_body", lambda volume: pytest.fail("a CT was opened"))
    rows, _ = run(tables, out="1")
    assert rows["good_L"]["patient_id"] == "p9"


def test_the_cohorts_follow_from_the_grades(tables):
    with_grades = {"grades": tables / "grades.csv", "shards": 1}
    assert list(run(tables, cohort="labelled", **with_grades)[0]) == ["good_L", "good_R"]
    assert list(run(tables, cohort="pool", **with_grades)[0]) == ["bad_L", "bad_R", "half_L", "half_R"]
    assert run(tables, cohort="external", **with_grades)[0] == {}


def test_every_case_is_in_one_shard(tables):
    parts = [set(run(tables, shard=shard, shards=3)[0]) for shard in range(3)]
    assert set.union(*parts) == set(run(tables)[0])
    assert sum(map(len, parts)) == 6


def test_the_native_socket_in_the_middle(tables, landmarks, heads):
    """The left head is marked 40 mm above its socket; the right socket is not known."""
    high = heads["L"] + [-10, 0, 40]
    text = landmarks.read_text().replace(
        "L,-86.0,4.0,-300.0", f"L,{high[0]},4.0,{high[2]},24\nsocket_L,-86.0,4.0,-300.0"
    )
    (tables / "high.csv").write_text(text)
    table = (tables / "cases.csv").read_text().replace(str(landmarks), str(tables / "high.csv"), 1)
    (tables / "cases.csv").write_text(table)
    # No head is drawn where the left one is marked.
    shown = {"detector_px": 40, "unconfirmed_marks": "warn"}
    plain, _ = run(tables, settings=ProjectSettings.model_validate(shown))
    assert "socket" not in plain["good_R"]["warnings"]
    assert (plain["good_L"]["head_x_mm"], plain["good_L"]["head_y_mm"]) == ("0.0", "0.0")
    settings = ProjectSettings.model_validate({**shown, "centre": "native_socket"})
    rows, stack = run(tables, settings=settings, out="1")
    assert float(rows["good_L"]["head_y_mm"]) == pytest.approx(-40, abs=0.5)
    assert float(rows["good_L"]["head_x_mm"]) == pytest.approx(10, abs=0.5)
    assert "the native socket is not known: the image is centred on the head" in rows["good_R"]["warnings"]
    assert "socket" not in rows["good_L"]["warnings"]
    # The ball of bone lies at the socket, which is now in the middle.
    image = stack["line_integral"][stack["hip_id"].tolist().index("good_L")]
    assert image[17:23, 17:23].min() > image[2:6].max() + 0.5


HEADER = {
    "0008|0020": "20200615",
    "0008|0070": "SIEMENS Somebody's",
    "0008|1090": "SOMATOM Force",
    "0010|0030": "19570616",
    "0010|0040": "F",
    "0018|0050": "4",
    "0018|0060": "120",
    "0018|1210": "Br40d\\3",
}


@pytest.fixture(scope="module")
def dicom(tmp_path_factory, pelvis, write_stack):
    """The pelvis as a scanner writes it, with what a header says beside."""
    folder = tmp_path_factory.mktemp("dicom")
    r, a, _ = pelvis.ras_from_ijk[:3, 3] + 4 * np.array([*pelvis.hu.shape[:2], 0]) - [4, 4, 0]
    places = [(-r, -a, -420 + 4 * k) for k in range(pelvis.hu.shape[2])]
    write_stack(
        folder / "ct", pelvis.hu[::-1, ::-1], places=places, spacing=(4, 4), number=3, tags=HEADER.items()
    )
    return folder


def project_case(dicom, landmarks, **cells):
    row = {"case_id": "a", "patient_id": "p", "ct": "ct", "landmarks": landmarks} | cells
    (dicom / "cases.csv").write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
    return run(dicom)[0]["a_R"]


def test_how_a_ct_was_acquired_stands_beside_the_hip(dicom, landmarks):
    row = project_case(dicom, landmarks)
    told = ("manufacturer", "model", "kernel", "kernel_kind", "kv", "thickness_mm", "scanner", "sex", "age")
    assert [row[name] for name in told] == [
        *("Siemens", "SOMATOM Force", "Br40d\\3", "soft", "120", "4.0", "Siemens SOMATOM Force", "F", "62")
    ]
    assert "another sex" not in row["warnings"]


def test_the_table_of_cases_goes_before_the_header(dicom, landmarks):
    row = project_case(dicom, landmarks, sex="female", age="61", scanner="CT 2")
    assert [row[name] for name in ("sex", "age", "scanner", "model")] == [
        "female",
        "61",
        "CT 2",
        "SOMATOM Force",
    ]
    assert "another sex" not in row["warnings"]


def test_another_sex_than_the_header_s_is_a_warning(dicom, landmarks):
    """Also of a case that was kept: the table may have changed since."""
    project_case(dicom, landmarks)
    row = project_case(dicom, landmarks, sex="male")
    assert row["warnings"].split("; ")[-1] == (
        "the table of cases gives another sex than the CT's header: look whose CT it is"
    )
    # A word that may mean either is no contradiction.
    assert "another sex" not in project_case(dicom, landmarks, sex="1")["warnings"]


def test_a_nifti_tells_nothing_of_its_scanner(tables):
    rows, _ = run(tables)
    told = ("manufacturer", "model", "kernel", "kernel_kind", "kv", "thickness_mm", "scanner", "sex", "age")
    assert {rows["good_R"][name] for name in told} == {""}
