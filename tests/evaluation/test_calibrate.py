import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from hipoa.core.files import read_csv
from hipoa.evaluation.calibration.calibrate import (
    COLUMNS,
    RELIABILITY_COLUMNS,
    expected_calibration_error,
    run,
    tally_bins,
)
from hipoa.evaluation.calibration.decision import COLUMNS as DECISION_COLUMNS
from hipoa.evaluation.calibration.temperature import fit_temperature, scale, scale_crossfitted, split_by_fold
from hipoa.evaluation.graded import read_graded

PAIRS = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))


class Fixed(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]


def draw(seed, n=200, sharpness=1.0):
    """Probabilities that are right as often as they say at sharpness 1, too sure above."""
    random = np.random.default_rng([seed])
    honest = random.dirichlet(np.full(7, 0.6), n)
    grade = 1 + (honest.cumsum(axis=1) < random.random((n, 1))).sum(axis=1).clip(max=6)
    return scale(honest, 1 / sharpness), grade


def rows_of(seed, repeats=2, cohort="labelled", n=120, sharpness=2.0):
    rows = []
    for repeat in range(repeats):
        probability, grade = draw(seed + repeat, n, sharpness)
        rows += [
            {
                "hip_id": f"{cohort}{hip // 2}_{'LR'[hip % 2]}",
                "cohort": cohort,
                "repeat": repeat,
                "fold": hip // 2 % 4 if cohort == "labelled" else "",
                "grade": int(grade[hip]),
                "predicted": int(probability[hip].argmax() + 1),
                "crowe": PAIRS[grade[hip] - 1][0],
                "kl": PAIRS[grade[hip] - 1][1],
            }
            | {f"p{n}": f"{share:.9f}" for n, share in enumerate(probability[hip], start=1)}
            for hip in range(n)
        ]
    return rows


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_of_scikit_learn(sharpness):
    probability, grade = draw(1, sharpness=sharpness)
    probability = np.maximum(probability, 1e-6)  # the two differ in what a 0 counts as
    probability /= probability.sum(axis=1, keepdims=True)
    fixed = FrozenEstimator(Fixed().fit(probability, grade - 1))
    reference = CalibratedClassifierCV(fixed, method="temperature").fit(probability, grade - 1)
    found = scale(probability, fit_temperature(probability, grade))
    assert found == pytest.approx(reference.predict_proba(probability), abs=2e-3)


def test_a_network_that_is_too_sure_is_cooled_and_its_order_kept():
    honest, sure = draw(2, 4000), draw(2, 4000, sharpness=3.0)
    assert fit_temperature(*honest) == pytest.approx(1, abs=0.1)
    assert fit_temperature(*sure) == pytest.approx(3, abs=0.3)
    assert scale(sure[0], 3.0) == pytest.approx(honest[0], abs=0.01)
    assert (scale(sure[0], 3.0).argmax(axis=1) == sure[0].argmax(axis=1)).all()
    assert fit_temperature(honest[0][:5], honest[1][:5]) == 1


def test_the_expected_calibration_error_is_that_of_torchmetrics(write_uncertainty):
    functional = pytest.importorskip("torchmetrics.functional", reason="a reference of the extra dev")
    import torch

    table = read_graded(write_uncertainty("vit", rows_of(3, repeats=1)))
    expected = functional.calibration_error(
        torch.tensor(table.probability),
        torch.tensor(table.grade - 1),
        task="multiclass",
        num_classes=7,
        n_bins=10,
    )
    sums = tally_bins(table, np.zeros(len(table), dtype=int), 1)
    assert expected_calibration_error(sums)[0] == pytest.approx(float(expected), rel=1e-5)


def test_a_fold_is_scaled_by_what_others_say(write_uncertainty):
    """Trap: a temperature fitted on the hips that it is used on looks better than it is."""
    rows = rows_of(4)
    _, before = scale_crossfitted(read_graded(write_uncertainty("vit", rows)))
    changed = [{**row, "grade": 1} if row["fold"] == 2 and row["repeat"] == 0 else row for row in rows]
    table = read_graded(write_uncertainty("vit", changed))
    _, after = scale_crossfitted(table)
    own = (table.fold == 2) & (table.repeat == 0)
    assert (before[own] == after[own]).all()
    assert (before[(table.repeat == 0) & ~own] != after[(table.repeat == 0) & ~own]).all()
    assert (before[table.repeat == 1] == after[table.repeat == 1]).all()


def test_no_patient_is_fitted_and_used(write_uncertainty):
    rows = rows_of(5) + rows_of(6, cohort="external", n=20)
    table = read_graded(write_uncertainty("vit", rows))
    used = np.zeros(len(table), dtype=int)
    for fit, use in split_by_fold(table):
        assert not set(table.patient[fit]) & set(table.patient[use])
        assert len(set(table.repeat[fit]) | set(table.repeat[use])) == 1
        assert set(table.cohort[fit]) == {"labelled"}
        used += use
    assert (used == 1).all()


@pytest.fixture
def calibrated(write_uncertainty, tmp_path):
    rows = rows_of(7) + rows_of(9, cohort="external", n=60)
    paths = {name: tmp_path / f"{name}.csv" for name in ("out", "reliability", "decision")}
    run(
        uncertainty=[write_uncertainty("vit", rows)],
        class_table=json.dumps(PAIRS),
        **paths,
    )
    columns = COLUMNS, RELIABILITY_COLUMNS, DECISION_COLUMNS
    for path, names in zip(paths.values(), columns, strict=True):
        assert path.read_text().splitlines()[0] == ",".join(names)
    return tuple(read_csv(path) for path in paths.values())


def test_scaling_helps_a_network_that_is_too_sure(calibrated):
    found = {(row["cohort"], row["scaling"], row["metric"]): row for row in calibrated[0]}
    for cohort in ("labelled", "external"):
        for metric in ("negative log likelihood", "expected calibration error"):
            before, after = (found[cohort, scaling, metric] for scaling in ("none", "temperature"))
            assert float(after["value"]) < float(before["value"])
            if metric == "negative log likelihood":
                assert float(before["low"]) < float(before["value"]) < float(before["high"])
            else:
                assert (before["low"], before["high"]) == ("", "")
                assert before["note"].endswith("it is too large for few hips, by more than its error")
        assert float(found[cohort, "temperature", "temperature"]["value"]) == pytest.approx(2, abs=0.6)
    notes = {
        cohort: found[cohort, "temperature", "temperature"]["note"] for cohort in ("labelled", "external")
    }
    assert "of 8 fits; temperature of each fold fitted on the other folds'" in notes["labelled"]
    assert "of 2 fits; temperature of each repeat fitted on all unseen" in notes["external"]


def test_the_bins_hold_every_hip_once(calibrated):
    for cohort, n in (("labelled", 240), ("external", 120)):
        for scaling in ("none", "temperature"):
            rows = [row for row in calibrated[1] if (row["cohort"], row["scaling"]) == (cohort, scaling)]
            assert sum(int(row["n"]) for row in rows) == n
            for row in rows:
                # Confidence and edges are written with six digits.
                assert float(row["from"]) - 1e-6 <= float(row["confidence"]) <= float(row["to"]) + 1e-6
                if row["low"]:
                    assert float(row["low"]) <= float(row["accuracy"]) + 1e-9
                    assert float(row["accuracy"]) <= float(row["high"]) + 1e-9
                else:
                    assert "too few for an interval" in row["note"]


def test_the_error_by_hand():
    # Two hips 0.9 sure of which one is right, two 0.6 sure and right: 2/4 |0.9 - 0.5| + 2/4 |0.6 - 1|.
    sums = np.zeros((10, 3))
    sums[9], sums[6] = (2, 1.8, 1), (2, 1.2, 2)
    assert expected_calibration_error(sums) == pytest.approx(0.4)


def test_scaling_mends_the_slope_and_leaves_the_hips(calibrated):
    found = {(row["cohort"], row["scaling"], row["metric"]): row for row in calibrated[0]}
    for question in ("KL >= 2", "Crowe >= II", "class >= k"):
        for cohort in ("labelled", "external"):
            before, after = (
                found[cohort, scaling, f"{question} calibration slope"] for scaling in ("none", "temperature")
            )
            # The probabilities are twice as extreme as they ought to be.
            assert float(before["value"]) < 0.8
            assert float(before["value"]) < float(after["value"])
            assert float(before["low"]) < float(before["value"]) < float(before["high"])
            assert before["n_hips"] == after["n_hips"] == {"labelled": "120", "external": "60"}[cohort]
    row = found["labelled", "none", "KL >= 2 calibration slope"]
    assert "mean over repeats" in row["note"]
    assert "patients have a hip with KL >= 2, " in row["note"]


def test_the_decision_curves_hold_every_question_strategy_and_threshold(calibrated):
    keys = [(row["cohort"], row["question"], row["strategy"], row["threshold"]) for row in calibrated[2]]
    assert len(set(keys)) == len(keys) == 2 * 3 * 3 * 19
    found = dict(zip(keys, calibrated[2], strict=True))
    for cohort in ("labelled", "external"):
        for question in ("KL >= 2", "Crowe >= II", "error >= 1"):
            network, everyone, gain = (
                float(found[cohort, question, strategy, "0.5"]["value"])
                for strategy in ("network", "all", "network less all")
            )
            assert gain == pytest.approx(network - everyone, abs=1e-5)


def test_without_graded_hips_there_are_no_rows(write_uncertainty, tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("out", "reliability", "decision")}
    for tables in ([], [write_uncertainty("vit", [])]):
        run(uncertainty=tables, class_table=json.dumps(PAIRS), **paths)
        assert all(read_csv(path) == [] for path in paths.values())
