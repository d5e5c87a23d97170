"""The simulation: by patient, on a test set that is never read, and an answer that can be no."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression
from sklearn.linear_model import LogisticRegression

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.grading.settings import Experiment
from hipoa.triage.settings import SimulateSettings, TriageSettings
from hipoa.triage.simulation import graded_hips, linear_probe
from hipoa.triage.simulation.graded_hips import Hips, read_graded_hips
from hipoa.triage.simulation.learning_curves import (
    RANDOM,
    Curves,
    describe,
    judge,
    make_rise,
    save_labels,
    state_answer,
)
from hipoa.triage.simulation.linear_probe import fit_probe, reduce_features, train_and_predict
from hipoa.triage.simulation.simulate import COLUMNS, choose_patients, plan_batches, run, simulate

SMALL = SimulateSettings(simulate_seeds=3, simulate_rounds=3, strategies=("entropy", "hybrid"))


@pytest.fixture(autouse=True)
def _quick_probe(monkeypatch):
    monkeypatch.setattr(linear_probe, "STEPS", 30)
    monkeypatch.setattr(linear_probe, "PASSES", 5)


@pytest.fixture(scope="module")
def hips():
    random = np.random.default_rng([1])
    severity = np.repeat(random.normal(size=30), 2) + 0.2 * random.normal(size=60)
    grade = np.digitize(severity, [-0.8, -0.2, 0.3, 0.8, 1.2, 1.6]) + 1
    patient = np.array([f"p{number // 2:02}" for number in range(60)])
    names = np.array([f"{name}_{'LR'[row % 2]}" for row, name in enumerate(patient)])
    images = np.zeros((60, 4, 4), dtype=np.uint8)
    return Hips(names, patient, grade, np.arange(60) >= 44, images, "the external cohort")


@pytest.fixture(scope="module")
def features(hips):
    random = np.random.default_rng([2])
    raw = np.column_stack([hips.grade, random.normal(size=(60, 5))]) @ random.normal(size=(6, 20))
    return reduce_features(raw, ~hips.test, 64)


def learn(hips, features):
    return lambda rows, seed: train_and_predict(features, hips.grade, rows, seed)


def test_all_strategies_begin_and_end_with_the_same_patients(hips, features):
    asked = []

    def watch(rows, seed):
        chosen = set(hips.patient[rows].tolist())
        asked.append(chosen)
        assert not hips.test[rows].any()
        assert len(rows) == np.isin(hips.patient, list(chosen)).sum()
        return learn(hips, features)(rows, seed)

    strategies = (RANDOM, "entropy", "diversity", "hybrid")
    curves = simulate(hips, features, "heads", watch, strategies, SMALL, TriageSettings())
    first, last = (np.array(part, dtype=object).reshape(4, 3) for part in (asked[:12], asked[-12:]))
    for seed in range(3):
        assert all(first[number, seed] == first[0, seed] for number in range(4))
        assert all(len(last[number, seed]) == 22 for number in range(4))
    assert len({tuple(sorted(first[0, seed])) for seed in range(3)}) == 3
    assert (curves.error[:, :, 0] == curves.error[:1, :, 0]).all()
    assert (curves.error[:, :, -1].mean(axis=(0, 2)) < 1.5).all()
    assert (curves.hips_read[:, :, -1] == 44).all()
    assert len(np.unique(curves.patient)) == 8


def test_one_strategy_more_changes_no_other(hips, features):
    learner = learn(hips, features)
    few = simulate(hips, features, "heads", learner, (RANDOM, "entropy"), SMALL, TriageSettings())
    many = simulate(
        hips, features, "heads", learner, (RANDOM, "variance", "entropy"), SMALL, TriageSettings()
    )
    assert (few.error == many.error[[0, 2]]).all()


def test_the_test_hips_features_move_nothing(features):
    known = np.arange(60) < 44
    moved = features.copy()
    moved[~known] += 100
    assert np.allclose(reduce_features(features, known, 4)[known], reduce_features(moved, known, 4)[known])


def test_a_probe_without_dropout_is_logistic_regression_with_decay(monkeypatch):
    random = np.random.default_rng([3])
    features = random.normal(size=(200, 3)).astype(np.float32)
    grade = np.where(features[:, 0] + random.normal(size=200) > 0, 3, 2)
    for name, value in {"DROPOUT": 1e-6, "WEIGHT_DECAY": 0.05, "STEPS": 2000}.items():
        monkeypatch.setattr(linear_probe, name, value)
    weights = fit_probe(features, grade).weight.detach().numpy()
    reference = LogisticRegression(C=1 / (200 * 0.05), tol=1e-8).fit(features, grade)
    both = weights[2] - weights[1]
    # Two vectors with decay each share what one vector with half the decay is.
    halved = LogisticRegression(C=2 / (200 * 0.05), tol=1e-8).fit(features, grade).coef_[0]
    assert both == pytest.approx(halved, abs=0.02)
    assert both != pytest.approx(reference.coef_[0], abs=0.02)


def test_a_runs_result_depends_on_its_seed_and_its_hips_alone(hips, features):
    rows = np.arange(35)
    once = learn(hips, features)(rows, [1])
    other = learn(hips, features)(rows, [2])
    torch.rand(3)
    again = learn(hips, features)(rows, [1])
    assert (once.probability == again.probability).all()
    assert (once.probability != other.probability).any()
    assert (once.variance > 0).all()
    assert once.probability.sum(axis=1) == pytest.approx(1)


def test_a_pass_is_one_classifier_for_all_hips(hips, features):
    twins = np.concatenate([features, features])
    said = train_and_predict(twins, np.tile(hips.grade, 2), np.arange(35), [1])
    assert said.variance[:60] == pytest.approx(said.variance[60:], rel=1e-4)


def test_uncertain_hips_are_taken_by_patient(hips, features):
    said = learn(hips, features)(np.arange(10), [0])
    known = np.arange(60) < 10
    taken = choose_patients(
        *(hips, known, features[:, :4], said),
        strategy="entropy",
        count=3,
        seed=[0, 0, 0],
        triage=TriageSettings(),
    )
    assert len(set(hips.patient[taken].tolist())) == 3
    assert len(taken) == 6
    left = np.flatnonzero(~known & ~hips.test)
    assert hips.patient[left[said.entropy[left].argmax()]] in hips.patient[taken]
    assert not known[taken].any()
    assert not hips.test[taken].any()


def test_batches_are_even_and_together_all_patients():
    assert plan_batches(198, SimulateSettings()) == [20, 18, 18, 17, 18, 18, 18, 18, 17, 18, 18]
    assert plan_batches(5, SimulateSettings()) == [2, 1, 1, 1]


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(0, 1)))
def test_rising_curves_are_isotonic_regressions(score):
    expected = np.array([isotonic_regression(row) for row in score])
    assert make_rise(score) == pytest.approx(expected, abs=1e-9)


def test_labels_saved_are_read_off_the_curves():
    read, random = np.array([10.0, 20, 30]), np.array([0.2, 0.4, 0.6])
    assert save_labels(read, random, read, np.array([0.2, 0.6, 0.6]), 0.5) == pytest.approx(5)
    assert save_labels(read, random, read, random, 0.9) == 0
    assert np.isnan(save_labels(read, random, read, np.array([0.2, 0.2, 0.3]), 0.5))
    assert np.isnan(save_labels(read, random * 0, read, random, 0.5))


def make_curves(gain, seeds=6, patients=40, rounds=5):
    """Random and one strategy that is right more often in the rounds between."""
    random = np.random.default_rng([6])
    share = np.linspace(0.4, 0.7, rounds)
    raised = share + np.where((np.arange(rounds) > 0) & (np.arange(rounds) < rounds - 1), gain, 0)
    draw = random.random((seeds, rounds, patients))
    error = np.stack([draw > share[:, None], draw > raised[:, None]]).astype(np.int8)
    read = np.broadcast_to(np.linspace(10, 50, rounds), (2, seeds, rounds))
    return Curves("heads", (RANDOM, "entropy"), read, error, np.arange(patients))


def test_a_strategy_like_random_is_not_shown_to_differ():
    rows = list(describe(make_curves(0.0)))
    gain = next(row for row in rows if row["quantity"] == "gain")
    assert (gain["verdict"], gain["value"]) == ("not shown to differ from random", "0")
    counts = {"n_test_hips": 40, "n_test_patients": 40, "n_hips": 50, "n_seeds": 6}
    answer = state_answer([row | counts for row in rows], "the external cohort")
    assert answer.startswith("Choosing is not shown to pay: entropy. ")
    assert "40 hips of 40 patients" in answer


def test_a_better_strategy_is_told_with_its_gain():
    rows = list(describe(make_curves(0.15)))
    gain = next(row for row in rows if row["quantity"] == "gain" and row["metric"] == "ECA")
    assert gain["verdict"] == "better than random"
    assert 0.1 < float(gain["value"]) < 0.2
    assert float(gain["low"]) < float(gain["value"]) < float(gain["high"])
    counts = {"n_test_hips": 40, "n_test_patients": 40, "n_hips": 50, "n_seeds": 6}
    assert state_answer([row | counts for row in rows], "x").startswith("Choosing paid: entropy (+0.1")
    saved = [
        row for row in rows if str(row["quantity"]).startswith("labels saved") and row["metric"] == "ECA"
    ]
    assert len(saved) == 3
    assert float(saved[0]["value"]) > 0


def test_the_verdict_follows_the_adjusted_p():
    assert judge(0.1, 0.04) == "better than random"
    assert judge(-0.1, 0.04) == "worse than random"
    assert judge(0.1, 0.06) == judge(0.1, float("nan")) == "not shown to differ from random"


def write_cohort(folder, cohort, patients, shift=0):
    random = np.random.default_rng([patients, shift])
    rows, images = [], []
    for number in range(2 * patients):
        case, side = f"{cohort}{number // 2}", "LR"[number % 2]
        grade = int(random.integers(1, 8))
        rows.append([f"{case}_{side}", case, "ok", grade])
        images.append(random.integers(0, 100, (32, 32)) + 20 * grade)
    table, stack = folder / f"{cohort}.csv", folder / f"{cohort}.npz"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["hip_id", "patient_id", "status", "grade"], *rows])
    np.savez(stack, hip_id=np.array([row[0] for row in rows]), radiograph=np.array(images, dtype=np.uint8))
    return table, stack


def test_the_external_cohort_measures_where_it_is_large_enough(tmp_path, monkeypatch):
    parts = [write_cohort(tmp_path, "labelled", 20), write_cohort(tmp_path, "external", 12)]
    tables, stacks = zip(*parts, strict=True)
    found = read_graded_hips(tables, stacks)
    assert found.test.sum() == 24
    assert found.test_set == "the external cohort"
    monkeypatch.setattr(graded_hips, "LEAST_TEST_PATIENTS", 13)
    found = read_graded_hips(tables, stacks)
    assert len(found.grade) == 40
    assert 4 <= found.test.sum() <= 16
    assert not any(name.startswith("external") for name in found.patient)


def test_a_missing_image(tmp_path):
    table, _ = write_cohort(tmp_path, "labelled", 4)
    (tmp_path / "other").mkdir()
    _, stack = write_cohort(tmp_path / "other", "external", 4)
    with pytest.raises(CohortError, match=r"^stacks: 8 hips are missing, the first is labelled0_L\."):
        read_graded_hips([table], [stack])


ROW = Experiment(network="test_vit.r160_in1k", weights="none", input_px=32)


def play(tmp_path, settings, patients=20):
    table, stack = write_cohort(tmp_path, "labelled", patients)
    out = tmp_path / "simulation.csv"
    run(settings, TriageSettings(), ROW, hips=[table], stacks=[stack], out=out)
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
    return read_csv(out)


def test_from_tables_to_an_answer_the_same_every_time(tmp_path):
    once = play(tmp_path, SMALL)
    assert once == play(tmp_path, SMALL)
    assert once[-1]["quantity"] == "answer"
    assert "a fixed quarter of the labelled patients" in once[-1]["note"]
    curves = [row for row in once if row["quantity"] == "curve"]
    assert len(curves) == 2 * 3 * 4
    assert {row["note"] for row in curves} == {
        "95 % interval: other test patients and other seeds; test_vit.r160_in1k with random weights"
    }


def test_the_benchmark_trains_whole_networks(tmp_path, monkeypatch, capsys):
    write_cohort(tmp_path, "labelled", 20)
    config = tmp_path / "config.yaml"
    config.write_text(
        "preset: micro\nsimulate: {simulate_rounds: 1}\n"
        "experiments: {efficientnet: null, vit: {network: test_vit.r160_in1k, weights: none, input_px: 32}}\n"
    )
    path = Path(__file__).parents[2] / "benchmarks/retrain.py"
    given = ["--configfile", str(config), "--hips", str(tmp_path), "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [str(path), *given])
    spec = importlib.util.spec_from_file_location("retrain", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    printed, progress = capsys.readouterr()
    assert progress.count(": trained on ") == 4
    assert "curve variance ECA" in printed
    assert "measured on a fixed quarter of the labelled patients" in printed.splitlines()[-1]


def test_turned_off_or_too_small(tmp_path):
    assert play(tmp_path, SimulateSettings(simulate=False)) == []
    (row,) = play(tmp_path, SMALL, patients=5)
    assert row["note"] == "not simulated: 4 graded patients are too few to read some and test on others"
