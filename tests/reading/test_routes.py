"""The page in a real browser: what a reader sees, presses and reads."""

import pytest

from .conftest import make_study, wait_for

WIDTH, HEIGHT = 1366, 768


@pytest.fixture
def page(open_page, serve, tmp_path):
    study = make_study(tmp_path / "results" / "seen", views=True)
    return open_page(serve("--again-every", "0", study=study))


def middle_of_light(page, canvas):
    """Where along its width the bright pixels of the drawn head lie, 0 to 1."""
    return page.evaluate(
        """name => { const c = document.getElementById(name), w = c.width, row = c.getContext("2d")
        .getImageData(0, Math.round(c.height / 2), w, 1).data; let sum = 0, n = 0;
        for (let x = 0; x < w; x += 1) if (row[4 * x] > 160) { sum += x; n += 1; } return sum / n / w; }""",
        canvas,
    )


def test_hips_are_read_by_keys_alone(page):
    wait_for(page, "p00000_L")
    assert page.inner_text("#side-words") == "LEFT hip"
    for keys in ("2", "4", "Enter"):
        page.keyboard.press(keys)
    wait_for(page, "p00000_R")
    assert page.inner_text("#last") == "Saved: p00000 left, Crowe II, KL 4."
    page.keyboard.press("x")
    page.keyboard.press("1")
    page.keyboard.press("c")
    page.keyboard.type("<b>nail</b>")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    wait_for(page, "p00001_L")
    assert "implant or earlier operation (<b>nail</b>)" in page.inner_text("#last")
    assert page.inner_text("#place") == "2 read · 10 to go"
    page.keyboard.press("z")
    wait_for(page, "p00000_R")
    assert page.inner_text("#place") == "1 read · 11 to go"
    assert page.faults == []


def test_a_wrong_digit_is_no_grade_and_backspace_takes_back(page):
    for key in ("9", "0", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text("#place").startswith("0 read")
    page.keyboard.press("1")
    page.keyboard.press("Backspace")
    assert page.locator("#crowe [aria-pressed=true]").count() == 0
    for key in ("3", "0", "Enter"):
        page.keyboard.press(key)
    wait_for(page, "p00000_R")
    assert "Crowe III, KL 0" in page.inner_text("#last")


def test_each_side_lies_where_the_surgeon_stands_before_the_patient(page):
    # The drawn head of a left hip lies right of the middle, that of a right hip left of it.
    wait_for(page, "p00000_L")
    assert middle_of_light(page, "hip") > 0.5
    assert middle_of_light(page, "other") < 0.5
    assert page.evaluate("document.getElementById('marker').className") == "marker left-side"
    for key in ("1", "1", "Enter"):
        page.keyboard.press(key)
    wait_for(page, "p00000_R")
    assert middle_of_light(page, "hip") < 0.5
    assert middle_of_light(page, "other") > 0.5
    assert page.evaluate("document.getElementById('marker').className") == "marker right-side"


def test_nothing_is_outside_the_screen_of_a_small_laptop(page):
    wait_for(page, "p00000_L")
    for height in (HEIGHT, 640):
        page.set_viewport_size({"width": WIDTH, "height": height})
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        for part in ("#save", "#undo", "#crowe button:last-child", "#references button:last-child", ".keys"):
            box = page.locator(part).bounding_box()
            assert box["x"] + box["width"] <= WIDTH
            assert box["y"] + box["height"] <= height
        film = page.locator("#hip").bounding_box()
        assert min(film["width"], film["height"]) > 0.6 * height


def test_window_zoom_and_pan_change_what_is_seen_and_can_be_taken_back(page):
    wait_for(page, "p00000_L")
    look = "document.getElementById('hip').toDataURL()"
    first = page.evaluate(look)
    film = page.locator("#hip").bounding_box()
    page.mouse.move(film["x"] + 100, film["y"] + 100)
    for change, back in (
        (lambda: page.mouse.wheel(0, -300), "f"),
        (lambda: page.keyboard.press("ArrowLeft"), "w"),
        (lambda: page.keyboard.press("i"), "i"),
    ):
        change()
        page.wait_for_function(f"was => {look} !== was", arg=first)
        page.keyboard.press(back)
        page.wait_for_function(f"was => {look} === was", arg=first)


def test_a_pause_hides_the_hip_and_stops_the_clock(page):
    wait_for(page, "p00000_L")
    page.keyboard.press("p")
    assert not page.is_visible("#hip")
    page.wait_for_timeout(1500)
    page.keyboard.press("1")
    page.keyboard.press("p")
    assert page.locator("#crowe [aria-pressed=true]").count() == 0
    for key in ("1", "1", "Enter"):
        page.keyboard.press(key)
    wait_for(page, "p00000_R")
    page.click("#mine-open")
    seconds = page.inner_text("#mine tbody tr:first-child td:nth-child(7)")
    assert 0 <= float(seconds) < 1.4


def test_a_reading_that_the_server_did_not_take_is_said_and_can_be_sent_again(open_page, serve, results):
    served = serve(study=results)
    page = open_page(served)
    wait_for(page, "p00000_L")
    page.keyboard.press("2")
    page.keyboard.press("3")
    served.kill()
    page.keyboard.press("Enter")
    page.wait_for_selector("#fault:not([hidden])")
    assert "Not saved" in page.inner_text("#fault")
    served.start()
    page.keyboard.press("Enter")
    wait_for(page, "p00000_R")
    log = results.parent.parent / "history" / "small" / "readings.jsonl"
    assert len(log.read_text().splitlines()) == 1


def test_without_the_key_the_page_says_what_to_do(open_page, serve):
    served = serve()
    served.address = served.address.partition("?")[0]
    page = open_page(served, name="")
    page.wait_for_selector("#fatal:not([hidden])")
    assert "open the address that the server printed" in page.inner_text("#fatal")


def test_a_study_without_views_says_that_the_image_is_coarse(open_page, serve, results):
    page = open_page(serve(study=results))
    wait_for(page, "p00000_L")
    assert "no fine view" in page.inner_text("#film-note")
    assert "no pelvis view" in page.inner_text("#pelvis-caption")
    assert page.is_visible("#synthetic")
