"""The agreement of a patient's two hips."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from hipoa.evaluation.metrics.sides import SIDES, pair_sides, score_sides


def test_only_cts_with_a_class_of_both_hips_are_pairs(study):
    """Two CTs of one patient are two pairs; hips without class or radiograph are none."""
    grades = [1, 1, 2, 5, 3, "", "", 4]
    patients = ["a", "a", "a", "a", "b", "b", "c", "c"]
    tables = [
        study.hips("labelled", grades, patients),
        study.hips("external", [6, 7, 1, 1], status="refused"),
    ]
    table = pair_sides(tables)
    assert (table.experiment, table.hip.tolist()) == (SIDES, ["labelled0000", "labelled0001"])
    assert (table.grade.tolist(), table.predicted.tolist()) == ([1, 2], [1, 5])
    assert table.patient.tolist() == ["a", "a"]


def test_shares_and_kappa_are_those_of_scikit_learn(study):
    random = np.random.default_rng([2])
    left = random.integers(1, 8, 40)
    right = np.clip(left + random.integers(-2, 3, 40), 1, 7)
    table = pair_sides([study.hips("labelled", np.stack([left, right], axis=1).ravel().tolist())])
    rows = {row["metric"]: row for row in score_sides(table)}
    assert set(rows) == {"ECA", "quadratic weighted kappa"}
    assert float(rows["ECA"]["value"]) == pytest.approx((left == right).mean(), rel=1e-5)
    kappa = cohen_kappa_score(left, right, weights="quadratic")
    assert float(rows["quadratic weighted kappa"]["value"]) == pytest.approx(kappa, rel=1e-5)
    assert all((row["n_hips"], row["n_patients"]) == (40, 40) for row in rows.values())


def test_without_pairs_there_is_no_row(study):
    table = pair_sides([study.hips("labelled", [1, "", "", 2])])
    assert list(score_sides(table)) == []
    assert len(pair_sides([])) == 0
