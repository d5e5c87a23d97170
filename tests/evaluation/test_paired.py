from typing import get_args

import numpy as np
import pytest
from scipy import stats

from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.compare import run
from hipoa.evaluation.comparison.paired import COLUMNS, adjust, resampled_t_test
from hipoa.evaluation.comparison.verdicts import SAME, beats_constant
from hipoa.evaluation.settings import CompareSettings, PrimaryScore


@pytest.fixture
def differences(tmp_path):
    def make(*tables, primary="ECA"):
        out = tmp_path / "differences.csv"
        run(
            CompareSettings(primary_score=primary),
            uncertainty=list(tables),
            out=tmp_path / "compare.csv",
            differences=out,
        )
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)

    return make


def rows_of(right, *, repeats=2, cohort="labelled", seed=0, hips=120, but=()):
    """A share of hips graded right, the rest one class off; the same hips and classes for every seed."""
    grade = np.random.default_rng([99]).integers(2, 7, hips)
    random = np.random.default_rng([seed])
    return [
        {
            "hip_id": f"{cohort}{hip // 2}_{'LR'[hip % 2]}",
            "cohort": cohort,
            "repeat": repeat,
            "fold": hip // 2 % 4 if cohort == "labelled" else "",
            "grade": int(grade[hip]),
            "predicted": int(grade[hip] + (random.random() > right)),
        }
        for repeat in range(repeats)
        for hip in range(hips)
        if hip not in but
    ]


def pick(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_two_experiments_are_compared_on_the_same_patients(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(right, seed=n)) for n, (name, right) in
              enumerate({"good": 0.9, "bad": 0.5}.items())]  # fmt: skip
    (row,) = pick(differences(*tables), question="experiments", metric="ECA")
    assert (row["a"], row["b"], row["cohort"], row["n_hips"], row["n_patients"]) == (
        *("good", "bad", "labelled"),
        *("120", "60"),
    )
    assert float(row["difference"]) == pytest.approx(float(row["value_a"]) - float(row["value_b"]), abs=2e-6)
    assert 0 < float(row["low"]) < float(row["difference"]) < float(row["high"])
    assert float(row["p"]) == float(row["p_holm"]) < 0.001
    assert (row["role"], row["verdict"]) == ("primary", "good better")
    assert row["note"] == "95 % interval: new patients, and networks trained on other such patients"


def test_an_experiment_does_not_differ_from_itself(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(0.7)) for name in ("one", "two")]
    rows = pick(differences(*tables), question="experiments")
    assert len(rows) == 6
    for row in rows:
        assert (row["difference"], row["p"], row["verdict"]) == ("0", "1", SAME)
        if row["unit"] == "share":
            assert float(row["low"]) == -float(row["high"]) < 0
        else:
            assert row["note"] == "no interval: all patients are alike"


def test_only_hips_that_all_graded_are_compared(write_uncertainty, differences):
    tables = [
        write_uncertainty("all", rows_of(0.7)),
        write_uncertainty("some", rows_of(0.6, seed=1, but=range(40))),
    ]
    rows = differences(*tables)
    assert {row["n_hips"] for row in pick(rows, question="experiments")} == {"80"}


def test_only_repeats_that_both_have_are_compared(write_uncertainty, differences):
    tables = [
        write_uncertainty("two", rows_of(0.7)),
        write_uncertainty("one", rows_of(0.7, repeats=1)),
    ]
    # The first repeat of both is the same.
    assert {row["difference"] for row in pick(differences(*tables), question="experiments")} == {"0"}


def row_of(metric, p, a="a", b="b", difference=0.1):
    return {"metric": metric, "a": a, "b": b, "p": p, "difference": str(difference)}


def test_the_primary_score_decides_and_the_others_are_adjusted_together():
    rows = adjust(
        [
            row_of("ECA", 0.01), row_of("ECA", 0.04, b="c"),
            row_of("ONCA", 0.001), row_of("MAE", 0.004, difference=0.2), row_of("ONCA", 0.001, b="c"),
        ],
        "ECA",
    )  # fmt: skip
    assert [row["role"] for row in rows] == ["primary"] * 2 + ["secondary"] * 3
    # Holm over two; then over three, and no less than that of the primary score of the same pair.
    assert [float(row["p_holm"]) for row in rows] == pytest.approx([0.02, 0.04, 0.02, 0.02, 0.04])
    # Of an error less is better.
    assert [row["verdict"] for row in rows] == [*["a better"] * 3, "b better", "a better"]


def test_no_secondary_score_counts_where_the_primary_one_does_not_differ():
    rows = adjust([row_of("MAE", 0.2), row_of("ECA", 1e-6), row_of("ONCA", float("nan"))], "MAE")
    assert [row["verdict"] for row in rows] == [SAME, SAME, ""]
    assert [row["p_holm"] for row in rows] == ["0.2", "0.2", ""]
    (only,) = adjust([row_of("ECA", float("nan"))], "ECA")
    assert (only["p"], only["p_holm"], only["verdict"]) == ("", "", "")


def test_the_primary_score_is_a_setting(write_uncertainty, differences):
    tables = [
        write_uncertainty(n, rows_of(r, seed=s)) for s, (n, r) in enumerate({"a": 0.8, "b": 0.6}.items())
    ]
    rows = differences(*tables, primary="MAE")
    assert {row["metric"] for row in rows if row["role"] == "primary"} == {"MAE"}


def test_the_corrected_test_is_that_of_its_source(write_uncertainty, differences):
    tables = [
        write_uncertainty(n, rows_of(r, seed=s)) for s, (n, r) in enumerate({"a": 0.8, "b": 0.6}.items())
    ]
    (row,) = pick(differences(*tables), question="experiments", metric="ECA")
    scores = []
    for seed, right in enumerate((0.8, 0.6)):
        cells = {}
        for hip in rows_of(right, seed=seed):
            cells.setdefault((hip["repeat"], hip["fold"]), []).append(hip["grade"] == hip["predicted"])
        scores.append(np.array([np.mean(cells[cell]) for cell in sorted(cells)]))
    difference = scores[0] - scores[1]
    # A quarter of the patients is tested, three quarters are trained on.
    error = np.sqrt((1 / 8 + 1 / 3) * difference.var(ddof=1))
    expected = 2 * stats.t.sf(abs(difference.mean() / error), 7)
    assert float(row["resampled_t_p"]) == pytest.approx(expected, rel=5e-3)
    # The correction is the whole difference from the naive paired test.
    naive = stats.ttest_rel(*scores)
    assert naive.statistic * np.sqrt((1 / 8) / (1 / 8 + 1 / 3)) == pytest.approx(difference.mean() / error)


def test_fifteen_repeats_of_four_folds_make_the_naive_error_458_times_larger():
    differences = np.random.default_rng([1]).normal(0.2, 1, 60)
    naive = differences.mean() / stats.sem(differences)
    assert resampled_t_test(differences, 4) == pytest.approx(2 * stats.t.sf(naive / 4.58, 59), rel=1e-3)


def test_folds_that_never_differ_are_not_tested():
    assert np.isnan(resampled_t_test(np.zeros(8), 4))
    assert np.isnan(resampled_t_test(np.array([0.1]), 4))


def test_the_drop_from_the_labelled_to_the_external_cohort(write_uncertainty, differences):
    rows = rows_of(0.9) + rows_of(0.5, cohort="external", seed=3, hips=60)
    (row,) = pick(differences(write_uncertainty("vit", rows)), question="drop", metric="ECA")
    assert (row["a"], row["b"], row["role"]) == ("vit, labelled", "vit, external", "primary")
    assert (row["cohort"], row["n_hips"], row["n_patients"]) == ("external", "60", "30")
    assert 0.2 < float(row["low"]) < float(row["difference"]) < float(row["high"]) < 0.7
    assert row["verdict"] == "vit, labelled better"
    # The labelled side has the variance of training.
    assert row["note"].endswith("95 % interval: new patients, and networks trained on other such patients")


def test_the_drop_of_several_networks_is_adjusted(write_uncertainty, differences):
    tables = [
        write_uncertainty(name, rows_of(0.8, seed=n) + rows_of(0.6, cohort="external", seed=n + 5, hips=60))
        for n, name in enumerate("ab")
    ]
    rows = pick(differences(*tables), question="drop", metric="ECA")
    least = min(rows, key=lambda row: float(row["p"]))
    assert float(least["p_holm"]) == pytest.approx(2 * float(least["p"]), rel=1e-2)
    assert all(row["p"] == f"{float(row['p']):.3g}" for row in rows)


def test_the_two_cohorts_are_of_different_patients(write_uncertainty, differences):
    """Taken for the same, patients who are right and wrong in both would cancel."""
    rows = rows_of(0.7) + [{**row, "cohort": "external", "hip_id": f"x{row['hip_id']}", "fold": ""}
                           for row in rows_of(0.7)]  # fmt: skip
    (row,) = pick(differences(write_uncertainty("vit", rows)), question="drop", metric="ECA")
    assert float(row["difference"]) == 0
    assert float(row["high"]) - float(row["low"]) > 0.05


def test_one_patient_or_no_hip_makes_no_interval(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(0.7, hips=2, repeats=1)) for name in ("a", "b")]
    (row,) = pick(differences(*tables), question="experiments", metric="ECA")
    assert (row["low"], row["high"], row["p"], row["p_holm"], row["verdict"]) == ("", "", "", "", "")
    assert row["note"] == "too few for an interval: 1 patient"
    outside = rows_of(0.5, cohort="external", hips=2)
    (drop,) = pick(
        differences(write_uncertainty("vit", rows_of(0.7) + outside)), question="drop", metric="ECA"
    )
    assert (drop["low"], drop["high"], drop["p"], drop["verdict"]) == ("", "", "", "")
    assert drop["note"].endswith("too few for an interval: 1 patient")
    assert differences() == []


def test_six_patients_cannot_show_more_than_their_signs(write_uncertainty, differences):
    """Six patients, in each of whom one network is right and the other wrong: 2 of 64 ways are as extreme."""
    tables = [
        write_uncertainty(
            name, [{**row, "cohort": "external", "fold": ""} for row in rows_of(right, hips=12)]
        )
        for name, right in {"right": 1.0, "wrong": 0.0}.items()
    ]
    (row,) = pick(differences(*tables), question="experiments", metric="ECA")
    assert row["p"] == "0.0312"


def test_a_network_is_compared_with_the_best_constant_on_its_own_hips(write_uncertainty, differences):
    rows = pick(differences(write_uncertainty("good", rows_of(0.9))), question="constant")
    assert [(row["metric"], row["a"], row["b"], row["verdict"]) for row in rows] == [
        ("ECA", "good", "constant", "good better"),
        ("ONCA", "good", "constant", "good better"),
    ]
    assert all(float(row["low"]) > 0 for row in rows)
    (worse, _) = pick(differences(write_uncertainty("bad", rows_of(0.0))), question="constant")
    assert worse["verdict"] == "constant better"


SCORES_OF_PAIRS = get_args(PrimaryScore)


@pytest.mark.parametrize("primary", SCORES_OF_PAIRS)
def test_a_good_network_is_shown_to_beat_a_constant_by_every_primary_score(
    write_uncertainty, differences, primary
):
    rows = differences(write_uncertainty("good", rows_of(0.9, hips=240)), primary=primary)
    (row,) = pick(rows, question="constant", role="primary")
    assert row["metric"] == primary
    assert row["low"]
    assert beats_constant(rows, "good")
    assert not beats_constant(rows, "other")


@pytest.mark.parametrize("primary", SCORES_OF_PAIRS)
def test_a_network_of_one_class_beats_no_constant(write_uncertainty, differences, primary):
    table = write_uncertainty("same", [{**row, "predicted": 4} for row in rows_of(1.0)])
    assert not beats_constant(differences(table, primary=primary), "same")


def test_too_few_patients_show_no_network_to_beat_a_constant(write_uncertainty, differences):
    rows = differences(write_uncertainty("perfect", rows_of(1.0, hips=10)))
    (row,) = pick(rows, question="constant", role="primary")
    assert float(row["difference"]) > 0
    assert (row["low"], row["verdict"]) == ("", "")
    assert not beats_constant(rows, "perfect")


def test_only_labelled_hips_and_the_primary_score_show_that_a_network_beats_a_constant():
    row = {
        "question": "constant",
        "cohort": "labelled",
        "role": "primary",
        "a": "vit",
        "verdict": "vit better",
    }
    assert beats_constant([row], "vit")
    for other in (
        {"cohort": "external"},
        {"role": "secondary"},
        {"question": "experiments"},
        {"verdict": SAME},
    ):
        assert not beats_constant([row | other], "vit")
