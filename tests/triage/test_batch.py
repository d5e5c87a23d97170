"""A batch is what the greedy k-centre with weights gives, and its two ends are the order and the k-centre."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.grading.inference.knn_distance import measure_distances
from hipoa.triage.batch import choose_batch, group_units


def choose(places, order, count, diversity, unit=None, **more):
    unit = np.array([f"u{row}" for row in range(len(order))]) if unit is None else unit
    return choose_batch(
        np.asarray(order),
        unit,
        count,
        diversity=diversity,
        nearest=np.abs(places[:, 0]),
        distances=lambda rows: measure_distances(places, places[rows]).min(axis=1),
        **more,
    ).tolist()


@pytest.fixture
def places():
    return np.array([[1.0, 0], [1.1, 0], [3, 0], [-2.9, 0], [0.2, 5]])


def test_without_diversity_it_is_the_order(places):
    assert choose(places, [4, 2, 0, 1, 3], 5, 0.0) == [4, 2, 0, 1, 3]


def test_diversity_alone_is_the_greedy_k_centre(places):
    # From the origin hip 2 is farthest, from it and the origin hip 3, then hip 0 or 1 of the four left.
    assert choose(places, [0, 1, 2, 3, 4], 3, 1.0) == [2, 3, 1]


def test_a_near_copy_comes_last(places):
    places = np.vstack([places, places[0] + 1e-6])
    assert choose(places, [0, 5, 1, 2, 3, 4], 6, 0.5)[-1] in (0, 5)


def test_units_come_whole_and_are_counted(places):
    unit = np.array(["a", "b", "a", "b", "c"])
    assert choose(places, [4, 0, 1, 2, 3], 2, 0.0, unit) == [4, 0, 2]
    assert choose(places, [4, 0, 1, 2, 3], 99, 0.0, unit, units=2) == [4, 0, 2]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_grouping_keeps_all_and_joins_units(names, random):
    order = list(range(len(names)))
    random.shuffle(order)
    unit = np.array(names)
    grouped = group_units(np.array(order), unit)
    assert sorted(grouped.tolist()) == sorted(order)
    seen = unit[grouped].tolist()
    assert len([a for a, b in itertools.pairwise(seen) if a != b]) + 1 == len(set(names))
    firsts = list(dict.fromkeys(unit[order].tolist()))
    assert list(dict.fromkeys(seen)) == firsts


def test_without_distances_the_order_stays():
    unit, unknown = np.array(["a", "b", "c"]), np.full(3, np.nan)
    chosen = choose_batch(
        np.array([2, 0, 1]), unit, 2, diversity=0.9, nearest=unknown, distances=lambda rows: unknown
    )
    assert chosen.tolist() == [2, 0]
    none = np.zeros(0)
    chosen = choose_batch(
        none.astype(int), unit[:0], 2, diversity=0.5, nearest=none, distances=lambda rows: none
    )
    assert chosen.tolist() == []
