import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hipoa.core.files import read_csv
from hipoa.evaluation.conformal.conform import COLUMNS, count_classes, judge_size, run
from hipoa.evaluation.conformal.sets import (
    count_needed,
    find_threshold,
    find_thresholds,
    grow_about,
    grow_sets,
    predict_sets,
)
from hipoa.evaluation.graded import grades_only, read_graded
from hipoa.evaluation.settings import ConformSettings

LEVELS = (0.8, 0.9, 0.95)
probabilities = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda p: np.array([p]) / sum(p))
# Multiples of a power of two, whose sums are exact, often equal and often 0.
votes = st.lists(st.integers(0, 6), min_size=64, max_size=64).map(lambda v: np.bincount(v, minlength=7) / 64)


def grow_naively(probability, threshold):
    """Lu et al., algorithm 1: from the most probable class, while the probability inside is not above."""
    low = high = int(np.argmax(probability))
    while sum(probability[low : high + 1]) <= threshold and high - low < len(probability) - 1:
        below = probability[low - 1] if low > 0 else -1
        above = probability[high + 1] if high < len(probability) - 1 else -1
        low, high = (low - 1, high) if below >= above else (low, high + 1)
    return [low <= number <= high for number in range(len(probability))]


@given(votes, st.integers(0, 64))
@settings(deadline=None)
def test_sets_are_those_of_the_published_algorithm(probability, inside):
    sets = grow_sets(probability[None]) <= inside / 64 - 1  # what is outside, negative, is 1 less
    assert sets[0].tolist() == grow_naively(probability, inside / 64)


@given(probabilities, st.floats(0, 1))
@settings(deadline=None)
def test_a_set_has_no_gap_begins_with_the_most_probable_class_and_leaves_out_what_it_says(probability, limit):
    entered = grow_sets(probability)[0]
    inside = np.flatnonzero(entered <= -limit)
    assert (np.diff(inside) == 1).all()
    assert entered.argmin() == probability[0].argmax()
    assert entered.min() == -1
    for score in entered:
        assert probability[0][entered >= score].sum() == pytest.approx(-score)


def test_a_set_grows_by_hand():
    # From class 3: 2 before 4, then 4, then 1, and the rest above.
    score = grow_sets(np.array([[0.1, 0.2, 0.3, 0.15, 0.05, 0.15, 0.05]]))
    assert score[0] == pytest.approx([-0.35, -0.7, -1, -0.5, -0.25, -0.2, -0.05])
    assert grow_sets(np.array([[0.25, 0.5, 0.25]]))[0] == pytest.approx([-0.5, -1, -0.25])  # milder first


def test_the_surest_hip_has_a_set_and_a_confident_network_an_order():
    sure = np.array([[0, 0, 0, 0, 0, 0, 1], [1e-20, 1e-12, 1, 1e-16, 1e-18, 1e-22, 1e-24]])
    score = grow_sets(sure)
    assert (score <= -1).sum(axis=1).tolist() == [1, 1]
    assert score[1].argsort().tolist() == [2, 1, 3, 4, 0, 5, 6]
    assert len(np.unique(score[1])) == 7


@pytest.mark.parametrize("total", [0.999998, 1.000001])
def test_probabilities_that_were_rounded_leave_no_set_empty(total):
    score = grow_sets(np.array([[0.2, 0.8], [0.1, 0.9]]) * total)
    assert (score <= -1).sum(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("level", LEVELS)
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


@pytest.mark.parametrize("level", LEVELS)
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


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=14),
    st.sampled_from(LEVELS),
)
@settings(deadline=None)
def test_the_threshold_of_a_patient_is_that_of_the_others(hips, level):
    """Ties within and between patients, and patients of one to many hips."""
    patient, score = np.array(hips).T
    for hip, threshold in enumerate(find_thresholds(score, patient, level)):
        others = patient != patient[hip]
        assert threshold == find_naively(score[others], patient[others], level)


def find_naively(score, patient, level):
    n_patients = len(np.unique(patient)) + 1
    for candidate in np.unique(score):
        inside = [np.mean(score[patient == one] <= candidate) for one in np.unique(patient)]
        if sum(inside) / n_patients >= level - 1e-9:
            return candidate
    return np.inf


def test_thresholds_by_hand():
    # Of four patients 0.6 must lie below, the left-out one does not; b's hips weigh half a patient each.
    score, patient = np.array([1.0, 2.0, 5.0, 3.0, 4.0]), np.array(list("abbcd"))
    assert find_thresholds(score, patient, 0.6).tolist() == [4.0, 4.0, 4.0, 4.0, 3.0]
    assert find_threshold(score, patient, 0.6) == 4.0  # a, half of b, c and d are 0.7 of five patients


@pytest.mark.parametrize("level", LEVELS)
def test_sets_need_so_many_patients(level):
    needed = count_needed(level)
    assert needed == {0.8: 4, 0.9: 9, 0.95: 19}[level]
    for n_patients in (needed - 1, needed):
        finite = np.isfinite(find_threshold(np.zeros(n_patients), np.arange(n_patients), level))
        assert finite == (n_patients == needed)
        assert (
            finite == np.isfinite(find_thresholds(np.zeros(n_patients + 1), np.arange(n_patients + 1), level))
        ).all()


@pytest.mark.parametrize("level", LEVELS)
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


def train(random, patients, sharpness=1.0):
    """Two-hipped patients with 7 skewed classes and erring labels, graded out of fold by 4 folds' models.

    A hundred external patients are graded by the mean of the models. A sharpness above 1 makes the models
    overconfident.
    """
    patient = np.repeat(np.arange(patients + 100), 2)
    n = len(patient)
    severity = 0.8 * random.normal(size=patients + 100)[patient] + 0.6 * random.normal(size=n)
    features = severity[:, None] * np.linspace(1.5, 0, 10) + 0.7 * random.normal(size=(n, 10))
    shares = np.cumsum([0.25, 0.2, 0.15, 0.12, 0.12, 0.09])
    grade = 1 + np.searchsorted(norm.ppf(shares), (severity + 0.2 * random.normal(size=n)) / 1.02)
    fold = np.where(patient < patients, random.permutation(n)[patient] % 4, -1)
    probability = np.zeros((n, 7))
    for number in np.unique(fold[fold >= 0]):
        rows = (fold >= 0) & (fold != number)
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(features[rows], grade[rows])
        for use, share in ((fold == number, 1.0), (fold < 0, 0.25)):
            logits = np.full((use.sum(), 7), -1e3)  # of classes that no training hip has
            logits[:, model.classes_ - 1] = model.decision_function(features[use])
            probability[use] += share * softmax(sharpness * logits, axis=1)
    cohort = np.where(fold >= 0, "labelled", "external")
    predicted = probability.argmax(axis=1) + 1
    known = {"cohort": cohort, "fold": fold, "probability": probability}
    return grades_only("lda", hip=np.arange(n), patient=patient, grade=grade, predicted=predicted, **known)


@pytest.mark.filterwarnings("ignore:Only one sample available")
@pytest.mark.parametrize("sharpness", [1.0, 20.0])
@pytest.mark.parametrize(("patients", "cohorts"), [(198, 20), (24, 60), (10, 100)])
def test_sets_of_trained_classifiers_cover_and_are_neither_empty_nor_broken(patients, cohorts, sharpness):
    random = np.random.default_rng([10, patients])
    covered = {(level, cohort): [] for level in LEVELS for cohort in ("labelled", "external")}
    for table in (train(random, patients, sharpness) for _ in range(cohorts)):
        for level, cohort in covered:
            own = table.of_cohort(cohort)
            sets = predict_sets(table, level)[table.cohort == cohort]
            covered[level, cohort].append(sets[np.arange(len(own)), own.grade - 1].mean())
            assert sets[np.arange(len(own)), own.predicted - 1].all()
            assert (
                np.abs(np.diff(np.pad(sets.astype(int), ((0, 0), (1, 1))), axis=1)).sum(axis=1) == 2
            ).all()
    for (level, cohort), shares in covered.items():
        if cohort == "labelled":
            assert min(shares) >= level - 1e-9  # in every cohort, by construction
            assert np.mean(shares) <= level + 1 / patients + 0.002  # a patient more, and equal scores
        else:
            assert np.mean(shares) >= level - 0.01  # not proven


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


def test_the_set_of_a_patient_does_not_know_the_patients_classes(write_uncertainty):
    rows = rows_of(7, repeats=2)
    before = predict_sets(read_graded(write_uncertainty("vit", rows)), 0.9)
    own = np.array([row["hip_id"][:-2] == "labelled3" and row["repeat"] == 0 for row in rows])
    changed = [row | {"grade": 8 - row["grade"]} if one else row for row, one in zip(rows, own, strict=True)]
    table = read_graded(write_uncertainty("vit", changed))
    after, first = predict_sets(table, 0.9), table.repeat == 0
    assert own.sum() == 2
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before[first], after[first])
    assert np.array_equal(before[~first], after[~first])


def test_no_set_is_empty_and_those_of_too_few_patients_say_so(write_uncertainty, conform):
    rows = conform(write_uncertainty("vit", rows_of(9, hips=38) + rows_of(9, "external", hips=20)))
    assert {float(row["value"]) for row in rows if row["metric"] == "empty sets"} == {0}
    found = {(row["cohort"], row["level"], row["metric"]): row for row in rows if row["hips"] == "all"}
    assert float(found["labelled", "0.95", "whole sets"]["value"]) == 1  # 18 other patients
    assert found["labelled", "0.95", "coverage"]["promised"] == (
        "every set is of all classes: 0.95 needs 19 patients to fit on, here 18"
    )
    assert float(found["external", "0.95", "whole sets"]["value"]) < 1  # 19
    assert found["external", "0.95", "coverage"]["promised"].startswith(
        "nothing: the models' predictions are"
    )
    assert 0 < float(found["labelled", "0.9", "whole sets"]["value"]) < 1
    assert found["labelled", "0.9", "coverage"]["promised"] == (
        "at least 0.9 for its patients, each graded by the model that has not seen the patient, if no "
        "patient was chosen for reading because of a model"
    )
    stated = [row for row in rows if "by construction" in row["note"]]
    assert [(row["cohort"], row["level"], row["hips"], row["metric"]) for row in stated] == [
        ("labelled", level, "all", "coverage") for level in ("0.8", "0.9")
    ]


def test_without_graded_hips_there_are_no_rows(write_uncertainty, conform):
    assert conform() == conform(write_uncertainty("vit", [])) == []


HALF, SHARES = "half of the classes", "the 2 that suffice without a network"


@pytest.mark.parametrize(
    ("cells", "without", "said"),
    [
        (("2.1", "1.9", "2.3"), 5, ""),
        (("3.4", "3.2", "3.6"), 5, f"perhaps uninformative: the interval reaches {HALF}"),
        (("3.7", "3.1", "4.4"), 5, f"uninformative: not fewer than {HALF}"),
        (("4.7", "3.0", "6.5"), 7, f"uninformative: not fewer than {HALF}"),
        (("7", "7", "7"), 5, "uninformative: every set is of all classes"),
        (("2.1", "1.9", "2.3"), 2, f"uninformative: not fewer than {SHARES}"),
        (("1.9", "1.6", "2.2"), 2, f"perhaps uninformative: the interval reaches {SHARES}"),
        (("1.5", "1.3", "1.7"), 2, ""),
        (
            ("2.1", "", ""),
            5,
            f"perhaps uninformative: without an interval they are not shown to be fewer than {HALF}",
        ),
    ],
)
def test_sets_are_informative_only_where_they_are_shown_to_be_small(cells, without, said):
    assert judge_size(dict(zip(("value", "low", "high"), cells, strict=True)), without) == said


def test_how_many_adjacent_classes_hold_so_many_hips_without_a_network():
    grade = np.repeat([1, 2, 3, 7], [1, 6, 3, 10])
    assert [count_classes(grade, level) for level in (0.5, 0.8, 0.95, 1.0)] == [1, 6, 6, 7]
    assert count_classes(np.full(20, 4), 0.95) == 1
    assert count_classes(grade[:0], 0.9) == 7


def test_the_verdict_stands_beside_the_size_of_all_sets(write_uncertainty, conform):
    rows = conform(write_uncertainty("vit", rows_of(5)))
    judged = [row for row in rows if row["verdict"]]
    assert {(row["metric"], row["hips"]) for row in judged} <= {("mean size", "all")}
    (small,) = (
        row for row in rows if (row["level"], row["metric"], row["hips"]) == ("0.8", "mean size", "all")
    )
    assert (float(small["high"]) < 3.5) == (small["verdict"] == "")
