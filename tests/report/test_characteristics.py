"""The first table of a paper: patients, CTs and hips by cohort."""

from hipoa.report.characteristics import list_people, tabulate_characteristics
from hipoa.report.cohort import Hip, split_cohorts

NOTHING = Hip(*[""] * len(Hip._fields))


def hip(case, side, patient, cohort="labelled", **cells):
    known = {"hip_id": f"{case}_{side}", "case_id": case, "side": side, "patient_id": patient}
    return NOTHING._replace(**({"cohort": cohort, "status": "ok"} | known | cells))


HIPS = [
    # One woman with two CTs, ten years apart; a man with one hip refused; one of whom nothing is stated.
    *(hip("a1", side, "a", sex="female", age="60", step_mm="1.0", scanner="S", crowe="1", kl="2", grade="2")
      for side in "LR"),
    *(hip("a2", side, "a", sex="F", age="70", step_mm="3.0", scanner="S", implant="replacement")
      for side in "LR"),
    hip("b1", "L", "b", sex="m", age="90+", step_mm="2.0", scanner="T", crowe="4", kl="4", grade="7"),
    hip("b1", "R", "b", sex="m", age="90+", status="refused", crowe="3", kl="1"),
    hip("c1", "L", "c", crowe="2.0", kl="1"),
    hip("d1", "R", "d", cohort="pool", manufacturer="GE"),
]  # fmt: skip


def table(hips, classes=None):
    found = tabulate_characteristics(split_cohorts(hips), classes or {})
    return {characteristic.name: dict(characteristic.rows) for characteristic in found}


def test_each_is_counted_in_its_unit():
    """By hand: 3 patients, 4 CTs and 6 hips with a radiograph in the labelled cohort, 1 in the pool."""
    found = table(HIPS, {2: "Crowe I, KL 2"})
    assert found["number of"] == {"patients": ["3", "1"], "CTs": ["4", "1"], "hips": ["6", "1"]}
    assert found["sex, patients"] == {
        "female": ["1 (33 %)", "0 (0 %)"],
        "male": ["1 (33 %)", "0 (0 %)"],
        "not stated": ["1 (33 %)", "1 (100 %)"],
    }
    # The woman counts with 60, her age at the first CT; quartiles of 60 and 90.
    assert found["age, years"] == {
        "median (quartiles)": ["75 (67.5 to 82.5)", "\N{EN DASH}"],
        "range": ["60 to 90+", "\N{EN DASH}"],
        "not stated": ["1", "1"],
    }
    assert found["side, hips"] == {"left": ["4 (67 %)", "0 (0 %)"], "right": ["2 (33 %)", "1 (100 %)"]}
    assert found["class, hips"]["2 (Crowe I, KL 2)"] == ["2 (33 %)", "0 (0 %)"]
    assert found["class, hips"]["7"] == ["1 (17 %)", "0 (0 %)"]
    assert found["class, hips"]["not graded"] == ["3 (50 %)", "1 (100 %)"]
    assert {level: cells[0] for level, cells in found["Crowe, hips"].items()} == {
        "I": "2 (33 %)",
        "II": "1 (17 %)",
        "IV": "1 (17 %)",
        "not graded": "2 (33 %)",
    }
    assert found["KL, hips"]["1"] == ["1 (17 %)", "0 (0 %)"]
    assert found["implant, hips"] == {
        "none": ["4 (67 %)", "1 (100 %)"],
        "replacement of the joint": ["2 (33 %)", "0 (0 %)"],
    }
    assert found["scanner, CTs"] == {
        "S": ["2 (50 %)", "0 (0 %)"],
        "T": ["1 (25 %)", "0 (0 %)"],
        "not stated": ["1 (25 %)", "1 (100 %)"],
    }
    assert found["slice spacing, mm"]["median (quartiles)"] == ["2 (1.5 to 2.5)", "\N{EN DASH}"]
    assert found["manufacturer, CTs"]["GE"] == ["0 (0 %)", "1 (100 %)"]


def test_the_levels_of_each_characteristic_add_up():
    found = table(HIPS)
    for name, rows in found.items():
        if name.endswith(("patients", "CTs", "hips")) and name != "number of":
            (unit,) = [unit for unit in ("patients", "CTs", "hips") if name.endswith(unit)]
            for place, total in enumerate(found["number of"][unit]):
                assert sum(int(cells[place].split()[0]) for cells in rows.values()) == int(total), name


def test_what_is_not_stated_of_anyone_has_no_row():
    assert list(table([hip("a", "L", "a")])) == [
        *("number of", "side, hips", "implant, hips"),
    ]
    assert table([hip("a", "L", "a", status="refused", sex="F")])["number of"]["hips"] == ["0"]


def test_a_level_of_no_cohort_has_no_row():
    found = table([hip("a", "L", "a", grade="2"), hip("b", "L", "b", cohort="pool", grade="7")])
    assert list(found["class, hips"]) == ["2", "7"]
    assert found["class, hips"]["7"] == ["0 (0 %)", "1 (100 %)"]


def test_many_scanners_are_eight_and_others():
    hips = [hip(f"c{n}", "L", f"p{n}", scanner=f"S{min(n, 11)}") for n in range(14)]
    rows = table(hips)["scanner, CTs"]
    assert list(rows) == ["S11", *(f"S{n}" for n in (0, 1, 10, 2, 3, 4, 5)), "others"]
    assert rows["others"] == ["4 (29 %)"]


def test_a_patient_has_the_first_sex_and_the_youngest_age():
    people = list_people([hip("a", "L", "a", age="70"), hip("b", "L", "a", sex="w", age="63 y")])
    assert people == {"a": ("F", 63)}


def test_the_page_has_the_table_and_how_alike_both_hips_are(fabricated):
    page = fabricated.report("characteristics.html", "characteristics.json")
    section = page.split('<section id="patients">')[1].split("</section>")[0]
    rows = [row for row in section.split("<tr") if "left against right hip" in row]
    assert len(rows) == 3
    # 20 CTs, of which seven have a hip without a class; all of the six external ones.
    assert "<td>CTs with a class of both</td><td>14</td><td>6</td><td>0</td>" in rows[0]
