"""What harms a reader harms its CT alone, and nothing depends on the number of readers."""

import importlib
import os

import numpy as np
import pytest

from hipoa.core.files import read_csv, read_npz
from hipoa.imaging import project, shard
from hipoa.imaging.settings import ProjectSettings

SETTINGS = ProjectSettings.model_validate({"detector_px": 32})
BAD_READS = """
import os, signal, time
from pathlib import Path
from hipoa.imaging.shard import prepare

def read(case, *, makers, settings):
    mark = case.ct.parent / f"{case.case_id}.tried"
    tried = mark.exists()
    mark.touch()
    if case.case_id == "c1" or (case.case_id == "c4" and not tried):
        os.kill(os.getpid(), signal.SIGSEGV)
    if case.case_id == "c2" or (case.case_id == "c5" and not tried):
        time.sleep(1000)
    return prepare(case, makers=makers, settings=settings)
"""


@pytest.fixture
def study(tmp_path, pelvis, landmarks, write_nifti):
    write_nifti(tmp_path / "ct.nii", pelvis.hu, pelvis.ras_from_ijk)
    rows = [f"c{n},p,ct.nii,{landmarks},{'R' if n == 2 else ''}" for n in range(7)]
    (tmp_path / "cases.csv").write_text("\n".join(["case_id,patient_id,ct,landmarks,exclude", *rows]) + "\n")
    return tmp_path


def run(folder, out, *, readers, cache="cache", timeout_s=60.0, study="", settings=SETTINGS):
    options = {"shards": 0, "readers": readers, "read_timeout_s": timeout_s, "study": study}
    project.run(
        settings,
        shard.ShardOptions.model_validate(options),
        cases=folder / "cases.csv",
        cohort="pool",
        out=folder / f"{out}.csv",
        stack=folder / f"{out}.npz",
        cache=folder / cache,
    )
    return {row["hip_id"]: row for row in read_csv(folder / f"{out}.csv")}


@pytest.fixture
def bad_reads(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/hipoa_test_bad_reads.py").write_text(BAD_READS)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(shard, "prepare", importlib.import_module("hipoa_test_bad_reads").read)
    yield
    del importlib.sys.modules["hipoa_test_bad_reads"]


def test_a_ct_that_crashes_or_hangs_the_reader_costs_only_itself(study, bad_reads):
    rows = run(study, "out", readers=2, timeout_s=10.0)
    assert list(rows) == [f"c{n}_{side}" for n in range(7) for side in "LR"]
    refused = {name: row["reason"] for name, row in rows.items() if row["status"] == "refused"}
    assert set(refused) == {"c1_L", "c1_R", "c2_L"}
    assert rows["c2_R"]["status"] == "excluded"
    assert refused["c1_L"].startswith("reading it ended the reader (SIGSEGV). Copy or export the CT again")
    assert refused["c2_L"].startswith("reading it took longer than 10 s. Copy or export the CT again")
    # c4 crashed and c5 hung the first time only.
    assert read_npz(study / "out.npz")["hip_id"].tolist() == [
        f"c{n}_{side}" for n in (0, 3, 4, 5, 6) for side in "LR"
    ]


def test_what_was_lost_is_tried_again_in_the_next_run(study, bad_reads, monkeypatch):
    run(study, "out", readers=1, timeout_s=10.0)
    monkeypatch.undo()
    opened = []
    read = shard.prepare
    monkeypatch.setattr(
        shard, "prepare", lambda case, **options: opened.append(case.case_id) or read(case, **options)
    )
    rows = run(study, "again", readers=0)
    assert opened == ["c1", "c2"]
    assert {row["status"] for name, row in rows.items() if name != "c2_R"} == {"ok"}


def test_the_same_bytes_whatever_the_number_of_readers(study):
    first = run(study, "0", readers=0, cache="k0")
    stack = read_npz(study / "0.npz")
    for readers in (1, 2, 3):
        rows = run(study, f"{readers}", readers=readers, cache=f"k{readers}")
        assert rows == first
        again = read_npz(study / f"{readers}.npz")
        assert all(stack[name].tobytes() == again[name].tobytes() for name in stack)


@pytest.mark.parametrize("change", ["replaced", "gone"])
def test_a_ct_that_changes_while_it_is_read_is_not_kept(study, monkeypatch, change):
    """Its image would else stand for the other file whenever that one comes again."""
    read = shard.prepare
    ct = shard.select_cases(study / "cases.csv", None, "pool", shard.ShardOptions(shards=0))[3].ct

    def read_and_change(case, **options):
        found = read(case, **options)
        if case.case_id == "c3":
            ct.unlink() if change == "gone" else os.utime(ct, ns=(1, 1))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(shard, "prepare", read_and_change)
        assert len(run(study, "out", readers=0)) == 14
    ct.touch()
    opened = []
    monkeypatch.setattr(
        shard, "prepare", lambda case, **options: opened.append(case.case_id) or read(case, **options)
    )
    run(study, "again", readers=0)
    assert "c3" in opened


def list_kept(folder):
    return sorted(path.relative_to(folder).parts[:-1] for path in folder.rglob("*.npz"))


def test_what_is_kept_says_of_which_study_and_case_it_is(study, monkeypatch):
    """Of another study on the same CTs it is read, not changed."""
    run(study, "out", readers=0, study="first")
    assert list_kept(study / "cache") == [("first", f"c{n}") for n in range(7)]
    opened = []
    read = shard.prepare
    monkeypatch.setattr(
        shard, "prepare", lambda case, **options: opened.append(case.case_id) or read(case, **options)
    )
    run(study, "again", readers=0, study="second")
    assert opened == []
    assert (study / "again.csv").read_bytes() == (study / "out.csv").read_bytes()
    assert len(list_kept(study / "cache")) == 7


def test_another_setting_keeps_beside_and_another_ct_instead(study, write_nifti, pelvis):
    """A setting may be set back; the CT that a case no longer names may be someone else's."""
    run(study, "out", readers=0, study="s")
    larger = SETTINGS.model_copy(update={"detector_px": 40})
    run(study, "larger", readers=0, study="s", settings=larger)
    assert len(list_kept(study / "cache")) == 14
    write_nifti(study / "other.nii", pelvis.hu, pelvis.ras_from_ijk)
    table = study / "cases.csv"
    table.write_text(table.read_text().replace("c3,p,ct.nii", "c3,p,other.nii"))
    run(study, "other", readers=0, study="s")
    kept = list_kept(study / "cache")
    assert (kept.count(("s", "c3")), len(kept)) == (1, 13)


def test_only_what_the_rays_meet_leaves_the_reader(study):
    (case, *_) = shard.select_cases(study / "cases.csv", None, "pool", shard.ShardOptions(shards=0))
    narrow = ProjectSettings.model_validate({"detector_px": 32, "field_of_view_mm": 60})
    prepared = shard.prepare(case, makers=dict.fromkeys("LR", project.request_hip), settings=narrow)
    left, right = (prepared.requests[side] for side in "LR")
    # One copy for both, which is none of the whole.
    assert left.volume is right.volume
    held = left.volume.hu
    while isinstance(held.base, np.ndarray):
        held = held.base
    assert held.size == left.volume.hu.size
    assert left.volume.hu.size < 0.4 * 80 * 50 * 60


def test_the_image_of_the_cut_is_that_of_the_whole_ct(pelvis, heads):
    from hipoa.imaging.ct.body import find_body
    from hipoa.imaging.localization.hip_centres import Hip, HipCentres
    from hipoa.imaging.localization.scan import Scan
    from hipoa.imaging.projection.attenuation import make_curve
    from hipoa.imaging.projection.render import crop_together, render

    centres = HipCentres({side: Hip(side, tuple(at), 24, "landmarks", 1.0) for side, at in heads.items()})
    whole = project.request_hip(Scan(pelvis, find_body(pelvis), centres), "L", SETTINGS)[1]
    for renderer in ("joseph_cpu", "siddon"):
        images = [
            render(request, renderer, make_curve(50, 70)).line_integral
            for request in (whole, crop_together({"L": whole})["L"])
        ]
        assert np.abs(images[0] - images[1]).max() < 1e-5 * images[0].mean()
