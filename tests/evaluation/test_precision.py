"""What a number of patients can show: by hand, against statsmodels, and on simulated cohorts."""

from math import inf

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from hipoa.evaluation.comparison.precision import (
    ASSUMED,
    HEADINGS,
    MOST_PATIENTS,
    OBSERVED,
    PlannedStudy,
    Spread,
    assume,
    count_needed,
    expect,
    expect_interval,
    find_smallest,
    half_width,
    observe,
)
from hipoa.evaluation.metrics.estimates import CLASSES

PAIRS = PlannedStudy(experiments=2, repeats=15, primary="ECA")
NAMES = ("question", "cohort", "role", "metric", "unit", "a", "b", "difference", "low", "high")
CELLS = ("experiments", "labelled", "primary", "ECA", "share", "vit", "vgg", "0.01", "-0.05", "0.07")
OWN = dict(zip(NAMES, CELLS, strict=True)) | {"n_patients": "50"}


def test_the_assumed_spread_by_hand():
    # One repeat of these networks: the mean of two hips that correlate by 1/4 has 5/8 of a hip's variance.
    assert assume(0.5, 1, anew=False) == Spread(0.25 * 0.625, 0)
    # Two repeats: 0.6 + 0.4 / 2 of it, and the training adds 0.3 + 0.85 / 2.
    two = assume(0.5, 2, anew=True)
    assert (two.patients, two.training) == pytest.approx((0.25 * 0.625 * 0.8, 0.25 * 0.725))
    # A difference: 2 (1 - 0.4) times what repeats share, twice the seeds.
    difference = assume(0.5, 2, anew=True, difference=True)
    assert difference.patients == pytest.approx(1.2 * two.patients)
    assert difference.training == pytest.approx(0.25 * (1.2 * 0.3 + 2 * 0.425))
    assert two.error(100) == pytest.approx(np.sqrt(0.25 * 1.225 / 100))


def test_the_spread_falls_with_repeats_and_towards_extreme_shares():
    errors = [assume(0.65, repeats, anew=True).error(50) for repeats in (1, 3, 15, 1000)]
    assert errors == sorted(errors, reverse=True)
    assert assume(0.95, 3, anew=True).error(50) < assume(0.65, 3, anew=True).error(50)
    assert assume(0.65, 3, anew=False).error(50) < assume(0.65, 3, anew=True).error(50)


def test_half_the_width_by_hand():
    # 25 patients with a standard deviation of 0.5: a standard error of 0.1, and t of 24 degrees of freedom.
    assert half_width(Spread(0.25), 25) == pytest.approx(2.0639 * 0.1, abs=1e-4)
    assert half_width(Spread(0.05, 0.2), 25) == half_width(Spread(0.25), 25)


def test_the_interval_of_a_share_is_wilsons():
    # Patients with one hip each and no training: Wilson with t for z, and one more success and failure.
    n, share = 100, 0.65
    middle = 66 / 102
    squares = 99 * share * (1 - share) + n * (share - middle) ** 2 + middle**2 + (1 - middle) ** 2
    t2 = stats.t.ppf(0.975, n - 1) ** 2 * squares / (102 * 101) / (middle * (1 - middle))
    reach = np.sqrt(t2 * share * (1 - share) + t2**2 / 4) / (1 + t2)
    centre = (share + t2 / 2) / (1 + t2)
    found = expect_interval(share, Spread(share * (1 - share)), n)
    assert (found.low, found.high) == pytest.approx((centre - reach, centre + reach))
    low, high = stats.binomtest(65, 100).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_few_patients_have_no_interval(n):
    assert "too few for an interval" in expect_interval(0.65, Spread(0.1), n).reason


@pytest.mark.parametrize("n", [14, 24, 198, 2000])
@pytest.mark.parametrize("tests", [1, 3])
def test_the_smallest_difference_is_that_of_statsmodels(n, tests):
    effect = TTestPower().solve_power(nobs=n, alpha=0.05 / tests, power=0.8)
    assert find_smallest(Spread(0.04), n, tests) == pytest.approx(0.2 * effect, rel=1e-4)


@pytest.mark.parametrize(("difference", "tests"), [(0.05, 1), (0.05, 3), (0.2, 1)])
def test_the_patients_needed_are_those_of_statsmodels(difference, tests):
    n = TTestPower().solve_power(effect_size=difference / 0.5, alpha=0.05 / tests, power=0.8)
    assert count_needed(Spread(0.25), difference, tests) == np.ceil(n)


def test_a_t_test_finds_the_smallest_difference_four_times_in_five():
    smallest = find_smallest(Spread(1.0), 30, 1)
    drawn = np.random.default_rng([7]).normal(smallest, 1, size=(4000, 30))
    found = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / 4000))


def test_more_patients_find_smaller_differences_and_more_tests_larger_ones():
    of_n = [find_smallest(Spread(1.0), n, 1) for n in range(6, 60)]
    assert of_n == sorted(of_n, reverse=True)
    assert find_smallest(Spread(1.0), 30, 3) > find_smallest(Spread(1.0), 30, 1)
    needed = [count_needed(Spread(1.0), difference, 1) for difference in (0.3, 0.1, 0.05)]
    assert needed == sorted(needed)
    assert count_needed(Spread(1.0), 0.001, 1) is None


def test_so_few_patients_that_no_exact_test_can_find_anything():
    assert find_smallest(Spread(1e-6), 5, 1) == inf
    # 2 / 2^6 = 0.031 is below 0.05, but not below a third of it.
    assert find_smallest(Spread(1e-6), 6, 1) < inf
    assert find_smallest(Spread(1e-6), 6, 3) == inf


def test_a_study_tells_its_spread_by_the_width_of_its_interval():
    spread = observe(OWN)
    assert half_width(spread, 50) == pytest.approx(0.06)
    assert spread.error(200) == pytest.approx(spread.error(50) / 2)
    cut = OWN | {"difference": "0.96", "low": "0.9", "high": "1"}  # a difference of shares is 1 at most
    assert half_width(observe(cut), 50) == pytest.approx(0.06)
    assert observe(OWN | {"low": "", "high": ""}) is None


def test_what_a_study_can_show():
    rows = list(expect({"labelled": 198, "external": 8}, PAIRS, [OWN], 0.05))
    assert len(HEADINGS) == len(rows[0])
    assert [(row.cohort, row.of, row.spread) for row in rows] == [
        ("labelled", "ECA of 0.65", ASSUMED),
        ("labelled", "ONCA of 0.95", ASSUMED),
        ("labelled", "difference in ECA", ASSUMED),
        ("labelled", "ECA, vit less vgg", OBSERVED),
        ("external", "ECA of 0.65", ASSUMED),
        ("external", "ONCA of 0.95", ASSUMED),
        ("external", "difference in ECA", ASSUMED),
    ]
    labelled, own, external = rows[2], rows[3], rows[6]
    spread = assume(0.65, 15, anew=True, difference=True)
    assert labelled.interval == f"± {half_width(spread, 198):.2g}"
    assert labelled.smallest == f"{find_smallest(spread, 198, 1):.2g}"
    assert labelled.needed == str(count_needed(spread, 0.05, 1))
    assert own.interval == "± 0.03"  # 0.06 with 50 patients, and a smaller quantile of t
    # A patient's standard deviation is 0.06 / 2.01 sqrt(50) = 0.211: (2.80 x 0.211 / 0.05)^2, and 2 for t.
    assert own.needed == "142"
    # Eight patients must pass the exact test too.
    assert external.smallest.startswith("at least 0.")


def test_what_cannot_be_shown_is_said():
    (score, near, difference) = expect({"labelled": 5}, PAIRS)
    assert score.interval == near.interval == "too few for an interval: 5 patients"
    assert (difference.interval, difference.smallest) == ("too few patients", "none")
    (*_, wide) = expect({"labelled": 8}, PAIRS, [OWN | {"low": "-1.5", "high": "1.5"}], 0.001)
    assert wide.interval == "± 1"
    assert wide.smallest == "none"  # two shares differ by 1 at most
    assert wide.needed == f"over {MOST_PATIENTS}"


def test_one_network_has_nothing_to_differ_from_and_another_primary_score_is_planned_by_eca():
    alone = expect({"labelled": 100}, PlannedStudy(1, 15, "ECA"))
    assert [row.of for row in alone] == ["ECA of 0.65", "ONCA of 0.95"]
    by_mae = list(expect({"labelled": 100}, PlannedStudy(2, 15, "MAE")))
    assert by_mae[-1].of == "difference in ECA"
    assert list(expect({"labelled": 100}, PlannedStudy(2, 15, "ONCA")))[-1].of == "difference in ONCA"


@pytest.mark.parametrize("recipe", ["STABLE", "UNSTABLE"])
@pytest.mark.parametrize("repeats", [3, 15])
def test_trained_classifiers_vary_as_assumed(intervals, recipe, repeats):
    recipe = getattr(intervals, recipe)
    world = intervals.World(recipe, (recipe.noise,) * 2, patients=10)
    scores = CLASSES.pick(["ECA"])
    widths, differences = [], []
    for number in range(40):
        tables, _ = world.cohort(number, 60, repeats, known=False)
        one, other = (scores.estimate(table)["ECA"] for table in tables)
        low, high, _ = one.interval()
        planned = expect_interval(one.value, assume(one.value, repeats, anew=True), 60)
        widths.append((high - low) / (planned.high - planned.low))
        spread = assume(one.value, repeats, anew=True, difference=True)
        differences.append(one.minus(other).standard_error() / spread.error(60))
    assert np.mean(widths) == pytest.approx(1, abs=0.15)
    assert np.mean(differences) == pytest.approx(1, abs=0.3)
