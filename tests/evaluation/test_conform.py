import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin

from hipoa.core.files import read_csv
from hipoa.evaluation.conformal.conform import COLUMNS, run, state_guarantee
from hipoa.evaluation.conformal.sets import find_threshold, grow_about, grow_sets, predict_sets
from hipoa.evaluation.graded import read_graded
from hipoa.evaluation.settings import ConformSettings

probabilities = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda p: np.array([p]) / sum(p))


@given(probabilities, st.floats(0, 1))
@settings(deadline=None)
def test_a_set_has_no_gap_holds_the_smaller_ones_and_is_as_probable_as_it_says(probability, threshold):
    entered = grow_sets(probability)[0]
    inside = np.flatnonzero(entered <= threshold)
    assert (np.diff(inside) == 1).all()
    assert entered.argmin() == probability[0].argmax()
    assert entered.max() == pytest.approx(1)
    for mass in entered:
        assert probability[0][entered <= mass].sum() == pytest.approx(mass)


def test_a_set_grows_by_hand():
    # From class 3: 2 before 4, then 4, then 1, and the rest above.
    entered = grow_sets(np.array([[0.1, 0.2, 0.3, 0.15, 0.05, 0.15, 0.05]]))
    assert entered[0] == pytest.approx([0.75, 0.5, 0.3, 0.65, 0.8, 0.95, 1.0])
    assert grow_sets(np.array([[0.25, 0.5, 0.25]]))[0] == pytest.approx([0.75, 0.5, 1.0])  # milder first


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_of_one_hip_per_patient_it_is_the_split_conformal_quantile(level):
    score = np.random.default_rng([1]).random(97)
    rank = int(np.ceil((97 + 1) * level))
    assert find_threshold(score, np.arange(97), level) == np.sort(score)[rank - 1]


class Fixed(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its probabilities."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_the_threshold_is_that_of_mapie(level):
    mapie = pytest.importorskip("mapie.classification", reason="a reference of the extra dev")
    random = np.random.default_rng([2])
    probability, grade = random.dirichlet(np.ones(7), 210), np.repeat(np.arange(7), 30)
    new = random.dirichlet(np.ones(7), 50)
    reference = mapie.SplitConformalClassifier(
        Fixed().fit(probability, grade), confidence_level=level, conformity_score="lac", prefit=True
    )
    _, sets = reference.conformalize(probability, grade).predict_set(new)
    threshold = find_threshold(1 - probability[np.arange(210), grade], np.arange(210), level)
    assert np.array_equal(sets[..., 0], 1 - new <= threshold)


def test_two_hips_that_say_the_same_are_no_two_patients():
    score, patient = np.random.default_rng([3]).random(40), np.arange(40)
    once = find_threshold(score, patient, 0.9)
    assert find_threshold(np.tile(score, 2), np.tile(patient, 2), 0.9) == once


def test_too_few_patients_promise_only_all_classes():
    assert find_threshold(np.zeros(8), np.arange(8), 0.9) == np.inf  # 9 of 10 needs a tenth patient
    assert find_threshold(np.zeros(9), np.arange(9), 0.9) == 0
    assert find_threshold(np.zeros(0), np.zeros(0), 0.9) == np.inf


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_new_exchangeable_patients_are_covered_as_promised(level):
    """Hips of a patient are nearly copies, and patients have one or two."""
    random = np.random.default_rng([4])
    covered = []
    for _ in range(400):
        hips = random.integers(1, 3, 120)
        score = np.repeat(random.normal(size=120), hips) + 0.2 * random.normal(size=hips.sum())
        threshold = find_threshold(score, np.repeat(np.arange(120), hips), level)
        covered.append((random.normal(size=500) + 0.2 * random.normal(size=500) <= threshold).mean())
    assert np.mean(covered) == pytest.approx(level, abs=0.012)


def rows_of(seed, cohort="labelled", repeats=3, hips=240):
    random = np.random.default_rng([seed])
    rows = []
    for repeat in range(repeats):
        probability = random.dirichlet(np.full(7, 0.7), hips)
        grade = 1 + (probability.cumsum(axis=1) < random.random((hips, 1))).sum(axis=1).clip(max=6)
        rows += [
            {
                "hip_id": f"{cohort}{hip // 2}_{'LR'[hip % 2]}",
                "cohort": cohort,
                "repeat": repeat,
                "fold": hip // 2 % 4 if cohort == "labelled" else "",
                "grade": int(grade[hip]),
                "predicted": int(probability[hip].argmax() + 1),
            }
            | {f"p{n}": f"{share:.9f}" for n, share in enumerate(probability[hip], start=1)}
            for hip in range(hips)
        ]
    return rows


@pytest.fixture
def conform(tmp_path):
    def make(*tables, **settings):
        out = tmp_path / "conformal.csv"
        run(
            ConformSettings(**settings),
            uncertainty=list(tables),
            out=out,
        )
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)

    return make


def test_coverage_and_size_of_each_cohort_level_and_class(write_uncertainty, conform):
    rows = conform(write_uncertainty("vit", rows_of(5) + rows_of(6, "external", hips=200)))
    found = {(row["cohort"], row["level"], row["hips"], row["metric"]): row for row in rows}
    for cohort in ("labelled", "external"):
        for level in ("0.8", "0.9", "0.95"):
            row = found[cohort, level, "all", "coverage"]
            assert float(row["value"]) == pytest.approx(float(level), abs=0.05)
            assert float(row["low"]) < float(row["value"]) < float(row["high"])
        sizes = [float(found[cohort, level, "all", "mean size"]["value"]) for level in ("0.8", "0.9", "0.95")]
        assert sizes == sorted(sizes)
        of_classes = [found[cohort, "0.9", f"class {grade}", "coverage"] for grade in range(1, 8)]
        assert {row["promised"] for row in of_classes} == {""}
    assert "no more than 0.8" in found["labelled", "0.9", "all", "coverage"]["promised"]
    assert found["external", "0.9", "all", "coverage"]["promised"].startswith("nothing, unless")


def test_the_sets_of_a_regression_are_about_its_value(write_uncertainty, conform):
    """Passes that agree give the other classes no probability at all, and so no order."""
    random = np.random.default_rng([8])
    rows = rows_of(8, hips=400)
    for row in rows:
        value = float(np.clip(row["grade"] + random.normal(0, 0.6), 1, 7))
        row["predicted"] = int(np.floor(value + 0.5))
        row |= {f"p{n}": float(n == row["predicted"]) for n in range(1, 8)} | {"value": f"{value:.6f}"}
    found = {
        (row["level"], row["metric"]): float(row["value"])
        for row in conform(write_uncertainty("regression", rows))
        if row["hips"] == "all"
    }
    for level in ("0.8", "0.9", "0.95"):
        assert found[level, "coverage"] == pytest.approx(float(level), abs=0.04)
    sizes = [found[level, "mean size"] for level in ("0.8", "0.9", "0.95")]
    assert 1 <= sizes[0] < sizes[1] < sizes[2] < 4


def test_a_set_about_a_value_begins_with_the_nearest_class_and_has_no_gap():
    entered = grow_about(np.array([3.2, 1.0, 6.9]))
    assert entered[0] == pytest.approx([2.0, 1.0, 0.0, 0.6, 1.6, 2.6, 3.6])
    assert entered.argmin(axis=1).tolist() == [2, 0, 6]
    for threshold in (0.0, 0.7, 2.5):
        assert all((np.diff(np.flatnonzero(row <= threshold)) == 1).all() for row in entered)


def test_the_sets_of_a_fold_do_not_know_its_classes(write_uncertainty):
    rows = rows_of(7, repeats=2)
    before = predict_sets(read_graded(write_uncertainty("vit", rows)), 0.9)
    changed = [
        {**row, "grade": 8 - row["grade"]} if (row["fold"], row["repeat"]) == (0, 0) else row for row in rows
    ]
    table = read_graded(write_uncertainty("vit", changed))
    after = predict_sets(table, 0.9)
    own = (table.fold == 0) & (table.repeat == 0)
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[table.repeat == 0], after[table.repeat == 0])
    assert np.array_equal(before[table.repeat == 1], after[table.repeat == 1])


def test_a_guarantee_is_never_negative():
    assert "no more than 0;" not in state_guarantee("labelled", 0.4)
    assert state_guarantee("labelled", 0.4).endswith("no more than 0")


def test_without_graded_hips_there_are_no_rows(write_uncertainty, conform):
    assert conform() == conform(write_uncertainty("vit", [])) == []
