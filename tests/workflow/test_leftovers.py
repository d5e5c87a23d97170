"""What a run removes: files that no row of today's tables owns, and none else."""

import numpy as np
import pytest

from hipoa.core.files import write_csv, write_npz
from hipoa.workflow.config import resolve
from hipoa.workflow.leftovers import remove_leftovers
from hipoa.workflow.study import Study

KEY = "0123456789abcdef-" + "ab" * 32 + ".npz"
OTHER_CT = "fedcba9876543210-" + "cd" * 32 + ".npz"

OWNED = (
    "results/s/projections/labelled/0.csv",
    "results/s/projections/labelled/0.npz",
    "results/s/radiographs/labelled/png/P1_L.png",
    "results/s/radiographs/labelled/png/P1_L_R.png",  # of the case P1_L
    "results/s/views/labelled/png/P1_pelvis.png",
    "results/s/views/labelled/png/P1_L_slices.png",
    "results/s/hips/labelled.csv",
    "results/s/predictions/efficientnet/r0f0/labelled.npz",
    "results/s/models/former/r0f0.safetensors",
    "results/s/logs/project/labelled/0.log",
    "results/s/logs/predict/efficientnet/r0f0/labelled.log",
    "results/s/benchmarks/hips/labelled.tsv",
    "results/s/logs/metrics.log",
    "results/s/report.html",
    f"cache/project/s/P1/{KEY}",
    f"cache/project/s/P1/{OTHER_CT}",
    f"cache/project/another/P2/{KEY}",
    "cache/train/s/efficientnet/r0f0.pt",
    "history/s/readings.jsonl",
    "history/s/folds/r0.csv",
    # What somebody laid there.
    "results/s/radiographs/labelled/png/note.txt",
    "results/s/radiographs/labelled/mine.csv",
    "results/s/radiographs/labelled/png/P2.png",
    "results/s/hips/mine.csv",
    "results/s/P2_L.png",
    "cache/project/s/P2/mine.npz",
    "results/another/radiographs/pool/png/P2_L.png",
)

GONE = {
    "images": (
        "results/s/radiographs/labelled/png/P2_L.png",
        "results/s/radiographs/pool/png/P1_L.png",  # its case is graded now
        "results/s/views/labelled/png/P2_pelvis.png",
        "results/s/views/labelled/png/P2_R_slices.png",
    ),
    "tables and stacks": (
        "results/s/projections/labelled/1.csv",
        "results/s/projections/pool/0.npz",
        "results/s/radiographs/pool/0.csv",
        "results/s/views/pool/0.csv",
        "results/s/phantom/labelled/phantom0.truth.csv",
        "results/s/hips/pool.csv",
        "results/s/hips/pool.npz",
        "results/s/predictions/efficientnet/r0f0/pool.npz",
    ),
    "synthetic CTs": (
        "results/s/phantom/pool/ct/phantom-p001.nii.gz",
        "results/s/phantom/pool/landmarks/phantom-l003-2.csv",
    ),
    "logs": (
        "results/s/logs/project/labelled/1.log",
        "results/s/benchmarks/project/labelled/1.tsv",
        "results/s/logs/hips/pool.log",
        "results/s/logs/predict/efficientnet/r0f0/pool.log",
        "results/s/logs/view/labelled/0.log",  # views are not asked for and there is no table
    ),
    "kept projections": (
        f"cache/project/s/P2/{KEY}",
        f"cache/view/s/P10/{KEY}",
    ),
    "files of killed jobs": (
        "results/s/projections/labelled/.0123456789ab.0.npz",
        f"cache/view/s/P1/.0123456789ab.{KEY}",
    ),
}


@pytest.fixture
def home(tmp_path):
    """A folder with the study s of two graded cases in one shard."""
    (tmp_path / "ct.nii").touch()
    (tmp_path / "ct2.nii").touch()
    (tmp_path / "cases.csv").write_text("case_id,patient_id,ct\nP1,A,ct.nii\nP1_L,B,ct2.nii\n")
    (tmp_path / "grades.csv").write_text("case_id,side,crowe,kl\nP1,L,1,2\nP1_L,R,1,2\n")
    return tmp_path


@pytest.fixture
def study(home):
    data = {"cases": str(home / "cases.csv"), "grades": str(home / "grades.csv"), "builtin_cohort": False}
    return Study(resolve({"study": "s", "preset": "micro", "data": data}))


def touch(home, names):
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()


def test_what_no_row_owns_is_removed_and_counted_and_nothing_else(home, study):
    gone = [name for names in GONE.values() for name in names]
    touch(home, [*OWNED, *gone])
    (said,) = remove_leftovers(study, home)
    assert [name for name in OWNED if not (home / name).exists()] == []
    assert [name for name in gone if (home / name).exists()] == []
    for kind, names in GONE.items():
        assert f"{kind}: {len(names)}" in said
    assert not (home / "results/s/radiographs/pool").exists()
    assert not (home / "cache/view/s/P10").exists()
    assert remove_leftovers(study, home) == []


@pytest.mark.parametrize("text", ["case_id,patient_id,ct\nP1_L,B,ct.nii\n", "no table"])
def test_tables_that_change_meanwhile_remove_nothing(home, study, text):
    gone = [name for names in GONE.values() for name in names]
    touch(home, gone)
    (home / "cases.csv").write_text(text)
    (said,) = remove_leftovers(study, home)
    assert said.startswith("The tables changed while the run went on")
    assert all((home / name).exists() for name in gone)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("predictions/former/r0f0/labelled.npz", "predictions/efficientnet/r0f0/labelled.npz"),
        ("explanations/former.npz", "explanations/efficientnet.npz"),
        ("uncertainty/former.csv", "uncertainty/efficientnet.csv"),
        ("views/labelled/0.csv", "hips/labelled.csv"),
    ],
)
def test_what_is_no_longer_asked_for_stays_unless_it_names_a_case_that_left(home, study, name, asked):
    """Setting an experiment back costs nothing; of what a run still makes the run itself makes it anew."""

    def write(path, hips):
        if path.suffix == ".npz":
            write_npz(path, {"hip_id": np.array(hips), "features": np.zeros((len(hips), 2))})
        else:
            write_csv(path, ["hip_id"], [{"hip_id": hip} for hip in hips])

    results = home / "results/s"
    write(results / name, ["P1_L", "P1_L_R"])
    write(results / asked, ["P1_L", "P2_L"])
    assert remove_leftovers(study, home) == []
    write(results / name, ["P1_L", "P2_L"])
    assert remove_leftovers(study, home) == ["Removed what no row of the tables owns (tables and stacks: 1)."]
    assert not (results / name).exists()
    assert (results / asked).exists()


def test_folds_of_a_former_repeat_know_a_patient_without_a_graded_hip(home, study):
    path = home / "results/s/folds/r7.csv"
    for patient, left in (("A", True), ("C", False)):
        write_csv(path, ("hip_id", "patient_id", "fold"), [{"hip_id": "", "patient_id": patient, "fold": 0}])
        remove_leftovers(study, home)
        assert path.exists() == left


def test_the_built_in_cohort_owns_its_cases(home):
    study = Study(resolve({"study": "s", "preset": "micro", "data": {"builtin_cohort": True}}))
    own = ["results/s/phantom/labelled/ct/phantom-l001.nii.gz", f"cache/project/s/phantom-p001/{KEY}"]
    own += ["results/s/radiographs/pool/png/phantom-p001_L.png", "results/s/phantom/pool/phantom0.cases.csv"]
    touch(home, [*own, "results/s/phantom/labelled/ct/phantom-l007.nii.gz"])
    assert remove_leftovers(study, home) == ["Removed what no row of the tables owns (synthetic CTs: 1)."]
    assert all((home / name).exists() for name in own)
