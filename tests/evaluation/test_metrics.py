import numpy as np
import pytest
from sklearn import metrics as reference

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.evaluation.metrics.baselines import CONSTANT, MAJORITY
from hipoa.evaluation.metrics.metrics import AVERAGED, COLUMNS, run
from hipoa.evaluation.metrics.raters import RATERS
from hipoa.evaluation.metrics.scores import SCORES
from hipoa.evaluation.metrics.subgroups import HIDDEN
from hipoa.evaluation.settings import MetricsSettings

CLASS_TABLE = "[[1, 1], [1, 2], [1, 3], [1, 4], [2, 4], [3, 4], [4, 4]]"


@pytest.fixture
def metrics(tmp_path):
    def make(*tables, hips=(), truth=(), table="metrics", class_table=CLASS_TABLE, **settings):
        out = {name: tmp_path / f"{name}.csv" for name in ("metrics", "confusion", "subgroups")}
        run(
            MetricsSettings(**settings),
            uncertainty=list(tables),
            hips=list(hips),
            truth=list(truth),
            class_table=class_table,
            out=out["metrics"],
            confusion=out["confusion"],
            subgroups=out["subgroups"],
        )
        return read_csv(out[table])

    return make


def pick(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def hips(grades, predicted, repeat=0, cohort="labelled", fold=None, **more):
    """Two hips per patient."""
    return [
        {
            "hip_id": f"{cohort}{row // 2:03}_{'LR'[row % 2]}",
            "cohort": cohort,
            "repeat": repeat,
            "fold": row // 2 % 2 if fold is None else fold,
            "grade": grade,
            "predicted": guess,
            **more,
        }
        for row, (grade, guess) in enumerate(zip(grades, predicted, strict=True))
    ]


@pytest.fixture
def two_repeats():
    random = np.random.default_rng([1])
    grade = random.integers(1, 8, 40)
    return grade, [np.clip(grade + random.integers(-wide, wide + 1, 40), 1, 7) for wide in (1, 5)]


def test_a_score_is_the_mean_over_repeats_and_not_of_the_pooled_hips(write_uncertainty, metrics, two_repeats):
    grade, guesses = two_repeats
    rows = metrics(
        write_uncertainty("vit", [row for r, guess in enumerate(guesses) for row in hips(grade, guess, r)])
    )
    kappas = [
        reference.cohen_kappa_score(grade, guess, weights="quadratic", labels=range(1, 8))
        for guess in guesses
    ]
    values = {row["value"] for row in pick(rows, experiment="vit", metric="quadratic weighted kappa")}
    assert [float(value) for value in values] == [pytest.approx(np.mean(kappas), rel=1e-5)]
    pooled = reference.cohen_kappa_score(
        np.tile(grade, 2), np.concatenate(guesses), weights="quadratic", labels=range(1, 8)
    )
    assert np.mean(kappas) != pytest.approx(pooled, rel=1e-3)


def test_each_score_has_its_interval_spreads_and_n(write_uncertainty, metrics, two_repeats):
    grade, guesses = two_repeats
    path = write_uncertainty("vit", [row for r, guess in enumerate(guesses) for row in hips(grade, guess, r)])
    rows = metrics(path)
    assert path.parent.parent.joinpath("metrics.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert {row["n_hips"] for row in pick(rows, metric="ECA")} == {"40"}
    assert {row["n_patients"] for row in pick(rows, metric="ECA")} == {"20"}
    (row,) = pick(rows, experiment="vit", metric="ECA")
    assert float(row["low"]) < float(row["value"]) < float(row["high"])
    assert row["note"] == (
        "out of fold, by the patient's own fold's model; mean over 2 repeats of the score per repeat; "
        "95 % interval: new patients, and networks trained on other such patients, which vary it more than "
        "patients do, so that it is approximate"
    )
    per_repeat = [(grade == guess).mean() for guess in guesses]
    assert float(row["sd_repeats"]) == pytest.approx(np.std(per_repeat, ddof=1), rel=1e-5)
    fold = np.arange(40) // 2 % 2
    per_fold = [(grade == guess)[fold == k].mean() for guess in guesses for k in (0, 1)]
    assert float(row["sd_folds"]) == pytest.approx(np.std(per_fold, ddof=1), rel=1e-5)


def test_every_score_has_its_unit(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([1, 2, 3, 4], [1, 2, 3, 5])))
    units = {row["metric"]: row["unit"] for row in pick(rows, experiment="vit")}
    assert units == {name: unit for name, (_, unit) in SCORES.items()} | {
        **{f"recall, class {grade}": "share" for grade in range(1, 5)},
        "ranked probability score": "squared probability",
        "mean variance, Exact": "squared probability",
        "mean variance, 1-Neighbor": "squared probability",
    }


def test_one_repeat_has_neither_a_spread_over_repeats_nor_an_average(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([1, 2, 3, 4], [1, 2, 3, 5])))
    (row,) = pick(rows, experiment="vit", metric="ECA")
    assert (row["sd_repeats"], row["sd_folds"]) == ("", "0.353553")
    assert "; one repeat; " in row["note"]
    assert not pick(rows, metric=AVERAGED.format("ECA"))


def test_repeats_are_averaged_by_their_probabilities_hip_by_hip(write_uncertainty, metrics):
    sure = {"p1": 0.9, "p2": 0.1}
    unsure = {"p1": 0.4, "p2": 0.6}
    rows = metrics(
        write_uncertainty(
            "vit", hips([1, 1, 1, 1], [1, 1, 1, 1], 0, **sure) + hips([1, 1, 1, 1], [2, 2, 2, 2], 1, **unsure)
        )
    )
    assert {row["value"] for row in pick(rows, experiment="vit", metric="ECA")} == {"0.5"}
    averaged = pick(rows, metric="ECA, repeats averaged")
    assert [(row["value"], row["sd_folds"]) for row in averaged] == [("1", "")]
    assert "one prediction per hip, from the probabilities averaged over 2 repeats" in averaged[0]["note"]


def test_hips_that_several_models_predict_have_no_spread_over_folds(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([1, 2, 3, 4], [1, 2, 3, 5], cohort="external", fold="")))
    (row,) = pick(rows, experiment="vit", metric="ECA")
    assert row["cohort"] == "external"
    assert row["sd_folds"] == ""
    assert row["note"].startswith("mean over the models that have not seen the patient; ")


def test_the_best_constant_stands_beside_the_scores_once_per_cohort(write_uncertainty, metrics):
    grades = [1, 1, 1, 3, 4, 4, 5, 5]
    tables = [write_uncertainty(name, hips(grades, [2] * 8)) for name in ("vit", "vgg")]
    rows = pick(metrics(*tables), experiment=CONSTANT)
    assert [(row["metric"], row["value"]) for row in rows] == [("ECA", "0.375"), ("ONCA", "0.625")]
    assert [row["note"].partition(" for")[0] for row in rows] == ["baseline: class 1", "baseline: class 4"]


def test_a_baseline_trains_nothing(write_uncertainty, metrics):
    grades = [1, 1, 1, 3, 4, 4, 5, 5] * 2
    rows = pick(metrics(write_uncertainty("vit", hips(grades, [2] * 16))), experiment=CONSTANT)
    assert all(row["low"] for row in rows)
    assert {row["note"].rpartition("; ")[2] for row in rows} == {"95 % interval: new patients"}


def test_raters_are_scored_against_each_other(write_uncertainty, metrics, study):
    random = np.random.default_rng([4])
    one = random.integers(1, 8, 40)
    other = np.clip(one + random.integers(-2, 3, 40), 1, 7)
    calls = [f"{a} {b}" for a, b in zip(one, other, strict=True)]
    table = study.hips("labelled", one, reader_grades=[*calls[:-2], str(one[-2]), ""])
    tables = [write_uncertainty(name, hips(one, one)) for name in ("vit", "vgg")]
    rows = pick(metrics(*tables, hips=[table]), experiment=RATERS)
    assert [row["metric"] for row in rows] == ["ECA", "ONCA", "kappa", "quadratic weighted kappa", "MAE"]
    assert {(row["cohort"], row["n_hips"], row["n_patients"]) for row in rows} == {("labelled", "38", "19")}
    values = {row["metric"]: float(row["value"]) for row in rows}
    assert values["ECA"] == pytest.approx((one == other)[:38].mean(), rel=1e-5)
    assert values["kappa"] == pytest.approx(reference.cohen_kappa_score(one[:38], other[:38]), rel=1e-5)
    assert all(row["low"] for row in rows)
    assert {row["note"] for row in rows} == {
        "agreement of two readers; every pair of readers of a hip counts; 95 % interval: new patients"
    }


def test_three_raters_are_three_pairs_and_a_refused_hip_none(write_uncertainty, metrics, study):
    table = study.hips("labelled", [1, 2], reader_grades=["1 1 2", "2 2 2"])
    refused = study.hips("external", [1, 2], status="refused", reader_grades=["1 7", "1 7"])
    path = write_uncertainty("vit", hips([1, 2], [1, 2]) + hips([1, 2], [1, 2], cohort="external"))
    rows = pick(metrics(path, hips=[table, refused]), experiment=RATERS)
    assert {row["cohort"] for row in rows} == {"labelled"}
    assert float(pick(rows, metric="ECA")[0]["value"]) == pytest.approx(4 / 6, rel=1e-5)
    assert pick(rows, metric="ECA")[0]["n_hips"] == "2"


def test_the_variance_of_each_group(write_uncertainty, metrics):
    table = hips([1, 1, 1, 4], [1, 1, 2, 4])
    for row, variance in zip(table, [0.1, 0.2, 0.9, 0.3], strict=True):
        row["variance"] = variance
    rows = metrics(write_uncertainty("vit", table))
    (exact,) = pick(rows, metric="mean variance, Exact")
    assert (exact["value"], exact["low"], exact["n_hips"]) == ("0.2", "", "3")
    assert exact["note"].endswith("too few for an interval: 2 patients")
    (neighbour,) = pick(rows, metric="mean variance, 1-Neighbor")
    assert (neighbour["value"], neighbour["n_hips"]) == ("0.9", "1")
    assert not pick(rows, metric="mean variance, Others")


def test_a_score_that_is_not_defined_says_so(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([3, 3, 3, 3], [3, 3, 3, 3])))
    (kappa,) = pick(rows, experiment="vit", metric="quadratic weighted kappa")
    assert (kappa["value"], kappa["low"], kappa["sd_folds"]) == ("", "", "")
    assert kappa["note"].endswith("not defined on these hips")
    assert {row["value"] for row in pick(rows, experiment="vit", metric="ECA")} == {"1"}


def test_a_score_that_hangs_on_one_patient_has_no_interval(write_uncertainty, metrics):
    # Without the patient of classes 1 and 2 all is class 3, which kappa cannot score.
    grades = [3] * 14 + [1, 2]
    rows = metrics(write_uncertainty("vit", hips(grades, grades)))
    (kappa,) = pick(rows, experiment="vit", metric="quadratic weighted kappa")
    assert (kappa["value"], kappa["low"]) == ("1", "")
    assert kappa["note"].endswith("no interval: not defined without one of the patients")


@pytest.mark.parametrize(("patients", "low"), [(1, False), (5, False), (6, True)])
def test_fewer_than_six_patients_have_no_interval(write_uncertainty, metrics, patients, low):
    rows = metrics(write_uncertainty("vit", hips([1, 2] * patients, [1, 1] * patients)))
    (row,) = pick(rows, experiment="vit", metric="ECA")
    assert (row["value"], bool(row["low"])) == ("0.5", low)
    of_one = "1 patient" if patients == 1 else f"{patients} patients"
    assert row["note"].endswith(f"too few for an interval: {of_one}") == (not low)


def test_a_mean_over_classes_needs_patients_of_every_class(write_uncertainty, metrics):
    """A cohort without its rarest class would have another balanced accuracy."""
    grades = [1, 2] * 10 + [7, 7] * 5
    rows = metrics(write_uncertainty("vit", hips(grades, [1] * len(grades))))
    (row,) = pick(rows, experiment="vit", metric="balanced accuracy")
    assert (row["low"], row["note"].rpartition("; ")[2]) == (
        "",
        "too few for an interval: 5 patients of a class",
    )
    more = [*grades, 7, 7]
    rows = metrics(write_uncertainty("vit", hips(more, [1] * len(more))))
    (row,) = pick(rows, experiment="vit", metric="balanced accuracy")
    assert float(row["low"]) < 1 / 3 < float(row["high"])


def test_a_recall_counts_the_hips_of_its_class(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([1, 2] * 8, [1, 1] * 8)))
    recall = {
        row["metric"]: row for row in pick(rows, experiment="vit") if row["metric"].startswith("recall")
    }
    assert list(recall) == ["recall, class 1", "recall, class 2"]
    assert [(row["value"], row["n_hips"], row["n_patients"]) for row in recall.values()] == [
        ("1", "8", "8"),
        ("0", "8", "8"),
    ]
    assert all(float(row["low"]) < float(row["high"]) for row in recall.values())


def test_ungraded_hips_do_not_count(write_uncertainty, metrics):
    table = hips([1, 2, 3, 4], [1, 2, 3, 4])
    rows = metrics(write_uncertainty("vit", table + hips(["", ""], [7, 7], cohort="pool")))
    assert {row["cohort"] for row in rows} == {"labelled"}
    assert {row["n_hips"] for row in pick(rows, metric="ECA")} == {"4"}


def test_without_graded_hips_there_is_a_table_without_rows(write_uncertainty, metrics):
    assert metrics(write_uncertainty("vit", hips(["", ""], [7, 7], cohort="pool"))) == []
    assert metrics(write_uncertainty("vit", [])) == []
    assert metrics() == []


def test_the_order_of_the_rows_changes_nothing(write_uncertainty, metrics, two_repeats):
    grade, guesses = two_repeats
    table = [row for r, guess in enumerate(guesses) for row in hips(grade, guess, r)]
    once = metrics(write_uncertainty("vit", table))
    turned = metrics(write_uncertainty("vit", table[::-1]))
    for one, other in zip(once, turned, strict=True):
        assert one == other


def test_a_missing_column(tmp_path, metrics):
    path = tmp_path / "vit.csv"
    path.write_text("cohort,hip_id\n")
    with pytest.raises(
        CohortError,
        match=r"^vit.csv: column between.*, fold, .*p1, .* is missing\. Make it",
    ):
        metrics(path)


def test_the_majority_is_that_of_the_labelled_cohort(write_uncertainty, metrics):
    table = hips([2, 2, 2, 5], [1, 1, 1, 1]) + hips([5, 5, 5, 2], [1, 1, 1, 1], cohort="external", fold="")
    rows = pick(metrics(write_uncertainty("vit", table)), experiment=MAJORITY)
    found = {(row["cohort"], row["metric"]): row["value"] for row in rows}
    assert (found["labelled", "ECA"], found["external", "ECA"]) == ("0.75", "0.25")
    assert found["external", "MAE"] == "2.25"
    assert {row["note"].partition(",")[0] for row in rows} == {"baseline: class 2 for every hip"}
    assert not any("training" in row["note"] for row in rows)


def test_the_recall_of_each_class(write_uncertainty, metrics):
    rows = metrics(write_uncertainty("vit", hips([1, 1, 2, 2, 2, 7], [1, 2, 2, 2, 3, 7])))
    recall = {row["metric"][-1]: row["value"] for row in rows if row["metric"].startswith("recall")}
    assert recall == {"1": "0.5", "2": "0.666667", "7": "1"}


def test_the_confusion_is_a_mean_over_the_repeats(write_uncertainty, metrics):
    rows = hips([1, 1, 2, 7], [1, 2, 2, 7]) + hips([1, 1, 2, 7], [1, 1, 2, 6], repeat=1)
    table = metrics(write_uncertainty("vit", rows), table="confusion")
    assert [row["grade"] for row in table] == list("1234567")
    assert [table[0][f"predicted_{n}"] for n in (1, 2, 3)] == ["1.5", "0.5", "0"]
    assert [table[6][f"predicted_{n}"] for n in (6, 7)] == ["0.5", "0.5"]
    assert sum(float(row[f"predicted_{n}"]) for row in table for n in range(1, 8)) == 4
    assert {row["note"] for row in table} == {"hips, mean over 2 repeats"}
    single = metrics(write_uncertainty("vit", hips([1, 7], [1, 7])), table="confusion")
    assert {row["note"] for row in single} == {"hips"}


def named(study, grades, predicted, cohort="labelled", **more):
    """Rows with the names that the table of hips has."""
    rows = hips(grades, predicted, cohort=cohort, **more)
    return [{**row, "hip_id": name} for row, name in zip(rows, study.names(cohort, len(rows)), strict=True)]


def test_crowe_and_kl_are_those_of_the_predicted_class(write_uncertainty, metrics, study):
    # Classes 4 and 5 are (1, 4) and (2, 4): one Crowe grade apart and the same KL.
    table = study.hips("labelled", [4, 1, 3, 7])
    rows = metrics(write_uncertainty("vit", named(study, [4, 1, 3, 7], [5, 2, 3, 4])), hips=[table])
    value = {row["metric"]: row["value"] for row in pick(rows, experiment="vit", cohort="labelled")}
    assert (value["Crowe accuracy"], value["Crowe accuracy within one"]) == ("0.5", "0.75")
    assert (value["Crowe MAE"], value["KL MAE"]) == ("1", "0.25")
    assert (value["KL accuracy"], value["KL accuracy within one"]) == ("0.75", "1")


def test_a_kl_0_is_as_mild_as_the_classes_can_say(write_uncertainty, metrics, study):
    table = study.hips("labelled", [1, 1], kl=[0, 1])
    path = write_uncertainty("vit", named(study, [1, 1], [1, 1]))
    value = {row["metric"]: row["value"] for row in metrics(path, hips=[table])}
    assert value["KL accuracy"] == "1"
    with_0 = CLASS_TABLE.replace("[1, 1]", "[1, 0]")
    value = {row["metric"]: row["value"] for row in metrics(path, hips=[table], class_table=with_0)}
    assert value["KL accuracy"] == "0.5"


def test_hips_without_an_index_are_left_out_of_it(write_uncertainty, metrics, study):
    table = study.hips("labelled", [1, 2, 3, 4], crowe=["", "", 1, 1], kl=["", "", "", ""])
    rows = metrics(write_uncertainty("vit", named(study, [1, 2, 3, 4], [1, 2, 3, 5])), hips=[table])
    (crowe, *_) = pick(rows, metric="Crowe accuracy")
    assert (crowe["value"], crowe["n_hips"]) == ("0.5", "2")
    assert not [row for row in rows if row["metric"].startswith("KL")]


def test_the_binary_question(write_uncertainty, metrics, study):
    random = np.random.default_rng([8])
    grade = np.maximum(random.integers(-2, 8, 60), 1)
    probability = random.dirichlet(np.ones(7), 60)
    rows = named(study, grade, probability.argmax(axis=1) + 1)
    for row, shares in zip(rows, probability, strict=True):
        row |= {f"p{n}": f"{share:.9f}" for n, share in enumerate(shares, start=1)}
    found = metrics(write_uncertainty("vit", rows), hips=[study.hips("labelled", grade)])
    value = {row["metric"]: float(row["value"]) for row in found if row["metric"].startswith("KL >=")}
    sick, chance = grade >= 2, probability[:, 1:].sum(axis=1)
    assert value["KL >= 2 accuracy"] == pytest.approx(((chance > 0.5) == sick).mean(), rel=1e-5)
    assert value["KL >= 2 AUROC"] == pytest.approx(reference.roc_auc_score(sick, chance), rel=1e-5)
    assert value["KL >= 2 sensitivity"] == pytest.approx(reference.recall_score(sick, chance > 0.5), rel=1e-5)
    assert value["KL >= 2 specificity"] == pytest.approx(
        reference.recall_score(~sick, chance <= 0.5), rel=1e-5
    )
    (area,) = pick(found, metric="KL >= 2 AUROC")
    assert float(area["low"]) < value["KL >= 2 AUROC"] < float(area["high"])


def test_subgroups_are_scored_apart(write_uncertainty, metrics, study):
    grade = [1 + row % 7 for row in range(46)]
    predicted = [*grade[:20], *([7] * 20), *grade[40:]]
    table = study.hips(
        "labelled",
        grade,
        sex=["F"] * 20 + ["M"] * 20 + [""] * 6,
        scanner=["A"] * 46,
        implant=[""] * 45 + ["yes"],
    )
    rows = metrics(write_uncertainty("vit", named(study, grade, predicted)), hips=[table], table="subgroups")
    assert {row["column"] for row in rows} == {"sex", "side", "implant"}
    exact = {row["subgroup"]: row for row in pick(rows, column="sex", metric="ECA")}
    assert {name: row["value"] for name, row in exact.items()} == {"F": "1", "M": "0.15"}
    # All hips of the women are graded exactly: there is a difference, but nothing to tell its error from.
    assert (exact["M"]["reference"], exact["M"]["difference"], exact["M"]["p"]) == ("F", "-0.85", "")
    (few,) = pick(rows, column="sex", subgroup=HIDDEN)
    assert (few["n_hips"], few["n_patients"], few["value"]) == ("", "", "")
    assert not pick(rows, column="implant", subgroup="yes")


@pytest.mark.parametrize(("n_patients", "name", "count"), [(4, HIDDEN, ""), (5, "M", "5"), (9, "M", "9")])
def test_a_subgroup_of_fewer_than_five_patients_is_not_named(
    write_uncertainty, metrics, study, n_patients, name, count
):
    grade = [1 + row % 7 for row in range(20 + 2 * n_patients)]
    table = study.hips("labelled", grade, sex=["F"] * 20 + ["M"] * 2 * n_patients)
    rows = metrics(write_uncertainty("vit", named(study, grade, grade)), hips=[table], table="subgroups")
    own = [row for row in pick(rows, column="sex") if row["subgroup"] != "F"]
    assert [(row["subgroup"], row["n_patients"], row["metric"]) for row in own] == [(name, count, "")]
    assert ("fewer than 5" in own[0]["note"]) == (name == HIDDEN)


def test_scores_by_scanner_leave_out_who_would_stand_alone(write_uncertainty, metrics, study):
    grade = [1 + row % 7 for row in range(80)]
    maker = ["Siemens"] * 40 + ["GE"] * 20 + ["Philips"] * 18 + ["Canon"] * 2
    table = study.hips("labelled", grade, manufacturer=maker)
    rows = metrics(write_uncertainty("vit", named(study, grade, grade)), hips=[table], table="subgroups")
    found = pick(rows, metric="ECA", column="manufacturer")
    assert [row["subgroup"] for row in found] == ["GE", "Siemens", "others, each of fewer than 10 patients"]


def test_age_bounds_must_rise():
    with pytest.raises(ValueError, match="the bounds do not rise"):
        MetricsSettings(age_bounds_years=(65, 50))
