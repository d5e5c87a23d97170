import csv

import numpy as np
import pytest

from hipoa.errors import CohortError, ConfigError
from hipoa.files import read_csv
from hipoa.triage.settings import TriageSettings
from hipoa.triage.triage import COLUMNS, run

HIPS = ("hip_id", "case_id", "side", "status", "reason", "implant", "crowe", "kl", "grade", "off_table")
UNCERTAINTY = (
    *("hip_id", "repeat", "n_models", *(f"p{grade}" for grade in range(1, 8)), "value"),
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
        self.tables, self.cohorts = {}, {}

    def hip(self, name, cohort="pool", **cells):
        case, _, side = name.rpartition("_")
        row = {"hip_id": name, "case_id": case, "side": side, "status": "ok"} | cells
        self.cohorts.setdefault(cohort, []).append(row)

    def say(self, name, variance, experiment="vit", **cells):
        """One row of an experiment's uncertainty."""
        p = {f"p{grade}": 0 for grade in range(1, 8)}
        p |= {"p3": 0.8, "p4": 0.2, "max_probability": 0.8} if "p1" not in cells else {}
        row = {"hip_id": name, "repeat": 0, "n_models": 4, "variance": variance} | p | cells
        self.tables.setdefault(experiment, []).append(row)

    def triage(self, **settings):
        hips = [
            write(self.folder / "hips" / f"{name}.csv", HIPS, rows) for name, rows in self.cohorts.items()
        ]
        tables = [
            write(self.folder / "uncertainty" / f"{name}.csv", UNCERTAINTY, rows)
            for name, rows in self.tables.items()
        ]
        out = self.folder / "triage.csv"
        run(TriageSettings(**settings), uncertainty=tables, hips=hips, out=out)
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
    assert list(rows[0].values()) == [
        *("1", "e_R", "e", "R", "pool", "", "3"),
        *("0.03", "variance", "0.8", "4", "vit"),
    ]


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


def test_a_hip_with_an_implant_is_set_aside(study):
    for name, implant, variance in [("a_L", "yes", 0.9), ("b_L", "", 0.1), ("c_L", "yes", 0.2)]:
        study.hip(name, implant=implant)
        study.say(name, variance)
    rows = study.triage()
    assert [(row["rank"], row["hip_id"], row["set_aside"]) for row in rows] == [
        ("1", "b_L", ""),
        ("", "a_L", "implant"),
        ("", "c_L", "implant"),
    ]
    assert rows[1]["uncertainty"] == "0.9"
    assert ranked(study.triage(set_aside_implants=False)) == ["a_L", "c_L", "b_L"]


def test_a_refused_hip_is_listed_with_the_reason(study):
    study.hip("b_L", status="refused", reason="slices are missing")
    study.hip("a_R", status="excluded")
    study.hip("i_L", implant="yes")
    study.hip("ok_L")
    study.say("ok_L", 0.1)
    study.say("i_L", 0.1)
    rows = study.triage()
    assert [(row["rank"], row["hip_id"], row["set_aside"]) for row in rows] == [
        ("1", "ok_L", ""),
        ("", "i_L", "implant"),
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
        study.hip(f"c{k}_L", "pool" if k % 3 else "labelled", implant="yes" if k % 7 == 0 else "")
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
