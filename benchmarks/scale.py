"""How the workflow bears many CTs: planning 100 000, working through 1000, tables and stacks of a large pool.

``plan``: a dry run of so many cases, each with a file of its own; seconds, memory, jobs.
``run``: so many tiny CTs projected and developed by Snakemake in shards, against the same work in one process
without it.
``pool``: hips, uncertainty and triage on made-up images and predictions of so many hips; memory and
seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from hipoa.core.constants import SHARD_COLUMNS
from hipoa.core.files import write_csv, write_npz
from hipoa.core.tables.rows import CASE_COLUMNS
from hipoa.core.tables.rows import GRADE_COLUMNS as READING_COLUMNS

ROOT = Path(__file__).parents[1]
CONFIG = """study: big
preset: {preset}
data: {{cases: data/cases.csv, grades: data/grades.csv, shards: {shards}}}
"""
LABELLED = 198
SHARD_HIPS = 500
FEATURES = 768
PASSES = 50


def main() -> None:
    """Measures what is named, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("plan", "run", "pool"))
    parser.add_argument("--cases", type=int, default=100_000, help="of plan, a count")
    parser.add_argument("--shards", type=int, default=400, help="of plan, a count")
    parser.add_argument("--cts", type=int, default=1000, help="of run, a count")
    parser.add_argument("--cts-per-shard", type=int, default=250, help="of run, a count")
    parser.add_argument("--spacing-mm", type=float, default=5, help="of run, the side of a CT's voxels")
    parser.add_argument("--hips", type=int, default=20_000, help="of pool, a count")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    given = parser.parse_args()
    figures: dict[str, object] = {}
    for what in given.what:
        with tempfile.TemporaryDirectory(prefix="scale") as name:
            folder = Path(name)
            if what == "plan":
                figures[what] = measure_plan(folder, given.cases, given.shards)
            elif what == "run":
                figures[what] = measure_run(folder, given.cts, given.cts_per_shard, given.spacing_mm)
            else:
                figures[what] = measure_pool(folder, given.hips)
        print(json.dumps({what: figures[what]}, indent=2), flush=True)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure_plan(folder: Path, cases: int, shards: int) -> dict[str, object]:
    """A dry run of many cases; as many labelled ones as in Masuda et al. 2024."""
    copy_workflow(folder)
    (folder / "data/ct").mkdir(parents=True)
    for number in range(cases):
        (folder / f"data/ct/{number}.nii.gz").touch()
    write_tables(folder / "data", [f"ct/{number}.nii.gz" for number in range(cases)], LABELLED)
    (folder / "config.yaml").write_text(CONFIG.format(preset="published", shards=shards))
    spent, text = measure(folder, "-m", "snakemake", "--cores", "8", "--dry-run", "--quiet", "rules")
    jobs = re.search(r"^total +(\d+)", text, re.MULTILINE)
    return {"cases": cases, "shards": shards, "jobs": int(jobs[1]) if jobs else 0, **spent}


def measure_run(folder: Path, cts: int, per_shard: int, spacing_mm: float) -> dict[str, object]:
    """The same tiny CTs by Snakemake and in one process; processor seconds and seconds, and their ratios."""
    copy_workflow(folder)
    (folder / "data/ct").mkdir(parents=True)
    make = ["phantom", "--cohort", "labelled", "--shard", "0", "--shards", "1", "--labelled", "1"]
    make += ["--spacing-mm", json.dumps([spacing_mm] * 3), "--with-landmarks", "true"]
    make += ["--out", "one/cases.csv"]
    measure(folder, "-m", "hipoa", *make, "--grades", "one/grades.csv", "--truth", "one/truth.csv")
    with (folder / "one/cases.csv").open(encoding="utf-8", newline="") as file:
        one = next(csv.DictReader(file))
    for number in range(cts):
        shutil.copy2(folder / "one" / one["ct"], folder / f"data/ct/{number}.nii.gz")
    files = [f"ct/{number}.nii.gz" for number in range(cts)]
    shutil.copy2(folder / "one" / one["landmarks"], folder / "data/landmarks.csv")
    # All of one cohort, so that every shard is full.
    write_tables(folder / "data", files, cts, landmarks="landmarks.csv")
    (folder / "config.yaml").write_text(CONFIG.format(preset="micro", shards=cts // per_shard))
    pure = [
        measure(folder, "-m", "hipoa", "project", *PURE_PROJECT)[0],
        measure(folder, "-m", "hipoa", "develop", *PURE_DEVELOP)[0],
    ]
    # At most one job, and in it one reader: as many processes at work as without Snakemake.
    limits = ["--cores", "1", "--until", "develop"]
    whole, _ = measure(folder, "-m", "snakemake", *limits)
    alone = {name: sum(float(one[name]) for one in pure) for name in ("seconds", "cpu_seconds")}
    return {
        "cts": cts,
        "shards": cts // per_shard,
        "pure": alone,
        "workflow": whole,
        "overhead": {name: round(float(whole[name]) / alone[name] - 1, 3) for name in alone},
    }


PURE_PROJECT = (
    *("--detector-px", "80", "--cases", "data/cases.csv", "--grades", "data/grades.csv"),
    *("--cohort", "labelled", "--shards", "1", "--readers", "1", "--cache", "pure/cache"),
    *("--out", "pure/p.csv", "--stack", "pure/p.npz"),
)
PURE_DEVELOP = (
    *("--projections", "pure/p.csv", "--stack", "pure/p.npz", "--png", "pure/png"),
    *("--out", "pure/r.csv", "--radiographs", "pure/r.npz"),
)


def measure_pool(folder: Path, hips: int) -> dict[str, object]:
    """The stages that look at all hips at once, on made-up images and predictions of four models."""
    names = [f"c{number // 2:06}_{'LR'[number % 2]}" for number in range(hips)]
    shards = [names[start : start + SHARD_HIPS] for start in range(0, hips, SHARD_HIPS)]
    rng = np.random.default_rng(0)
    for number, shard in enumerate(shards):
        rows = ({**dict.fromkeys(SHARD_COLUMNS, "0.123"), **_name(hip), "status": "ok"} for hip in shard)
        write_csv(folder / f"radiographs/{number}.csv", SHARD_COLUMNS, rows)
        images = np.broadcast_to(rng.integers(0, 255, (150, 150), np.uint8), (len(shard), 150, 150))
        write_npz(folder / f"radiographs/{number}.npz", {"hip_id": np.array(shard), "radiograph": images})
    tables, stacks = ([f"radiographs/{n}.{kind}" for n in range(len(shards))] for kind in ("csv", "npz"))
    (folder / "hips").mkdir()
    join = ["hips", "--cohort", "pool", "--tables", *tables, "--stacks", *stacks]
    join += ["--grades", "--out", "hips/pool.csv", "--stack", "hips/pool.npz"]
    figures = {"hips": measure(folder, "-m", "hipoa", *join)[0]}
    files = [_make_prediction(folder, names, fold, rng) for fold in range(4)]
    over = ["uncertainty", "--experiment", "vit", "--predictions", *files, "--hips", "hips/pool.csv"]
    figures["uncertainty"] = measure(folder, "-m", "hipoa", *over, "--out", "uncertainty/vit.csv")[0]
    rank = ["triage", "--uncertainty", "uncertainty/vit.csv", "--predictions", *files]
    rank += ["--hips", "hips/pool.csv", "--out", "triage.csv"]
    figures["triage"] = measure(folder, "-m", "hipoa", *rank)[0]
    return {"n_hips": hips, **figures}


def _name(hip: str) -> dict[str, str]:
    return {"hip_id": hip, "case_id": hip[:-2], "patient_id": hip[:-2], "side": hip[-1], "implant": ""}


def _make_prediction(folder: Path, names: list[str], fold: int, rng: np.random.Generator) -> str:
    path = f"predictions/vit/r0f{fold}/pool.npz"
    raw = rng.random((len(names), PASSES, 7), np.float32)
    probability = raw / raw.sum(axis=2, keepdims=True)
    arrays = {"probability_grade": probability, "deterministic_grade": probability[:, 0]}
    features = np.zeros((len(names), FEATURES), np.float32)
    write_npz(folder / path, {"hip_id": np.array(names), **arrays, "features": features})
    return path


def copy_workflow(folder: Path) -> None:
    """A copy of the workflow without data."""
    for name in ("workflow", "envs", "hipoa"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", folder)


def write_tables(folder: Path, files: list[str], labelled: int, landmarks: str = "") -> None:
    """cases.csv with these CTs, and readings of the first ones."""
    empty = dict.fromkeys(CASE_COLUMNS, "") | {"landmarks": landmarks}
    rows = ({**empty, "case_id": f"c{n}", "patient_id": f"p{n}", "ct": ct} for n, ct in enumerate(files))
    write_csv(folder / "cases.csv", CASE_COLUMNS, rows)
    none = dict.fromkeys(READING_COLUMNS, "")
    readings = (
        {**none, "case_id": f"c{n}", "side": side, "crowe": 1, "kl": 1 + n % 4}
        for n in range(labelled)
        for side in "LR"
    )
    write_csv(folder / "grades.csv", READING_COLUMNS, readings)


def measure(folder: Path, *arguments: str) -> tuple[dict[str, float], str]:
    """Runs Python to its end: seconds, processor seconds and most memory of one process; what it printed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = inherited | {"PYTHONPATH": str(folder if (folder / "hipoa").exists() else ROOT)}
    environment |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    before, started = os.times(), time.perf_counter()
    watched = [sys.executable, "-c", _WATCH, *arguments]
    done = subprocess.run(watched, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:4])} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    text, _, memory_kb = done.stdout.rpartition("MOST_KB")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(cpu, 1),
        "memory_mb": round(int(memory_kb) / 1024),
    }, text


_WATCH = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, *sys.argv[1:]])
print("MOST_KB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
"""A small process of its own, since the memory of a child counts that of its parent before it starts."""


if __name__ == "__main__":
    main()
