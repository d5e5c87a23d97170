"""A small synthetic cohort with coarse voxels, made once."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from hipoa.phantom.cohort.members import PlannedCase, plan_cases
from hipoa.phantom.phantom import run
from hipoa.phantom.settings import PhantomSettings

COARSE = {"spacing_mm": (4.0, 4.0, 4.0)}


@dataclass(frozen=True)
class Made:
    """The files of one shard."""

    folder: Path
    cases: list[dict[str, str]]
    grades: list[dict[str, str]]
    truth: list[dict[str, str]]


def make(folder: Path, settings: PhantomSettings, cohort: str, shard: int = 0, shards: int = 1) -> Made:
    tables = [folder / cohort / f"{shard}.{name}.csv" for name in ("cases", "grades", "truth")]
    run(
        settings,
        cohort=cohort,
        shard=shard,
        shards=shards,
        out=tables[0],
        grades=tables[1],
        truth=tables[2],
    )
    return Made(folder / cohort, *(list(csv.DictReader(table.open())) for table in tables))


@pytest.fixture(scope="session")
def make_shard():
    """The function that makes one shard: (folder, settings, cohort, shard, shards) to its files."""
    return make


@pytest.fixture(scope="session")
def settings() -> PhantomSettings:
    return PhantomSettings(labelled=3, external=1, pool=2, with_landmarks=True, **COARSE)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory, settings: PhantomSettings) -> Made:
    return make(tmp_path_factory.mktemp("labelled"), settings, "labelled")


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory, settings: PhantomSettings) -> Made:
    return make(tmp_path_factory.mktemp("pool"), settings, "pool")


@pytest.fixture(scope="session")
def demo() -> list[PlannedCase]:
    """The labelled cases of the cohort as delivered, one CT per patient."""
    plan = plan_cases({"labelled": 24, "external": 6, "pool": 6})
    return [case for case in plan["labelled"] if case.visit == 0]
