"""Kills runs of the micro study at random and asks whether what the next run makes is the same to the byte.

Every round takes a copy of the finished study, removes all results from a stage on that is drawn at random,
and kills at a random moment one of: the head (its jobs live on), one job, everything at once (a power cut).
Then it does what docs/cluster.md says: waits for the jobs that are left, unlocks, runs again; and compares
all results with those of the undisturbed run, logs and benchmarks apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from hipoa.core.files import sha256

ROOT = Path(__file__).parents[1]
CONFIG = "study: micro\npreset: micro\ndata: {builtin_cohort: true}\n"
WAYS = ("head", "job", "all")
FOLDERS = (
    "phantom",
    "projections",
    "radiographs",
    "hips",
    "folds",
    "weights",
    "models",
    "predictions",
    "uncertainty",
)
"""Of the results, in the order in which they are made: from one of them on all is made anew."""

Hashes = dict[str, str]


def main() -> None:
    """Runs the study once undisturbed, then kills as often as was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="rounds, a count")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work; kept")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kills"))
    study, hashes, seconds = make_undisturbed(folder / "undisturbed", given.cores)
    print(f"undisturbed: {len(hashes)} files in {seconds:.0f} s", flush=True)
    rng = random.Random(given.seed)
    rounds = []
    while sum(one["killed"] for one in rounds) < given.kills:
        way, first = rng.choice(WAYS), rng.randrange(len(FOLDERS))
        # About as long as what is left to do takes; a round that ends before is no kill and is played again.
        after_s = rng.uniform(3, max(8, seconds * (1 - 0.7 * first / len(FOLDERS))))
        one = play(study, folder / "round", hashes, way, first, after_s, given.cores, rng)
        rounds.append(one)
        print(one, flush=True)
        if one["differ"] or not one["recovered"]:
            sys.exit(f"not the same: see {folder / 'round'}")
    killed = Counter(one["way"] for one in rounds if one["killed"])
    print(f"{sum(killed.values())} kills survived: " + ", ".join(f"{n} {way}" for way, n in killed.items()))
    if given.json:
        given.json.write_text(json.dumps({"files": len(hashes), "rounds": rounds}, indent=2) + "\n")


def make_undisturbed(study: Path, cores: str) -> tuple[Path, Hashes, float]:
    """The study run without a fault, the hashes of its results, and the seconds that it took."""
    study.mkdir(parents=True)
    for name in ("workflow", "envs", "hipoa"):
        shutil.copytree(ROOT / name, study / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", study)
    (study / "config.yaml").write_text(CONFIG)
    started = time.monotonic()
    done = run(study, cores)
    if done.returncode:
        sys.exit(f"the undisturbed run failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return study, hash_results(study), time.monotonic() - started


def play(
    undisturbed: Path,
    study: Path,
    hashes: Hashes,
    way: str,
    first: int,
    after_s: float,
    cores: str,
    rng: random.Random,
) -> dict[str, object]:
    """One round: removes results, runs, kills, recovers, compares.

    Args:
        undisturbed: The finished study.
        study: Where its copy is put.
        hashes: Of the results of the finished study.
        way: What is killed: head, job or all.
        first: Of FOLDERS the first that is removed.
        after_s: When to kill, s.
        cores: For Snakemake.
        rng: Draws the job that is killed.
    """
    shutil.rmtree(study, ignore_errors=True)
    shutil.copytree(undisturbed, study, copy_function=shutil.copy2)
    remove_from(study, first)
    killed = kill(start(study, cores), way, after_s, rng)
    wait_for_jobs(study)
    run(study, cores, "--unlock")
    again = run(study, cores, "--rerun-incomplete")
    found = hash_results(study)
    differ = sorted(name for name in hashes | found if hashes.get(name) != found.get(name))
    return {
        "way": way,
        "from": FOLDERS[first],
        "after_s": round(after_s, 1),
        "killed": killed,
        "recovered": again.returncode == 0,
        "differ": differ,
    }


def remove_from(study: Path, first: int) -> None:
    """Removes a folder of the results and all that comes after it, and what was kept of the CTs."""
    shutil.rmtree(study / "cache", ignore_errors=True)
    for path in find_results(study).iterdir():
        if path.name in (*FOLDERS[:first], "logs", "benchmarks"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def kill(running: subprocess.Popen[bytes], way: str, after_s: float, rng: random.Random) -> bool:
    """Kills with signal 9 after a while; whether there was still something to kill."""
    try:
        running.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        pass
    head = psutil.Process(running.pid)
    below = head.children(recursive=True)
    jobs = [process for process in below if is_job(process)]
    if way == "job" and not jobs:
        way = "all"
    victims = {"head": [head], "job": jobs and [rng.choice(jobs)], "all": [head, *below]}[way]
    for victim in victims:
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
    running.wait()
    return True


def is_job(process: psutil.Process) -> bool:
    """Whether a process is a stage of hipoa, and not the shell about it."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return words[1:3] == ["-m", "hipoa"]


def wait_for_jobs(study: Path) -> None:
    """Waits until no process works in the folder."""
    while any(works_in(process, study) for process in psutil.process_iter()):
        time.sleep(0.2)


def works_in(process: psutil.Process, study: Path) -> bool:
    """Whether a process that is no zombie has this working folder."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(study)
    except psutil.Error:
        return False


def command(cores: str, *arguments: str) -> list[str]:
    """Snakemake as its users call it."""
    return [sys.executable, "-m", "snakemake", "--cores", cores, *arguments]


def environment() -> dict[str, str]:
    """Numbers of threads pinned, and no other copy of the package on the path."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return inherited | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def run(study: Path, cores: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake to its end."""
    line = command(cores, *arguments)
    return subprocess.run(line, cwd=study, env=environment(), capture_output=True, text=True, check=False)


def start(study: Path, cores: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts Snakemake."""
    return subprocess.Popen(
        command(cores, *arguments),
        cwd=study,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def find_results(study: Path) -> Path:
    """The folder of the one study that a working folder has."""
    (results,) = (study / "results").iterdir()
    return results


def hash_results(study: Path) -> Hashes:
    """The SHA-256 of every result; logs and benchmarks tell of the run and not of the study."""
    results = find_results(study)
    files = [path for path in results.rglob("*") if path.is_file()]
    names = {path.relative_to(results).as_posix(): path for path in files}
    return {
        name: sha256(path)
        for name, path in sorted(names.items())
        if not name.startswith(("logs/", "benchmarks/"))
    }


if __name__ == "__main__":
    main()
