"""What lies beside the checkout or on the machine, and why a test skips without it."""

import os
import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared/data"


def _skip_or_fail(reason, required):
    if os.environ.get(required):
        pytest.fail(f"{reason}, but {required} is set")
    pytest.skip(reason)


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
