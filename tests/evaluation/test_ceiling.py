"""The ceiling that readers imply: true of every grader, and known where the readers' errors are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from hipoa.evaluation.metrics.ceiling import LIMIT, REACHABLE, imply_ceiling
from hipoa.evaluation.metrics.raters import tabulate_pairs
from hipoa.phantom.anatomy.disease import SHARES_OF_POPULATION
from hipoa.phantom.cohort.readers import error_for, find_ceiling, reader_confusion

CLASSES = np.arange(1, 8)
DISTANCE = np.abs(np.subtract.outer(CLASSES, CLASSES))
METRICS = ["ECA", "ONCA", "quadratic weighted kappa", "MAE"]


def ceiling(one, other):
    pairs = [
        ("labelled", f"p{row}_L", f"p{row}", int(a), int(b))
        for row, (a, b) in enumerate(zip(one, other, strict=True))
    ]
    return list(imply_ceiling(tabulate_pairs(pairs)))


def values(rows, which):
    return {row["metric"]: float(row["value"]) for name, row in rows if name == which}


def draw(random, probability):
    """One class 1-7 for each row of probabilities (n, 7)."""
    return 1 + (random.random((len(probability), 1)) > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_of_four_hips_by_hand():
    # Classes apart: 0, 0, 1, 2.
    rows = ceiling([1, 7, 3, 4], [1, 7, 4, 6])
    assert [row["metric"] for name, row in rows if name == LIMIT] == METRICS
    reachable, limit = values(rows, REACHABLE), values(rows, LIMIT)
    assert (reachable["ECA"], reachable["ONCA"], reachable["MAE"]) == (0.5, 0.75, 0.75)
    assert limit["ECA"] == pytest.approx(0.5**0.5, rel=1e-5)
    assert (limit["ONCA"], limit["MAE"]) == (1, 0.375)
    # Neither reader is the first: every pair counts both ways round.
    one, other = [1, 7, 3, 4], [1, 7, 4, 6]
    kappa = cohen_kappa_score(one + other, other + one, weights="quadratic", labels=CLASSES)
    assert reachable["quadratic weighted kappa"] == pytest.approx(kappa, rel=1e-5)
    assert limit["quadratic weighted kappa"] == pytest.approx(kappa**0.5, rel=1e-5)


def test_the_ends_of_a_limit_follow_from_those_of_the_agreement():
    random = np.random.default_rng([1])
    one = random.integers(1, 8, 60)
    rows = ceiling(one, np.clip(one + random.integers(0, 2, 60), 1, 7))
    found = {(name, row["metric"]): row for name, row in rows}
    for end in ("low", "high"):
        reached = {metric: float(found[REACHABLE, metric][end]) for metric in METRICS}
        limit = {metric: float(found[LIMIT, metric][end]) for metric in METRICS}
        assert limit["ECA"] == pytest.approx(reached["ECA"] ** 0.5, rel=1e-5)
        assert limit["MAE"] == pytest.approx(reached["MAE"] / 2, rel=1e-5)
    assert {row["unit"] for (name, _), row in found.items() if name == LIMIT} == {"share", "kappa", "classes"}


def test_readers_who_always_agree_leave_nothing_out_of_reach():
    rows = ceiling([1, 2, 3], [1, 2, 3])
    assert values(rows, REACHABLE) == values(rows, LIMIT) == dict(zip(METRICS, (1, 1, 1, 0), strict=True))


def test_readers_who_agree_less_than_by_chance_have_no_root():
    assert values(ceiling([1, 7], [7, 1]), LIMIT)["quadratic weighted kappa"] == 0


def kappa_of(joint):
    """Quadratic weighted kappa of joint probabilities (7, 7)."""
    by_chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return 1 - (joint * DISTANCE**2).sum() / (by_chance * DISTANCE**2).sum()


def best_scores(share, probability):
    """The best ECA, ONCA and MAE of graders who know the probabilities (n, 7) of kinds of hips (n,)."""
    windows = probability @ (DISTANCE <= 1)
    return (
        share @ probability.max(axis=1),
        share @ windows.max(axis=1),
        share @ (probability @ DISTANCE).min(axis=1),
    )


@given(st.integers(0, 10**6), st.floats(0.05, 3), st.integers(1, 9))
def test_no_grader_passes_the_limit_and_the_best_one_reaches_what_readers_do(seed, concentration, kinds):
    """Exact in the population, whatever the readers' errors on each kind of hip."""
    random = np.random.default_rng([seed])
    share = random.dirichlet(np.ones(kinds))
    probability = random.dirichlet(np.full(7, concentration), kinds)
    joint = np.einsum("h,ha,hb->ab", share, probability, probability)
    within = [joint[DISTANCE <= k].sum() for k in range(3)]
    apart = (joint * DISTANCE).sum()
    eca, onca, mae = best_scores(share, probability)
    assert within[0] <= eca + 1e-9
    assert eca <= within[0] ** 0.5 + 1e-9
    assert within[1] <= onca + 1e-9
    assert onca <= within[2] ** 0.5 + 1e-9
    assert apart / 2 - 1e-9 <= mae <= apart + 1e-9
    for _ in range(5):
        answer = random.integers(0, 7, kinds)  # an oracle's class of each kind of hip
        graded = np.zeros((7, 7))
        np.add.at(graded, answer, share[:, None] * probability)
        if (answer != answer[0]).any():
            assert kappa_of(graded) <= max(0, kappa_of(joint)) ** 0.5 + 1e-9


@pytest.mark.parametrize("kappa", [0.55, 0.65, 0.9])
def test_the_simulated_readers_best_scores_lie_within(kappa):
    """Of readers whose errors are known, the best ECA and ONCA are too."""
    share = SHARES_OF_POPULATION["study"]["labelled"]
    error = error_for(kappa, share)
    best = find_ceiling(error, share)
    random = np.random.default_rng([2])
    confusion = reader_confusion(error)[random.choice(7, 20_000, p=share)]
    rows = ceiling(draw(random, confusion), draw(random, confusion))
    reachable, limit = values(rows, REACHABLE), values(rows, LIMIT)
    for metric in ("ECA", "ONCA"):
        assert reachable[metric] < best[metric] < limit[metric] + 0.005
    # Errors that are mostly to one class leave the limit close to the best.
    assert limit["ECA"] - best["ECA"] < 0.03
