import numpy as np
import pytest

from hipoa.evaluation.calibration.decision import ALL, GAIN, NETWORK, THRESHOLDS, decision_rows
from hipoa.evaluation.graded import grades_only
from hipoa.evaluation.metrics.questions import Question


def decide(probability, true, patient=None):
    """Strategy and threshold to their row."""
    n = len(true)
    table = grades_only(
        "vit",
        hip=np.arange(n).astype(str),
        patient=np.arange(n).astype(str) if patient is None else patient.astype(str),
        grade=np.ones(n, dtype=np.int64),
        predicted=np.ones(n, dtype=np.int64),
        cohort=np.full(n, "labelled"),
    )
    rows = decision_rows(Question("ill", table, probability, true), "mean")
    return {(row["strategy"], row["threshold"]): row for row in rows}


def test_six_hips_by_hand():
    rows = decide(np.array([0.9, 0.8, 0.6, 0.3, 0.2, 0.1]), np.array([1, 1, 0, 1, 0, 0], dtype=bool))
    value = {key: float(row["value"]) for key, row in rows.items()}
    # At 0.5 three hips are acted on, two of them ill: (2 - 1) / 6. All: (3 - 3) / 6.
    assert value[NETWORK, "0.5"] == pytest.approx(1 / 6, abs=1e-5)
    assert value[ALL, "0.5"] == pytest.approx(0, abs=1e-5)
    assert value[GAIN, "0.5"] == pytest.approx(1 / 6, abs=1e-5)
    # At 0.2 (the fifth hip is acted on) a needless act weighs 1/4: (3 - 2 / 4) / 6 and (3 - 3 / 4) / 6.
    assert value[NETWORK, "0.2"] == pytest.approx(2.5 / 6, abs=1e-5)
    assert value[ALL, "0.2"] == pytest.approx(2.25 / 6, abs=1e-5)
    # At 0.75 it weighs 3: two ill hips and none needlessly, or all at (3 - 9) / 6.
    assert value[NETWORK, "0.75"] == pytest.approx(2 / 6, abs=1e-5)
    assert value[ALL, "0.75"] == pytest.approx(-1)


def test_the_curve_is_that_of_the_published_formula():
    random = np.random.default_rng([1])
    probability, true = random.random(200), random.random(200) < 0.3
    rows = decide(probability, true)
    for threshold in THRESHOLDS:
        acted = probability >= threshold
        positive, negative = (acted & true).sum(), (acted & ~true).sum()
        expected = positive / 200 - negative / 200 * threshold / (1 - threshold)
        assert float(rows[NETWORK, f"{threshold:g}"]["value"]) == pytest.approx(expected, abs=1e-5)


def test_probabilities_in_the_order_of_the_truth_are_worth_most():
    true = np.arange(40) < 15
    rows = decide(np.where(true, 0.99, 0.01), true)
    for threshold in THRESHOLDS:
        best = rows[NETWORK, f"{threshold:g}"]
        assert float(best["value"]) == pytest.approx(15 / 40)
        assert float(best["low"]) <= 15 / 40 <= float(best["high"])


def test_a_rule_that_rests_on_few_patients_has_no_interval():
    random = np.random.default_rng([2])
    true, probability = random.random(60) < 0.5, np.full(60, 0.9)
    probability[:8] = 0.1
    rows = decide(probability, true, patient=np.arange(60) // 2)
    assert rows[GAIN, "0.5"]["low"] == ""
    assert rows[GAIN, "0.5"]["note"].endswith("no interval: rests on hips of 4 patients")
    assert rows[GAIN, "0.05"]["note"].endswith("no interval: all patients are alike")
    assert rows[NETWORK, "0.5"]["low"]
    assert rows[ALL, "0.5"]["low"]
