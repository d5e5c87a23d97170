"""What lies beside the checkout or on the machine, and why a test skips without it."""

import locale
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared/data"
MINI_SLURM = Path(__file__).parents[2] / "shared/cluster/mini_slurm.sh"


def _skip_or_fail(reason, required):
    if os.environ.get(required):
        pytest.fail(f"{reason}, but {required} is set")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _same_locale():
    """Whoever writes DICOM with GDCM puts the locale back, or the next reads its text files as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    after = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, before)
    assert after == before


@pytest.fixture(scope="session")
def real_ct():
    """The folder of the real CT."""
    folder = SHARED / "real_ct"
    if not folder.is_dir():
        _skip_or_fail(
            "the real CT is not beside the checkout (../shared/data/real_ct)", "HIPOA_REQUIRE_SHARED"
        )
    return folder


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        _skip_or_fail("no Chromium is installed", "HIPOA_REQUIRE_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def slurm():
    """A real Slurm of one node: partitions cpu and gpu, two fake GPUs; stopped afterwards."""
    missing = None
    if not MINI_SLURM.is_file():
        missing = (
            "the script that starts a Slurm is not beside the checkout (../shared/cluster/mini_slurm.sh)"
        )
    elif not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        missing = "Slurm is not installed"
    elif os.geteuid() != 0:
        missing = "only root can start a Slurm"
    elif Path("/etc/slurm/slurm.conf").exists():
        missing = "there is another Slurm on this machine"
    if missing:
        _skip_or_fail(missing, "HIPOA_REQUIRE_SLURM")
    folder = tempfile.mkdtemp(prefix="slurm")  # a socket's path must be short
    script = ["bash", str(MINI_SLURM)]
    environment = {**os.environ, "MS_DIR": folder}
    try:
        subprocess.run([*script, "up"], env=environment, check=True)
        yield
    finally:
        subprocess.run([*script, "down"], env=environment, check=True)


@pytest.fixture(scope="session")
def playwright():
    """One Playwright for all tests: a second one cannot start while the first is open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started
