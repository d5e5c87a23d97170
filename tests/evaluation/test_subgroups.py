"""Subgroups: which hips stand in which, and how they differ."""

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from hipoa.core.tables.words import read_sex
from hipoa.evaluation.graded import grades_only
from hipoa.evaluation.metrics.subgroups import (
    GROUPED_BY,
    LEAST_PATIENTS,
    compare_subgroups,
    merge_few,
    parse_years,
    read_subgroups,
    score_subgroups,
)

FEW = "others, each of fewer than 10 patients"


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
    """A group of nine patients is merged, one of ten is not; what is not stated stays apart."""
    names = ["A"] * 10 + ["B"] * 9 + ["C"] + ["not stated"]
    found = merge_few(np.array(names * 2), np.array([f"P{n}" for n in range(21)] * 2))
    assert found.tolist() == (["A"] * 10 + [FEW] * 10 + ["not stated"]) * 2
    # Ten hips of one patient are one patient's.
    assert merge_few(np.array(["A"] * 10), np.array(["P"] * 10)).tolist() == [FEW] * 10
    assert LEAST_PATIENTS == 10


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


def graded(patient, grade, predicted, repeat=None):
    """Hips in a table of one experiment; a hip's name is that of its patient and a number."""
    n = len(patient)
    return grades_only(
        "vit",
        hip=np.array([f"{name}{row % 2}" for row, name in enumerate(patient)]),
        patient=np.array(patient),
        grade=np.array(grade),
        predicted=np.array(predicted),
        cohort=np.full(n, "labelled"),
        **({} if repeat is None else {"repeat": np.array(repeat)}),
    )


def test_the_sides_of_the_same_patients_are_paired():
    """With one left and one right hip each it is the paired t-test."""
    random = np.random.default_rng([5])
    patient = np.repeat(np.arange(15), 2)
    grade = random.integers(1, 8, 30)
    predicted = np.clip(grade + random.integers(-2, 3, 30), 1, 7)
    left = np.arange(30) % 2 == 0
    error = np.abs(grade - predicted)
    found = compare_subgroups(graded(patient, grade, predicted), left, ~left)
    for metric, value in (("ECA", error == 0), ("ONCA", error <= 1), ("MAE", error)):
        test = ttest_rel(value[left].astype(float), value[~left].astype(float))
        interval = test.confidence_interval()
        cells = found[metric]
        if metric == "MAE":
            assert cells["p"] == pytest.approx(test.pvalue)
            assert float(cells["difference_low"]) == pytest.approx(interval.low, rel=1e-5)
            assert float(cells["difference_high"]) == pytest.approx(interval.high, rel=1e-5)
        else:
            # Of shares a little more careful: by two more patients who differ.
            assert test.pvalue < cells["p"] < test.pvalue + 0.1
            assert float(cells["difference_low"]) < interval.low < interval.high


def test_the_subgroups_of_different_patients_worked_by_hand():
    """Four patients a class off in 1 hip of 4, five in 3 of 5, one hip each.

    The variance of a mean of n hips is its sample variance / (n - 1): 0.25 / 3 and 0.3 / 4; of both
    8/9 of their sum, since nine patients are deleted in turn. 3 degrees of freedom: those of four patients.
    """
    right = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0])
    table = graded(range(9), [1] * 9, 2 - right)
    inside = np.arange(9) < 4
    cells = compare_subgroups(table, inside, ~inside)["MAE"]
    error = np.sqrt(8 / 9 * (0.25 / 3 + 0.3 / 4))
    assert cells["difference"] == "-0.35"
    assert float(cells["difference_high"]) == pytest.approx(-0.35 + 3.182446 * error, rel=1e-5)
    assert float(cells["difference_low"]) == pytest.approx(-0.35 - 3.182446 * error, rel=1e-5)


def test_repeats_and_the_order_of_rows_add_nothing():
    random = np.random.default_rng([6])
    patient, grade = np.repeat(np.arange(12), 2), random.integers(1, 8, 24)
    predicted = random.integers(1, 8, 24)
    inside = patient < 6
    once = compare_subgroups(graded(patient, grade, predicted), inside, ~inside)
    again = [np.tile(column, 3) for column in (patient, grade, predicted)]
    repeated = compare_subgroups(
        graded(*again, repeat=np.repeat([0, 1, 2], 24)), np.tile(inside, 3), ~np.tile(inside, 3)
    )
    order = random.permutation(24)
    shuffled = compare_subgroups(
        graded(patient[order], grade[order], predicted[order]), inside[order], ~inside[order]
    )
    swapped = compare_subgroups(graded(patient, grade, predicted), ~inside, inside)
    for metric, cells in once.items():
        assert repeated[metric]["p"] == pytest.approx(cells["p"])
        assert shuffled[metric] == cells | {"p": pytest.approx(cells["p"])}
        assert float(swapped[metric]["difference"]) == -float(cells["difference"])
        assert swapped[metric]["p"] == pytest.approx(cells["p"])


def test_a_subgroup_without_an_error_has_a_difference_without_interval():
    inside = np.arange(8) < 4
    table = graded(range(8), [1] * 8, [1] * 4 + [1, 1, 2, 2])
    cells = compare_subgroups(table, inside, ~inside)["ECA"]
    assert cells["difference"] == "0.5"
    assert np.isnan(cells["p"])
    assert "difference_low" not in cells
    assert cells["note"].endswith("no interval of the difference: patients score alike")


def test_the_interval_of_a_share_ends_at_one():
    inside = np.arange(8) < 4
    table = graded(range(8), [1] * 8, [1, 1, 1, 2, 2, 2, 2, 1])
    cells = compare_subgroups(table, inside, ~inside)
    assert (cells["ECA"]["difference"], cells["ECA"]["difference_high"]) == ("0.5", "1")
    assert float(cells["MAE"]["difference_low"]) < -1


def study_of(sizes):
    """Hips of two per patient in subgroups of these sizes, and the mapping of hip to subgroup."""
    random = np.random.default_rng([8])
    patient = np.repeat(np.arange(sum(sizes.values())), 2)
    grade = random.integers(1, 8, len(patient))
    table = graded(patient, grade, np.clip(grade + random.integers(-2, 3, len(patient)), 1, 7))
    names = np.repeat(list(sizes), [2 * size for size in sizes.values()]).tolist()
    return table, dict(zip(table.hip.tolist(), names, strict=True))


def test_subgroups_are_compared_with_the_largest_and_adjusted():
    table, bands = study_of({"0-49": 10, "50-64": 30, "65 and over": 12, "not stated": 11, "90": 9})
    sides = {hip: "LR"[int(hip[-1])] for hip in bands}
    rows = score_subgroups(table, {"age": bands, "side": sides})
    for metric in ("ECA", "ONCA", "MAE"):
        own = [row for row in rows if row["metric"] == metric]
        compared = {row["subgroup"]: row for row in own if row.get("reference")}
        assert {name: row["reference"] for name, row in compared.items()} == {
            "0-49": "50-64",
            "65 and over": "50-64",
            "R": "L",
        }
        p = [float(row["p"]) for row in compared.values()]
        holm = multipletests(p, method="holm")[1]
        assert [float(row["p_holm"]) for row in compared.values()] == pytest.approx(holm, rel=1e-4)
        value = {row["subgroup"]: float(row["value"]) for row in own}
        assert float(compared["0-49"]["difference"]) == pytest.approx(
            value["0-49"] - value["50-64"], abs=2e-6
        )
        assert "Holm, tests: 3" in compared["R"]["note"]
    (few,) = (row for row in rows if row["subgroup"] == "90")
    assert (few["metric"], few["n_hips"], few["n_patients"]) == ("", 18, 9)
    assert few["note"] == "too few patients: fewer than 10"


def test_without_two_large_subgroups_nothing_is_compared():
    table, sexes = study_of({"F": 12, "M": 5, "not stated": 20})
    rows = score_subgroups(table, {"sex": sexes})
    assert not any(row.get("reference") for row in rows)
    assert {row["subgroup"] for row in rows if row["metric"] == "ECA"} == {"F", "not stated"}
