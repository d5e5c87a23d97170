"""A new stage by the steps of CONTRIBUTING.md: it is a rule, a subcommand, and a table of the report."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from .conftest import ROOT

STEP = re.compile(
    r"^\d\. [^`]*`(\S+)`(?:, before `([^`]+)`)?:\n\n   ```python\n(.*?)\n   ```$", re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def extended(unrun_module):
    """A copy of the workflow in which the steps are done."""
    steps = STEP.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(steps) == 4
    for name, before, text in steps:
        path = unrun_module.folder / name
        added = re.sub(r"^   ", "", text, flags=re.MULTILINE) + "\n"
        if before:
            old = path.read_text(encoding="utf-8")
            assert old.count(before) == 1
            path.write_text(old.replace(before, added + before), encoding="utf-8")
        else:
            path.write_text(added, encoding="utf-8")
    unrun_module.configure(data={"builtin_cohort": True})
    return unrun_module


def run(study, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(study.folder)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=study.folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_it_is_planned(extended):
    assert extended.planned("--config", "preset=micro")["counts"] == 1
    assert extended.planned_outputs("counts") == ["results/small/counts.csv"]
    assert re.search(r"hipoa report .* --tables .*results/small/counts\.csv", extended.plan)


def test_it_is_a_command(extended):
    (extended.folder / "hips.csv").write_text("hip_id,grade\na_L,3\na_R,3\nb_L,\n")
    assert re.search(r"^  counts +count the hips of each class$", run(extended, "-m", "hipoa", "-h"), re.M)
    run(extended, "-m", "hipoa", "counts", "--hips", "hips.csv", "--out", "counts.csv")
    assert (extended.folder / "counts.csv").read_text() == "grade,n_hips\n3,2\n"


def test_the_report_shows_and_traces_it(extended):
    code = """
        import json
        from hipoa.report.outputs import TABLES
        from hipoa.report.provenance import trace_files
        print(json.dumps([TABLES["counts.csv"], trace_files(["counts.csv", "hips/labelled.csv"], {})]))
    """
    title, traced = json.loads(run(extended, "-c", textwrap.dedent(code)))
    assert title == "Hips of each class"
    assert traced["counts.csv"]["stage"] == "counts"
    assert traced["counts.csv"]["inputs"] == ["hips/labelled.csv"]
