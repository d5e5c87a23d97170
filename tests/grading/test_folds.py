"""A patient's hips stay together, grades are spread evenly, and the split is the same every time."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.cli import main
from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.grading.data import folds
from hipoa.grading.data.folds import place_patients
from hipoa.grading.data.stratified_split import split_patients
from hipoa.grading.settings import FoldsSettings

GRADES = st.integers(1, 7) | st.just("")
STATUS = st.sampled_from(["ok", "ok", "ok", "refused", "excluded"])


def split(cohorts, rows, repeat=0, seed=0, **kwargs):
    table, _ = cohorts.hips("labelled", rows)
    out = cohorts.folder / "r.csv"
    folds.run(FoldsSettings(**kwargs), hips=table, repeat=repeat, seed=seed, out=out)
    return read_csv(out)


@settings(deadline=None, max_examples=40)
@given(
    hips=st.lists(st.tuples(STATUS, GRADES, STATUS, GRADES), min_size=16, max_size=40),
    repeat=st.integers(0, 14),
)
def test_every_patient_has_one_fold(new_cohorts, hips, repeat):

    rows = [
        (f"p{i}", side, *cells)
        for i, hip in enumerate(hips)
        for side, cells in zip("LR", (hip[:2], hip[2:]), strict=True)
    ]
    try:
        table = split(new_cohorts(), rows, repeat)
    except CohortError:
        return
    of_patient = defaultdict(set)
    for row in table:
        of_patient[row["patient_id"]].add(row["fold"])
    assert {len(found) for found in of_patient.values()} == {1}
    assert set(of_patient) == {patient for patient, *_ in rows}
    usable = {f"l{patient}_{side}" for patient, side, status, grade in rows if status == "ok" and grade}
    assert {row["hip_id"] for row in table if row["hip_id"]} == usable
    without = [row["patient_id"] for row in table if not row["hip_id"]]
    assert len(without) == len(set(without)) == len(hips) - len({hip[1:-2] for hip in usable})


def skewed(n):
    """n patients, two hips each, grades as in a clinic: the rarest 6 % of the hips."""
    random = np.random.default_rng([1])
    shares = [0.25, 0.2, 0.16, 0.14, 0.1, 0.09, 0.06]
    return [
        (f"p{i:03}", side, "ok", int(g))
        for i in range(n)
        for side in "LR"
        for g in random.choice(7, 1, p=shares) + 1
    ]


def test_grades_are_spread_evenly(cohorts):
    rows = skewed(198)
    grade_of = {f"l{patient}_{side}": grade for patient, side, _, grade in rows}
    counts = Counter((row["fold"], grade_of[row["hip_id"]]) for row in split(cohorts, rows))
    for grade in range(1, 8):
        in_folds = [counts[str(fold), grade] for fold in range(4)]
        assert max(in_folds) - min(in_folds) <= 3


def test_a_split_is_the_same_every_time_and_another_for_each_repeat(cohorts):
    rows = skewed(40)
    first = split(cohorts, rows)
    assert split(cohorts, rows) == first
    assert split(cohorts, rows, repeat=1) != first
    assert split(cohorts, rows, seed=1) != first
    assert split(cohorts, rows, seed=1) != split(cohorts, rows, repeat=1)


@given(st.sets(st.integers(0, 99), max_size=30), st.integers(2, 6), st.lists(st.integers(0, 5), max_size=20))
def test_patients_without_a_hip_fill_the_smallest_folds(others, n, taken):
    before = {f"t{i}": fold % n for i, fold in enumerate(taken)}
    placed = place_patients({f"p{i}" for i in others}, before, n, [0])
    sizes = Counter(before.values())
    gap = max([sizes[fold] for fold in range(n)]) - min([sizes[fold] for fold in range(n)])
    sizes.update(placed.values())
    after = [sizes[fold] for fold in range(n)]
    assert len(placed) == len(others)
    assert max(after) - min(after) <= max(1, gap)
    assert placed == place_patients({f"p{i}" for i in others}, before, n, [0])


def test_a_rare_class_is_a_warning(cohorts, capsys):
    rows = [(f"p{i}", "L", "ok", 1 if i < 8 else 5) for i in range(10)]
    assert len(split(cohorts, rows)) == 10
    assert "fewer patients than the 4 folds in class 5: 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("patients", "grades", "found"),
    [
        ([], [], "0 patients with a graded, usable hip for 4 folds"),
        (["a", "a", "b", "c"], [1, 1, 1, 1], "3 patients with a graded, usable hip for 4 folds"),
        (["a", "b", "c", "d"], [1, 2, 3, 4], "no class has more than 1 hips for 4 folds"),
    ],
)
def test_too_few_patients_are_an_error(patients, grades, found):
    with pytest.raises(
        CohortError, match=rf"^folds: {found}. Add graded patients, or lower the setting folds."
    ):
        split_patients(patients, grades, 4, [0])


def run_again(folder, cohorts, rows, **kwargs):
    """Splits, and keeps the folds for the next time."""
    table, _ = cohorts.hips("labelled", rows)
    out, former = folder / "results/s/folds/r0.csv", folder / "history/s/folds/r0.csv"
    given = [former] if former.exists() else []
    folds.run(FoldsSettings(**kwargs), hips=table, repeat=0, out=out, former=given)
    assert main(["keep-folds", "--study", str(folder / "results/s")]) == 0
    return {row["patient_id"]: row["fold"] for row in read_csv(out)}


def test_old_patients_keep_their_folds_when_others_are_added(tmp_path, new_cohorts):
    rows = skewed(80)
    seen = run_again(tmp_path, new_cohorts(), rows[:80])
    assert run_again(tmp_path, new_cohorts(), rows[:80]) == seen
    for n in (82, 100, 160):
        later = run_again(tmp_path, new_cohorts(), rows[:n])
        assert seen.items() <= later.items()
        assert len(later) == n // 2
        seen = later


def test_folds_that_did_not_change_are_not_written_again(tmp_path, new_cohorts):
    run_again(tmp_path, new_cohorts(), skewed(20))
    kept = tmp_path / "history/s/folds/r0.csv"
    before = kept.stat().st_mtime_ns
    run_again(tmp_path, new_cohorts(), skewed(20))
    assert kept.stat().st_mtime_ns == before
    run_again(tmp_path, new_cohorts(), skewed(21))
    assert kept.stat().st_mtime_ns > before


def test_a_study_without_folds_has_none_to_keep(tmp_path, capsys):
    assert main(["keep-folds", "--study", str(tmp_path)]) == 2
    assert "--study: it has no folds. Name results/NAME" in capsys.readouterr().err


def test_the_first_split_is_the_one_without_former_folds(tmp_path, new_cohorts):
    alone = {row["patient_id"]: row["fold"] for row in split(new_cohorts(), skewed(60))}
    assert run_again(tmp_path, new_cohorts(), skewed(60)) == alone


def test_added_patients_leave_the_folds_stratified(tmp_path, new_cohorts):
    rows = skewed(160)
    run_again(tmp_path, new_cohorts(), rows[:160])
    fold_of = run_again(tmp_path, new_cohorts(), rows)
    counts = Counter((grade, fold_of[patient]) for patient, _, _, grade in rows)
    for grade in range(1, 8):
        of_grade = [counts[grade, fold] for fold in "0123"]
        assert max(of_grade) - min(of_grade) <= 3


def test_a_patient_who_had_no_grade_keeps_the_fold_when_she_gets_one(tmp_path, new_cohorts):
    rows = [*skewed(40), ("new", "L", "ok", "")]
    before = run_again(tmp_path, new_cohorts(), rows)
    after = run_again(tmp_path, new_cohorts(), [*rows[:-1], ("new", "L", "ok", 3)])
    assert before["new"] == after["new"]


def test_a_patient_who_was_away_comes_back_to_her_fold(tmp_path, new_cohorts):
    rows = skewed(40)
    before = run_again(tmp_path, new_cohorts(), rows)
    run_again(tmp_path, new_cohorts(), rows[10:])
    assert run_again(tmp_path, new_cohorts(), rows) == before


def test_other_patients_are_split_anew(tmp_path, new_cohorts, capsys):
    run_again(tmp_path, new_cohorts(), skewed(40))
    others = [(f"q{patient}", *cells) for patient, *cells in skewed(40)]
    run_again(tmp_path, new_cohorts(), others)
    assert "all are split anew" in capsys.readouterr().err


def test_former_folds_of_another_number_are_refused(tmp_path, new_cohorts):
    run_again(tmp_path, new_cohorts(), skewed(40), folds=4)
    with pytest.raises(CohortError, match=r"^folds/r0.csv: it is no table .* all of the folds 0 to 1. Set"):
        run_again(tmp_path, new_cohorts(), skewed(40), folds=2)
