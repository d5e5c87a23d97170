import pytest

from hipoa.core.files import read_csv
from hipoa.report.scores import NO_NETWORKS, find_best, find_row, pivot, write_points, write_row


@pytest.fixture(scope="module")
def scores(fabricated):
    return read_csv(fabricated.root / "metrics.csv")


def score(low, high, value="0.1", note="a"):
    keys = {"experiment": "vit", "cohort": "labelled", "metric": "kappa", "unit": "kappa", "note": note}
    return keys | {"value": value, "low": low, "high": high}


def test_the_accuracies_have_intervals_about_them(scores):
    for name in ("ECA", "ONCA"):
        for experiment in ("vit", "vgg", "constant"):
            row = find_row(scores, experiment=experiment, cohort="labelled", metric=name)
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_the_best_is_never_a_baseline(scores):
    networks = [row for row in scores if row["experiment"] in ("vit", "vgg")]
    own = [row for row in networks if (row["cohort"], row["metric"]) == ("labelled", "ECA")]
    assert find_best(scores, "ECA")["value"] == max(row["value"] for row in own)
    assert find_best([row for row in scores if row["experiment"] in NO_NETWORKS], "ECA") is None


def test_the_best_by_an_error_has_the_least(scores):
    own = [
        float(row["value"])
        for row in scores
        if (row["cohort"], row["metric"]) == ("labelled", "MAE") and row["experiment"] in ("vit", "vgg")
    ]
    assert float(find_best(scores, "MAE")["value"]) == min(own)


def test_a_value_is_written_with_its_interval():
    row = score("0.050", "0.150")
    assert write_row(row) == "0.100 (0.050 to 0.150)"
    assert write_row(score("-0.2", "0.1")) == "0.100 (-0.200 to 0.100)"
    assert write_row(row | {"value": ""}) == write_row(None) == "not defined"


@pytest.mark.parametrize(
    ("low", "high", "value", "said"),
    [
        ("-0.2", "0.1", "0.01", "1 percentage point (-20 to 10)"),
        ("-0.2", "0", "-0.1", "-10 percentage points (-20 to 0)"),
        ("-0.2", "0.004", "-0.1", "-10.0 percentage points (-20.0 to 0.4)"),
        ("0.0003", "0.2", "0.1", "10.00 percentage points (0.03 to 20.00)"),
        ("1e-9", "0.2", "0.1", "10.000 percentage points (0.000 to 20.000)"),
        ("", "", "0.1", "10 percentage points"),
        ("", "", "", "not defined"),
    ],
)
def test_a_bound_of_a_difference_is_not_rounded_to_0(low, high, value, said):
    assert write_points(score(low, high, value) | {"unit": "share"}) == said


def test_a_value_without_an_interval_says_why():
    few = "out of fold; too few for an interval: 2 patients"
    assert write_row(score("", "", note=few)) == "0.100 (too few for an interval: 2 patients)"
    alike = "out of fold; no interval: all patients are alike"
    assert write_row(score("", "", note=alike)) == "0.100 (no interval: all patients are alike)"
    assert write_row(score("", "", note=f"{alike}; near its level")) == write_row(score("", "", note=alike))
    assert write_row(score("", "", note="95 % interval: new patients; one repeat")) == "0.100"


def test_rows_of_the_same_keys_stand_side_by_side():
    rows = [
        score("0.0", "0.2") | {"metric": metric, "value": value} for metric, value in (("a", "1"), ("b", ""))
    ]
    columns = [{"metric": "b"}, {"metric": "a"}]
    assert pivot(rows, ["experiment", "cohort"], columns) == [(["vit", "labelled"], [None, rows[0]])]
