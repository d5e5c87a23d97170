"""The stage: its files, sides, determinism, metal, and no clue to the grade."""

from __future__ import annotations

import hashlib
import locale
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from hipoa.cli import main
from hipoa.core.constants import CLASS_TABLE
from hipoa.core.errors import ConfigError
from hipoa.core.tables.rows import assign_cohorts
from hipoa.core.tables.study_tables import read_grades, read_tables
from hipoa.imaging.ct.formats import read_volume
from hipoa.phantom import phantom
from hipoa.phantom.anatomy.implants import PROSTHETIC_HEAD_MM
from hipoa.phantom.cohort.members import plan_cases
from hipoa.phantom.cohort.truth import TRUTH_COLUMNS
from hipoa.phantom.phantom import build_case, position_case, run, scan
from hipoa.phantom.scanner.scanner import ORDERS, Position, write_dicom, write_nifti
from hipoa.phantom.settings import PhantomSettings

ROOT = Path(__file__).parents[2]


def _files(folder):
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".gz", ".csv"})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _truth(made, hip):
    return next(row for row in made.truth if row["hip_id"] == hip)


def _centre(row):
    return np.array([float(row[f"centre_{axis}_mm"]) for axis in "ras"])


def _ras(made, case_id):
    """HU (i, j, k) along R, A, S and its affine, read by nibabel."""
    image = nib.as_closest_canonical(nib.load(made.folder / "ct" / f"{case_id}.nii.gz"))
    return np.asarray(image.dataobj), image.affine


def _about(hu, affine, centre_mm, reach_mm):
    """HU within a ball about a point in RAS mm."""
    index = np.stack(np.indices(hu.shape), -1)
    position = index @ affine[:3, :3].T + affine[:3, 3]
    return hu[np.linalg.norm(position - centre_mm, axis=-1) < reach_mm]


def test_the_tables_read_back(labelled, pool):
    cases = read_tables(labelled.folder / "0.cases.csv").cases
    readings = read_grades(labelled.folder / "0.grades.csv")
    assert [case.case_id for case in cases] == [
        "phantom-l001",
        "phantom-l001-2",
        "phantom-l002",
        "phantom-l002-2",
        "phantom-l003",
    ]
    assert len(assign_cohorts(cases, readings)["labelled"]) == 5
    assert all(case.landmarks for case in cases)
    assert [row["case_id"] for row in pool.cases] == ["phantom-l003-2", "phantom-p001", "phantom-p002"]
    assert pool.grades == []
    assert tuple(labelled.truth[0]) == TRUTH_COLUMNS


def test_two_readers_read_every_hip_but_the_ungraded(labelled):
    assert len(labelled.grades) == 5 * 2 * 2
    assert {row["reader"] for row in labelled.grades} == {"A", "B"}


@pytest.fixture
def no_noise(monkeypatch):
    monkeypatch.setattr(phantom, "NOISE_HU", 0.0)


def test_right_is_right(labelled):
    for row in labelled.truth:
        assert np.sign(_centre(row)[0]) == (1 if row["hip_id"].endswith("_R") else -1)
    marks = (labelled.folder / "landmarks" / "phantom-l001.csv").read_text().splitlines()
    assert [line[:1] for line in marks[1:]] == ["L", "R"]


def test_the_centre_is_the_centre_of_the_rendered_head(settings, no_noise):
    fine = settings.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0)})
    planned = plan_cases({"labelled": 1})["labelled"][0]
    hips = build_case(fine, planned)
    hu, affine, pose = scan(fine, planned, hips)
    for side, hip in hips.items():
        x, y, z = hip.head
        centre = (pose @ [x if side == "R" else -x, y, z, 1])[:3]
        index = np.stack(np.indices(hu.shape), -1)
        position = index @ affine[:3, :3].T + affine[:3, 3] - centre
        distance = np.linalg.norm(position, axis=-1)
        # Bone within the joint's space, away from the neck: what is left of the head is a ball.
        lateral = position[..., 0] * (1 if side == "R" else -1)
        head = (hu > 180) & (distance < hip.person.head_radius_mm + 1.5) & (np.abs(lateral) < 8)
        found = position[head].mean(0)
        # The neck pulls a little to lateral, down and back.
        assert np.abs(found).max() < 2.0, (side, found)
        labels, _ = ndimage.label(head)
        assert np.bincount(labels.ravel())[1:].max() > 0.95 * head.sum()


@pytest.mark.parametrize("order", ORDERS)
def test_every_axis_order_reads_back_to_the_same_anatomy(tmp_path, order):
    rng = np.random.default_rng([3])
    hu = rng.integers(-1000, 2000, (7, 5, 6)).astype(np.int16)
    affine = np.diag([1.6, 2.5, 3.0, 1.0])
    affine[:3, 3] = (-20, 30, -600)
    write_nifti(tmp_path / "a.nii.gz", hu, affine, order)
    image = nib.load(tmp_path / "a.nii.gz")
    assert "".join(nib.aff2axcodes(image.affine)) == order
    turned = nib.as_closest_canonical(image)
    np.testing.assert_array_equal(np.asarray(turned.dataobj), hu)
    np.testing.assert_allclose(turned.affine, affine, atol=1e-4)


def test_the_axis_orders_are_used(labelled, pool):
    orders = {
        "".join(nib.aff2axcodes(nib.load(path).affine))
        for made in (labelled, pool)
        for path in made.folder.glob("ct/*.nii.gz")
    }
    assert len(orders) > 2
    assert orders <= set(ORDERS)


def test_metal_lies_on_its_side(pool):
    for case, metal, clean in (("phantom-p001", "R", "L"), ("phantom-p002", "L", "R")):
        hu, affine = _ras(pool, case)
        for side in "LR":
            about = _about(hu, affine, _centre(_truth(pool, f"{case}_{side}")), 45)
            assert (np.count_nonzero(about > 2500) > 0) == (side == metal), (case, side)
        assert _truth(pool, f"{case}_{clean}")["implant"] == ""


def test_metal_streaks_its_own_slices_and_no_others(settings, no_noise):
    planned = plan_cases({"pool": 1})["pool"][0]
    clean = replace(planned, implants=())
    hips = build_case(settings, planned)
    hu, without = (scan(settings, case, hips)[0] for case in (planned, clean))
    change = np.abs(hu.astype(int) - without)
    metal = hu > 2500
    with_metal = metal.any((0, 1))
    assert change[:, :, ~ndimage.binary_dilation(with_metal, iterations=2)].max() == 0
    tissue = ~metal & (without > -200) & (without < 200)
    far = np.indices(hu.shape)[0] < hu.shape[0] // 2  # the other side of the body
    assert np.percentile(change[tissue & ~far & with_metal], 95) > 60
    assert np.percentile(change[tissue & far & with_metal], 95) < 25
    air = without < -990
    assert change[air & ~ndimage.binary_dilation(metal, iterations=2)].max() < 15


def _table_hu(settings, case):
    """The greatest HU in front of and behind a patient without noise, and the patient's own CT."""
    hu, affine, _ = scan(settings, case, build_case(settings, case))
    body, _ = ndimage.label(hu > -600)
    largest = body == np.bincount(body.ravel())[1:].argmax() + 1
    rest = np.where(largest, -1000, hu)
    rows = np.flatnonzero(largest.any((0, 2)))
    # Two voxels off, where no voxel is skin in part.
    return int(rest[:, rows[-1] + 3 :].max()), int(rest[:, : rows[0] - 2].max()), affine


def test_the_table_lies_under_the_patient(settings, no_noise, monkeypatch):
    case = plan_cases({"labelled": 1})["labelled"][0]
    monkeypatch.setattr(phantom, "position_case", lambda *_: Position())
    front, behind, affine = _table_hu(settings, case)
    assert front < -990 < -500 < behind
    monkeypatch.setattr(phantom, "position_case", lambda *_: Position(prone=True))
    front, behind, moved = _table_hu(settings, case)
    assert behind < -990 < -500 < front
    # The field of view moves to the table's side, and is as large.
    assert moved[1, 3] > affine[1, 3]


def test_a_share_of_the_patients_lies_otherwise(settings):
    cases = plan_cases({"labelled": 400}, "study")["labelled"]
    codes = [position_case(settings, case).code for case in cases]
    assert set(codes) == {"HFS", "FFS", "HFP", "FFP"}
    assert np.mean([code.endswith("P") for code in codes]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([code.startswith("FF") for code in codes]) == pytest.approx(0.15, abs=0.05)


def test_a_replaced_joint_has_no_grade(pool):
    row = _truth(pool, "phantom-p001_R")
    assert row["implant"] == "replacement"
    assert row["joint_space_mm"] == row["kl"] == row["grade"] == ""
    assert float(row["radius_mm"]) == PROSTHETIC_HEAD_MM
    nailed = _truth(pool, "phantom-p002_L")
    assert nailed["implant"] == "nail"
    assert nailed["grade"] != ""


def test_the_truth_names_the_landmarks_and_both_readings(labelled, pool):
    readings = {(row["case_id"], row["side"], row["reader"]): row for row in labelled.grades}
    for row in labelled.truth:
        case, side = row["hip_id"].rsplit("_", 1)
        for reader in "AB":
            read = readings[case, side, reader]
            pair = CLASS_TABLE[int(row[f"reader_{reader.lower()}"]) - 1]
            assert pair == (int(read["crowe"]), int(read["kl"]))
        centre, radius = _centre(row), float(row["radius_mm"])
        teardrop, junction = (_point(row, name) for name in ("teardrop", "junction"))
        # The junction lies on the head's sphere, the teardrop medial and below.
        assert np.linalg.norm(junction - centre) == pytest.approx(radius, rel=0.02)
        assert abs(teardrop[0]) < abs(centre[0]) - 0.8 * radius
        assert teardrop[2] < centre[2] - 0.6 * radius
    assert all(row["reader_a"] == row["reader_b"] == "" for row in pool.truth)
    assert _truth(pool, "phantom-p001_R")["teardrop_r_mm"] != ""


def _point(row, name):
    return np.array([float(row[f"{name}_{axis}_mm"]) for axis in "ras"])


def test_a_patient_comes_back_with_the_same_anatomy(labelled, pool):
    for made, first, second in (
        (labelled, "l001", "l001-2"),
        (labelled, "l002", "l002-2"),
        (pool, "l003", "l003-2"),
    ):
        for side in "LR":
            before = _truth(labelled, f"phantom-{first}_{side}")
            after = _truth(made, f"phantom-{second}_{side}")
            assert after["radius_mm"] == before["radius_mm"]
            height = float(before["pelvic_height_mm"])
            assert float(after["pelvic_height_mm"]) == pytest.approx(height, abs=0.001)
            rank = [(int(row["grade"]), float(row["severity"])) for row in (before, after)]
            assert rank[1] >= rank[0]


def test_the_same_bytes_by_any_number_of_shards_and_hash_seed(tmp_path, make_shard, settings, labelled):
    for shard in range(2):
        make_shard(tmp_path / "two", settings, "labelled", shard, 2)
    whole, parts = _files(labelled.folder / "ct"), _files(tmp_path / "two" / "labelled" / "ct")
    assert len(whole) == 5
    assert parts == whole


def test_the_same_bytes_in_another_process_with_another_hash_seed(tmp_path, settings, labelled):
    few = settings.model_copy(update={"labelled": 1})
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in _flags(few).items()]
    names = {"out": "0.cases.csv", "grades": "0.grades.csv", "truth": "0.truth.csv"}
    paths = [f"--{flag}={tmp_path / name}" for flag, name in names.items()]
    command = ["phantom", *flags, "--cohort=labelled", "--shard=0", "--shards=1", *paths]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "hipoa", *command], check=True, env=environment)
    found, expected = _files(tmp_path / "ct"), _files(labelled.folder / "ct")
    assert len(found) == 2
    assert found == {name: expected[name] for name in found}


def _flags(settings):
    return {
        name: list(value) if isinstance(value, tuple) else str(value).lower()
        for name, value in settings.model_dump().items()
    }


def test_another_patient_changes_no_other(tmp_path, make_shard, settings, pool):
    more = make_shard(tmp_path, settings.model_copy(update={"labelled": 4, "pool": 3}), "pool")
    before, after = _files(pool.folder / "ct"), _files(more.folder / "ct")
    assert {name: after[name] for name in before} == before
    assert more.truth[: len(pool.truth)] == pool.truth


def test_another_seed_is_another_cohort(tmp_path, make_shard, settings, labelled):
    other = make_shard(tmp_path, settings.model_copy(update={"seed": 2, "labelled": 1}), "labelled")
    assert other.truth[0] != labelled.truth[0]


def test_field_of_view_noise_and_voxels_do_not_depend_on_the_grade(labelled):
    # Every CT of a scanner has one shape whatever its hips' grades, and the same noise in its muscle.
    images = [_ras(labelled, row["case_id"]) for row in labelled.cases]
    assert len({image[0].shape for image in images}) == 1
    for hu, affine in images:
        np.testing.assert_allclose(affine, images[0][1], atol=1e-3)
        for face in (hu[:1], hu[-1:], hu[:, -1:]):
            assert face.max() < -980  # the body is not cut off
            assert 0.5 < face.std() < 1.5  # and the noise in air is a tenth of the body's
        assert hu[:, :1].max() < -900  # behind, the CT ends in the table's foam


def test_a_wrong_cohort_or_shard_is_an_error(tmp_path, settings):
    files = {name: tmp_path / name for name in ("out", "grades", "truth")}
    with pytest.raises(ConfigError, match=r'cohort "test" is unknown\. Use one of labelled, external, pool'):
        run(settings, cohort="test", shard=0, shards=1, **files)
    with pytest.raises(ConfigError, match=r"shard 2 of 2\. Shards are numbered from 0"):
        run(settings, cohort="pool", shard=2, shards=2, **files)


def test_a_setting_out_of_bounds_is_one_line(tmp_path, capsys):
    paths = [f"--{name}={tmp_path / name}" for name in ("out", "grades", "truth")]
    assert main(["phantom", "--cohort=pool", "--shard=0", "--shards=1", "--reader-kappa=1.5", *paths]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "reader_kappa" in error
    assert not list(tmp_path.iterdir())


def test_an_empty_shard_writes_tables_without_rows(tmp_path, make_shard):
    made = make_shard(tmp_path, PhantomSettings(external=0), "external")
    assert made.cases == made.grades == made.truth == []


@pytest.mark.parametrize("position", [Position(p, f) for p in (False, True) for f in (False, True)])
def test_dicom_slices_say_how_the_patient_lay(tmp_path, position):
    hu = np.random.default_rng([5]).integers(-1000, 2000, (12, 9, 10)).astype(np.int16)
    affine = np.diag([1.6, 2.5, 3.0, 1.0])
    affine[:3, 3] = (-20, 30, -600)
    write_dicom(tmp_path / "ct", hu, affine, position)
    image = sitk.ReadImage(str(next((tmp_path / "ct").iterdir())))
    assert image.GetMetaData("0018|5100").strip() == position.code
    columns, rows = np.array(image.GetDirection()).reshape(3, 3)[:, :2].T
    # From the foot of the table one looks at the left side of who lies supine, head first; DICOM is LPS.
    assert columns[0] == (1 if position.prone == position.feet_first else -1)
    assert rows[1] == (-1 if position.prone else 1)
    read = read_volume(tmp_path / "ct")
    turned = nib.as_closest_canonical(nib.Nifti1Image(read.hu, read.ras_from_ijk))
    np.testing.assert_array_equal(np.asarray(turned.dataobj), hu)
    np.testing.assert_allclose(turned.affine, affine, atol=1e-4)


def test_dicom_slices_hold_the_same_ct(tmp_path, make_shard, settings, labelled):
    before = locale.setlocale(locale.LC_ALL)
    made = make_shard(tmp_path, settings.model_copy(update={"format": "dicom", "labelled": 1}), "labelled")
    assert locale.setlocale(locale.LC_ALL) == before
    again = make_shard(
        tmp_path / "2", settings.model_copy(update={"format": "dicom", "labelled": 1}), "labelled"
    )
    case = read_tables(made.folder / "0.cases.csv").cases[0]
    assert case.ct.is_dir()
    # Files named by their places would do the reader's work.
    names = sorted(path.name for path in case.ct.iterdir())
    places = [sitk.ReadImage(str(case.ct / name)).GetOrigin()[2] for name in names]
    assert places != sorted(places)
    same = [
        (case.ct / name).read_bytes() == (again.folder / "ct" / case.case_id / name).read_bytes()
        for name in names
    ]
    assert all(same)
    slices, single = read_volume(case.ct), read_volume(labelled.folder / "ct" / f"{case.case_id}.nii.gz")
    upright = [
        nib.as_closest_canonical(nib.Nifti1Image(volume.hu, volume.ras_from_ijk))
        for volume in (slices, single)
    ]
    np.testing.assert_array_equal(*(np.asarray(image.dataobj) for image in upright))
    np.testing.assert_allclose(upright[0].affine, upright[1].affine, atol=1e-4)
