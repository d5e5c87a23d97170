"""Own CTs in two rounds of reading, with what a clinic's pool holds: a chest, a replaced hip, a second CT."""

import csv
import json
import os
import re
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from hipoa.reading.records import Record

from .conftest import ROOT

pytestmark = pytest.mark.slow

REPLACED = "phantom-p001_R"
OFF_TABLE = "phantom-p004_L"
SECOND_CT = "phantom-l003-2"


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hipoa", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=environment)


def read_rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with path.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_chest(path):
    """A trunk of soft tissue with two lungs, of air, and a spine; no hip."""
    i, j, k = np.ogrid[:80, :60, :80]
    hu = np.where(((i - 39.5) / 36) ** 2 + ((j - 29.5) / 26) ** 2 < 1, 40, -1000) + 0 * k
    for middle in (22, 57):
        hu[((i - middle) / 13) ** 2 + ((j - 30) / 18) ** 2 + 0 * k < 1] = -850
    hu[(((i - 39.5) ** 2 + (j - 8) ** 2) < 25) & (k >= 0)] = 300
    hu = hu + np.random.default_rng([5]).normal(0, 10, hu.shape)
    nib.save(nib.Nifti1Image(hu.astype(np.int16), np.diag([5.0, 5.0, 5.0, 1.0])), path)


def make_data(folder):
    """Patients of the built-in cohort as own data: the third one's second CT is in the pool."""
    rows, grades = [], []
    for cohort in ("labelled", "pool"):
        files = [f"--{name}={folder / f'{cohort}.{name}.csv'}" for name in ("grades", "truth")]
        drawn = ["--labelled=6", "--pool=4", "--external=0", "--spacing-mm=[4,4,4]", "--with-landmarks=true"]
        shard = ["--shard=0", "--shards=1", f"--cohort={cohort}", f"--out={folder / f'{cohort}.cases.csv'}"]
        run(ROOT, "phantom", *shard, *drawn, *files)
        rows += read_rows(folder / f"{cohort}.cases.csv")
        grades += read_rows(folder / f"{cohort}.grades.csv")
    write_chest(folder / "ct/chest.nii.gz")
    chest = {"case_id": "chest", "patient_id": "chest", "ct": "ct/chest.nii.gz"}
    write_rows(folder / "cases.csv", [*rows, dict.fromkeys(rows[0], "") | chest])
    by_hand = {"case_id": REPLACED[:-2], "side": "R", "crowe": "1", "kl": "1"}
    write_rows(folder / "grades.csv", [*grades, dict.fromkeys(grades[0], "") | by_hand])


def read_on_the_page(history, study, hips):
    """The log that the page writes."""
    history.mkdir(parents=True, exist_ok=True)
    lines = [
        Record(
            id=f"reading-{number}",
            kind="reading",
            reader="Ann",
            hip_id=hip,
            time=f"2026-03-01T10:{number:02d}:00.000+00:00",
            case_id=hip[:-2],
            side=hip[-1],
            crowe=crowe,
            kl=kl,
            study=study,
        ).model_dump_json()
        for number, (hip, (crowe, kl)) in enumerate(hips.items())
    ]
    (history / "readings.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")


class Round:
    """What a run left and printed."""

    def __init__(self, workspace, data):
        config = {"study": "clinic", "preset": "micro", "phantom": {}}
        tables = {"cases": str(data / "cases.csv"), "grades": str(data / "grades.csv")}
        config["explain"] = {"explained_hips": 0}
        config["data"] = tables | {"builtin_cohort": False, "shards": 1}
        (workspace.folder / "config.yaml").write_text(json.dumps(config))
        done = workspace.snakemake()
        self.printed = done.stdout + done.stderr
        self.results = workspace.folder / "results/clinic"
        self.report = (self.results / "report.html").read_text(encoding="utf-8")
        self.hips = {
            row["hip_id"]: row for path in self.results.glob("hips/*.csv") for row in read_rows(path)
        }
        self.triage = {row["hip_id"]: row for row in read_rows(self.results / "triage.csv")}
        self.folds = {row["patient_id"]: row["fold"] for row in read_rows(self.results / "folds/r0.csv")}
        uncertainty = read_rows(self.results / "uncertainty/efficientnet.csv")
        self.predicted = {row["hip_id"]: row for row in uncertainty}

    def list_section(self, name):
        """A section of the report, without the marks of its abbreviations."""
        section = self.report.split(f'<section id="{name}">')[1].split("</section>")[0]
        return re.sub("</?abbr[^>]*>", "", section)


@pytest.fixture(scope="module")
def rounds(unrun_module, tmp_path_factory):
    """Both rounds, and what `readings` printed between them."""
    data = tmp_path_factory.mktemp("clinic")
    make_data(data)
    first = Round(unrun_module, data)
    unread = [hip for hip, row in first.triage.items() if row["rank"] and not hip.startswith("phantom-l")]
    # All hips that the page can show, but those of the second CT: the chest is a third of what is left.
    grades = dict.fromkeys(unread, (1, 2)) | {OFF_TABLE: (2, 3)}
    read_on_the_page(unrun_module.folder / "history/clinic", "clinic", grades)
    merged = ["--grades", data / "grades.csv", "--out", data / "merged.csv", "--rule", "latest"]
    told = run(unrun_module.folder, "readings", "--study", "results/clinic", *merged)
    (data / "merged.csv").replace(data / "grades.csv")
    return first, told.stdout + told.stderr, Round(unrun_module, data), unread


def test_a_chest_among_the_pool_stops_no_round(rounds):
    first, _, second, unread = rounds
    pools = [[hip for hip, row in one.hips.items() if row["cohort"] == "pool"] for one in (first, second)]
    assert len(pools[0]) == 10
    assert len(pools[1]) == 4  # of which two are of the chest: half
    assert len(unread) >= 5
    for one, pool in zip((first, second), pools, strict=True):
        assert {one.hips[f"chest_{side}"]["status"] for side in "LR"} == {"refused"}
        words = f"warning: 2 of {len(pool)} hips of the pool cannot be ranked or read"
        assert one.printed.count(words) == 1
        assert f"2 of {len(pool)} hips of the pool were refused." in one.report
        assert "chest_L" in one.list_section("refused")
        assert one.triage["chest_L"]["set_aside"].startswith("refused: ")


def test_a_replaced_hip_that_was_graded_by_hand_is_neither_trained_on_nor_scored(rounds):
    first, told, second, _ = rounds
    assert f"    {REPLACED}: excluded: implant (replacement)\n" in told
    for one in (first, second):
        row = one.hips[REPLACED]
        assert (row["cohort"], row["status"], row["implant"]) == ("labelled", "excluded", "replacement")
        assert (row["crowe"], row["kl"], row["grade"]) == ("1", "1", "1")
        assert REPLACED not in one.predicted
        assert REPLACED not in {row["hip_id"] for row in read_rows(one.results / "folds/r0.csv")}
        assert f"        {REPLACED}: excluded: implant (replacement)\n" in one.printed
        assert "1 hip left out for a replacement of the joint" in one.printed
        assert "excluded: implant (replacement)" in one.list_section("refused")


def test_a_grade_of_no_class_is_named_before_and_after_the_run(rounds):
    first, told, second, _ = rounds
    words = f"{OFF_TABLE}: Crowe II, KL 3 is in no class\n"
    assert OFF_TABLE not in first.printed
    assert words in told
    assert f"        {words}" in second.printed
    assert "Crowe II, KL 3 is in no class" in second.list_section("refused")


def test_the_second_ct_of_a_labelled_patient_is_predicted_by_her_own_fold(rounds):
    first, _, second, _ = rounds
    assert first.folds.items() <= second.folds.items()
    for one in (first, second):
        for side in "LR":
            row = one.predicted[f"{SECOND_CT}_{side}"]
            assert (row["cohort"], row["n_models"]) == ("pool", "1")
            assert row["fold"] == one.folds["phantom-l003"]
            assert f"{SECOND_CT}_{side}" in one.list_section("triage")
