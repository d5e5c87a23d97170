import numpy as np
import pytest
from scipy import stats

from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.compare import run
from hipoa.evaluation.comparison.paired import COLUMNS, CORRECTED, PAIRED, UNPAIRED, resampled_t_test
from hipoa.evaluation.settings import BootstrapSettings
from hipoa.evaluation.statistics.bootstrap import two_sided_p


@pytest.fixture
def differences(tmp_path):
    def make(*tables, resamples=500):
        out = tmp_path / "differences.csv"
        run(
            BootstrapSettings(bootstrap_resamples=resamples),
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


def test_two_experiments_are_compared_on_the_same_draws(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(right, seed=n)) for n, (name, right) in
              enumerate({"good": 0.9, "bad": 0.5}.items())]  # fmt: skip
    (row,) = pick(differences(*tables), test=PAIRED, metric="ECA")
    assert (row["a"], row["b"], row["cohort"], row["n_hips"], row["n_patients"]) == (
        *("good", "bad", "labelled"),
        *("120", "60"),
    )
    assert float(row["difference"]) == pytest.approx(float(row["value_a"]) - float(row["value_b"]), abs=2e-6)
    assert 0 < float(row["low"]) < float(row["difference"]) < float(row["high"])
    # No draw goes the other way: two of 501 is the least that 500 draws can say.
    assert float(row["p"]) == float(row["p_holm"]) == pytest.approx(2 / 501, rel=1e-5)
    assert "Holm over 1 tests" in row["note"]


def test_an_experiment_does_not_differ_from_itself(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(0.7)) for name in ("one", "two")]
    for row in pick(differences(*tables), test=PAIRED):
        assert (row["difference"], row["low"], row["high"], row["p"]) == ("0", "0", "0", "1")


def test_only_hips_that_all_graded_are_compared(write_uncertainty, differences):
    tables = [
        write_uncertainty("all", rows_of(0.7)),
        write_uncertainty("some", rows_of(0.6, seed=1, but=range(40))),
    ]
    rows = differences(*tables)
    assert {row["n_hips"] for row in pick(rows, question="experiments")} == {"80"}


def test_holm_counts_the_pairs_of_one_score(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(0.7, seed=n)) for n, name in enumerate("abc")]
    rows = pick(differences(*tables), test=PAIRED, metric="MAE")
    assert len(rows) == 3
    assert {row["note"].rpartition("; ")[2] for row in rows} == {"Holm over 3 tests"}
    smallest = min(rows, key=lambda row: float(row["p"]))
    assert float(smallest["p_holm"]) == pytest.approx(min(1, 3 * float(smallest["p"])), rel=1e-4)


def test_the_corrected_test_is_that_of_its_source(write_uncertainty, differences):
    tables = [
        write_uncertainty(n, rows_of(r, seed=s)) for s, (n, r) in enumerate({"a": 0.8, "b": 0.6}.items())
    ]
    (row,) = pick(differences(*tables), test=CORRECTED, metric="ECA")
    scores = []
    for seed, right in enumerate((0.8, 0.6)):
        cells = {}
        for hip in rows_of(right, seed=seed):
            cells.setdefault((hip["repeat"], hip["fold"]), []).append(hip["grade"] == hip["predicted"])
        scores.append(np.array([np.mean(cells[cell]) for cell in sorted(cells)]))
    difference = scores[0] - scores[1]
    # A quarter of the patients is tested, three quarters are trained on.
    error = np.sqrt((1 / 8 + 1 / 3) * difference.var(ddof=1))
    assert float(row["p"]) == pytest.approx(2 * stats.t.sf(abs(difference.mean() / error), 7), rel=1e-5)
    low, high = stats.t.interval(0.95, 7, difference.mean(), error)
    assert (float(row["low"]), float(row["high"])) == pytest.approx((low, high), rel=1e-4)
    # The correction is the whole difference from the naive paired test.
    naive = stats.ttest_rel(*scores)
    assert naive.statistic * np.sqrt((1 / 8) / (1 / 8 + 1 / 3)) == pytest.approx(difference.mean() / error)


def test_fifteen_repeats_of_four_folds_make_the_naive_error_458_times_larger():
    differences = np.random.default_rng([1]).normal(1, 1, 60)
    naive = stats.sem(differences)
    row = resampled_t_test(differences, 4)
    reach = (float(row["high"]) - float(row["low"])) / 2
    assert reach / (naive * stats.t.ppf(0.975, 59)) == pytest.approx(4.58, abs=0.005)


def test_folds_that_never_differ_are_not_tested():
    assert np.isnan(resampled_t_test(np.zeros(8), 4)["p"])
    assert np.isnan(resampled_t_test(np.array([0.1]), 4)["p"])


def test_the_drop_from_the_labelled_to_the_external_cohort(write_uncertainty, differences):
    rows = rows_of(0.9) + rows_of(0.5, cohort="external", seed=3, hips=60)
    (row,) = pick(differences(write_uncertainty("vit", rows)), question="drop", metric="ECA")
    assert (row["a"], row["b"], row["test"]) == ("vit, labelled", "vit, external", UNPAIRED)
    assert (row["cohort"], row["n_hips"], row["n_patients"]) == ("external", "60", "30")
    assert 0.2 < float(row["low"]) < float(row["difference"]) < float(row["high"]) < 0.6
    assert row["p_holm"] == ""


def test_the_two_cohorts_are_drawn_apart(write_uncertainty, differences):
    """Drawn alike, patients who are right and wrong in both would cancel."""
    rows = rows_of(0.7) + [{**row, "cohort": "external", "hip_id": f"x{row['hip_id']}", "fold": ""}
                           for row in rows_of(0.7)]  # fmt: skip
    (row,) = pick(differences(write_uncertainty("vit", rows)), question="drop", metric="ECA")
    assert float(row["difference"]) == 0
    assert float(row["high"]) - float(row["low"]) > 0.05


def test_one_patient_or_no_hip_makes_no_interval(write_uncertainty, differences):
    tables = [write_uncertainty(name, rows_of(0.7, hips=2, repeats=1)) for name in ("a", "b")]
    (row,) = pick(differences(*tables), test=PAIRED, metric="ECA")
    assert (row["low"], row["high"], row["p"], row["p_holm"]) == ("", "", "", "")
    assert differences() == []


def test_p_by_hand():
    assert two_sided_p(np.array([-1.0] + [1.0] * 98)) == pytest.approx(2 * 2 / 100)
    assert two_sided_p(np.zeros(50)) == 1
    assert two_sided_p(np.array([1.0, np.nan])) == 1  # 2 * (0 + 1) / (1 + 1)
    assert np.isnan(two_sided_p(np.array([np.nan])))
