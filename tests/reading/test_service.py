"""What a reader sees and what is recorded."""

import json
import time

import numpy as np
import pytest

from .conftest import Page, draw, make_study


def test_hips_come_in_the_order_of_the_list(page):
    reader = page.reader("Ann")
    seen = []
    for _ in range(12):
        seen.append(reader.next()["hip_id"])
        assert reader.read().status_code == 200
    assert seen == [f"p{n:05d}_{side}" for n in range(6) for side in "LR"]
    assert reader.get("/api/next").json == {"hips": [], "left": 0, "read": 12, "skipped": []}


def test_a_reading_is_recorded_with_all_that_belongs_to_it(page):
    reader = page.reader("Ann")
    reader.read(2, 3, comment="flat  head\n")
    (line,) = page.lines()
    assert (line["reader"], line["hip_id"], line["side"], line["crowe"], line["kl"]) == (
        "Ann",
        "p00000_L",
        "L",
        2,
        3,
    )
    assert (line["comment"], line["kind"], line["image"], line["blind"]) == (
        "flat head",
        "reading",
        "radiograph",
        True,
    )
    assert len(line["image_sha256"]) == 64
    assert line["time"].endswith("+00:00")
    assert line["version"]


def test_a_second_click_is_no_second_reading(page):
    reader = page.reader("Ann")
    hip = reader.next()
    answers = [reader.read(2, 3, hip) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json["recorded"]["id"] for answer in answers}) == 1
    assert len(page.lines()) == 1


def test_another_grade_on_a_used_form_is_refused_with_the_recorded_one(page):
    reader = page.reader("Ann")
    hip = reader.next()
    reader.read(2, 3, hip)
    again = reader.read(2, 4, hip)
    assert again.status_code == 400
    assert "was recorded as Crowe II, KL 3" in again.json["error"]
    assert len(page.lines()) == 1


def test_two_tabs_lose_nothing_and_the_later_reading_stands(page):
    reader = page.reader("Ann")
    first, second = reader.next(), reader.next()
    assert first["hip_id"] == second["hip_id"]
    reader.read(2, 3, first)
    reader.read(3, 4, second)
    assert [(line["crowe"], line["kl"]) for line in page.lines()] == [(2, 3), (3, 4)]
    assert page.log.index.current("Ann")["p00000_L"].kl == 4


def test_two_readers_at_one_hip_have_a_record_each(page):
    ann, bob = page.reader("Ann"), page.reader("Bob")
    hips = ann.next(), bob.next()
    assert hips[0]["hip_id"] == hips[1]["hip_id"]
    ann.read(1, 1, hips[0])
    bob.read(1, 2, hips[1])
    assert page.log.index.current("Ann")["p00000_L"].kl == 1
    assert page.log.index.current("Bob")["p00000_L"].kl == 2


def test_an_undone_reading_comes_again_at_once_and_stays_in_the_log(page):
    reader = page.reader("Ann")
    done = reader.read(2, 3).json["recorded"]
    reader.read(1, 1)
    answer = reader.post("/api/undo", {"id": done["id"]}).json
    assert answer["hips"][0]["hip_id"] == done["hip_id"]
    assert reader.post("/api/undo", {"id": done["id"]}).status_code == 200
    assert [line["kind"] for line in page.lines()] == ["reading", "reading", "undo"]
    assert done["hip_id"] not in page.log.index.current("Ann")


def test_no_patient_is_named_anywhere(page):
    reader = page.reader("Ann")
    reader.read()
    paths = ("/", "/api/state", "/api/next", "/api/references", "/api/mine", "/api/disagreements")
    for path in paths:
        assert "SECRET" not in reader.get(path).get_data(as_text=True)
    assert "SECRET" not in page.path.read_text()


def fetch(reader, hip, kind):
    about = hip["images"][kind]
    answer = reader.get(f"/api/images/{hip['hip_id']}/{kind}/{about['sha256']}")
    return np.frombuffer(answer.data, "<u2").reshape(about["height"], about["width"])


def middle_of_head(image):
    return np.flatnonzero(image[image.shape[0] // 2] > image.max() / 2).mean() / image.shape[1]


@pytest.mark.parametrize("views", [False, True])
def test_a_hip_is_shown_as_it_lies_in_the_patient(tmp_path, views):
    page = Page(make_study(tmp_path / "results" / "sides", views=views))
    reader = page.reader("Ann")
    # Seen from the front: a right hip's head lies left of the middle, whatever the file's turn.
    for side, head in (("L", 0.7), ("R", 0.3)):
        hip = reader.next()
        assert hip["side"] == side
        assert middle_of_head(fetch(reader, hip, "hip")) == pytest.approx(head, abs=0.03)
        assert middle_of_head(fetch(reader, hip, "other")) == pytest.approx(1 - head, abs=0.03)
        reader.read()


def test_each_hip_is_marked_on_its_own_side_of_the_pelvis_that_both_share(tmp_path):
    reader = Page(make_study(tmp_path / "results" / "marks", views=True)).reader("Ann")
    for _ in range(2):
        for side, x in (("L", 40), ("R", 10)):
            hip = reader.next()
            assert (hip["side"], hip["images"]["pelvis"]["head"][0]) == (side, x)
            reader.read()


def test_sixteen_bits_arrive_as_they_are(tmp_path):
    page = Page(make_study(tmp_path / "results" / "fine", views=True))
    reader = page.reader("Ann")
    hip = reader.next()
    assert hip["images"]["hip"]["source"] == "view"
    assert set(hip["images"]) == {"hip", "other", "pelvis"}
    assert np.array_equal(fetch(reader, hip, "hip"), draw("L", 50, 16))
    # The PNG says to open it from 1 to 12 of the 20 that white stands for, but bone at the joint is denser.
    low, high = hip["images"]["hip"]["window"]
    assert low == 3276
    assert high > fetch(reader, hip, "hip")[20:30, 20:29].max() > 39321
    assert hip["images"]["pelvis"]["window"] == [3276, 39321]


def test_an_image_that_says_another_side_is_not_shown(results):
    from hipoa.imaging.develop import write_png

    file = results / "radiographs/pool/png/p00000_L.png"
    write_png(file, np.zeros((30, 30), np.uint8), {"side": "R", "mirrored": "no"})
    answer = Page(results).reader("Ann").get("/api/next").json
    # Nor is it shown beside the other hip.
    assert [hip["hip_id"] for hip in answer["hips"]] == ["p00001_L", "p00001_R"]
    assert "the image says side R" in answer["skipped"][0]


def test_an_image_that_was_made_anew_is_not_taken_for_the_old_one(page):
    reader = page.reader("Ann")
    hip = reader.next()
    assert reader.get(f"/api/images/{hip['hip_id']}/hip/{'0' * 64}").status_code == 409


def test_references_show_agreed_hips_of_each_class_but_not_the_patients_own(results):
    (results / "label_errors.csv").write_text("rank,hip_id\n1,l00000_L\n")
    page = Page(results)
    references = page.reader("Ann").get("/api/references").json["references"]
    assert [(r["grade"], r["side"]) for r in references] == [
        (grade, side) for grade in range(1, 8) for side in "LR"
    ]
    assert all(r["readers"] == 2 and r["synthetic"] for r in references)
    reader = page.reader("Bob")
    assert reader.next()["hidden_references"] == []
    (results / "triage.csv").write_text("rank,hip_id\n1,l00000_L\n")
    page.log.close()
    hip = page.open().reader("Bob").next()
    hidden = [references[number] for number in hip["hidden_references"]]
    assert [(r["grade"], r["side"]) for r in hidden] == [(1, "L"), (1, "R")]


def test_a_hip_that_cannot_be_graded_has_a_reason_and_no_grade(page):
    reader = page.reader("Ann")
    assert reader.read(None, None).status_code == 400
    assert reader.read(None, 3).status_code == 400
    assert reader.read(1, 2, reason="implant").status_code == 400
    assert reader.read(None, None, reason="bored").status_code == 400
    assert page.path.read_text() == ""
    assert reader.read(None, None, reason="implant").status_code == 200
    assert page.lines()[0]["reason"] == "implant"


def test_readers_may_share_the_list(make_page):
    page = make_page(readings_per_hip=1)
    ann, bob = page.reader("Ann"), page.reader("Bob")
    ann.read()
    assert bob.next()["hip_id"] == "p00000_R"
    assert ann.get("/api/next").json["left"] == 11


def test_disagreements_are_settled_by_two_and_seen_only_after_reading(page):
    ann, bob, eve = page.reader("Ann"), page.reader("Bob"), page.reader("Eve")
    ann.read(1, 2)
    ann.read(1, 3)
    bob.read(1, 4)
    assert [one["hip_id"] for one in bob.get("/api/disagreements").json["open"]] == ["p00000_L"]
    for reader, hip in ((bob, "p00000_R"), (eve, "p00000_L")):
        assert reader.get(f"/api/consensus/{hip}").status_code == 400
    found = bob.get("/api/consensus/p00000_L").json
    assert [(one["reader"], one["kl"]) for one in found["readings"]] == [("Ann", 2), ("Bob", 4)]
    notes = bob.read(1, 3, found["hips"][0]).json["notes"]
    assert notes == ["This is a proposal: it counts once another reader of the hip records the same."]
    (open_case,) = ann.get("/api/disagreements").json["open"]
    assert [(one["reader"], one["kl"]) for one in open_case["proposals"]] == [("Bob", 3)]
    assert ann.read(1, 3, ann.get("/api/consensus/p00000_L").json["hips"][0]).json["notes"] == []
    assert [line["kind"] for line in page.lines()[-2:]] == ["consensus", "consensus"]
    assert bob.get("/api/disagreements").json["open"] == []


def test_the_senior_readers_consensus_counts_alone_and_nobody_elses(make_page):
    page = make_page(senior="bob")
    ann, bob = page.reader("Ann"), page.reader("Bob")
    ann.read(1, 2)
    bob.read(1, 4)
    ann.read(1, 2, ann.get("/api/consensus/p00000_L").json["hips"][0])
    assert len(bob.get("/api/disagreements").json["open"]) == 1
    assert bob.read(1, 4, bob.get("/api/consensus/p00000_L").json["hips"][0]).json["notes"] == []
    assert [line["senior"] for line in page.lines()] == [False, False, False, True]
    assert bob.get("/api/disagreements").json["open"] == []


def test_a_pair_in_no_class_is_said_on_saving(page, results):
    reader = page.reader("Ann")
    assert reader.read(2, 4).json["notes"] == []
    assert reader.read(1, 0).json["notes"] == []  # counted as KL 1
    (note,) = reader.read(2, 3).json["notes"]
    assert note == (
        "Crowe II, KL 3 is in no class of this study: the hip will not be trained on. Press Z to correct it."
    )
    assert reader.read(None, None, reason="implant").json["notes"] == []
    (results / "manifest.json").write_text('{"configuration": {"hips": {"off_table": "nearest"}}}')
    page.log.close()
    (note,) = page.open().reader("Ann").read(2, 3).json["notes"]
    assert "it counts as class 3" in note


def test_a_grade_of_a_hip_that_no_run_uses_is_said_on_saving(tmp_path):
    study = make_study(tmp_path / "results" / "implants", views=True)
    table = study / "hips/pool.csv"
    left = table.read_text().replace(",L,phantom A,ok,,", ",L,phantom A,excluded,implant (replacement),")
    table.write_text(left)
    reader = Page(study).reader("Ann")
    (note,) = reader.read(1, 1).json["notes"]
    assert note == "This hip will be neither trained on nor scored (excluded: implant (replacement))."
    assert reader.read(1, 1).json["notes"] == []  # the right hip
    assert reader.read(None, None, reason="implant").json["notes"] == []


def test_another_reason_needs_its_comment(page):
    reader = page.reader("Ann")
    for comment in ("", "  ", "\u200b"):
        answer = reader.read(None, None, reason="other", comment=comment)
        assert "another reason needs a comment" in answer.json["error"]
    assert page.path.read_text() == ""
    assert reader.read(None, None, reason="other", comment="cast").status_code == 200
    assert reader.read(None, None, reason="implant").status_code == 200


def test_a_hip_that_was_put_off_comes_back_at_the_end_of_the_list(page):
    reader = page.reader("Ann")
    hip = reader.next()
    for _ in range(2):  # a double click
        answer = reader.post("/api/later", {"form_token": hip["form_token"], "seconds": 3})
        assert answer.json["hips"][0]["hip_id"] == "p00000_R"
    assert (answer.json["read"], answer.json["left"]) == (0, 12)
    seen = []
    for _ in range(12):
        seen.append(reader.next()["hip_id"])
        reader.read()
    assert seen[-1] == "p00000_L"
    assert reader.get("/api/next").json["hips"] == []
    assert [line["kind"] for line in page.lines()] == ["later"] + ["reading"] * 12


def test_putting_off_can_be_undone_and_only_by_its_reader(page):
    reader, bob = page.reader("Ann"), page.reader("Bob")
    hip = reader.next()
    assert bob.post("/api/later", {"form_token": hip["form_token"]}).status_code == 400
    done = reader.post("/api/later", {"form_token": hip["form_token"]}).json["recorded"]
    assert bob.next()["hip_id"] == "p00000_L"
    assert bob.post("/api/undo", {"id": done["id"]}).status_code == 400
    reader.post("/api/undo", {"id": done["id"]})
    assert reader.next()["hip_id"] == "p00000_L"


def test_the_time_on_a_hip_that_was_put_off_is_kept_and_is_at_most_what_passed(page):
    reader = page.reader("Ann")
    for seconds in (0.2, 99):
        hip = reader.next()
        time.sleep(0.25)
        reader.post("/api/later", {"form_token": hip["form_token"], "seconds": seconds})
    first, second = (line["seconds"] for line in page.lines())
    assert first == 0.2
    assert 0.2 <= second < 60


def test_a_reader_goes_on_after_the_server_was_ended(results):
    page = Page(results)
    page.reader("Ann").read()
    page.log.close()
    again = page.open().reader("ann")
    assert again.get("/api/state").json["reader"] == "Ann"
    assert again.next()["hip_id"] == "p00000_R"
    assert json.loads(page.path.read_text())["reader"] == "Ann"
