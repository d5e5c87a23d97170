"""One small study, run once from CT to report in a folder with a space, and copied for every question."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
REAL_CT = ROOT.parent / "shared/data/real_ct"
FOLDER = "a folder with spaces"

CONFIG = {
    "study": "small",
    "preset": "demo",
    "data": {
        "cases": "my data/cases.csv",
        "grades": "my data/grades.csv",
        "builtin_cohort": False,
        "shards": 2,
    },
    "experiments": {
        "efficientnet": {"input_px": 32},
        "vit": {
            "network": "test_vit.r160_in1k",
            "weights": "none",
            "input_px": 32,
            "task": "separate",
            "loss": "regression",
        },
    },
    "repeats": 1,
    "folds": {"folds": 2},
    "project": {"detector_px": 80},
    "train": {"epochs": 1, "warmup_epochs": 0},
    "predict": {"passes": 3},
}


class Workspace:
    """A copy of the workflow with data, in which Snakemake runs."""

    def __init__(self, folder):
        self.folder = folder
        self.python = sys.executable
        self.plan = ""

    def snakemake(self, *arguments, check=True, **environment):
        inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        inherited |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # else the last bits may differ
        done = subprocess.run(
            [self.python, "-m", "snakemake", "--cores", "2", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=inherited | environment,
        )
        if check:
            assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done

    def planned(self, *arguments):
        """What a dry run would do: how many jobs of each rule, `all` left out."""
        self.plan = self.snakemake("--dry-run", "--printshellcmds", *arguments).stdout
        lines = self.plan.partition("Job stats:")[2].partition("total")[0].splitlines()
        jobs = {m[1]: int(m[2]) for line in lines if (m := re.fullmatch(r"(\w+)\s+(\d+)\s*", line))}
        jobs.pop("all", None)
        return jobs

    def planned_outputs(self, rule):
        """What the commands of this rule would write, as the last dry run printed them; at least one."""
        found = sorted(re.findall(rf"python -m hipoa {rule} .*? --out (\S+)", self.plan))
        assert found
        return found

    def configure(self, **changes):
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, value in changes.items():
            section, _, key = name.partition("__")
            if key:
                config.setdefault(section, {})[key] = value
            else:
                config[section] = value
        path.write_text(yaml.safe_dump(config))

    def edit(self, file, old, new):
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def read(self, file):
        return (self.folder / "results/small" / file).read_text(encoding="utf-8")


def copy_workflow(folder):
    folder.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "envs", "hipoa"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return Workspace(folder)


def make_data(folder):
    """Tables and CTs like a user's own: graded, external and unread patients."""
    rows, grades = [], []
    for cohort, patients in (("labelled", 8), ("external", 1), ("pool", 1)):
        table = folder / f"{cohort}.cases.csv"
        command = [
            "phantom",
            "--cohort",
            cohort,
            "--shard",
            "0",
            "--shards",
            "1",
            f"--{cohort}",
            str(patients),
        ]
        command += ["--pool", "1"] if cohort == "labelled" else []
        command += [
            "--spacing-mm",
            "[4, 4, 4]",
            "--with-landmarks",
            "true",
        ]
        files = ["--out", table, "--grades", folder / f"{cohort}.grades.csv", "--truth", folder / "truth.csv"]
        subprocess.run([sys.executable, "-m", "hipoa", *command, *map(str, files)], check=True, cwd=ROOT)
        rows += table.read_text(encoding="utf-8").splitlines()[0 if not rows else 1 :]
        readings = (folder / f"{cohort}.grades.csv").read_text(encoding="utf-8").splitlines()
        grades += readings[0 if not grades else 1 :]
    if REAL_CT.exists():
        rows.append(
            _as_row(
                rows[0],
                {"case_id": "real", "patient_id": "real", "ct": str(REAL_CT / "pelvis_ct_3mm.nii.gz")},
            )
        )
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    (folder / "grades.csv").write_text("\n".join(grades) + "\n")


def _as_row(header, cells):
    return ",".join(cells.get(name, "") for name in header.split(","))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """The small study, run to its report: once, and copied for each process that tests."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "finished"
    told = shared / "told.json"
    with FileLock(f"{shared}.lock"):
        if not told.exists():
            # What a process left that failed to build it.
            shutil.rmtree(shared, ignore_errors=True)
            first = copy_workflow(shared / FOLDER)
            make_data(first.folder / "my data")
            run = first.snakemake()
            told.write_text(json.dumps({"stdout": run.stdout, "stderr": run.stderr}))
    folder = tmp_path_factory.mktemp("own") / FOLDER
    shutil.copytree(shared / FOLDER, folder, copy_function=shutil.copy2)
    workspace = Workspace(folder)
    workspace.made = shared
    workspace.run = SimpleNamespace(**json.loads(told.read_text()))
    return workspace


@pytest.fixture
def study(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    return Workspace(folder)


@pytest.fixture
def unrun(tmp_path):
    """The workflow without data or results."""
    return copy_workflow(tmp_path / "unrun")


@pytest.fixture(scope="module")
def unrun_module(tmp_path_factory):
    """The same, shared by the tests of a module."""
    return copy_workflow(tmp_path_factory.mktemp("unrun") / "unrun")
