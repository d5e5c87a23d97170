"""A case leaves the study: what a run removes, what a dry run and a failed one leave, what forget removes."""

import base64
import re
import subprocess
import sys

import pytest

from hipoa.core.files import read_csv, read_json, read_npz

pytestmark = pytest.mark.slow

GONE = ("phantom-e001", "phantom-p001")  # the only external case, and one of the pool
TARGET = "results/small/hips/pool.csv"


def strike(study, *cases):
    """Takes the rows of cases out of both tables."""
    for name in ("cases.csv", "grades.csv"):
        path = study.folder / "my data" / name
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.split(",")[0] not in cases), encoding="utf-8")


def forget(study, *arguments):
    return run(study, "forget", *arguments)


def run(study, *arguments):
    command = [sys.executable, "-m", "hipoa", *arguments, "--study", "results/small"]
    done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def list_files(study):
    roots = (study.folder / name for name in ("results", "cache", "history"))
    return sorted(str(path.relative_to(study.folder)) for root in roots for path in root.rglob("*"))


def read_texts(path):
    """A file's bytes, its arrays as text, and what is packed into it as base64."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".npz":
        yield from (str(array.ravel().tolist()).encode() for array in read_npz(path).values())
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
        yield base64.b64decode(packed + b"==")


def find_traces(study, case):
    """Every file that bears the name of a case, or holds it anywhere."""
    word = re.compile(rf"(?<![\w.-]){case}(_(L|R|pelvis))?(?![\w-])".encode(), re.ASCII)
    return [
        name
        for name in list_files(study)
        if word.search(name.encode())
        or ((path := study.folder / name).is_file() and any(map(word.search, read_texts(path))))
    ]


def test_only_a_run_that_ends_well_removes_what_no_row_owns(study):
    own = study.folder / "results/small/radiographs/external/png/mine.txt"
    own.touch()
    before = list_files(study)
    strike(study, *GONE)
    study.planned()
    assert list_files(study) == before
    hook = "import os, sys\nif 'hips' in sys.orig_argv:\n    os._exit(1)\n"
    (study.folder / "sitecustomize.py").write_text(hook)
    assert study.snakemake(TARGET, check=False).returncode != 0
    (study.folder / "sitecustomize.py").unlink()
    kept = list_files(study)
    assert [name for name in before if "external" in name and name not in kept] == []
    assert [name for name in before if name.startswith("cache") and name not in kept] == []
    done = study.snakemake(TARGET)
    assert "Removed what no row of the tables owns (" in done.stdout
    left = list_files(study)
    assert [name for name in left if re.search(r"phantom-[ep]001|/external\b", name)] == [
        "results/small/radiographs/external",
        "results/small/radiographs/external/png",
        str(own.relative_to(study.folder)),
    ]
    # Of a run with one target nothing else is touched.
    lost = [name for name in set(kept) - set(left) if not re.search(r"phantom-[ep]001|external", name)]
    assert lost == []
    assert "Removed what" not in study.snakemake("--forcerun", "hips", TARGET).stdout


@pytest.mark.parametrize(
    ("case", "trains", "shared"),
    [("phantom-l002", True, True), ("phantom-l005", True, False), ("phantom-p001", False, False)],
)
def test_a_forgotten_case_is_nowhere(study, case, trains, shared):
    """The first one's name begins that of the patient's other case, which stays."""
    # A synthetic patient is named as her first case: where she stays, her hips alone tell the case.
    trace = f"{case}_[LR]" if shared else case
    if trains:  # kept folds are an input: with new ones all models train again in any case
        run(study, "keep-folds")
    assert len(find_traces(study, trace)) > 10
    other = find_traces(study, "phantom-l002-2")
    said = forget(study, case)
    assert find_traces(study, trace) == []
    for path in study.folder.rglob("results/**/*.csv"):
        assert case not in {row.get("case_id") for row in read_csv(path)}
    assert ("trained on its hips" in said) == trains
    for path in study.folder.glob("history/small/folds/*"):
        assert (case in {row["patient_id"] for row in read_csv(path)}) == shared
    assert bool(list(study.folder.glob("history/small/folds/*"))) == trains
    assert [name for name in other if name.endswith(".png") and not (study.folder / name).exists()] == []
    # With its row still there it comes back; without, what knew it is made anew, and no more.
    again = study.planned()
    strike(study, case)
    planned = study.planned()
    assert planned == again
    assert (planned["project"], planned["develop"], planned["hips"], planned["report"]) == (1, 1, 1, 1)
    assert planned.get("train") == (4 if trains else None)
    assert all(f"/{'labelled' if trains else 'pool'}/" in path for path in study.planned_outputs("project"))


def test_after_forgetting_the_next_tables_are_made_from_what_is_kept_of_the_others(study):
    case = "phantom-p001"
    forget(study, case)
    strike(study, case)
    for ct in (study.folder / "my data/ct").iterdir():
        if case in ct.name:
            ct.unlink()
    study.snakemake(TARGET)
    assert find_traces(study, case) == []
    assert {row["status"] for row in read_csv(study.folder / TARGET)} <= {"ok", "excluded"}
    (first,) = (study.folder / "history/small/rounds").iterdir()
    assert not any(hip.startswith(case) for hip in read_json(first)["list"])
