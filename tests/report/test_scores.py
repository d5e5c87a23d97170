import pytest

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.report.scores import INTERVAL, Score, find_best, find_score, gather_scores


@pytest.fixture(scope="module")
def scores(fabricated):
    return gather_scores(read_csv(fabricated.root / "metrics.csv"))


def test_every_row_of_the_table_is_in_one_score(fabricated, scores):
    rows = read_csv(fabricated.root / "metrics.csv")
    assert sum(len(score.spreads) for score in scores) == sum(bool(row["spread_unit"]) for row in rows)
    assert len(scores) == len({(row["experiment"], row["cohort"], row["metric"]) for row in rows})


def test_the_accuracies_have_intervals_about_them(scores):
    for name in ("ECA", "ONCA"):
        for experiment in ("vit", "vgg", "constant"):
            score = find_score(scores, experiment, "labelled", name)
            low, high = score.interval
            assert low <= score.value <= high


def test_a_negative_interval():
    score = Score("vit", "labelled", "kappa", 0.1, "kappa", 9, 9, [("-0.200--0.100", INTERVAL)])
    assert score.interval == (-0.2, -0.1)


def test_an_interval_that_cannot_be_read():
    score = Score("vit", "labelled", "ECA", 0.1, "share", 9, 9, [("0.1 to 0.2", INTERVAL)])
    with pytest.raises(CohortError, match=r'metrics.csv: "0.1 to 0.2" is no interval. Make the table again'):
        _ = score.interval


def test_the_best_is_never_the_constant(scores):
    best = find_best(scores)
    assert not best.is_constant
    assert best.value == max(find_score(scores, name, "labelled", "ECA").value for name in ("vit", "vgg"))
    assert find_best([score for score in scores if score.is_constant]) is None
