"""Measurements: their geometry in closed form, what the server takes, what is kept and exported."""

import csv
import json
import math

import numpy as np
import pytest

from hipoa.core.errors import ReadingError
from hipoa.imaging.develop import write_png
from hipoa.reading import readings
from hipoa.reading.images import _load
from hipoa.reading.measurements import KINDS, fit_circle, grade_proportion, measure, take_measurements
from hipoa.reading.settings import DeriveSettings

from .conftest import Page, draw, make_study


def outline(x, y, radius, *degrees):
    return [
        (x + radius * math.cos(math.radians(at)), y + radius * math.sin(math.radians(at))) for at in degrees
    ]


def angle_points(degrees, side, tilt=0.0):
    """A head at (50, 60) and an edge that lies so far lateral of the vertical, which a tilt turns."""
    lateral = -1 if side == "R" else 1
    at = math.radians(degrees * lateral + tilt)
    return [*outline(50, 60, 24, -20, 80, 200), (50 + 35 * math.sin(at), 60 - 35 * math.cos(at))]


def test_a_ruler_gives_the_distance():
    assert measure("ruler", [(1, 2), (4, 6)], "R", None) == pytest.approx(5)


def test_the_circle_passes_through_its_points():
    centre, radius = fit_circle(*outline(50, 60, 24, 10, 100, 250))
    assert centre == pytest.approx((50, 60))
    assert radius == pytest.approx(24)
    with pytest.raises(ValueError, match="lie on a line"):
        fit_circle((0, 0), (10, 10), (20, 20))


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("degrees", [-15.0, 0.0, 20.0, 30.0, 45.0])
def test_the_centre_edge_angle_is_that_of_the_triangle_on_either_side(degrees, side):
    assert measure("ce_angle", angle_points(degrees, side), side, None) == pytest.approx(degrees)


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("tilt", [-8.0, 5.0])
def test_the_vertical_follows_the_line_through_both_heads(tilt, side):
    # The right head, on the image's left, is higher by the tilt: the pelvis is turned clockwise.
    assert measure("ce_angle", angle_points(30, side, tilt), side, tilt) == pytest.approx(30)
    turned = measure("ce_angle", angle_points(30, side, tilt), side, None)
    assert turned == pytest.approx(30 + (tilt if side == "L" else -tilt))


def crowe_points(kind, tilt=0.0):
    """Teardrops 100 mm apart, a junction 30 mm above their line; head 50 mm, or pelvis 200 mm."""
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    last = [(10, -30), (60, -30)] if kind == "crowe_head" else [(-30, -160), (20, 40)]
    flat = [(0, 0), (100, 0), (-20, -30), *last]
    return [(200 + x * cos - y * sin, 300 + x * sin + y * cos) for x, y in flat]


@pytest.mark.parametrize("tilt", [0.0, 12.0, -12.0])
@pytest.mark.parametrize(("kind", "percent"), [("crowe_head", 60), ("crowe_pelvis", 75)])
def test_crowes_proportion_is_taken_perpendicular_to_the_line_of_the_teardrops(kind, percent, tilt):
    points = crowe_points(kind, tilt)
    assert measure(kind, points, "R", None) == pytest.approx(percent)
    swapped = [points[1], points[0], *points[2:]]
    assert measure(kind, swapped, "L", None) == pytest.approx(percent)
    mirrored = [(-x, y) for x, y in points]
    assert measure(kind, mirrored, "L", None) == pytest.approx(percent)
    below = [*points[:2], (points[0][0], points[0][1] + 10), *points[3:]]
    assert measure(kind, below, "R", None) < 0


def test_the_grades_of_the_proportion_are_crowes():
    grades = {-5: 1, 49.9: 1, 50: 2, 75: 2, 75.1: 3, 100: 3, 100.1: 4, 180: 4}
    assert {percent: grade_proportion(percent) for percent in grades} == grades


# ---- what the server takes


@pytest.fixture
def page(tmp_path):
    return Page(make_study(tmp_path / "results" / "seen", views=True, tilt_deg="5.0"))


def sent(hip, kind="ruler", points=((1, 2), (4, 6)), **more):
    sha256 = hip["images"][KINDS[kind].image]["sha256"]
    return {"kind": kind, "points": points, "image_sha256": sha256, **more}


def test_a_measurement_is_recorded_with_its_value_computed_from_the_points(page):
    ann = page.reader("Ann")
    hip = ann.next()
    assert (hip["tilt_deg"], hip["measurements"]) == (5.0, [])
    # The view has 0.4 mm per pixel; the page's own value does not count.
    points = [[x / 0.4, y / 0.4] for x, y in [(7, 5), (12, 10), (7, 15), (14, 4)]]
    given = [
        sent(hip, value=77),
        sent(hip, "ce_angle", points),
        sent(hip, "crowe_head", [[2, 30], [40, 30], [8, 20], [5, 5], [25, 5]]),
    ]
    assert ann.read(measurements=given).status_code == 200
    ruler, angle, crowe = page.lines()[0]["measurements"]
    assert (ruler["value"], ruler["unit"], ruler["image"], ruler["vertical"]) == (2.0, "mm", "hip", "")
    assert ruler["points_px"] == [[1, 2], [4, 6]]
    assert ruler["points_mm"] == [[0.4, 0.8], [1.6, 2.4]]
    assert ruler["image_sha256"] == hip["images"]["hip"]["sha256"]
    assert (angle["unit"], angle["vertical"], angle["tilt_deg"]) == ("deg", "heads", 5.0)
    assert (crowe["value"], crowe["unit"], crowe["image"]) == (50.0, "%", "pelvis")
    assert crowe["image_sha256"] == hip["images"]["pelvis"]["sha256"]


def test_without_both_heads_the_vertical_is_that_of_the_image(tmp_path):
    page = Page(make_study(tmp_path / "results" / "one", views=True))
    ann = page.reader("Ann")
    hip = ann.next()
    assert hip["tilt_deg"] is None
    ann.read(measurements=[sent(hip, "ce_angle", [[10, 10], [20, 20], [10, 30], [20, 5]])])
    measured = page.lines()[0]["measurements"][0]
    assert (measured["vertical"], measured["tilt_deg"]) == ("image", None)


WRONG = [
    ({"kind": "area"}, "no known kind"),
    ({"points": [[1, 2]]}, "needs 2 points"),
    ({"points": [[1, 2], [3, 4], [5, 6]]}, "needs 2 points"),
    ({"points": [[1, 2], [60, 6]]}, "outside the image"),
    ({"points": [[1, -0.6], [4, 6]]}, "outside the image"),
    ({"points": [[1, 2], ["a", 6]]}, "incomplete"),
    ({"points": [[1, 2], [3, 4, 5]]}, "incomplete"),
    ({"points": "all"}, "incomplete"),
    ({"points": [[1, 2], [float("nan"), 6]]}, "incomplete"),
    ({"points": [[1, 2], [float("inf"), 6]]}, "incomplete"),
    ({"image_sha256": "0" * 64}, "another image"),
    ({"kind": "ce_angle", "points": [[1, 1], [9, 9], [20, 20], [9, 1]]}, "lie on a line"),
    (
        {"kind": "crowe_head", "points": [[9, 1], [9, 40], [1, 1], [2, 2], [9, 9]], "image": "pelvis"},
        "above each other",
    ),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_is_no_measurement_is_refused_and_nothing_is_recorded(page, change, said):
    ann = page.reader("Ann")
    hip = ann.next()
    given = sent(hip) | change
    if change.get("image"):
        given["image_sha256"] = hip["images"]["pelvis"]["sha256"]
    answer = ann.read(measurements=[sent(hip), given])
    assert answer.status_code == 400
    assert said in answer.json["error"]
    assert page.path.read_text() == ""


@pytest.mark.parametrize("given", ["all", {"kind": "ruler"}, [None], [[1, 2]], [7]])
def test_what_is_no_list_of_measurements_is_refused(given):
    with pytest.raises(ReadingError):
        take_measurements(given, {}, "L", None)


def test_a_reading_without_measurements_needs_none(page):
    ann = page.reader("Ann")
    assert ann.read(measurements=[]).status_code == 200
    assert ann.read().status_code == 200
    assert [line["measurements"] for line in page.lines()] == [[], []]


# ---- how long they last


def test_measurements_come_back_after_an_undoing_and_with_a_consensus(page):
    ann, bob = page.reader("Ann"), page.reader("Bob")
    hip = ann.next()
    given = sent(hip)
    done = ann.read(1, 2, hip, measurements=[given]).json["recorded"]
    assert done["measurements"][0]["value"] == 2.0
    assert ann.get("/api/mine").json["readings"][0]["measurements"][0]["kind"] == "ruler"
    hip = ann.post("/api/undo", {"id": done["id"]}).json["hips"][0]
    kept = [{"kind": "ruler", "points": [[1.0, 2.0], [4.0, 6.0]], "image_sha256": given["image_sha256"]}]
    assert hip["measurements"] == kept
    # Also after the page was loaded again; nobody else sees them.
    assert ann.next()["measurements"] == kept
    assert bob.next()["measurements"] == []
    ann.read(1, 2, hip, measurements=kept)
    bob.read(1, 3)
    found = ann.get("/api/consensus/p00000_L").json
    assert found["hips"][0]["measurements"] == kept
    assert found["readings"][0]["measurements"][0]["value"] == 2.0
    assert bob.get("/api/consensus/p00000_L").json["hips"][0]["measurements"] == []


def test_measurements_of_a_hip_that_is_put_off_come_back_with_it_and_are_no_result(page, tmp_path):
    ann = page.reader("Ann")
    hip = ann.next()
    later = {"form_token": hip["form_token"], "seconds": 1, "measurements": [sent(hip)]}
    assert ann.post("/api/later", later).status_code == 200
    for _ in range(11):
        ann.read()
    hip = ann.next()
    assert (hip["hip_id"], hip["measurements"]) == ("p00000_L", [sent(hip, points=[[1, 2], [4, 6]])])
    out = tmp_path / "measurements.csv"
    readings.run(DeriveSettings(), study=page.study, out=tmp_path / "grades.csv", measurements=out)
    assert len(out.read_text().splitlines()) == 1


def test_a_hidden_second_reading_comes_without_those_of_the_first(tmp_path):
    page = Page(make_study(tmp_path / "results" / "again", pool=30, views=True), again_every=1)
    ann = page.reader("Ann")
    read = set()
    while (hip := ann.next())["hip_id"] not in read:
        read.add(hip["hip_id"])
        ann.read(1, 2, hip, measurements=[sent(hip)])
    assert hip["measurements"] == []
    # Undone, it brings back its own, not those of the first reading.
    own = [sent(hip, points=[[3, 3], [9, 9]])]
    done = ann.read(1, 2, hip, measurements=own).json["recorded"]
    again = ann.post("/api/undo", {"id": done["id"]}).json["hips"][0]
    assert (again["hip_id"], again["measurements"]) == (hip["hip_id"], own)


def test_measurements_of_an_image_that_was_made_anew_are_not_shown_on_it(page):
    ann = page.reader("Ann")
    hip = ann.next()
    done = ann.read(1, 2, hip, measurements=[sent(hip)]).json["recorded"]
    anew = draw("L", 50, 16) + np.uint16(1)
    write_png(page.study / "views/pool/png/p00000_L.png", anew, {"side": "L", "mirrored": "no"})
    _load.cache_clear()
    page.log.close()
    again = page.open().reader("Ann").post("/api/undo", {"id": done["id"]}).json["hips"][0]
    assert again["hip_id"] == "p00000_L"
    assert again["measurements"] == []


def test_they_are_exported_one_row_each(page, tmp_path):
    ann = page.reader("Ann")
    hip = ann.next()
    ann.read(
        1,
        2,
        hip,
        measurements=[sent(hip), sent(hip, "crowe_head", [[2, 30], [40, 30], [8, 20], [5, 5], [17, 5]])],
    )
    undone = ann.read(measurements=[sent(ann.next())]).json["recorded"]
    ann.post("/api/undo", {"id": undone["id"]})
    out = tmp_path / "measurements.csv"
    files = {"out": tmp_path / "grades.csv", "measurements": out, "records": tmp_path / "records.csv"}
    readings.run(DeriveSettings(), study=page.study, **files)
    with out.open() as file:
        ruler, crowe = csv.DictReader(file)
    assert (ruler["reader"], ruler["hip_id"], ruler["kind"], ruler["value"], ruler["unit"]) == (
        *("Ann", "p00000_L", "ruler", "2.0", "mm"),
    )
    assert (ruler["points_px"], ruler["points_mm"], ruler["crowe"]) == ("1 2; 4 6", "0.4 0.8; 1.6 2.4", "")
    assert (crowe["value"], crowe["unit"], crowe["crowe"], crowe["image"]) == ("83.3", "%", "3", "pelvis")
    assert "measurements" not in (tmp_path / "records.csv").read_text().splitlines()[0]


def test_a_log_from_before_there_were_measurements_is_read(page):
    ann = page.reader("Ann")
    ann.read()
    page.log.close()
    (line,) = page.lines()
    old = {name: value for name, value in line.items() if name not in ("measurements", "also_seen")}
    page.path.write_text(json.dumps(old) + "\n")
    assert page.open().log.index.of("Ann")[0].measurements == ()
