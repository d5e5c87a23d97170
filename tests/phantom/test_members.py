"""The planned cases of the built-in cohort."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hipoa.core.tables.rows import shard_of
from hipoa.phantom.cohort.members import POPULATIONS, count_patients, plan_cases, planned

DEMO = {"labelled": 24, "external": 6, "pool": 6}


def test_the_demo_has_24_and_2_labelled_6_external_and_7_pool_cases():
    plan = plan_cases(DEMO)
    assert {cohort: len(cases) for cohort, cases in plan.items()} == {
        "labelled": 26,
        "external": 6,
        "pool": 7,
    }
    ids = [case.case_id for cases in plan.values() for case in cases]
    assert len(set(ids)) == len(ids)


def test_the_study_has_as_many_hips_as_masuda_et_al_2024():
    plan = plan_cases(count_patients("study", {}), "study")
    assert {cohort: len(cases) for cohort, cases in plan.items()} == POPULATIONS["study"]
    ids = [case.case_id for cases in plan.values() for case in cases]
    assert len(set(ids)) == len(ids)
    assert not any(case.visit or case.ungraded for cases in plan.values() for case in cases)
    assert sum(bool(case.implants) for case in plan["pool"]) == 2
    found = planned(POPULATIONS["study"], 4, "study")["labelled"]
    assert sum(map(len, found.values())) == 198


def test_a_given_number_overrides_the_population():
    assert count_patients("demo", {}) == DEMO
    given = {"labelled": 3, "external": None, "pool": 0}
    assert count_patients("study", given) == {"labelled": 3, "external": 52, "pool": 0}


def test_special_patients():
    plan = plan_cases(DEMO)
    second = [
        (c.case_id, c.patient_id, c.cohort, c.drawn_as) for cases in plan.values() for c in cases if c.visit
    ]
    assert second == [
        ("phantom-l001-2", "phantom-l001", "labelled", "labelled"),
        ("phantom-l002-2", "phantom-l002", "labelled", "labelled"),
        ("phantom-l003-2", "phantom-l003", "pool", "labelled"),
    ]
    assert [c.case_id for c in plan["labelled"] if c.ungraded == "L"] == ["phantom-l004"]
    assert {c.case_id: c.implants for cases in plan.values() for c in cases if c.implants} == {
        "phantom-p001": (("R", "replacement"),),
        "phantom-p002": (("L", "nail"),),
    }


def test_no_patient_is_both_labelled_and_external():
    plan = plan_cases(DEMO)
    patients = {cohort: {case.patient_id for case in cases} for cohort, cases in plan.items()}
    assert not patients["labelled"] & patients["external"]


def test_without_a_pool_nobody_comes_back_into_it():
    assert plan_cases({"labelled": 24})["pool"] == []


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_part_the_cases_as_the_tables_do(patients: int, shards: int):
    counts = {"labelled": patients, "pool": 2}
    for cohort, by_shard in planned(counts, shards).items():
        expected = {case.case_id for case in plan_cases(counts)[cohort]}
        found = [case for cases in by_shard.values() for case in cases]
        assert sorted(found) == sorted(expected)
        assert all(shard_of(case, shards) == shard for shard, cases in by_shard.items() for case in cases)


@given(st.integers(0, 30))
def test_one_more_patient_changes_no_other(patients: int):
    before, after = (plan_cases({"labelled": n, "pool": 3}) for n in (patients, patients + 1))
    for cohort, cases in before.items():
        assert all(case in after[cohort] for case in cases)


def test_the_plan_needs_the_standard_library_only():
    root = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); from hipoa.phantom.cohort.members import planned; "
        "print(len(planned({'labelled': 24}, 2)['labelled']))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
