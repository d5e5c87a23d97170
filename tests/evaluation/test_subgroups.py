"""Subgroups: which hips stand in which."""

import numpy as np
import pytest

from hipoa.core.tables.words import read_sex
from hipoa.evaluation.metrics.subgroups import (
    GROUPED_BY,
    LEAST_PATIENTS,
    merge_few,
    parse_years,
    read_subgroups,
)

FEW = "others, each of fewer than 5 patients"


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("63", 63),
        ("63.5", 63.5),
        ("90+", 90),
        ("63 y", 63),
        ("063Y", 63),
        ("", None),
        ("old", None),
        ("6-8", None),
    ],
)
def test_an_age_may_be_free_text(text, years):
    assert parse_years(text) == years


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        ("F", "F"),
        ("female", "F"),
        ("w", "F"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER F}", "F"),
        ("女", "F"),
        ("m.", "M"),
        ("Male", "M"),
        ("H", "M"),
        ("여자", "F"),
        ("1", ""),
    ],
)
def test_a_sex_has_many_words(text, sex):
    assert read_sex(text) == sex


def test_small_groups_of_scanners_are_one():
    """A group of four patients is merged, one of five is not; what is not stated stays apart."""
    names = ["A"] * 5 + ["B"] * 4 + ["C"] + ["not stated"]
    found = merge_few(np.array(names * 2), np.array([f"P{n}" for n in range(11)] * 2))
    assert found.tolist() == (["A"] * 5 + [FEW] * 5 + ["not stated"]) * 2
    # Five hips of one patient are one patient's.
    assert merge_few(np.array(["A"] * 5), np.array(["P"] * 5)).tolist() == [FEW] * 5
    assert LEAST_PATIENTS == 5


def test_the_cells_of_a_ct_become_bands(study):
    table = study.hips(
        "labelled",
        [1, 2, 3, 4],
        sex=["F", "female", "", "M"],
        age=["90+", "49", "64", ""],
        kv=["120", "120", "", "100"],
        step_mm=["1.0", "1.25", "5", ""],
        kernel_kind=["soft", "bone", "", "soft"],
    )
    groups = read_subgroups([table], (50, 65))
    assert set(groups) == set(GROUPED_BY)
    assert [*groups["sex"].values()] == ["F", "F", "not stated", "M"]
    assert [*groups["age"].values()] == ["65 and over", "0-49", "50-64", "not stated"]
    assert [*groups["kv"].values()] == ["120 kV", "120 kV", "not stated", "100 kV"]
    assert [*groups["step_mm"].values()] == ["up to 1 mm", "over 1 to 2.5 mm", "over 2.5 mm", "not stated"]
    assert [*groups["manufacturer"].values()] == ["not stated"] * 4
