"""Faults in the middle of a run: what is said, what is left, and that the next run makes the same bytes."""

import os
import subprocess
import sys
import time

import pytest

from hipoa.core.files import read_csv, sha256

MODEL = "results/small/models/efficientnet/r0f0.safetensors"


@pytest.fixture
def mounted():
    """Mounts, and takes all of it down again; needs to be allowed to."""
    points = []

    def mount(*arguments):
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here ({done.stderr.strip()})")
        points.append(arguments[-1])

    yield mount
    for point in dict.fromkeys(reversed(points)):
        subprocess.run(["umount", str(point)], check=True)


def test_a_full_disk(study, mounted):
    folder = study.folder / "results/small/models"
    undisturbed = sha256(study.folder / MODEL)
    mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", folder)
    failed = study.snakemake(MODEL, check=False)
    assert failed.returncode != 0
    assert "r0f0.safetensors: no space left on the disk. Make room and start again" in failed.stderr
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    mounted("-o", "remount,size=64m", folder)
    study.snakemake(MODEL)
    assert sha256(study.folder / MODEL) == undisturbed


def test_cts_in_a_folder_that_is_read_only(study, mounted):
    data = study.folder / "my data"
    target = "results/small/radiographs/pool/" + next(
        path.name for path in (study.folder / "results/small/radiographs/pool").glob("*.csv")
    )
    before = (study.folder / target).read_bytes()
    mounted("--bind", data, data)
    mounted("-o", "remount,bind,ro", data)
    with pytest.raises(OSError, match="Read-only"):
        (data / "new").touch()
    for path in (study.folder / "cache/project").rglob("*.npz"):
        path.unlink()
    study.snakemake("--forceall", target)
    assert (study.folder / target).read_bytes() == before


def test_a_ct_replaced_while_the_run_goes_on(study):
    """Its shard runs again in the next run, whichever of the two files was read."""
    pool = read_csv(study.folder / "my data/pool.cases.csv")
    ct = study.folder / "my data" / pool[0]["ct"]
    hook = f"import os, sys\nif 'project' in sys.orig_argv:\n    os.utime({str(ct)!r})\n"
    (study.folder / "sitecustomize.py").write_text(hook)
    table = next((study.folder / "results/small/projections/pool").glob("*.csv")).relative_to(study.folder)
    study.snakemake("--force", str(table))
    (study.folder / "sitecustomize.py").unlink()
    planned = study.planned()
    assert planned["project"] == 1
    assert "train" not in planned


def test_two_runs_in_one_folder(study):
    """The second one stops at once and says why; the first one ends as if it were alone."""
    (study.folder / "sitecustomize.py").write_text(
        "import sys, time\nif 'triage' in sys.orig_argv:\n    time.sleep(20)\n"
    )
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--forcerun", "triage", "--until", "triage"],
        cwd=study.folder,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=inherited,
    )
    try:
        waiting = time.monotonic()
        while not any(study.folder.glob(".snakemake/locks/*")):
            assert time.monotonic() - waiting < 60
            time.sleep(0.1)
        second = study.snakemake("--forcerun", "triage", check=False)
        assert second.returncode != 0
        assert "cannot be locked" in second.stdout + second.stderr
        assert first.wait(120) == 0
    finally:
        first.kill()


def test_the_last_words_of_a_failed_job_and_its_log(study):
    (study.folder / "sitecustomize.py").write_text(
        "import os, sys\nif 'triage' in sys.orig_argv:\n"
        "    os.write(2, b'a fault made on purpose\\n')\n    os._exit(1)\n"
    )
    failed = study.snakemake("--forcerun", "triage", "--until", "triage", check=False)
    end = failed.stderr[failed.stderr.index("triage failed: results/small/logs/triage.log") :]
    assert "    a fault made on purpose" in end
    assert "pool: " in failed.stderr


@pytest.mark.parametrize(
    ("rule", "file"),
    [
        ("project", "projections/pool/*"),
        ("hips", "hips/pool.csv"),
        ("train", "models/vit/r0f0.json"),
        ("predict", "predictions/vit/r0f0/external.npz"),
        ("metrics", "metrics.csv"),
    ],
)
def test_what_a_failed_job_did_not_make_is_made_again(study, rule, file):
    """Snakemake deletes a failed job's outputs, and would leave what was made of the old ones for good."""
    for path in (study.folder / "results/small").glob(file):
        path.unlink()
    assert study.planned().keys() >= {rule, "report"}
