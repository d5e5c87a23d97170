import warnings

import numpy as np
import pytest
from scipy.special import expit, logit

from hipoa.evaluation.calibration.recalibration import (
    IN_THE_LARGE,
    OBSERVED,
    SLOPE,
    fit_intercept,
    fit_slope,
    recalibrate,
    recalibration_rows,
    refit_without,
)
from hipoa.evaluation.graded import grades_only
from hipoa.evaluation.metrics.questions import Question, ask_errors, ask_indices, ask_thresholds

PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))


def draw(seed, n, slope=1.0, intercept=0.0):
    """Log odds, and answers whose own log odds are a line of them."""
    random = np.random.default_rng([seed])
    x = random.normal(0.5, 1.5, n)
    return x, random.random(n) < expit(intercept + slope * x)


def ask(probability, true, repeats=1, hips_per_patient=2):
    n = len(true) // repeats
    hip = np.tile(np.arange(n), repeats)
    table = grades_only(
        "vit",
        hip=hip.astype(str),
        patient=(hip // hips_per_patient).astype(str),
        grade=true + 1,
        predicted=np.ones(len(true), dtype=np.int64),
        repeat=np.repeat(np.arange(repeats), n),
        cohort=np.full(len(true), "labelled"),
    )
    return Question("ill", table, probability, true)


def score(question):
    return {name: estimate.by_repeat for name, estimate in recalibrate(question).items()}


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.4, 0.8), (-0.3, -1)])
def test_both_regressions_are_those_of_statsmodels(slope, intercept):
    api = pytest.importorskip("statsmodels.api", reason="a reference of the extra dev")
    x, true = draw(1, 150, slope, intercept)
    binomial = api.families.Binomial()
    in_the_large = api.GLM(true, np.ones((150, 1)), family=binomial, offset=x).fit()
    line = api.GLM(true, np.column_stack([np.ones(150), x]), family=binomial).fit()
    assert fit_intercept(x, true) == pytest.approx(in_the_large.params[0], abs=1e-7)
    assert fit_slope(x, true) == pytest.approx(line.params, abs=1e-6)


def test_a_calibrated_network_has_intercept_0_and_slope_1_within_the_error():
    found = {IN_THE_LARGE: [], SLOPE: [], OBSERVED: []}
    for seed in range(40):
        x, true = draw(seed, 400)
        for name, value in score(ask(expit(x), true)).items():
            found[name].append(value[0])
    for name, target in ((IN_THE_LARGE, 0), (SLOPE, 1), (OBSERVED, 1)):
        error = np.std(found[name], ddof=1) / np.sqrt(40)
        assert np.mean(found[name]) == pytest.approx(target, abs=3.5 * error), name


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_probabilities_too_extreme_by_a_temperature_divide_the_slope_by_it(temperature):
    x, true = draw(2, 300)
    own, scaled = fit_slope(x, true), fit_slope(temperature * x, true)
    assert scaled == pytest.approx((own[0], own[1] / temperature), rel=1e-6)


def test_adding_to_the_log_odds_takes_as_much_from_the_intercept():
    x, true = draw(3, 300)
    assert fit_intercept(x + 0.7, true) == pytest.approx(fit_intercept(x, true) - 0.7, abs=1e-9)
    # In the large nothing is left: as many as expected have the outcome.
    assert expit(x + fit_intercept(x, true)).sum() == pytest.approx(true.sum(), abs=1e-9)


def test_the_same_probability_for_all_by_hand():
    # Three of four are ill, half are expected: log odds of log 3 instead of 0, and 1.5 times as many.
    found = score(ask(np.full(8, 0.5), np.array([1, 1, 1, 0] * 2, dtype=bool)))
    assert found[IN_THE_LARGE][0] == pytest.approx(np.log(3))
    assert found[OBSERVED][0] == pytest.approx(1.5)
    assert np.isnan(found[SLOPE][0])


def test_the_slope_of_two_probabilities_by_hand():
    # 1 of 4 ill where log odds are -1, 3 of 4 where they are 1: a line from -log 3 to log 3.
    x = np.repeat([-1.0, 1.0], 4)
    true = np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    assert fit_slope(x, true) == pytest.approx((0, np.log(3)), abs=1e-7)


@pytest.mark.parametrize(
    "true", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]]
)
def test_without_overlap_there_is_no_slope(true):
    x = np.array([-1.0, 0.0, 0.0, 2.0]) if sum(true) in (1, 3) else np.arange(4.0)
    assert np.isnan(fit_slope(x, np.array(true, dtype=bool))).all()


def test_the_fits_without_each_patient_are_those_of_a_loop():
    x, true = draw(4, 60, 0.6)
    patient = np.arange(60) // 3
    for free_slope in (False, True):
        fit = fit_slope(x, true) if free_slope else (fit_intercept(x, true), 1.0)
        found = refit_without(x, true, patient, patient.max() + 1, fit, free_slope=free_slope)
        for number in range(20):
            kept = patient != number
            expected = (
                fit_slope(x[kept], true[kept]) if free_slope else (fit_intercept(x[kept], true[kept]), 1)
            )
            assert found[number] == pytest.approx(expected, abs=1e-6)


def test_one_step_is_near_the_fit_where_patients_are_many(monkeypatch):
    x, true = draw(5, 900)
    fit, patient = fit_slope(x, true), np.arange(900) // 2
    exact = refit_without(x, true, patient, patient.max() + 1, fit, free_slope=True)
    monkeypatch.setattr("hipoa.evaluation.calibration.recalibration._MANY_PATIENTS", 1)
    one_step = refit_without(x, true, patient, patient.max() + 1, fit, free_slope=True)
    assert one_step.std(axis=0) == pytest.approx(exact.std(axis=0), rel=0.03)
    assert not (one_step == exact).all()


def test_parts_of_the_patients_change_no_fit(monkeypatch):
    x, true = draw(5, 60)
    fit, patient = fit_slope(x, true), np.arange(60) // 2
    whole = refit_without(x, true, patient, patient.max() + 1, fit, free_slope=True)
    monkeypatch.setattr("hipoa.evaluation.calibration.recalibration._WORKING_NUMBERS", 420)
    assert refit_without(x, true, patient, patient.max() + 1, fit, free_slope=True) == pytest.approx(
        whole, abs=1e-7
    )


def test_the_scores_are_the_mean_over_repeats_of_the_fits():
    parts = [draw(seed, 40) for seed in (7, 8)]
    x, true = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = score(ask(expit(x), true, repeats=2))
    for name, fit in ((IN_THE_LARGE, fit_intercept), (SLOPE, lambda *both: fit_slope(*both)[1])):
        assert found[name] == pytest.approx([fit(*part) for part in parts], abs=1e-7)


def test_a_fit_that_hangs_on_one_patient_has_no_interval():
    # Without the first patient the two groups lie apart.
    x = np.concatenate([[3.0, 3.0], np.linspace(-3, -1, 20), np.linspace(1, 3, 20)])
    true = np.concatenate([[False, False], np.zeros(20), np.ones(20)]).astype(bool)
    rows = {row["metric"]: row for row in recalibration_rows(ask(expit(x), true), "mean")}
    slope, in_the_large = rows[f"ill {SLOPE}"], rows[f"ill {IN_THE_LARGE}"]
    assert slope["value"]
    assert slope["low"] == slope["high"] == ""
    assert slope["note"].endswith("no interval: not defined without one of the patients")
    assert in_the_large["low"]


def test_few_patients_with_the_outcome_have_no_interval():
    x, _ = draw(9, 40)
    true = np.zeros(40, dtype=bool)
    true[:8] = True
    rows = list(recalibration_rows(ask(expit(x), true), "mean"))
    assert all(row["value"] and row["low"] == "" for row in rows)
    why = "no interval: fewer than 6 patients with or without it"
    note = f"mean; 4 patients have a hip with ill, 16 one without; {why}"
    assert {row["note"] for row in rows} == {note}


@pytest.mark.filterwarnings("error")
def test_probabilities_of_0_and_1_are_bounded():
    true = np.array([1, 0, 1, 1, 0, 0, 1, 0] * 4, dtype=bool)
    found = score(ask(np.array([1, 0, 1, 0, 0, 1, 1, 0] * 4, dtype=float), true))
    # Three of four right: log 3 on either side where log odds of 16 are said.
    assert found[SLOPE][0] == pytest.approx(np.log(3) / logit(1 - 1e-7), rel=1e-6)
    assert found[IN_THE_LARGE][0] == pytest.approx(0, abs=1e-6)


def test_the_questions_are_answered_by_the_class_table():
    grade = np.array([1, 2, 5, 7, 3])
    probability = np.eye(7)[[0, 1, 5, 6, 2]] * 0.4 + 0.6 / 7
    table = grades_only(
        "vit",
        hip=np.array(["a", "b", "c", "d", "e"]),
        patient=np.array(["a", "b", "c", "d", "e"]),
        grade=grade,
        predicted=np.array([1, 2, 6, 7, 3]),
        probability=probability,
    )
    read = {"a": (1, 0), "b": (1, 2), "c": (2, -1), "d": (4, 4)}
    kl, crowe = ask_indices(table, read, PAIRS)
    assert kl.name == "KL >= 2"
    assert kl.table.hip.tolist() == ["a", "b", "d"]
    assert kl.true.tolist() == [False, True, True]
    assert kl.probability == pytest.approx([0.6 * 6 / 7, 0.4 + 0.6 * 6 / 7, 0.4 + 0.6 * 6 / 7])
    assert crowe.table.hip.tolist() == ["a", "b", "c", "d"]
    assert crowe.true.tolist() == [False, False, True, True]
    assert crowe.probability == pytest.approx([0.6 * 3 / 7] * 2 + [0.4 + 0.6 * 3 / 7] * 2)
    assert kl.count_patients() == (2, 1)
    thresholds = ask_thresholds(table)
    assert thresholds.true.reshape(5, 6).sum(axis=1).tolist() == (grade - 1).tolist()
    # The probabilities of 2, 3 ... 7 or more add up to the mean class less 1.
    mean = (probability * np.arange(7)).sum(axis=1)
    assert thresholds.probability.reshape(5, 6).sum(axis=1) == pytest.approx(mean)
    errors = ask_errors(table)
    assert errors.true.tolist() == [False, False, True, False, False]
    assert errors.probability == pytest.approx([0.6 * 6 / 7] * 5)


def test_the_fits_say_nothing_while_they_are_made():
    x, true = draw(10, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(recalibration_rows(ask(expit(x), true), ""))
