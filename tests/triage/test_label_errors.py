"""Wrong labels are found; the ordinal part is pinned by small cases."""

import csv

import numpy as np
import pytest
from scipy.special import softmax

from hipoa.core.files import read_csv
from hipoa.triage.label_errors import COLUMNS, NOT_JUDGED, find_exchanged, run, score_labels
from hipoa.triage.settings import LabelErrorsSettings

MEASURES = ("variance", "entropy", "mutual_information", "max_probability", "between_model_variance")
UNCERTAINTY = (
    *("cohort", "hip_id", "patient_id", "repeat", "fold", "grade", "predicted", "group"),
    *(*MEASURES, *(f"p{grade}" for grade in range(1, 8)), "value"),
)


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def spread(centre, width=1.0):
    """Probabilities (n, 7) about centres (n,) in classes."""
    return softmax(-((np.arange(1, 8) - np.asarray(centre)[:, None]) ** 2) / width, axis=1)


class Study:
    def __init__(self, folder):
        self.folder, self.hips, self.tables = folder, [], {}

    def hip(self, name, grade, **cells):
        row = {"hip_id": name, "patient_id": name[:-2], "side": name[-1], "status": "ok", "grade": grade}
        self.hips.append(row | cells)

    def say(self, name, grade, probability, experiment="vit", repeat=0, cohort="labelled"):
        row = {"cohort": cohort, "hip_id": name, "patient_id": name[:-2], "repeat": repeat, "fold": 0}
        row |= {"grade": grade, "predicted": int(np.argmax(probability)) + 1, "group": "Exact"}
        row |= dict.fromkeys(MEASURES, 0.1) | {f"p{k}": p for k, p in enumerate(probability, start=1)}
        self.tables.setdefault(experiment, []).append(row)

    def find_errors(self, better=("vit", "vgg"), **settings):
        """The table, where the networks of these names are shown to beat a constant."""
        hips = write(
            self.folder / "labelled.csv", ("hip_id", "patient_id", "side", "status", "grade"), self.hips
        )
        tables = [write(self.folder / f"{name}.csv", UNCERTAINTY, rows) for name, rows in self.tables.items()]
        out = self.folder / "label_errors.csv"
        differences = write_verdicts(self.folder / "differences.csv", self.tables, better)
        run(LabelErrorsSettings(**settings), uncertainty=tables, hips=hips, differences=differences, out=out)
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)


def write_verdicts(path, experiments, better):
    columns = ("question", "cohort", "role", "a", "verdict")
    row = {"question": "constant", "cohort": "labelled", "role": "primary"}
    return write(
        path,
        columns,
        [
            row | {"a": name, "verdict": f"{name} better" if name in better else "not shown to differ"}
            for name in experiments
        ],
    )


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_a_distant_class_is_a_likelier_error_than_an_adjacent_one():
    probability = np.array([[0.02, 0.96, 0.02, 0, 0, 0, 0]] * 3 + [[0, 0, 0.5, 0, 0, 0.5, 0]] * 2)
    scores = score_labels(probability, np.array([2, 3, 6, 3, 6]))
    assert scores["expected_distance"][:3] == pytest.approx([0.04, 1.0, 4.0], abs=0.03)
    assert scores["self_confidence"][:3] == pytest.approx([0.96, 0.02, 0])
    assert scores["suggested"][:3].tolist() == [2, 2, 2]
    assert scores["doubted"].tolist() == [False, True, True, False, False]


def test_a_label_that_is_the_most_probable_class_is_not_doubted():
    # Of class 2 the models are never sure: 0.4 of it is much there, yet 0.5 of the label is more.
    probability = np.zeros((5, 7))
    probability[:2, 0] = 0.9
    probability[2:4, 1], probability[2:4, 2] = 0.4, 0.3
    probability[4, :2] = 0.5, 0.4
    scores = score_labels(probability, np.array([1, 1, 2, 2, 1]))
    assert scores["suggested"].tolist() == [1, 1, 2, 2, 1]
    assert not scores["doubted"].any()


def test_confidence_is_measured_by_that_of_a_classs_own_hips():
    # The last hip's label is 7. Class 1 is suggested with 0.6: enough if its own hips have no more.
    for own, doubted in ((0.55, True), (0.9, False)):
        probability = np.zeros((9, 7))
        probability[:4, 0], probability[:4, 1] = own, 1 - own
        probability[4:8, 6] = 1
        probability[8, :2] = 0.6, 0.4
        scores = score_labels(probability, np.array([1, 1, 1, 1, 7, 7, 7, 7, 7]))
        assert scores["doubted"].tolist() == [False] * 8 + [doubted]


def test_models_that_answer_nearly_the_same_of_every_hip_doubt_no_label():
    random = np.random.default_rng([3])
    grade = random.choice(np.arange(1, 8), 200, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])
    shares = np.bincount(grade, minlength=8)[1:] / 200
    probability = softmax(np.log(shares) + random.normal(0, 0.3, (200, 7)), axis=1)
    assert not score_labels(probability, grade)["doubted"].any()
    # One hip of which they say something clear is another matter.
    row = int(np.flatnonzero(grade == 1)[0])
    probability[row] = [0.01, 0, 0, 0, 0.04, 0.9, 0.05]
    assert np.flatnonzero(score_labels(probability, grade)["doubted"]).tolist() == [row]


def test_repeats_and_experiments_are_averaged_and_other_cohorts_left_out(study):
    study.hip("a_L", 1)
    study.hip("b_L", 1)
    sure, other = [1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0]
    for repeat, probability in enumerate((sure, other)):
        study.say("a_L", 1, probability, repeat=repeat)
        study.say("b_L", 1, sure, repeat=repeat)
    study.say("a_L", 1, sure, "vgg")
    study.say("b_L", 1, sure, "vgg")
    study.say("out_L", 7, sure, cohort="external")
    first, second = study.find_errors()
    assert (first["hip_id"], first["expected_distance"], first["self_confidence"]) == ("a_L", "0.5", "0.75")
    assert (first["n_predictions"], first["against"]) == ("3", "0.333333")
    assert (second["hip_id"], second["expected_distance"], second["rank"]) == ("b_L", "0", "2")


def test_exchanged_sides_are_noticed():
    probability = spread([6, 1, 2, 2])
    side, case = np.array(["L", "R", "L", "R"]), np.array(["a", "a", "b", "b"])
    found = find_exchanged(probability, np.array([1, 6, 2, 3]), side, case)
    assert found.tolist() == [True, True, False, False]
    assert not find_exchanged(probability, np.array([6, 1, 2, 3]), side, case).any()


def test_hips_without_label_or_prediction_are_not_listed(study):
    study.hip("a_L", 1)
    study.hip("b_L", 1)
    study.hip("c_L", "", status="refused")
    study.say("a_L", 1, [1, 0, 0, 0, 0, 0, 0])
    assert [row["hip_id"] for row in study.find_errors()] == ["a_L"]


@pytest.mark.parametrize("rank_by", ["expected_distance", "self_confidence"])
def test_planted_wrong_labels_are_found_far_above_chance(study, rank_by):
    random = np.random.default_rng([5])
    true = random.integers(1, 8, 200)
    # The models see the true class with an error, as they do out of fold.
    probability = spread(true + random.normal(size=200) * 0.5)
    planted = random.choice(200, 20, replace=False)
    label = true.copy()
    label[planted] = np.where(true[planted] > 4, true[planted] - 2, true[planted] + 2)
    for row in range(200):
        study.hip(f"c{row:03}_L", label[row])
        study.say(f"c{row:03}_L", label[row], probability[row])
    first = [row["hip_id"] for row in study.find_errors(rank_by=rank_by)[:20]]
    found = len({f"c{row:03}_L" for row in planted} & set(first))
    # By chance 2 of 20.
    assert found >= 15


def say_of_wrong_labels(study):
    """Twenty hips of classes 1 and 6; of "a00_L" the network vit is sure that its label is wrong."""
    for number in range(20):
        name, grade = f"a{number:02}_L", 1 + 5 * (number % 2)
        study.hip(name, grade)
        sure = spread([7 - grade if number == 0 else grade])[0]
        study.say(name, grade, sure, "vit")
        study.say(name, grade, np.full(7, 1 / 7), "vgg")


def test_only_networks_that_beat_a_constant_speak_against_a_label(study):
    say_of_wrong_labels(study)
    rows = study.find_errors(better=["vit"])
    assert [row["hip_id"] for row in rows if row["doubted"]] == ["a00_L"]
    assert {row["n_predictions"] for row in rows} == {"1"}
    assert {row["note"] for row in rows} == {""}


def test_where_no_network_beats_a_constant_no_label_is_doubted(study):
    say_of_wrong_labels(study)
    rows = study.find_errors(better=[])
    assert len(rows) == 20
    assert not any(row["doubted"] for row in rows)
    assert {row["note"] for row in rows} == {NOT_JUDGED}


def test_no_labelled_hip_at_all(study):
    study.tables["vit"] = []
    assert study.find_errors() == []
