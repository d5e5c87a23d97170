"""Networks against single readers, beside the label and beside other readers."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from hipoa.evaluation.graded import read_graded
from hipoa.evaluation.metrics.against_readers import (
    SCORED,
    compare_with_readers,
    score_against_label,
    score_against_reader,
)


@pytest.fixture
def table(write_uncertainty):
    """Labels, and what a network predicts in two repeats, of 30 patients with two hips."""
    random = np.random.default_rng([6])
    grade = random.integers(1, 8, 60)
    rows = [
        {
            "hip_id": f"p{row // 2}_{'LR'[row % 2]}",
            "grade": int(grade[row]),
            "predicted": int(np.clip(grade[row] + random.integers(-1, 2), 1, 7)),
            "repeat": repeat,
        }
        for repeat in (0, 1)
        for row in range(60)
    ]
    return read_graded(write_uncertainty("vit", rows))


def read(table, seed, share=1.0):
    """A reader's classes of some of the hips."""
    random = np.random.default_rng([seed])
    label = dict(zip(table.hip.tolist(), table.grade.tolist(), strict=True))
    return {
        hip: int(np.clip(grade + random.integers(-1, 2), 1, 7))
        for hip, grade in label.items()
        if random.random() < share
    }


def numbers(rows):
    return {row["metric"]: float(row["value"]) for row in rows}


def score(grade, predicted):
    """The reference: scikit-learn's kappa, and loops."""
    error = [abs(a - b) for a, b in zip(grade, predicted, strict=True)]
    kappa = cohen_kappa_score(grade, predicted, weights="quadratic", labels=range(1, 8))
    of_error = (np.mean([e == 0 for e in error]), np.mean([e <= 1 for e in error]))
    return dict(zip(SCORED, (*of_error, kappa, np.mean(error)), strict=True))


def mean_over_repeats(table, grades_of):
    """The reference's mean over repeats; `grades_of` gives two lists from hips, labels and predictions."""
    parts = [table.where(table.repeat == repeat) for repeat in (0, 1)]
    scores = [score(*grades_of(part.hip.tolist(), part.grade, part.predicted)) for part in parts]
    return {name: np.mean([one[name] for one in scores]) for name in SCORED}


def test_a_reader_and_the_label_on_the_hips_that_she_graded(table):
    reader = read(table, 1, share=0.6)

    def keep(values, hips):
        return [value for value, hip in zip(values, hips, strict=True) if hip in reader]

    rows = list(score_against_reader(table, reader))
    expected = mean_over_repeats(
        table, lambda hips, _, made: ([reader[h] for h in hips if h in reader], keep(made, hips))
    )
    assert numbers(rows) == pytest.approx(expected, rel=1e-5)
    assert {row["n_hips"] for row in rows} == {len(reader)}
    beside = list(score_against_label(table, reader))
    expected = mean_over_repeats(table, lambda hips, label, made: (keep(label, hips), keep(made, hips)))
    assert numbers(beside) == pytest.approx(expected, rel=1e-5)
    assert {row["n_hips"] for row in beside} == {len(reader)}


def test_the_difference_from_other_readers_is_on_the_hips_they_share(table):
    reader, others = read(table, 1, 0.8), [read(table, 2, 0.7), read(table, 3, 0.5)]
    rows = list(compare_with_readers(table, reader, others))

    def pairs(hips, values):
        return [
            (reader[hip], value, other[hip])
            for other in others
            for hip, value in zip(hips, values, strict=True)
            if hip in reader and hip in other
        ]

    def against(column):
        def grades(hips, _, made):
            found = pairs(hips, made)
            return [one[0] for one in found], [one[column] for one in found]

        return mean_over_repeats(table, grades)

    network, readers = against(1), against(2)
    expected = {name: network[name] - readers[name] for name in SCORED}
    assert numbers(rows) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert [row["unit"] for row in rows] == [
        "share",
        "share",
        "kappa",
        "classes",
    ]
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)


def test_two_hips_by_hand(write_uncertainty):
    made = [{"hip_id": "p0_L", "grade": 1, "predicted": 1}, {"hip_id": "p1_L", "grade": 4, "predicted": 6}]
    table = read_graded(write_uncertainty("vit", made))
    one, other = {"p0_L": 1, "p1_L": 5}, {"p0_L": 3, "p1_L": 5, "p2_L": 1}
    assert numbers(score_against_reader(table, one))["ECA"] == 0.5
    # The network is 0 and 1 classes off reader one, the other reader 2 and 0.
    found = numbers(compare_with_readers(table, one, [other]))
    assert (found["ECA"], found["ONCA"], found["MAE"]) == (0, 0.5, -0.5)


def test_a_network_that_says_what_the_other_reader_says_differs_by_nothing(table):
    reader = read(table, 1)
    copy = dict(zip(table.hip[:60].tolist(), table.predicted[:60].tolist(), strict=True))
    first = table.where(table.repeat == 0)
    for row in compare_with_readers(first, reader, [copy]):
        assert row["value"] == "0"
        if row["unit"] == "share":
            assert float(row["low"]) == -float(row["high"]) < 0
        else:
            assert row["note"] == "no interval: all patients are alike"


def test_a_reader_who_shares_no_hip_has_no_row(table):
    stranger = {"q0_L": 3}
    assert not [*score_against_reader(table, stranger)]
    assert not [*score_against_label(table, stranger)]
    assert not [*compare_with_readers(table, read(table, 1), [stranger])]
