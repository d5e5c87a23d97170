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


def fail_triage(study, how):
    """A run whose ranking ends in this way."""
    when = "if 'hipoa' in sys.orig_argv and 'triage' in sys.orig_argv:\n"
    (study.folder / "sitecustomize.py").write_text(f"import os, sys\n{when}    {how}\n")
    return study.snakemake("--forcerun", "triage", "--until", "triage", check=False)


def test_the_last_words_of_a_failed_job_and_its_log(study):
    failed = fail_triage(study, "os.write(2, b'a fault made on purpose\\n'); os._exit(1)")
    end = failed.stderr[failed.stderr.index("triage failed: results/small/logs/triage.log") :]
    assert end.splitlines()[1] == "    a fault made on purpose"
    assert "pool: " in end
    assert "Mend it and start the same command again" in end
    assert "most memory" not in end  # the table of a run that succeeds
    assert failed.stderr.count("a fault made on purpose") == 1
    assert failed.stderr.count("python -m hipoa triage") == 1
    assert "killed" not in failed.stderr


def test_a_killed_job_says_so(study):
    failed = fail_triage(study, "os.kill(os.getpid(), 9)")
    end = failed.stderr[failed.stderr.index("triage failed: results/small/logs/triage.log") :]
    assert end.splitlines()[1].startswith("    killed by signal 9: most often because the memory ran out.")
    assert failed.stderr.count("python -m hipoa triage") == 1


def test_conda_that_is_not_there_is_said_in_one_line(unrun):
    unrun.configure(data={"builtin_cohort": True})
    failed = unrun.snakemake("--use-conda", "--dry-run", check=False, PATH="/usr/bin:/bin")
    assert failed.returncode == 2
    (said,) = (line for line in failed.stderr.splitlines() if "conda" in line)
    assert said.startswith("--use-conda: there is no conda on the PATH. Install one")
    assert "Traceback" not in failed.stderr


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
