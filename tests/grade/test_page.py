"""The page on a graded CT, in a real browser: what a surgeon reads, and nothing that names the patient."""

import json

import numpy as np
import pytest
from PIL import Image

from hipoa.grade.page import render
from hipoa.imaging.drr import HipRadiographs

TABLE = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
GRADED = {
    "grade": 6,
    "crowe": 3,
    "kl": 4,
    "probability": 0.25,
    "probabilities": [0.16, 0.08, 0.15, 0.11, 0.13, 0.25, 0.12],
    "set": [2, 3, 4, 5, 6, 7],
    "set_level": 0.9,
    "closer_than_this": 0.5,
    "unlike_the_study": False,
    "implant": "",
}
REPLACED = {"grade": None, "reason": "the joint is replaced", "implant": "replacement"}
RECORD = {
    "study": "mine",
    "models": ["vit r0f0", "vit r0f1"],
    "experiment": "vit",
    "passes": 50,
    "hips": {"L": GRADED, "R": REPLACED},
    "ct": {"slices": 400, "step_mm": 1.25},
    "caveats": ["The model vit is not shown to be <better>."],
    "warnings": ["R: metal in the head", "the study's radiographs were made by siddon"],
}


def make_hips():
    """Bright heads at the image's middle; the left one is mirrored as the network sees it."""
    image = np.full((150, 150), 60, np.uint8)
    image[50:100, 50:100] = 200
    image[140:] = 20
    image[:, 140:] = 0
    images = {
        side: (image, {"mm_per_px": "1.25", "mirrored": "yes" if side == "L" else "no"}) for side in "LR"
    }
    row = {"head_x_mm": 0.0, "head_y_mm": 12.5, "radius_mm": 25.0, "method": "locator", "confidence": 0.97}
    rows = {"L": row | {"warnings": ""}, "R": row | {"warnings": "metal in the head"}}
    coronal = np.zeros((180, 180), np.uint8)
    coronal[60:120, 60:120] = 200
    return HipRadiographs(images, rows, coronal=dict.fromkeys("LR", coronal))


@pytest.fixture(scope="module")
def opened(chromium, tmp_path_factory, playwright):
    file = tmp_path_factory.mktemp("page") / "hips.html"
    file.write_text(render(RECORD, make_hips(), TABLE), encoding="utf-8")
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    faults = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("request", lambda request: faults.append(request.url) if "http" in request.url[:5] else None)
    page.goto(file.as_uri())
    yield page, faults
    browser.close()


def test_it_says_what_a_surgeon_must_know(opened):
    page, faults = opened
    right, left = (section.inner_text() for section in page.locator("section.graded").all())
    assert right.startswith("Right hip")
    assert "Not graded: the joint is replaced." in right
    assert "metal in the head" in right
    assert "Probability of each class" not in right
    assert "Crowe III, KL 4 (class 6), probability 25 %: little more than a guess among seven." in left
    assert "90 % set: classes 2 to 7, more than half of all: it settles little." in left
    # Where there is no grade, none can mean nothing.
    assert "the grade means nothing" in left
    assert "the grade" not in right
    assert "not a medical device" in page.inner_text("header")
    assert "not shown to be <better>" in page.inner_text("header")
    assert "made by siddon" in page.inner_text("main")
    assert faults == []


def test_the_bars_are_the_probabilities_and_the_set_is_marked(opened):
    page, _ = opened
    widths = page.eval_on_selector_all(
        ".percent rect", "all => all.map(r => r.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx([width * widths[5] / 0.25 for width in GRADED["probabilities"]], rel=0.01)
    # A rule of the report's style sheet, which the page shares, must not reach them.
    assert page.evaluate("document.querySelector('.percent svg').getBoundingClientRect().width") > 100
    marked = page.eval_on_selector_all("th.inside", "all => all.map(cell => parseInt(cell.innerText))")
    assert marked == GRADED["set"]
    assert page.inner_text("tr.predicted th") == "6 predicted"


def test_only_what_the_page_shows_is_explained():
    without = {**RECORD, "hips": {**RECORD["hips"], "L": {**GRADED, "set": None}}}
    sure = make_hips()
    sure.rows["L"]["confidence"] = 0.998
    page = render(without, sure, TABLE)
    assert "The set of classes" not in page
    assert "The set of classes" in render(RECORD, make_hips(), TABLE)
    assert "confidence above 99 %" in page
    assert "confidence 97 %" in page


def test_the_circle_lies_on_the_head(opened, tmp_path):
    page, _ = opened
    places = page.eval_on_selector_all(
        ".view",
        """all => all.map(view => {
            const box = view.getBoundingClientRect();
            const circle = view.querySelector('circle').getBoundingClientRect();
            const x = circle.x + circle.width / 2 - box.x, y = circle.y + circle.height / 2 - box.y;
            return [x / box.width, y / box.height];
        })""",
    )
    assert np.array(places) == pytest.approx(np.array([[0.5, 85 / 150], [0.5, 0.5]] * 2), abs=0.01)
    # As the hip lies in the patient: of the left one, the black at its side is turned back.
    page.locator(".view").nth(2).screenshot(path=tmp_path / "left.png")
    pixels = np.asarray(Image.open(tmp_path / "left.png").convert("L"))
    assert pixels[10, 5] < 20 < pixels[10, -5]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []


def test_on_a_phone_nothing_is_cut(opened):
    page, _ = opened
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_no_set_is_marked_where_there_is_none():
    hip = {key: value for key, value in GRADED.items() if not key.startswith("set")}
    for left in (hip, GRADED | {"set": None}):
        text = render(
            json.loads(json.dumps(RECORD | {"hips": {"L": left, "R": REPLACED}})), make_hips(), TABLE
        )
        assert 'class="inside"' not in text
        assert "marked at the left" not in text
