"""CT slices and another CT of the patient: shown when asked for, without the grade and without a date."""

import csv

import numpy as np
import pytest

from .conftest import Page, draw_slices, make_study, write_table


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "results" / "seen", views=True)


def change_hips(study, **by_case):
    """Changes cells of the hips of cases, in the tables of the pool and the labelled cohort."""
    for cohort in ("pool", "labelled"):
        path = study / f"hips/{cohort}.csv"
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        write_table(path, [{**row, "age": "", **by_case.get(row["case_id"], {})} for row in rows])


def show(study, hip_id="p00000_L"):
    hip = Page(study).reader("Ann").next()
    assert hip["hip_id"] == hip_id
    return hip["on_demand"]


def test_slices_are_described_and_sent_only_when_asked_for(study):
    reader = Page(study).reader("Ann")
    hip = reader.next()
    assert set(hip["images"]) == {"hip", "other", "pelvis"}
    assert hip["on_demand"] == {"slices": "CT slices through the head"}
    about = reader.get("/api/images/p00000_L/slices").json
    assert (about["width"], about["height"], about["mm_per_px"], about["apart_mm"]) == (300, 60, 0.8, 4)
    answer = reader.get(f"/api/images/p00000_L/slices/{about['sha256']}")
    pixels = np.frombuffer(answer.data, "<u2").reshape(60, 300)
    assert np.array_equal(pixels, draw_slices().astype(np.uint16) * 257)
    assert reader.get("/api/images/p00000_L/other_ct").status_code == 404
    assert reader.get("/api/images/p00000_L/hip").status_code == 404
    assert reader.get("/api/images/nobody/slices").status_code == 404


def test_slices_of_another_side_are_not_shown(study):
    folder = study / "views/pool/png"
    (folder / "p00000_L_slices.png").write_bytes((folder / "p00000_R_slices.png").read_bytes())
    answer = Page(study).reader("Ann").get("/api/images/p00000_L/slices")
    assert answer.status_code == 400
    assert "says side R" in answer.json["error"]


def test_nobody_sees_them_without_signing_in(study):
    assert Page(study).reader().get("/api/images/p00000_L/slices").status_code == 401


ONE_PATIENT = {"patient_id": "SECRET-x"}
AGES = [
    ("", "", "another CT of this patient (which is earlier is not known)"),
    ("61", "61", "another CT of this patient (which is earlier is not known)"),
    ("90+", "88", "another CT of this patient (which is earlier is not known)"),
    ("61", "59", "earlier CT (by age, about 2 years before)"),
    ("61", "60", "earlier CT (by age, about 1 year before)"),
    ("61", "62", None),  # a later one
]


@pytest.mark.parametrize(("own", "others", "caption"), AGES)
def test_another_ct_of_the_patient_is_offered_unless_it_is_a_later_one(study, own, others, caption):
    change_hips(study, p00000={**ONE_PATIENT, "age": own}, l00003={**ONE_PATIENT, "age": others})
    assert show(study).get("other_ct") == caption


def test_of_several_the_last_earlier_one_is_shown_of_the_same_side_without_its_grade(study):
    ages = {"p00000": "61", "l00003": "50", "l00004": "58", "p00001": "", "p00002": "70"}
    change_hips(study, **{case: {**ONE_PATIENT, "age": age} for case, age in ages.items()})
    reader = Page(study).reader("Ann")
    assert reader.next()["on_demand"]["other_ct"] == "earlier CT (by age, about 3 years before)"
    about = reader.get("/api/images/p00000_L/other_ct").json
    assert set(about) == {
        *("width", "height", "mm_per_px", "window", "source", "sha256", "head", "caption", "apart_mm")
    }
    assert "58" not in about["caption"]
    pixels = reader.get(f"/api/images/p00000_L/other_ct/{about['sha256']}").data
    image = np.frombuffer(pixels, "<u2").reshape(about["height"], about["width"])
    assert image[25, 30:].max() > image[25, :20].max()  # a left hip too


def test_the_record_says_what_was_looked_at_beside_the_hip(study):
    page = Page(study)
    reader = page.reader("Ann")
    assert reader.read(also_seen=["slices"]).status_code == 200
    assert reader.read().status_code == 200
    assert [line["also_seen"] for line in page.lines()] == ["slices", ""]
    for wrong in (["other_ct"], "slices", [["slices"]], [7]):
        assert reader.read(also_seen=wrong).status_code == 400
    assert len(page.lines()) == 2


def test_a_study_without_slices_offers_none(tmp_path):
    assert show(make_study(tmp_path / "results" / "plain")) == {}
