import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.compare import COLUMNS, give_stars, rank_test, run
from hipoa.evaluation.settings import CompareSettings
from hipoa.evaluation.statistics.holm import adjust_holm

NETWORK, GROUP = "network: {} per fold", "uncertainty: {} vs {}"


@pytest.fixture
def compare(tmp_path):
    def make(*tables):
        out = tmp_path / "compare.csv"
        run(
            CompareSettings(),
            uncertainty=list(tables),
            out=out,
            differences=tmp_path / "differences.csv",
        )
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)

    return make


def hips(seed, *, right, repeats=3, cohort="labelled", n=40):
    """Variances that are larger where the error is."""
    random = np.random.default_rng([seed])
    rows = []
    for repeat in range(repeats):
        for hip in range(n):
            grade = int(random.integers(1, 8))
            error = 0 if random.random() < right else int(random.integers(1, 4))
            predicted = grade - error if grade > error else grade + error
            rows.append(
                {
                    "hip_id": f"{cohort}{hip // 2}_{'LR'[hip % 2]}",
                    "cohort": cohort,
                    "repeat": repeat,
                    "fold": hip // 2 % 4 if cohort == "labelled" else "",
                    "grade": grade,
                    "predicted": min(predicted, 7),
                    "variance": round(float(random.gamma(2) * (1 + error)) / 100, 5),
                }
            )
    return rows


def fold_shares(rows, most):
    cells = {}
    for row in rows:
        cells.setdefault((row["repeat"], row["fold"]), []).append(
            abs(row["grade"] - row["predicted"]) <= most
        )
    return [np.mean(right) for right in cells.values()]


def test_networks_are_compared_by_their_scores_per_repeat_and_fold(write_uncertainty, compare):
    tables = {"vit": hips(1, right=0.8), "vgg": hips(2, right=0.5)}
    rows = compare(*(write_uncertainty(name, rows) for name, rows in tables.items()))
    for question, most in (("ECA", 0), ("ONCA", 1)):
        (row,) = [row for row in rows if row["question"] == NETWORK.format(question)]
        a, b = (fold_shares(rows, most) for rows in tables.values())
        test = mannwhitneyu(a, b, alternative="two-sided")
        assert (row["cohort"], row["a"], row["b"], row["n_a"], row["n_b"]) == (
            *("labelled", "vit", "vgg"),
            *("12", "12"),
        )
        assert float(row["u"]) == test.statistic
        assert float(row["p"]) == pytest.approx(test.pvalue, rel=1e-5)
        assert float(row["median_a"]) == pytest.approx(np.median(a), rel=1e-5)
        assert row["p_holm"] == row["p"]
        assert row["note"] == "descriptive: values are not independent; Holm over 1 tests"


def test_groups_are_compared_by_their_variances(write_uncertainty, compare):
    table = hips(3, right=0.5)
    rows = compare(write_uncertainty("vit", table))
    assert [row["question"] for row in rows] == [
        GROUP.format("Exact", "1-Neighbor"),
        GROUP.format("Exact", "Others"),
        GROUP.format("1-Neighbor", "Others"),
    ]
    row = rows[1]
    errors = np.array([abs(row["grade"] - row["predicted"]) for row in table])
    variance = np.array([row["variance"] for row in table])
    test = mannwhitneyu(variance[errors == 0], variance[errors >= 2], alternative="two-sided")
    assert (row["a"], row["b"]) == ("vit: Exact", "vit: Others")
    assert (float(row["u"]), row["n_a"]) == (test.statistic, str((errors == 0).sum()))
    assert float(row["p"]) == pytest.approx(test.pvalue, rel=1e-5)
    assert row["stars"] == "***"
    holm = adjust_holm([float(row["p"]) for row in rows])
    assert [float(row["p_holm"]) for row in rows] == pytest.approx(holm, rel=1e-4)


def test_all_experiments_of_a_cohort_are_one_family(write_uncertainty, compare):
    labelled, external = hips(4, right=0.5), hips(5, right=0.5, cohort="external")
    rows = compare(*(write_uncertainty(name, labelled + external) for name in ("a", "b", "c")))
    assert len([row for row in rows if row["question"].startswith("network")]) == 2 * 3
    for cohort in ("labelled", "external"):
        family = [
            row for row in rows if row["cohort"] == cohort and row["question"].startswith("uncertainty")
        ]
        assert len(family) == 9
        assert {row["note"].partition("; ")[2] for row in family} == {"Holm over 9 tests"}


def test_one_experiment_has_no_network_to_be_compared_with(write_uncertainty, compare):
    rows = compare(write_uncertainty("vit", hips(6, right=0.5)))
    assert not [row for row in rows if row["question"].startswith("network")]


def test_an_empty_group_is_not_tested(write_uncertainty, compare):
    table = [row for row in hips(7, right=0.6) if abs(row["grade"] - row["predicted"]) < 2]
    rows = compare(write_uncertainty("vit", table))
    assert [row["stars"] for row in rows][1:] == ["", ""]
    for row in rows[1:]:
        assert (row["n_b"], row["median_b"], row["u"], row["p"], row["p_holm"]) == ("0", "", "", "", "")
        assert row["note"] == "not tested: a group is empty"
    assert rows[0]["p_holm"] == rows[0]["p"]
    assert rows[0]["note"].endswith("Holm over 1 tests")


def test_without_graded_hips_there_is_a_table_without_rows(write_uncertainty, compare):
    ungraded = {"hip_id": "a_L", "cohort": "pool", "grade": "", "predicted": 3}
    assert compare(write_uncertainty("vit", [ungraded])) == []
    assert compare() == []


def test_the_rank_test_is_that_of_scipy_with_and_without_ties():
    random = np.random.default_rng([9])
    for a, b in [
        (random.normal(size=8), random.normal(size=5)),
        (random.integers(0, 4, 30), random.integers(1, 5, 20)),
    ]:
        row, test = rank_test(a, b), mannwhitneyu(a, b, alternative="two-sided")
        assert (row["u"], row["p"]) == (test.statistic, test.pvalue)


def test_equal_values_differ_in_nothing():
    assert rank_test(np.ones(5), np.ones(9))["p"] == 1


def test_holm_by_hand():
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert adjust_holm([]).tolist() == []


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="a reference of the extra dev")
    p = np.random.default_rng([10]).random(20) ** 3
    assert adjust_holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_laws_of_holm(p):
    adjusted = adjust_holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(len(p) * np.array(p), 1) + 1e-12).all()  # never above Bonferroni
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()  # and in the order of p
    assert adjust_holm(p[::-1])[::-1] == pytest.approx(adjusted)


def test_stars():
    assert [give_stars(p) for p in (0.05, 0.049, 0.009, 0.0009)] == ["n.s.", "*", "**", "***"]
