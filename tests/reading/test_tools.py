"""The tools of the page in a real browser: points by mouse and keys, what is drawn, kept and fetched."""

import json
import random

import pytest

from hipoa.reading.measurements import KINDS, grade_proportion, measure

from .conftest import make_study, press, wait_for
from .test_on_demand import ONE_PATIENT, change_hips


@pytest.fixture
def study(tmp_path):
    made = make_study(tmp_path / "results" / "seen", views=True, tilt_deg="4.0")
    change_hips(made, p00000=ONE_PATIENT, l00003=ONE_PATIENT)
    return made


@pytest.fixture
def page(open_page, serve, study):
    shown = open_page(serve("--again-every", "0", "--prediction", "never", study=study))
    wait_for(shown, "p00000_L")
    yield shown
    assert shown.faults == []


def spot(page, canvas, x, y):
    """Where a pixel of an image of 50 x 50 pixels is on the screen."""
    return page.evaluate(
        """([name, x, y]) => { const box = document.getElementById(name).getBoundingClientRect();
        const scale = Math.min(box.width, box.height) / 50;
        return [box.x + (box.width - 50 * scale) / 2 + (x + 0.5) * scale,
        box.y + (box.height - 50 * scale) / 2 + (y + 0.5) * scale]; }""",
        [canvas, x, y],
    )


def click(page, canvas, *points):
    for x, y in points:
        page.mouse.click(*spot(page, canvas, x, y))


def read_log(study):
    log = study.parent.parent / "history" / study.name / "readings.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def save(page, shown):
    press(page, "1", "2", "Enter")
    wait_for(page, shown)


def test_the_page_computes_what_the_server_records(page):
    random.seed(5)
    cases = []
    for kind, about in list(KINDS.items()) * 60:
        points = [[random.uniform(0, 200), random.uniform(0, 200)] for _ in range(about.points)]
        cases.append([kind, points, random.choice("LR"), random.choice([None, random.uniform(-15, 15)])])
    cases.append(["ce_angle", [[0, 0], [5, 5], [9, 9], [3, 0]], "L", None])
    cases.append(["crowe_head", [[5, 0], [5, 9], [0, 0], [1, 1], [9, 9]], "L", None])
    cases.append(["crowe_pelvis", [[0, 0], [50, 0], [9, 9], [1, 1], [9, 1]], "L", None])
    found = page.evaluate(
        """cases => import("/static/geometry.js").then(({ measure, gradeProportion }) =>
        cases.map((one) => [measure(...one), gradeProportion(measure(...one))]))""",
        cases,
    )
    for case, (value, grade) in zip(cases, found, strict=True):
        try:
            wanted = measure(case[0], [tuple(point) for point in case[1]], *case[2:])
        except ValueError:
            assert value is None
            continue
        assert value == pytest.approx(wanted, abs=1e-9)
        assert grade == grade_proportion(wanted)
    assert [value for value, _ in found[-3:]] == [None] * 3
    kinds = page.evaluate(
        """import("/static/geometry.js").then(({ KINDS }) => Object.entries(KINDS).map(([kind, about]) =>
        [kind, about.image, about.points.length, about.unit]))"""
    )
    assert kinds == [[kind, *about] for kind, about in KINDS.items()]


def test_points_are_set_by_clicks_and_recorded_where_they_were_set(page, study):
    press(page, "m")
    assert "set one end (1 of 2)" in page.inner_text("#tool-hint")
    click(page, "hip", (10, 20), (35, 20))
    assert page.inner_text("#tool-hint") == ""
    assert page.text_content("#hip-marks text") == "10.0 mm"
    press(page, "a")
    click(page, "hip", (10, 20), (18, 28), (26, 20), (30, 8))
    assert "perpendicular to the line through both heads, tilted by 4°" in page.inner_text("#measured")
    press(page, "t")
    assert page.is_visible("#pelvis-large")
    click(page, "pelvis-large", (20, 40), (32, 40), (36, 30), (36, 20), (36, 40))
    assert page.text_content("#pelvis-marks text") == "50.0 % (Crowe II)"
    save(page, "p00000_R")
    assert page.inner_text("#measured") == ""
    assert not page.is_visible("#pelvis-large")
    ruler, angle, crowe = read_log(study)[0]["measurements"]
    for measured, wanted in (
        (ruler, [[10, 20], [35, 20]]),
        (crowe, [[20, 40], [32, 40], [36, 30], [36, 20], [36, 40]]),
    ):
        for point, exact in zip(measured["points_px"], wanted, strict=True):
            assert point == pytest.approx(exact, abs=0.1)
    assert (ruler["value"], crowe["value"]) == pytest.approx((10, 50), abs=0.2)
    assert (angle["vertical"], angle["tilt_deg"]) == ("heads", 4)


def test_zoom_and_pan_move_the_image_and_leave_points_where_they_are(page, study):
    press(page, "m")
    click(page, "hip", (10, 20))
    x, y = spot(page, "hip", 10, 20)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.mouse.move(x + 60, y + 40)
    page.mouse.down()
    page.mouse.move(x + 90, y + 20, steps=3)
    page.mouse.up()
    # The drag set no point; the first one went with the image.
    assert "(2 of 2)" in page.inner_text("#tool-hint")
    press(page, "f")
    click(page, "hip", (10, 45))
    save(page, "p00000_R")
    (ruler,) = read_log(study)[0]["measurements"]
    assert ruler["value"] == pytest.approx(10, abs=0.1)


def test_a_tool_is_used_by_keys_alone(page, study):
    press(page, "m", "ArrowLeft", " ")
    assert "(2 of 2)" in page.inner_text("#tool-hint")
    press(page, "Backspace", " ", "Shift+ArrowUp", "ArrowUp", "Enter")
    # Enter does not save while a measurement is under way.
    assert "not complete" in page.inner_text("#tool-hint")
    assert page.evaluate("document.body.dataset.shown") == "p00000_L"
    press(page, " ")
    assert page.text_content("#hip-marks text") == "4.4 mm"
    page.focus("#hip-marks [data-point='1']")
    press(page, "Shift+ArrowUp")
    assert page.text_content("#hip-marks text") == "8.4 mm"
    press(page, "Delete")
    assert page.locator("#hip-marks text").count() == 0
    press(page, "a", " ", "Escape")
    assert page.inner_text("#tool-hint") == ""
    save(page, "p00000_R")
    assert read_log(study)[0]["measurements"] == []


def test_points_are_dragged_and_a_cross_deletes(page, study):
    press(page, "m")
    click(page, "hip", (10, 20), (35, 20))
    press(page, "m")
    click(page, "hip", (10, 40), (20, 40))
    page.mouse.move(*spot(page, "hip", 35, 20))
    page.mouse.down()
    page.mouse.move(*spot(page, "hip", 22, 20), steps=4)
    page.mouse.move(*spot(page, "hip", 20, 20), steps=2)
    page.mouse.up()
    assert page.text_content("#hip-marks text") == "4.0 mm"
    press(page, "3", "Backspace")  # of the grade, not of the point that was dragged
    page.locator("#hip-marks [aria-label='2: delete the ruler'] .grip").click()
    save(page, "p00000_R")
    assert [one["value"] for one in read_log(study)[0]["measurements"]] == [4.0]


def test_crowes_proportion_changes_to_the_height_of_the_pelvis_and_keeps_its_first_points(page, study):
    press(page, "t")
    click(page, "pelvis-large", (20, 40), (32, 40), (36, 32))
    press(page, "t")
    assert "the highest point of the iliac crest (4 of 5)" in page.inner_text("#tool-hint")
    click(page, "pelvis-large", (10, 2), (20, 42))
    assert page.text_content("#pelvis-marks text") == "100.0 % (Crowe III)"
    press(page, "Escape")
    assert not page.is_visible("#pelvis-large")
    assert "of 20 % of the pelvic height" in page.inner_text("#measured")
    # Opened again it shows the measurement and starts none; a new one takes its place.
    press(page, "t")
    assert page.inner_text("#tool-hint") == ""
    press(page, "t")
    click(page, "pelvis-large", (20, 40), (32, 40), (36, 30), (36, 20), (36, 40))
    save(page, "p00000_R")
    assert [one["kind"] for one in read_log(study)[0]["measurements"]] == ["crowe_head"]


def test_teardrops_at_one_place_draw_nothing_that_is_no_number(page):
    """The page has no faults at the end of every test; a hidden canvas has no size when it is shown again."""
    press(page, "t")
    click(page, "pelvis-large", (20, 40), (20, 40), (36, 32), (36, 20), (36, 40))
    assert page.text_content("#pelvis-marks text") == "not measurable: move the points"
    assert "NaN" not in page.inner_html("#pelvis-marks")
    press(page, "Escape", "t")
    assert "NaN" not in page.inner_html("#pelvis-marks")


def test_measurements_come_back_after_an_undoing(page, study):
    press(page, "m")
    click(page, "hip", (10, 20), (35, 20))
    save(page, "p00000_R")
    press(page, "z")
    wait_for(page, "p00000_L")
    assert page.text_content("#hip-marks text") == "10.0 mm"
    page.click("#mine-open")
    page.wait_for_selector("#mine:not([hidden])")
    assert "10.0 mm" not in page.inner_text("#mine")
    press(page, "Escape")
    save(page, "p00000_R")
    page.click("#mine-open")
    page.wait_for_selector("#mine:not([hidden])")
    assert "10.0 mm" in page.inner_text("#mine")
    first, _, second = read_log(study)
    assert first["measurements"] == second["measurements"]


def test_nothing_is_fetched_before_it_is_asked_for(page, study):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    save(page, "p00000_R")
    press(page, "z")
    wait_for(page, "p00000_L")
    assert not [url for url in asked if "slices/" in url or "other_ct" in url]
    press(page, "s")
    page.wait_for_selector("#slices:not([hidden])")
    press(page, "Escape", "e")
    page.wait_for_selector("#other-ct:not([hidden])")
    assert "another CT of this patient" in page.inner_text("#other-ct-caption")
    assert len([url for url in asked if "/slices" in url and "static" not in url]) == 2
    save(page, "p00000_R")
    assert not page.is_visible("#other-ct")
    assert read_log(study)[-1]["also_seen"] == "other_ct slices"


def grey(page, canvas, x, y):
    """The grey of a canvas's image, so far across it and down."""
    return page.evaluate(
        """([at, x, y]) => { const c = document.querySelector(at), side = Math.min(c.width, c.height);
        const place = [(c.width - side) / 2 + x * side, (c.height - side) / 2 + y * side];
        return c.getContext("2d").getImageData(...place, 1, 1).data[0]; }""",
        [canvas, x, y],
    )


def test_the_wheel_and_the_arrows_go_from_slice_to_slice(page):
    press(page, "s")
    page.wait_for_selector("#slices:not([hidden])")
    planes = [f"#slices figure:nth-of-type({number}) canvas" for number in (1, 2, 3)]
    # Each slice has its grey (3 per slice), brighter by 100 on its right half.
    for number, plane in enumerate(planes):
        assert grey(page, plane, 0.25, 0.25) == 3 * (15 * number + 7)
        assert grey(page, plane, 0.75, 0.25) == 3 * (15 * number + 7) + 100
    box = page.locator(planes[1]).bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 200)
    page.mouse.wheel(0, 100)
    page.wait_for_function(
        "document.querySelectorAll('#slices figcaption')[1].textContent.includes('4 mm behind')"
    )
    assert grey(page, planes[1], 0.25, 0.25) == 3 * (15 + 8)
    page.focus(planes[0])
    press(page, *["ArrowUp"] * 20)
    assert "axial, 28 mm above the centre" in page.inner_text("#slices")
    assert page.get_attribute(planes[0], "aria-valuenow") == "1"
    assert grey(page, planes[0], 0.25, 0.25) == 0
    markers = page.locator("#slices .marker").all_inner_texts()
    assert markers == ["R", "L", "R", "L", "A", "P"]


def test_the_other_ct_is_shown_in_the_window_of_the_hip(page):
    look = "document.getElementById('other-ct-image').toDataURL()"
    press(page, "e")
    page.wait_for_selector("#other-ct:not([hidden])")
    assert page.inner_text("#other-ct-marker") == "L"
    first = page.evaluate(look)
    for change, back in (("ArrowLeft", "w"), ("i", "i")):
        press(page, change)
        page.wait_for_function(f"was => {look} !== was", arg=first)
        press(page, back)
        page.wait_for_function(f"was => {look} === was", arg=first)


def test_what_there_is_not_is_said(open_page, serve, results):
    page = open_page(serve(study=results))
    wait_for(page, "p00000_L")
    assert page.locator("#tools button:visible").all_inner_texts() == ["M Ruler", "A CE angle"]
    for key, said in (("s", "no CT slices"), ("e", "no other CT"), ("t", "view of the pelvis")):
        press(page, key)
        assert said in page.inner_text("#tool-hint")


@pytest.mark.parametrize("keys", ["m", "t", "s", "e"])
def test_the_tools_are_accessible(page, keys):
    from axe_playwright_python.sync_playwright import Axe

    press(page, "m")
    click(page, "hip", (10, 20), (35, 20))
    press(page, keys)
    page.wait_for_timeout(300)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], node["html"]) for one in found for node in one["nodes"]] == []
