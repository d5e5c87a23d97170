"""A small version of benchmarks/intervals.py: what intervals and tests promise, they keep, with training."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def cohorts(intervals):
    """The truth and what is found in 120 cohorts of 24 patients, of two equally good networks."""
    world = intervals.World(intervals.UNSTABLE, (intervals.UNSTABLE.noise,) * 2, patients=600)
    found, truths = [], []
    for number in range(120):
        tables, truth = world.cohort(number, 24, 3, known=number < 60)
        found.append(intervals.examine(tables))
        truths.append(truth.mean())
    return {name: np.array([row[name] for row in found]) for name in found[0]} | {"truth": np.nanmean(truths)}


# Three standard errors of a share of 95 % in 120 cohorts are 6 points.


def test_the_interval_holds_what_the_recipe_scores(cohorts):
    held = (cohorts["low"] <= cohorts["truth"]) & (cohorts["truth"] <= cohorts["high"])
    assert held.mean() > 0.95 - 0.06


def test_patients_alone_make_too_narrow_an_interval(cohorts):
    alone = cohorts["patients_high"] - cohorts["patients_low"]
    assert (alone < cohorts["high"] - cohorts["low"]).mean() > 0.8


def test_equally_good_networks_are_called_different_no_more_often_than_promised(cohorts):
    assert (cohorts["p"] < 0.05).mean() < 0.05 + 0.06
    assert cohorts["any"].mean() < 0.05 + 0.06
    # Patients alone leave out the training.
    assert (cohorts["p_patients"] < 0.05).mean() > (cohorts["p"] < 0.05).mean()


def test_the_two_networks_are_equally_good_and_a_patients_hips_alike(intervals):
    world = intervals.World(intervals.STABLE, (intervals.STABLE.noise,) * 2, patients=2000)
    truth = np.array([world.cohort(number, 60, 1)[1] for number in range(30)])
    difference = truth[:, 0] - truth[:, 1]
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(30) + 0.01
    hips = world.hips
    assert np.corrcoef(hips.severity.reshape(-1, 2).T)[0, 1] == pytest.approx(0.6, abs=0.05)
    assert np.bincount(hips.grade, minlength=8)[1:] / len(hips.grade) == pytest.approx(
        intervals.SHARES, abs=0.03
    )
