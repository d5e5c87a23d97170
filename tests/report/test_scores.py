import pytest

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.report.scores import NO_NETWORKS, find_best, find_row, gather_scores, pivot, write_row


@pytest.fixture(scope="module")
def scores(fabricated):
    return gather_scores(read_csv(fabricated.root / "metrics.csv"))


def score(spread, value="0.1"):
    keys = {"experiment": "vit", "cohort": "labelled", "metric": "kappa", "unit": "kappa", "note": "a; b"}
    return keys | {"value": value, "spread": spread, "spread_unit": "95 % interval, patients resampled"}


def test_every_row_of_the_table_is_in_one_score(fabricated, scores):
    rows = read_csv(fabricated.root / "metrics.csv")
    assert sum(len(score["spreads"]) for score in scores) == sum(bool(row["spread_unit"]) for row in rows)
    assert len(scores) == len({(row["experiment"], row["cohort"], row["metric"]) for row in rows})


def test_the_accuracies_have_intervals_about_them(scores):
    for name in ("ECA", "ONCA"):
        for experiment in ("vit", "vgg", "constant"):
            row = find_row(scores, experiment=experiment, cohort="labelled", metric=name)
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])


def test_a_negative_interval():
    (row,) = gather_scores([score("-0.200--0.100")])
    assert (row["low"], row["high"], row["notes"]) == ("-0.200", "-0.100", ["a", "b"])


def test_an_interval_that_cannot_be_read():
    with pytest.raises(CohortError, match=r'metrics.csv: "0.1 to 0.2" is no interval. Make the table again'):
        gather_scores([score("0.1 to 0.2")])


def test_the_best_is_never_a_baseline(scores):
    networks = [row for row in scores if row["experiment"] in ("vit", "vgg")]
    own = [row for row in networks if (row["cohort"], row["metric"]) == ("labelled", "ECA")]
    assert find_best(scores)["value"] == max(row["value"] for row in own)
    assert find_best([row for row in scores if row["experiment"] in NO_NETWORKS]) is None


def test_a_value_is_written_with_its_interval():
    (row,) = gather_scores([score("0.050-0.150")])
    assert write_row(row) == "0.100 (0.050 to 0.150)"
    assert write_row(row | {"low": ""}) == "0.100"
    assert write_row(row | {"value": ""}) == write_row(None) == "not defined"


def test_rows_of_the_same_keys_stand_side_by_side():
    rows = [
        score("0.0-0.2") | {"metric": metric, "value": value} for metric, value in (("a", "1"), ("b", ""))
    ]
    columns = [{"metric": "b"}, {"metric": "a"}]
    assert pivot(rows, ["experiment", "cohort"], columns) == [(["vit", "labelled"], [None, rows[0]])]
