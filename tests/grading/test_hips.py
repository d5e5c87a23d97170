"""Readings become grades; shards become one table and one stack."""

import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipoa.core.constants import CLASS_TABLE, SHARD_COLUMNS
from hipoa.core.errors import CohortError, TableError
from hipoa.core.files import read_csv, read_npz, write_csv
from hipoa.core.tables.rows import Reading
from hipoa.grading.data import hips
from hipoa.grading.data.hips import check_refused, grade_hips
from hipoa.grading.data.labels import combine, find_unused, grade_hip
from hipoa.grading.data.radiographs import read_radiographs
from hipoa.grading.settings import HipsSettings


def read(crowe, kl, date=""):
    return Reading("a", "L", crowe, kl, date=date)


@pytest.mark.parametrize(("grade", "pair"), list(enumerate(CLASS_TABLE, start=1)))
def test_each_pair_of_the_class_table_is_its_class(grade, pair):
    assert combine(*pair, HipsSettings()) == grade


@pytest.mark.parametrize(
    ("settings", "grade"), [({}, 1), ({"kl0_as_kl1": False}, None), ({"off_table": "nearest"}, 1)]
)
def test_kl_0_is_the_first_class_unless_told_otherwise(settings, grade):
    found = grade_hip("a_L", [read(1, 0)], HipsSettings(**settings))
    assert found["grade"] == grade
    assert found["kl"] == 0
    assert found["off_table"] == ("" if grade else "yes")


@pytest.mark.parametrize(
    ("pair", "nearest"), [((2, 1), 1), ((2, 3), 3), ((3, 3), 6), ((4, 1), 1), ((4, 3), 7), ((2, 0), 1)]
)
def test_a_pair_off_the_table_is_left_out_or_takes_the_nearest_class(pair, nearest):
    left_out = grade_hip("a_L", [read(*pair)], HipsSettings())
    assert (left_out["grade"], left_out["off_table"], left_out["crowe"]) == (None, "yes", pair[0])
    taken = grade_hip("a_L", [read(*pair)], HipsSettings(off_table="nearest"))
    assert (taken["grade"], taken["off_table"]) == (nearest, "yes")


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9))
def test_the_median_of_readings_on_the_table_is_the_median_of_their_classes(classes):
    found = grade_hip("a_L", [read(*CLASS_TABLE[grade - 1]) for grade in classes], HipsSettings())
    assert found["grade"] == statistics.median_low(classes)
    assert found["off_table"] == ""
    assert found["n_readings"] == len(classes)


@pytest.mark.parametrize(("rule", "kl"), [("median", 2), ("first", 4), ("latest", 3)])
def test_label_rules(rule, kl):
    readings = [
        read(1, 4, "2020-05-01"),
        read(1, 3, "2021-01-01"),
        read(1, 2, "2019-12-31"),
        read(1, 2, "2019-01-01"),
    ]
    assert grade_hip("a_L", readings, HipsSettings(label_rule=rule))["kl"] == kl


def test_an_index_read_apart_from_the_other_counts():
    found = grade_hip("a_L", [read(2, None), read(None, 4)], HipsSettings())
    assert (found["crowe"], found["kl"], found["grade"], found["n_readings"]) == (2, 4, 5, 2)


def test_the_classes_of_named_readers_stand_in_order_of_name():
    readings = [
        *(
            Reading("a", "L", 1, 4, "Z"),
            Reading("a", "L", 1, 2, "A"),
            Reading("a", "L", 1, 3, "A", "2020-05-01"),
            Reading("a", "L", 1, 1, "consensus"),
        ),
        *(Reading("a", "L", 2, 1, "off the table"), Reading("a", "L", 2, None, "in part"), read(1, 1)),
    ]
    assert grade_hip("a_L", readings, HipsSettings())["reader_grades"] == "2 4"


@pytest.mark.parametrize("readings", [[], [read(2, None)], [read(None, 4)]])
def test_a_hip_without_both_indices_has_no_combined_grade(readings):
    found = grade_hip("a_L", readings, HipsSettings())
    assert (found["grade"], found["off_table"]) == (None, "")


@pytest.mark.parametrize("date", ["", "5/1/2020", "20200101", "2020-1-1"])
def test_the_latest_reading_needs_dates(date):
    with pytest.raises(TableError, match=r"^a_L: it has several readings .* Fill the column date"):
        grade_hip("a_L", [read(1, 4, "2020-05-01"), read(1, 3, date)], HipsSettings(label_rule="latest"))


def test_readings_of_other_cases_are_ignored():
    (row,) = grade_hips([{"hip_id": "b_L"}], [read(1, 1)], "pool", HipsSettings())
    assert (row["grade"], row["n_readings"], row["cohort"]) == (None, 0, "pool")


def rows(*status):
    return [
        {"hip_id": f"c{i}_L", "case_id": f"c{i}", "status": s, "reason": f"reason {i}.", "n_readings": 1}
        for i, s in enumerate(status)
    ]


def test_too_many_refused_hips_stop_the_run_with_number_share_and_reasons():
    status = ("refused",) * 4 + ("ok",) * 4 + ("excluded",) * 9
    with pytest.raises(CohortError) as caught:
        check_refused(rows(*status), "external", 0.2)
    assert str(caught.value) == (
        "cohort external: 4 of 8 hips (50%) were refused, 20% are allowed (c0_L: reason 0; c1_L: reason 1; "
        "c2_L: reason 2; and 1 more). Look at these CTs. Where one shows the hip, mark its centre by "
        "landmarks; where it does not, give a CT that does, or write L, R or both into the column exclude of "
        "the table of cases. To go on without these hips, set hips.max_refused_share to 0.5."
    )
    check_refused(rows(*status), "external", 0.5)


@pytest.mark.parametrize("status", [(), ("excluded",), ("refused", "ok", "ok", "ok", "ok")])
def test_few_refused_hips_do_not(status):
    check_refused(rows(*status), "labelled", 0.2)


def ct(name, left, right, graded=""):
    """Both hips of a CT; the sides in ``graded`` have a reading."""
    return [
        {
            "hip_id": f"{name}_{side}",
            "case_id": name,
            "status": status,
            "reason": "cut off",
            "n_readings": int(side in graded),
        }
        for side, status in (("L", left), ("R", right))
    ]


def test_both_hips_of_a_ct_that_were_refused_for_one_reason_are_named_together():
    found = [
        *ct("a", "refused", "refused", "L"),
        *ct("b", "refused", "ok", "L"),
        *ct("c", "ok", "refused", "R"),
    ]
    with pytest.raises(CohortError, match=r"\(a_L and a_R: cut off; b_L: cut off; c_R: cut off\)"):
        check_refused(found, "labelled", 0.2)


@given(st.data())
def test_a_ct_of_the_pool_in_which_a_hip_was_read_never_stops_a_run_that_passed(data):
    """Only hips that are shown can be read."""
    status = st.sampled_from(["ok", "refused", "excluded"])
    case = st.tuples(status, status, st.sampled_from(["", "L", "R", "LR"]))
    cases = data.draw(st.lists(case, max_size=8))
    before = [hip for number, sides in enumerate(cases) for hip in ct(f"l{number}", *sides)]
    share = data.draw(st.sampled_from([0.0, 0.2, 0.5]))
    try:
        check_refused(before, "labelled", share)
    except CohortError:
        return
    other, graded = data.draw(st.tuples(status, st.sampled_from("LR")))
    sides = ("ok", other) if graded == "L" else (other, "ok")
    check_refused([*before, *ct("new", *sides, graded)], "labelled", share)


@pytest.mark.parametrize(
    ("cases", "stops"),
    [
        # The other side is outside the CT: no label is lost.
        ([ct("a", "ok", "refused", "L"), ct("b", "refused", "ok", "R")], False),
        # A label is lost, and with a CT that was refused both hips.
        ([ct("a", "ok", "refused", "LR"), ct("b", "ok", "ok", "LR")], True),
        ([ct("a", "refused", "refused", "L"), ct("b", "ok", "ok", "LR"), ct("c", "ok", "ok", "L")], True),
        # An external CT that nobody has read yet.
        ([ct("a", "ok", "refused"), ct("b", "ok", "ok")], True),
    ],
)
def test_which_refused_hips_count(cases, stops):
    hips = [hip for case in cases for hip in case]
    if stops:
        with pytest.raises(CohortError, match=r"hips\.max_refused_share"):
            check_refused(hips, "external", 0.2)
    else:
        check_refused(hips, "external", 0.2)


@pytest.fixture
def shards(cohorts):
    """Two shards with a refused and an excluded hip, and grades.csv."""
    spread = {
        "0": [("b", "ok", "ok"), ("d", "ok", "refused")],
        "1": [("a", "ok", "excluded"), ("c", "ok", "ok")],
    }
    tables, stacks = [], []
    for shard, cases in spread.items():
        cells = [
            {
                "hip_id": f"{case}_{side}",
                "case_id": case,
                "patient_id": f"p{case}",
                "side": side,
                "status": state,
                "png": f"png/{case}_{side}.png" if state == "ok" else "",
            }
            for case, *states in cases
            for side, state in zip("LR", states, strict=True)
        ]
        tables.append(cohorts.write_table(f"radiographs/labelled/{shard}.csv", SHARD_COLUMNS, cells))
        stacks.append(tables[-1].with_suffix(".npz"))
        names = [cell["hip_id"] for cell in cells if cell["status"] == "ok"]
        images = [np.full((150, 150), ord(name[0]) + (name[2] == "R"), np.uint8) for name in names]
        np.savez(
            stacks[-1], hip_id=np.array(names), radiograph=np.stack(images), mm_per_px=np.ones(len(names))
        )
    readings = [("a", "L", "I", "1"), ("b", "L", "IV", "2"), ("c", "R", "IV", "4"), ("x", "L", "1", "1")]
    columns = ["case_id", "side", "crowe", "kl"]
    cells = [dict(zip(columns, reading, strict=True)) for reading in readings]
    return tables, stacks, cohorts.write_table("grades.csv", columns, cells)


def run(folder, tables, stacks, grades, cohort="labelled", **settings):
    out, stack = folder / "hips" / f"{cohort}.csv", folder / "hips" / f"{cohort}.npz"
    hips.run(
        HipsSettings(**settings),
        cohort=cohort,
        tables=tables,
        stacks=stacks,
        grades=grades,
        out=out,
        stack=stack,
    )
    return read_csv(out), read_npz(stack), out


def test_shards_become_one_table_and_one_stack_in_order_of_name(shards, tmp_path):
    tables, stacks, grades = shards
    table, stack, out = run(tmp_path, tables, stacks, [grades])
    names = [row["hip_id"] for row in table]
    assert names == ["a_L", "a_R", "b_L", "b_R", "c_L", "c_R", "d_L", "d_R"]
    assert [row["grade"] for row in table] == ["1", "", "", "", "", "7", "", ""]
    assert [row["off_table"] for row in table] == ["", "", "yes", "", "", "", "", ""]
    assert stack["hip_id"].tolist() == ["a_L", "b_L", "b_R", "c_L", "c_R", "d_L"]
    assert stack["radiograph"][:, 0, 0].tolist() == [97, 98, 99, 99, 100, 100]
    assert (out.parent / table[0]["png"]).resolve() == tables[1].parent / "png/a_L.png"
    assert table[1]["png"] == ""
    again, same, _ = run(tmp_path / "again", tables[::-1], stacks[::-1], [grades])
    assert [row | {"png": ""} for row in again] == [row | {"png": ""} for row in table]
    assert np.array_equal(same["radiograph"], stack["radiograph"])


def refuse_all(table):
    table.write_text(table.read_text().replace(",ok,", ",refused,"))


def test_a_pool_of_refused_hips_stops_no_run_and_a_labelled_cohort_does(shards, tmp_path):
    tables, stacks, _ = shards
    for table in tables:
        refuse_all(table)
    table, stack, _ = run(tmp_path, tables, stacks, [], cohort="pool")
    assert {row["status"] for row in table} == {"refused", "excluded"}
    assert stack["hip_id"].shape == (0,)
    with pytest.raises(CohortError, match=r"^cohort labelled: 7 of 7 hips \(100%\) were refused"):
        run(tmp_path, tables, stacks, [])


@pytest.fixture
def metal(shards):
    """The same, with a replacement in a_L, which is graded, and a screw in c_L."""
    for table, hip, kind in ((1, "a_L", "replacement"), (1, "c_L", "fixation")):
        rows = read_csv(shards[0][table])
        rows = [row | ({"implant": kind} if row["hip_id"] == hip else {}) for row in rows]
        write_csv(shards[0][table], SHARD_COLUMNS, rows)
    return shards


@pytest.mark.parametrize(
    ("kinds", "left_out"),
    [
        (("replacement", "fixation"), {"a_L": "implant (replacement)", "c_L": "implant (fixation)"}),
        (("replacement",), {"a_L": "implant (replacement)"}),
        (("fixation",), {"c_L": "implant (fixation)"}),
        ((), {}),
    ],
)
def test_hips_with_an_implant_are_left_out_even_if_graded(metal, tmp_path, kinds, left_out):
    tables, stacks, grades = metal
    table, stack, out = run(tmp_path, tables, stacks, [grades], leave_out_implants=kinds)
    found = {row["hip_id"]: row for row in table}
    assert {hip: found[hip]["reason"] for hip in left_out} == left_out
    assert {hip for hip, row in found.items() if row["status"] == "excluded"} == {*left_out, "a_R"}
    assert (found["a_L"]["implant"], found["a_L"]["grade"]) == ("replacement", "1")
    # The report shows them, and nothing else uses them.
    assert {"a_L", "c_L"} <= set(stack["hip_id"].tolist())
    used = read_radiographs(out, out.with_suffix(".npz"))
    assert set(used.hip_id.tolist()) == set(stack["hip_id"].tolist()) - left_out.keys()
    assert used.patient_id.tolist() == [f"p{hip[0]}" for hip in used.hip_id.tolist()]


def test_no_grade_is_lost_without_a_reason(metal, tmp_path):
    tables, stacks, grades = metal
    with grades.open("a") as file:
        file.write("a,R,1,2\nb,R,,2\nc,L,2,2\nd,L,3,\nd,R,1,3\n")
    for settings, expected in (
        ({}, {"c_L": "excluded: implant (fixation)", "b_L": "Crowe IV, KL 2 is in no class"}),
        ({"leave_out_implants": ()}, {"c_L": "Crowe II, KL 2 is in no class"}),
        ({"off_table": "nearest"}, {"c_L": "excluded: implant (fixation)"}),
    ):
        table, _, _ = run(tmp_path, tables, stacks, [grades], max_refused_share=1, **settings)
        unused = dict(find_unused(table))
        assert expected.items() <= unused.items()
        assert {
            "a_R": "excluded: ",
            "b_R": "without a Crowe grade",
            "d_L": "without a KL grade",
            "d_R": "refused: ",
        }.items() <= unused.items()
        used = [row["hip_id"] for row in table if row["status"] == "ok" and row["grade"]]
        assert sorted([*used, *unused]) == [row["hip_id"] for row in table if row["n_readings"] != "0"]


def test_a_cohort_without_cases_is_an_empty_table(tmp_path):
    table, stack, out = run(tmp_path, [], [], [], cohort="external")
    assert table == []
    assert "grade,off_table,n_readings" in out.read_text()
    assert stack["radiograph"].shape == (0, 150, 150)
    assert stack["hip_id"].shape == (0,)


def test_a_missing_radiograph_is_named(shards, tmp_path):
    tables, stacks, grades = shards
    with pytest.raises(CohortError, match=r"^cohort labelled: 3 hips have no radiograph, the first is b_L"):
        run(tmp_path, tables, stacks[1:], [grades])


@pytest.mark.parametrize("stage", ["hips", "folds"])
def test_tables_start_without_torch(stage):
    code = f"import sys, hipoa.grading.data.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
