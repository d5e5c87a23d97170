"""Kappas against scikit-learn, and what they are taken of."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from hipoa.grading.settings import HipsSettings
from hipoa.reading.agreement import measure_agreement
from hipoa.reading.records import ReadingIndex

from .test_records import record

TABLE = HipsSettings()


@pytest.fixture(scope="module")
def graded():
    random = np.random.default_rng([5])
    crowe = random.integers(1, 5, (60, 2))
    kl = np.clip(random.integers(0, 5, (60, 1)) + random.integers(-1, 2, (60, 2)), 0, 4)
    return crowe, kl


@pytest.fixture(scope="module")
def rows(graded):
    crowe, kl = graded
    records = [
        record(n % 28, name, f"p{n}", crowe=int(crowe[n, k]), kl=int(kl[n, k]), id=f"reading-{name}-{n}")
        for n in range(60)
        for k, name in enumerate(("Ann", "Bob"))
    ]
    return measure_agreement(
        ReadingIndex(records), {f"p{n}_L": f"patient {n // 2}" for n in range(60)}, TABLE
    )


@pytest.mark.parametrize(("score", "weights"), [("kappa", None), ("quadratic weighted kappa", "quadratic")])
@pytest.mark.parametrize("index", ["Crowe", "KL"])
def test_a_kappa_is_scikit_learns(graded, rows, score, weights, index):
    one, other = graded[("Crowe", "KL").index(index)].T
    (row,) = [row for row in rows if (row["index"], row["score"]) == (index, score)]
    assert row["value"] == pytest.approx(cohen_kappa_score(one, other, weights=weights))
    assert row["low"] < row["value"] < row["high"]
    assert (row["n_hips"], row["n_patients"]) == (60, 30)


def test_the_class_counts_only_pairs_that_both_readers_put_on_the_table(graded, rows):
    crowe, kl = graded
    on = [
        all((int(c), max(1, int(k))) in TABLE.class_table for c, k in zip(crowe[n], kl[n], strict=True))
        for n in range(60)
    ]
    assert {row["n_hips"] for row in rows if row["index"] == "class"} == {sum(on)}


def test_a_hip_that_one_cannot_grade_is_left_out():
    records = [
        record(n, name, f"p{n}", id=f"reading-{name}-{n}") for n in range(3) for name in ("Ann", "Bob")
    ]
    refused = record(9, "Bob", "p0", crowe=None, kl=None, reason="implant")
    rows = measure_agreement(ReadingIndex([*records, refused]), {}, TABLE)
    assert {row["n_hips"] for row in rows} == {2}
    assert [row["value"] for row in rows if row["score"] == "kappa"] == [None] * 3
    assert [row["value"] for row in rows if row["score"] == "agreement"] == [1.0] * 3


def test_second_readings_give_the_intra_reader_agreement():
    first = [record(n, "Ann", f"p{n}", kl=n % 4 + 1) for n in range(8)]
    later = [record(n + 8, "Ann", f"p{n}", kl=max(1, n % 4), again=True) for n in range(8)]
    rows = measure_agreement(ReadingIndex([*first, *later]), {}, TABLE)
    assert {(row["question"], row["a"], row["b"]) for row in rows} == {("intra-reader", "Ann", "Ann")}
    (row,) = [row for row in rows if (row["index"], row["score"]) == ("KL", "agreement")]
    assert row["value"] == pytest.approx(0.25)
