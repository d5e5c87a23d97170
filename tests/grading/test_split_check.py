"""What the tables alone say of a split: what cannot be made is refused, what can be made never is."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.errors import CohortError, TableError
from hipoa.core.tables.rows import Case, Reading
from hipoa.grading.data.hips import grade_hips
from hipoa.grading.data.split_check import count_labelled
from hipoa.grading.data.stratified_split import split_patients
from hipoa.grading.settings import HipsSettings


def count(pairs, exclude=(), builtin=(0, 0), **rule):
    """Patients p0, p1, ... with one hip each, of these pairs of Crowe and KL."""
    cases = [Case(f"c{n}", f"p{n}", Path(), exclude="L" if n in exclude else "") for n, _ in enumerate(pairs)]
    readings = [Reading(f"c{n}", "L", *pair) for n, pair in enumerate(pairs)]
    return count_labelled(cases, readings, HipsSettings(**rule), "grades.csv", builtin)


ENOUGH = [(1, 2)] * 4


def test_enough_patients_of_one_class():
    count(ENOUGH).check_folds(4, kept=False)
    count([*ENOUGH, (None, 1), (2, 1)]).check_folds(4, kept=False)
    count([(1, 0), (1, 1)]).check_folds(2, kept=False)


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (
            count([(None, 2)] * 4),
            r"^grades.csv: 0 patients with a graded, usable hip for 4 folds \(of the graded hips 4 have no "
            r"Crowe grade\)\. Fill the column crowe too \(1: subluxation of less than 50 %\)\.$",
        ),
        (count([(1, None)] * 4), r"4 have no KL grade\)\. Fill the column kl too\.$"),
        (
            count([(2, 1)] * 4),
            r"4 have a pair that is no class\)\. List it in hips.class_table, or set hips.off_table: "
            r"nearest\.$",
        ),
        (count([(1, 0)] * 4, kl0_as_kl1=False), "4 have a pair that is no class"),
        (count(ENOUGH, exclude=[3]), r"1 are left out\)\. Take them out of the column exclude .*, or grade"),
        (
            count(ENOUGH[:3]),
            r"3 patients with a graded, usable hip for 4 folds\. Grade hips of more patients, or set "
            r"folds.folds to 3\.$",
        ),
        (
            count([*ENOUGH[:2], (1, 1), (1, 3)]),
            r"no class has more than 2 hips for 4 folds\. Grade hips of more patients, or set folds.folds "
            r"to 2\.$",
        ),
        (
            count([(1, 1), (1, 2), (1, 3), (1, 4)]),
            r"than 1 hips for 4 folds\. Grade hips of more patients\.$",
        ),
        (count([], builtin=(3, 6)), r"3 patients .* for 4 folds\. .*, or raise phantom.labelled, or set"),
    ],
)
def test_what_no_split_can_be_made_of(labelled, message):
    with pytest.raises(CohortError, match=message):
        labelled.check_folds(4, kept=False)


def test_settings_of_the_label_count():
    count([(2, 1)] * 4, off_table="nearest").check_folds(4, kept=False)
    table = [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4), (3, 4), (4, 4)]
    count([(2, 1)] * 4, class_table=table).check_folds(4, kept=False)


def test_the_label_rule_is_followed():
    cases = [Case("a", "p", Path())]
    readings = [Reading("a", "L", 1, 1), Reading("a", "L", 1, 2)]
    with pytest.raises(TableError, match=r"^a_L: it has several readings and not every one has a date"):
        count_labelled(cases, readings, HipsSettings(label_rule="latest"), "grades.csv")


def test_the_built_in_cohort_helps():
    count([(None, 2)] * 4, builtin=(4, 8)).check_folds(4, kept=False)
    count(ENOUGH[:2], builtin=(2, 4)).check_folds(4, kept=False)


def test_a_kept_split_needs_no_frequent_class():
    various = count([(1, 1), (1, 2), (1, 3), (1, 4)])
    various.check_folds(4, kept=True)
    with pytest.raises(CohortError, match="4 patients with a graded, usable hip for 5 folds"):
        various.check_folds(5, kept=True)


def test_the_inner_split():
    labelled = count(ENOUGH)
    labelled.check_inner_folds(0, 4, ["combined"])
    labelled.check_inner_folds(3, 4, ["combined", "separate"])
    with pytest.raises(
        CohortError,
        match=r"^train.inner_folds: 3 patients .* for 4 folds, with one of 4 folds left out\. Grade hips of "
        r"more patients, or set it to 3\.$",
    ):
        labelled.check_inner_folds(4, 4, ["combined"])
    with pytest.raises(CohortError, match="or set it to 0"):
        count([(1, 1), (1, 2)]).check_inner_folds(2, 2, ["combined"])


def test_each_task_counts_the_hips_that_it_is_taught_with():
    labelled = count([*ENOUGH, (None, 2), (None, 2), (None, 2), (None, 2)])
    labelled.check_inner_folds(4, 4, ["separate"])
    with pytest.raises(CohortError, match="for 4 folds"):
        labelled.check_inner_folds(4, 4, ["separate", "combined"])


PAIRS = st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 0, 1, 2, 3])).filter(any)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.lists(PAIRS, min_size=1, max_size=2), min_size=1, max_size=8), st.integers(2, 4))
def test_it_refuses_exactly_what_the_stages_refuse_of_whole_cts(hips, folds):
    cases = [Case(f"c{n}", f"p{n}", Path()) for n, _ in enumerate(hips)]
    pairs = [(f"c{n}", "LR"[k], pair) for n, mine in enumerate(hips) for k, pair in enumerate(mine)]
    readings = [Reading(case, side, *pair) for case, side, pair in pairs]
    rows = [{"hip_id": f"{case}_{side}", "patient_id": f"p{case[1:]}"} for case, side, _ in pairs]
    graded = [row for row in grade_hips(rows, readings, "labelled", HipsSettings()) if row["grade"]]

    def split():
        split_patients([row["patient_id"] for row in graded], [row["grade"] for row in graded], folds, [0])

    def foresee():
        count_labelled(cases, readings, HipsSettings(), "grades.csv").check_folds(folds, kept=False)

    assert refuses(foresee) == refuses(split)


def refuses(check):
    try:
        check()
    except CohortError:
        return True
    return False
