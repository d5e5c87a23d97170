"""Rounds of annotation: kept once, scored on the same hips, the list followed."""

import csv

import numpy as np
import pytest

from hipoa.evaluation.passes import MEASURES
from hipoa.reading import rounds

COLUMNS = ["cohort", "hip_id", "patient_id", "repeat", "fold", "grade", "predicted", "group", "value"]
COLUMNS += [*MEASURES, *(f"p{grade}" for grade in range(1, 8))]


class Study:
    """The tables that the stage reads."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, columns, rows):
        path = self.folder / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="0")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def round(self, labelled, external=(), listed=(), setup="one"):
        """One run: (hip, grade, predicted) of both cohorts, and the list."""
        rows = [
            {
                "cohort": cohort,
                "hip_id": hip,
                "patient_id": f"P{hip[:-2]}",
                "grade": grade,
                "predicted": predicted,
            }
            for cohort, hips in (("labelled", labelled), ("external", external))
            for hip, grade, predicted in hips
        ]
        tables = {
            "uncertainty": [self.write("net.csv", COLUMNS, rows)],
            "hips": self.write(
                "labelled.csv",
                ["hip_id", "grade", "status"],
                [
                    *({"hip_id": hip, "grade": grade, "status": "ok"} for hip, grade, _ in labelled),
                    {"hip_id": "replaced_L", "grade": "1", "status": "excluded"},
                ],
            ),
            "triage": self.write(
                "triage.csv",
                ["rank", "hip_id"],
                [{"rank": n, "hip_id": hip} for n, hip in enumerate(listed, start=1)],
            ),
        }
        files = {"history": self.folder / "history", "out": self.folder / "rounds.csv"}
        rounds.run(**tables, setup=setup, **files)
        with files["out"].open() as file:
            return list(csv.DictReader(file))


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "FIRST", 3)
    return Study(tmp_path)


def hips(n, wrong=0, first="a"):
    """n hips of n / 2 patients, the first few of them predicted a class too high."""
    return [(f"{first}{k // 2:03d}_{'LR'[k % 2]}", k % 6 + 1, k % 6 + 1 + (k < wrong)) for k in range(n)]


def find(table, quantity, number):
    (row,) = [row for row in table if row["quantity"] == quantity and row["round"] == str(number)]
    return row


def test_the_gain_is_of_the_external_cohort_and_paired(study):
    study.round(hips(20), hips(40, wrong=20, first="e"))
    table = study.round(hips(24), hips(40, wrong=10, first="e"))
    assert float(find(table, "ECA", 1)["value"]) == pytest.approx(0.5)
    assert float(find(table, "ECA", 2)["value"]) == pytest.approx(0.75)
    gain = find(table, "ECA, gain on the round before", 2)
    assert float(gain["value"]) == pytest.approx(0.25)
    assert float(gain["low"]) > 0
    assert (gain["n_hips"], gain["n_patients"]) == ("40", "20")
    assert "the external cohort" in gain["note"]
    assert find(table, "newly graded hips", 2)["value"] == "4"


def test_equal_predictions_are_not_shown_to_gain_anything(study):
    study.round(hips(20), hips(40, wrong=10, first="e"))
    gain = find(study.round(hips(24), hips(40, wrong=10, first="e")), "ECA, gain on the round before", 2)
    assert gain["value"] == "0"
    assert -0.1 < float(gain["low"]) == -float(gain["high"]) < 0


def test_without_external_hips_the_first_rounds_hips_are_the_fixed_set(study):
    study.round(hips(20, wrong=10))
    # The queried hips are hard: all accuracy falls, that on the first hips rises.
    table = study.round([*hips(20, wrong=4), *hips(20, wrong=20, first="q")])
    assert float(find(table, "ECA", 2)["value"]) == pytest.approx(0.8)
    assert find(table, "ECA", 2)["n_hips"] == "20"
    assert "first round" in find(table, "ECA", 2)["note"]


def test_all_rounds_are_scored_against_the_grades_of_now(study):
    study.round(hips(20))
    changed = [(hip, 7 if n == 0 else grade, predicted) for n, (hip, grade, predicted) in enumerate(hips(20))]
    table = study.round(changed)
    assert float(find(table, "ECA", 1)["value"]) == pytest.approx(0.95)
    assert find(table, "hips with another grade", 2)["value"] == "1"


def test_the_same_grades_again_are_the_same_round(study):
    study.round(hips(20, wrong=10))
    table = study.round(hips(20, wrong=4))
    assert {row["round"] for row in table} == {"1"}
    assert float(find(table, "ECA", 1)["value"]) == pytest.approx(0.8)
    assert len(list((study.folder / "history").iterdir())) == 1


def test_the_list_is_followed(study):
    study.round(hips(20), listed=["q1", "q2", "q3", "q4", "q5", "q6"])
    table = study.round(hips(22), listed=["q6", "q5", "q4", "q3", "new"])
    assert find(table, "left the list", 2)["value"] == "2"
    assert find(table, "new on the list", 2)["value"] == "1"
    assert find(table, "kept among the first 3", 2)["value"] == "2"
    assert float(find(table, "rank correlation of both lists", 2)["value"]) == -1


def test_other_settings_are_said(study):
    study.round(hips(20), setup="one")
    table = study.round(hips(22), setup="two")
    assert "not of the grades alone" in find(table, "ECA, gain on the round before", 2)["note"]


def test_a_study_without_anything_to_score_has_its_counts(study):
    assert find(study.round([]), "graded hips", 1)["value"] == "0"
    assert np.all([row["quantity"] != "ECA" for row in study.round([])])
