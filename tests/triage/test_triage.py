import csv

import numpy as np
import pytest

from hipoa.core.errors import CohortError, ConfigError
from hipoa.core.files import read_csv
from hipoa.triage.settings import TriageSettings
from hipoa.triage.triage import COLUMNS, run

HIPS = (
    *("hip_id", "case_id", "patient_id", "side", "status", "reason", "crowe", "kl", "grade", "off_table"),
    *("method", "confidence", "turn_deg", "cut"),
)
UNCERTAINTY = (
    *("cohort", "hip_id", "patient_id", "repeat", "fold", "grade", "predicted", "group", "n_models"),
    *(*(f"p{grade}" for grade in range(1, 8)), "value"),
    *("variance", "entropy", "mutual_information", "max_probability", "between_model_variance"),
)


def write(path, columns, rows):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


class Study:
    def __init__(self, folder):
        self.folder = folder
        self.tables, self.cohorts, self.files = {}, {}, []

    def hip(self, name, cohort="pool", **cells):
        case, _, side = name.rpartition("_")
        row = {"hip_id": name, "case_id": case, "patient_id": case, "side": side, "status": "ok"} | cells
        self.cohorts.setdefault(cohort, []).append(row)

    def say(self, name, variance, experiment="vit", **cells):
        """One row of an experiment's uncertainty."""
        p = {f"p{grade}": 0 for grade in range(1, 8)}
        p |= {"p3": 0.8, "p4": 0.2, "max_probability": 0.8} if "p1" not in cells else {}
        row = {"cohort": "pool", "hip_id": name, "repeat": 0, "n_models": 4, "variance": variance} | p | cells
        self.tables.setdefault(experiment, []).append(row)

    def features(self, fold, cohort, features, experiment="vit"):
        """The file of a model's predictions, as far as the list needs it."""
        path = self.folder / "predictions" / experiment / f"r0f{fold}" / f"{cohort}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = np.array(list(features), dtype=str)
        np.savez(path, hip_id=names, features=np.array(list(features.values()), dtype=np.float32))
        self.files.append(path)

    def triage(self, verdict="vit better", **settings):
        hips = [
            write(self.folder / "hips" / f"{name}.csv", HIPS, rows) for name, rows in self.cohorts.items()
        ]
        tables = [
            write(self.folder / "uncertainty" / f"{name}.csv", UNCERTAINTY, rows)
            for name, rows in self.tables.items()
        ]
        out = self.folder / "triage.csv"
        chosen = TriageSettings(**{"measure": "variance"} | settings)
        row = {
            "question": "constant",
            "cohort": "labelled",
            "role": "primary",
            "a": "vit",
            "verdict": verdict,
        }
        differences = write(self.folder / "differences.csv", list(row), [row])
        run(
            chosen,
            uncertainty=tables,
            predictions=self.files,
            hips=hips,
            differences=differences,
            out=out,
        )
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def ranked(rows):
    return [row["hip_id"] for row in rows if row["rank"]]


def test_the_most_uncertain_come_first_and_equal_ones_by_name(study):
    for name, variance in [("b_L", 0.02), ("d_R", 0.01), ("c_L", 0.02), ("a_L", 0.02), ("e_R", 0.03)]:
        study.hip(name)
        study.say(name, variance)
    rows = study.triage()
    assert ranked(rows) == ["e_R", "a_L", "b_L", "c_L", "d_R"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert list(rows[0].values())[:12] == [
        *("1", "e_R", "e", "R", "pool", "", "3"),
        *("0.03", "variance", "0.8", "4", "vit"),
    ]


@pytest.mark.parametrize("verdict", ["vit better", "not shown to differ", "constant better", ""])
def test_the_list_of_a_network_that_beats_no_constant_says_that_its_order_may_be_no_better(study, verdict):
    for name, variance in [("b_L", 0.02), ("a_L", 0.01)]:
        study.hip(name)
        study.say(name, variance)
    study.hip("c_L", status="refused", reason="no hip")
    rows = study.triage(verdict=verdict)
    assert ranked(rows) == ["b_L", "a_L"]
    said = (
        ""
        if verdict == "vit better"
        else (
            "the order of hips to read is not shown to be better than a random one: vit is not shown to "
            "grade better than the same answer for every hip"
        )
    )
    assert [row["caveat"] for row in rows] == [said, said, ""]


def test_the_repeats_are_averaged(study):
    for name, first, second in [("a_L", 0.01, 0.05), ("b_L", 0.04, 0.04)]:
        study.hip(name)
        study.say(name, first, n_models=3, p1=0.6, p7=0.4, max_probability=0.6)
        study.say(name, second, repeat=1, n_models=1, p1=0.1, p7=0.9, max_probability=0.9)
    first, second = study.triage()
    assert (first["hip_id"], first["uncertainty"]) == ("b_L", "0.04")
    assert (second["uncertainty"], second["predicted"]) == ("0.03", "7")
    assert (second["max_probability"], second["n_models"]) == ("0.75", "4")


def test_of_the_largest_probability_the_smallest_comes_first(study):
    for name, largest in [("a_L", 0.9), ("b_L", 0.3), ("c_L", 0.6)]:
        study.hip(name)
        study.say(name, 0, max_probability=largest)
    rows = study.triage(measure="max_probability")
    assert ranked(rows) == ["b_L", "c_L", "a_L"]
    assert [row["uncertainty"] for row in rows] == [row["max_probability"] for row in rows]


@pytest.mark.parametrize("measure", ["entropy", "mutual_information", "between_model_variance"])
def test_every_other_measure_ranks_the_largest_first(study, measure):
    for name, value in [("a_L", 0.1), ("b_L", 0.3)]:
        study.hip(name)
        study.say(name, 0, **{measure: value})
    rows = study.triage(measure=measure)
    assert ranked(rows) == ["b_L", "a_L"]
    assert {row["measure"] for row in rows} == {measure}


def test_what_a_surgeon_has_read_and_the_external_cohort_are_not_listed(study):
    study.hip("read_L", "labelled", crowe="1", kl="2", grade="2")
    study.hip("unread_R", "labelled")
    study.hip("half_L", "labelled", crowe="1")
    study.hip("odd_L", "labelled", crowe="2", kl="1", off_table="yes")
    study.hip("outside_L", "external")
    study.hip("refused_L", "external", status="refused", reason="no hip")
    study.hip("pool_L")
    for name in ("read_L", "unread_R", "half_L", "odd_L", "outside_L", "pool_L"):
        study.say(name, 0.01)
    rows = study.triage()
    assert [(row["hip_id"], row["cohort"]) for row in rows] == [("pool_L", "pool"), ("unread_R", "labelled")]


def test_a_hip_left_out_for_an_implant_is_set_aside_without_a_class(study):
    study.hip("a_L", status="excluded", reason="implant (replacement)")
    study.hip("b_L")
    study.hip("c_L", "labelled", status="excluded", reason="implant (fixation)", crowe="1", kl="1", grade="1")
    study.say("b_L", 0.1)
    rows = study.triage()
    assert [(row["rank"], row["hip_id"], row["set_aside"], row["predicted"]) for row in rows] == [
        ("1", "b_L", "", "3"),
        ("", "a_L", "excluded: implant (replacement)", ""),
    ]


def test_a_refused_hip_is_listed_with_the_reason(study):
    study.hip("b_L", status="refused", reason="slices are missing")
    study.hip("a_R", status="excluded")
    study.hip("i_L", cut="above, below")
    study.hip("ok_L")
    study.say("ok_L", 0.1)
    study.say("i_L", 0.1)
    rows = study.triage()
    assert [(row["rank"], row["hip_id"], row["set_aside"]) for row in rows] == [
        ("1", "ok_L", ""),
        ("", "i_L", "poor image: the CT ends above, below"),
        ("", "a_R", "excluded"),
        ("", "b_L", "refused: slices are missing"),
    ]
    for name in ("predicted", "uncertainty", "max_probability", "n_models", "experiment"):
        assert rows[2][name] == rows[3][name] == ""


def test_a_hip_of_a_patient_with_a_fold_is_ranked_though_one_model_has_seen_it(study):
    for name, models, between in [("a_L", 1, ""), ("b_L", 4, 0.01)]:
        study.hip(name)
        study.say(name, 0.02, n_models=models, between_model_variance=between)
    assert ranked(study.triage()) == ["a_L", "b_L"]
    rows = study.triage(measure="between_model_variance")
    assert ranked(rows) == ["b_L"]
    assert rows[1]["set_aside"] == "one model only: no variance between models"
    assert rows[1]["uncertainty"] == ""


def test_the_named_experiment_or_the_first(study):
    for name, vit, vgg in [("a_L", 0.1, 0.2), ("b_L", 0.2, 0.1)]:
        study.hip(name)
        study.say(name, vit, "vit")
        study.say(name, vgg, "vgg")
    assert ranked(study.triage()) == ["b_L", "a_L"]
    rows = study.triage(experiment="vgg")
    assert ranked(rows) == ["a_L", "b_L"]
    assert {row["experiment"] for row in rows} == {"vgg"}


def test_an_unknown_experiment(study):
    study.hip("a_L")
    study.say("a_L", 0.1, "vit")
    study.say("a_L", 0.1, "vgg")
    with pytest.raises(
        ConfigError,
        match=r'^triage.experiment: there is no experiment "resnet"\. Choose one of: vit, vgg\.$',
    ):
        study.triage(experiment="resnet")


def test_without_an_experiment(study):
    study.hip("a_L")
    with pytest.raises(ConfigError, match=r"^triage.experiment: no table of uncertainty is given\. "):
        study.triage()


def test_an_unread_hip_without_a_prediction(study):
    for name in ("a_L", "b_L", "c_L"):
        study.hip(name)
    study.say("b_L", 0.1)
    with pytest.raises(
        CohortError, match=r"^uncertainty of vit: 2 unread hips have no prediction \(first a_L\)\. "
    ):
        study.triage()


def test_nothing_to_read(study):
    study.hip("a_L", "labelled", grade="1", crowe="1", kl="1")
    study.say("a_L", 0.1)
    assert study.triage() == []
    study.cohorts["pool"] = []
    assert study.triage() == []


def test_refused_hips_alone(study):
    study.hip("a_L", status="refused", reason="no hip")
    study.tables["vit"] = []
    (row,) = study.triage()
    assert (row["rank"], row["set_aside"]) == ("", "refused: no hip")


def test_the_order_of_the_files_and_rows_changes_nothing(study):
    random = np.random.default_rng([1])
    for k in range(30):
        study.hip(f"c{k}_L", "pool" if k % 3 else "labelled", cut="above, below" if k % 7 == 0 else "")
        study.say(f"c{k}_L", round(float(random.random()), 1))
    once = study.triage()
    study.cohorts = {name: rows[::-1] for name, rows in reversed(study.cohorts.items())}
    study.tables["vit"].reverse()
    assert study.triage() == once


def test_hips_of_a_regression_are_ranked_by_the_variance_of_their_value(study):
    for number, (value, variance) in enumerate(((3.4, 0.2), (3.5, 0.5), (6.2, 0.1))):
        study.hip(f"c{number}_L")
        study.say(f"c{number}_L", variance, value=value)
    rows = study.triage()
    assert [(row["hip_id"], row["predicted"]) for row in rows] == [
        ("c1_L", "4"),
        ("c0_L", "3"),
        ("c2_L", "6"),
    ]


def test_the_least_certain_hip_comes_first_by_default_though_its_variance_is_least(study):
    flat = {f"p{grade}": 1 / 7 for grade in range(1, 8)}
    for name, cells in {
        "flat_L": flat | {"max_probability": 1 / 7, "entropy": 1.946},
        "sure_L": {"entropy": 0.5},
    }.items():
        study.hip(name)
        study.say(name, 1e-5 if name == "flat_L" else 5e-4, **cells)
    assert ranked(study.triage(measure=TriageSettings().measure)) == ["flat_L", "sure_L"]
    assert ranked(study.triage()) == ["sure_L", "flat_L"]


def test_a_patients_hips_stand_one_after_the_other(study):
    for name, variance in [("a_L", 0.5), ("b_L", 0.4), ("a_R", 0.1), ("c_R", 0.3)]:
        study.hip(name)
        study.say(name, variance)
    rows = study.triage()
    assert ranked(rows) == ["a_L", "a_R", "b_L", "c_R"]
    assert rows[1]["why"].endswith("; patient's other hip")
    assert ranked(study.triage(unit="hip")) == ["a_L", "b_L", "c_R", "a_R"]


def test_the_budget_does_not_cut_a_patient(study):
    for name, variance in [("a_L", 0.5), ("b_L", 0.4), ("b_R", 0.1), ("c_R", 0.3)]:
        study.hip(name)
        study.say(name, variance)
    rows = study.triage(budget=2)
    assert [(row["hip_id"], row["in_budget"]) for row in rows] == [
        ("a_L", "yes"),
        ("b_L", "yes"),
        ("b_R", "yes"),
        ("c_R", ""),
    ]


def label(study, n=12):
    """Labelled hips about the origin, in one model's features."""
    random = np.random.default_rng([3])
    places = {f"k{number:02}_L": random.normal(size=6) for number in range(n)}
    for name in places:
        study.hip(name, "labelled", grade="3", crowe="1", kl="3")
        study.say(name, 0.01, cohort="labelled", grade=3, predicted=3, patient_id=name[:3], fold=0)
    study.features(0, "labelled", places)
    return places


def test_near_copies_are_not_read_twice_in_one_batch(study):
    label(study)
    random = np.random.default_rng([4])
    copies = {f"a{number}_L": np.full(6, 2.0) + random.normal(size=6) * 1e-3 for number in range(6)}
    others = {"b_L": np.array([2.0, -2, 2, -2, 2, -2]), "c_L": np.array([-2.0, 2, -2, 2, -2, 2])}
    for number, name in enumerate([*copies, *others]):
        study.hip(name)
        study.say(name, 0.5 - number / 100)
    study.features(0, "pool", copies | others)
    assert ranked(study.triage(budget=3, diversity=0))[:3] == ["a0_L", "a1_L", "a2_L"]
    rows = study.triage(budget=3)
    assert {row["hip_id"][0] for row in rows[:3]} == {"a", "b", "c"}
    moved = {row["hip_id"]: row["why"] for row in rows}
    assert moved["c_L"].endswith("moved up from 8: unlike those before")
    assert moved["a1_L"].endswith("moved down from 2: like one before")


def test_the_nearest_labelled_hips_are_named_with_their_grades(study):
    places = label(study)
    study.hip("new_L")
    study.hip("far_L")
    for name in ("new_L", "far_L"):
        study.say(name, 0.1)
    study.features(0, "pool", {"new_L": places["k05_L"] + 0.01, "far_L": np.full(6, 50.0)})
    rows = {row["hip_id"]: row for row in study.triage()}
    assert rows["new_L"]["neighbours"].split("; ")[0] == "k05_L"
    assert rows["new_L"]["neighbour_grades"] == "3; 3; 3"
    assert float(rows["new_L"]["distance"]) < 1.5 < 10 < float(rows["far_L"]["distance"])
    assert "unlike the labelled hips" in rows["far_L"]["why"]
    assert "unlike the labelled hips" not in rows["new_L"]["why"]
    assert ranked(study.triage(measure="distance")) == ["far_L", "new_L"]


def test_no_neighbour_is_of_the_same_patient(study):
    places = label(study)
    study.hip("k05_R", "pool")
    study.say("k05_R", 0.1)
    study.features(0, "pool", {"k05_R": places["k05_L"]})
    (row,) = study.triage()
    assert "k05_L" not in row["neighbours"]


def test_neighbours_of_all_models_are_compared(study):
    random = np.random.default_rng([5])
    for fold in (0, 1):
        places = {f"f{fold}n{number}_L": random.normal(size=6) for number in range(8)}
        for name in places:
            study.hip(name, "labelled", grade=str(fold + 1), crowe="1", kl="1")
        study.features(fold, "labelled", places)
        new = places["f1n3_L"] if fold else np.full(6, 4.0)
        study.features(fold, "pool", {"new_L": new})
    study.hip("new_L")
    study.say("new_L", 0.1)
    (row,) = study.triage()
    assert row["neighbours"].split("; ")[0] == "f1n3_L"
    assert row["neighbour_grades"].split("; ")[0] == "2"


def test_the_conformal_set_of_an_unsure_hip_is_larger(study):
    label(study, 20)
    for row in study.tables["vit"][:4]:
        row["grade"] = 4  # class 4 enters the set while a share of 0.2 is outside
    flat = {f"p{grade}": 1 / 7 for grade in range(1, 8)} | {"max_probability": 1 / 7}
    for name, cells in {"flat_L": flat, "sure_L": {}}.items():
        study.hip(name)
        study.say(name, 0.1, **cells)
    rows = study.triage(measure="set_size")
    assert ranked(rows) == ["flat_L", "sure_L"]
    assert [row["set_size"] for row in rows] == ["6", "2"]


def test_too_few_labelled_patients_give_no_set(study):
    label(study, 8)
    study.hip("new_L")
    study.say("new_L", 0.1)
    (row,) = study.triage(measure="set_size")
    assert row["set_size"] == ""
    assert row["set_aside"] == "too few labelled hips were predicted: no conformal set"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"confidence": "0.4"}, "poor image: the hip's centre is unsure, confidence 0.4"),
        ({"turn_deg": "-31.5"}, "poor image: the pelvis is turned by -31.5 degrees"),
        ({"cut": "above, to the left"}, "poor image: the CT ends above, to the left"),
    ],
)
def test_a_poor_image_is_set_aside_with_its_reason(study, cells, reason):
    study.hip("a_L", **cells)
    study.hip("b_L", confidence="0.9", turn_deg="3", cut="below")
    for name in ("a_L", "b_L"):
        study.say(name, 0.1)
    rows = study.triage()
    assert [(row["hip_id"], row["set_aside"]) for row in rows] == [("b_L", ""), ("a_L", reason)]
    assert ranked(study.triage(set_aside_poor=False)) == ["a_L", "b_L"]


def test_why_says_the_two_most_probable_classes(study):
    for name, variance in [("a_L", 0.02), ("b_L", 0.01)]:
        study.hip(name)
        study.say(name, variance)
    assert study.triage()[0]["why"] == "class 3 (80 %) or 4 (20 %)"
