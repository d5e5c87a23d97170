"""The whole loop: train, rank, read the list in a browser, train again, and see what it brought."""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from .conftest import ROOT, Workspace

pytestmark = pytest.mark.slow

READ = 20


@pytest.fixture(scope="module")
def looped(finished, tmp_path_factory):
    """The small study with ten unread patients more, whose CTs are copies of the labelled ones'."""
    folder = tmp_path_factory.mktemp("loop") / "study"
    shutil.copytree(finished.folder, folder, copy_function=shutil.copy2)
    workspace = Workspace(folder)
    table = folder / "my data/cases.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    labelled = [row for row in rows if re.fullmatch(r"phantom-l\d+(-2)?", row["case_id"])][:10]
    with table.open("a", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        for number, row in enumerate(labelled):
            name = f"unread-{number}"
            shutil.copy2(table.parent / row["ct"], table.parent / f"ct/{name}.nii.gz")
            writer.writerow({**row, "case_id": name, "patient_id": name, "ct": f"ct/{name}.nii.gz"})
    workspace.truth = {f"unread-{number}": row["case_id"] for number, row in enumerate(labelled)}
    workspace.configure(reading=True, experiments__vit=None)
    workspace.snakemake()
    return workspace


def read_rows(workspace, file):
    return list(csv.DictReader(workspace.read(file).splitlines()))


def find_grades(workspace):
    """What the script reads: the grade of the labelled hip whose CT it is, else (1, 1)."""
    rows = csv.DictReader((workspace.folder / "my data/grades.csv").read_text(encoding="utf-8").splitlines())
    known = {(row["case_id"], row["side"]): (row["crowe"], row["kl"]) for row in rows}
    return lambda case, side: known.get((workspace.truth.get(case, case), side), ("1", "1"))


@pytest.fixture(scope="module")
def read(looped, chromium, playwright):
    """The first hips of the list, read by keys in headless Chromium."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "hipoa", "read", "--study", "results/small", "--port", port]
    command += ["--reader", "Ann", "--again-every", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    served = subprocess.Popen(command, cwd=looped.folder, stdout=subprocess.PIPE, text=True, env=environment)
    address = next(line.split()[1] for line in served.stdout if line.startswith("Open "))
    grade_of, seen = find_grades(looped), []
    try:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(address)
        before = ""
        for _ in range(READ):
            page.wait_for_function("was => (document.body.dataset.shown ?? '') !== was", arg=before)
            before = page.evaluate("document.body.dataset.shown")
            case, _, side = before.rpartition("_")
            seen.append((before, *grade_of(case, side)))
            for key in (*seen[-1][1:], "Enter"):
                page.keyboard.press(key)
        page.wait_for_function(
            "n => document.getElementById('place').innerText.startsWith(n)", arg=f"{READ} "
        )
        browser.close()
    finally:
        served.kill()
        served.communicate()
    return seen


@pytest.fixture(scope="module")
def second(looped, read):
    """The study after the readings were taken over and everything was run again."""
    folds = looped.read("folds/r0.csv")
    looped.first_folds = {row["patient_id"]: row["fold"] for row in csv.DictReader(folds.splitlines())}
    looped.first_list = read_rows(looped, "triage.csv")
    arguments = ["--study", "results/small", "--rule", "consensus", "--grades", "my data/grades.csv"]
    command = [sys.executable, "-m", "hipoa", "readings", *arguments, "--out", "my data/all grades.csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=looped.folder, check=True, env=environment)
    looped.configure(data__grades="my data/all grades.csv")
    looped.snakemake()
    return looped


def test_the_hips_were_read_in_the_order_of_the_list(second, read):
    ranked = [row["hip_id"] for row in second.first_list if row["rank"]]
    assert [hip for hip, _, _ in read] == ranked[:READ]


def test_what_was_read_is_the_new_label(second, read):
    labelled = {row["hip_id"]: row for row in read_rows(second, "hips/labelled.csv")}
    assert [(labelled[hip]["crowe"], labelled[hip]["kl"]) for hip, _, _ in read] == [row[1:] for row in read]


def test_old_patients_kept_their_folds(second):
    later = {row["patient_id"]: row["fold"] for row in read_rows(second, "folds/r0.csv")}
    assert second.first_folds.items() <= later.items()
    assert len(later) > len(second.first_folds)


def test_read_hips_left_the_list(second, read):
    listed = {row["hip_id"] for row in read_rows(second, "triage.csv")}
    assert not listed & {hip for hip, _, _ in read}


def test_the_second_round_is_set_against_the_first(second, read):
    rows = read_rows(second, "rounds.csv")
    found = {row["quantity"]: row for row in rows if row["round"] == "2"}
    assert {row["round"] for row in rows} == {"1", "2"}
    assert int(found["newly graded hips"]["value"]) == len(read) == READ
    gain = found["ECA, gain on the round before"]
    assert -1 <= float(gain["value"]) <= 1
    # One external patient is too few for an interval.
    assert (gain["n_patients"], gain["low"], gain["high"]) == ("1", "", "")
    assert "the external cohort" in gain["note"]
    assert int(found["left the list"]["value"]) >= READ
    assert "Round 2" in second.read("report.html")
