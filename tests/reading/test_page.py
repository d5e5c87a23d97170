"""The page at work, in a real browser: what it says, keeps and shows, and fifty hips read by a script."""

import json

import pytest

from hipoa.core import grade_definitions

from .conftest import make_study, press, wait_for

SLOW_SAVING = """() => { const fetch = window.fetch; window.fetch = async (path, options) => {
  if (path === "/api/readings") await new Promise((done) => setTimeout(done, 400));
  return fetch(path, options); }; }"""
LOOK = "[...document.querySelectorAll('canvas')].filter(c => c.clientWidth).map(c => c.toDataURL())"


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "results" / "seen", views=True, labelled=14)


@pytest.fixture
def page(open_page, serve, study):
    page = open_page(serve("--again-every", "0", study=study))
    wait_for(page, "p00000_L")
    page.wait_for_selector("#references button")
    return page


def read_log(study):
    log = study.parent.parent / "history" / study.name / "readings.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def status(page):
    return page.inner_text("#status")


SAID = [
    ("9", "There is no Crowe 9: press 1 to 4."),
    ("Enter", "Not saved: Crowe is missing: press 1 to 4."),
    ("Backspace", "There is no digit to delete. Z takes back the last reading."),
    ("q", "The key q does nothing: ? shows the keys."),
    ("2", ""),
    ("Enter", "Not saved: KL is missing: press 0 to 4."),
    ("7", "There is no KL 7: press 0 to 4."),
    ("3", ""),
    ("1", "Crowe II, KL 3 is complete: 1 was not taken. Enter saves, Backspace deletes the last digit."),
    ("x", ""),
    ("Enter", "Not saved: the reason is missing: press 1 to 5."),
    ("9", "There is no reason 9: press 1 to 5."),
    ("5", ""),
    ("Enter", "Not saved: another reason needs a comment: press C and say what it is."),
]


def test_what_is_not_taken_is_said(page, study):
    for key, words in SAID:
        page.keyboard.press(key)
        assert (key, status(page)) == (key, words)
    assert read_log(study) == []
    assert page.get_attribute("#status", "role") == "status"  # read aloud as it changes
    page.keyboard.press("c")
    page.keyboard.type("plaster cast")
    press(page, "Enter", "Enter")
    wait_for(page, "p00000_R")
    assert [(line["reason"], line["comment"]) for line in read_log(study)] == [("other", "plaster cast")]
    # A pair in no class, and beside it one that has a class.
    press(page, "2", "3", "Enter")
    wait_for(page, "p00001_L")
    assert page.inner_text("#notes").startswith("Crowe II, KL 3 is in no class of this study")
    press(page, "2", "4", "Enter")
    wait_for(page, "p00001_R")
    assert not page.is_visible("#notes")
    assert page.faults == []


def test_what_is_pressed_before_the_next_hip_is_drawn_is_for_that_hip(page, study):
    page.evaluate(SLOW_SAVING)
    press(page, "1", "2", "Enter", "3", "4", "Enter")
    wait_for(page, "p00000_R")
    page.wait_for_function("() => document.getElementById('status').textContent")
    # The hip that nobody had seen yet is not saved.
    assert status(page) == "Enter came before this hip was shown: press it again."
    assert [button.inner_text()[-3:] for button in page.locator("[aria-pressed=true]").all()] == [
        "III",
        "4\n4",
    ]
    press(page, "Enter", "x", "1")
    wait_for(page, "p00001_L")
    press(page, "Enter")
    page.click("#mine-open")  # while it is saved
    page.wait_for_selector("#mine:not([hidden])")
    assert page.inner_text("#mine tbody td >> nth=1") == "p00001"
    assert page.locator("#mine tbody tr").count() == 3
    assert [(line["hip_id"], line["crowe"], line["kl"], line["reason"]) for line in read_log(study)] == [
        ("p00000_L", 1, 2, ""),
        ("p00000_R", 3, 4, ""),
        ("p00001_L", None, None, "implant"),
    ]


def test_what_was_pressed_for_the_next_hip_never_changes_one_that_was_not_saved(open_page, serve, study):
    served = serve("--again-every", "0", study=study)
    page = open_page(served)
    wait_for(page, "p00000_L")
    page.evaluate(SLOW_SAVING)
    served.kill()
    press(page, "1", "2", "Enter", "Backspace", "4")
    page.wait_for_selector("#fault:not([hidden])")
    page.wait_for_function("() => document.getElementById('status').textContent")
    assert "was for the next hip and was dropped" in status(page)
    served.start()
    press(page, "Enter")
    wait_for(page, "p00000_R")
    assert [(line["crowe"], line["kl"]) for line in read_log(study)] == [(1, 2)]
    assert not page.is_visible("#fault")


def test_an_enter_too_many_at_the_end_of_the_list_undoes_nothing(open_page, serve, study):
    page = open_page(serve("--again-every", "0", study=study))
    last = [f"p{number // 2:05d}_{'LR'[number % 2]}" for number in range(12)]
    for hip in last:
        wait_for(page, hip)
        press(page, "1", "2", "Enter")
    page.wait_for_selector("#done:not([hidden])")
    press(page, "Enter")
    page.click("#mine-open")
    page.wait_for_selector("#mine tbody tr")
    page.wait_for_timeout(300)
    press(page, "Escape", "Enter")
    assert page.is_visible("#done")
    assert [line["kind"] for line in read_log(study)] == ["reading"] * 12
    press(page, "z")
    wait_for(page, last[-1])
    page.wait_for_selector("#workspace:not([hidden])")
    assert read_log(study)[-1]["kind"] == "undo"


@pytest.mark.parametrize("end", ["Enter", "Escape", "p"])
def test_a_pause_ends_where_it_began(page, study, end):
    page.focus("#kl button:nth-of-type(3)")
    press(page, "p")
    assert page.evaluate("document.activeElement.id") == "resume"
    press(page, "1", end)
    assert page.is_visible("#workspace")
    assert page.evaluate("document.activeElement.value") == "2"
    assert page.locator("[aria-pressed=true]").count() == 0
    assert read_log(study) == []


def test_buttons_before_the_sign_in_say_what_to_do(open_page, serve, study):
    page = open_page(serve(study=study), name="")
    page.wait_for_selector("#sign-in:not([hidden])")
    for button in ("#mine-open", "#disagreements-open", "#pause-open", "#leave"):
        page.evaluate("document.getElementById('sign-in-fault').textContent = ''")
        page.click(button)
        assert page.inner_text("#sign-in-fault") == "Sign in with your name first."
        assert page.evaluate("document.activeElement.id") == "name"
    page.click("#help-open")
    assert "Kellgren JH" in page.inner_text("#help")
    page.keyboard.press("Escape")
    assert page.is_visible("#sign-in")
    assert page.faults == []


def test_the_definitions_are_in_the_help_and_on_the_buttons(page):
    press(page, "?")
    words = page.inner_text("#help")
    for text in (
        *grade_definitions.CROWE.values(),
        *grade_definitions.KL.values(),
        *grade_definitions.SOURCES,
    ):
        assert text in words
    press(page, "Escape")
    titles = [button.get_attribute("title") for button in page.locator("#crowe button, #kl button").all()]
    assert titles[1] == f"Crowe II: {grade_definitions.CROWE[2]}"
    assert titles[-1] == f"KL 4: {grade_definitions.KL[4]}"
    assert len(titles) == 9


@pytest.mark.parametrize(("key", "back"), [("i", "i"), ("ArrowLeft", "w"), ("ArrowUp", "w")])
def test_window_and_inversion_are_those_of_all_images(page, key, back):
    press(page, "v")
    page.wait_for_timeout(200)
    before = page.evaluate(LOOK)
    assert len(before) > 8  # hip, reference beside it, strip
    press(page, *[key] * 9)
    page.wait_for_function(f"was => {LOOK}.every((look, i) => look !== was[i])", arg=before)
    press(page, back, *["i"] * (8 if key == "i" else 0))
    page.wait_for_function(f"was => {LOOK}.every((look, i) => look === was[i])", arg=before)
    press(page, "v")
    page.wait_for_timeout(200)
    before = page.evaluate(LOOK)
    press(page, *[key] * 9)  # hip, pelvis, other side
    page.wait_for_function(f"was => {LOOK}.every((look, i) => look !== was[i])", arg=before)


def test_a_reference_stands_beside_the_hip_in_its_size(page):
    press(page, "1", "3", "v")
    assert page.inner_text("#compared-note") == "reference: Crowe I, KL 3, synthetic"
    hip, beside = (page.locator(name).bounding_box() for name in ("#hip", "#compared"))
    assert abs(hip["width"] - beside["width"]) < 2
    assert beside["width"] > 500
    press(page, "PageDown")
    assert page.inner_text("#compared-note") == "reference: Crowe I, KL 4, synthetic"
    press(page, "PageUp", "PageUp")
    assert page.inner_text("#compared-note") == "reference: Crowe I, KL 2, synthetic"
    press(page, "Escape")
    assert not page.is_visible("#compare")
    page.click("#references button >> nth=6")
    assert page.inner_text("#compared-note") == "reference: Crowe IV, KL 4, synthetic"
    press(page, "Enter")  # the click leaves the keys to the hip
    wait_for(page, "p00000_R")
    assert not page.is_visible("#compare")


def test_text_grows_with_the_screen_and_a_telephone_shows_all(page):
    wide = "document.documentElement.scrollWidth"
    sizes = {}
    for width, height in ((1366, 768), (1920, 1080), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        sizes[width] = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.keys')).fontSize)")
        for view in (None, "#mine-open", "#disagreements-open", "#help-open"):
            if view:
                page.click(view)
            assert page.evaluate(wide) <= width
            press(page, *["Escape"] if view else [])
        for part in ("#crowe button:last-child", "#save", "#undo", "#pelvis"):
            page.locator(part).scroll_into_view_if_needed()
            box = page.locator(part).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    assert sizes[1920] > 1.3 * sizes[1366]
    assert sizes[390] > sizes[1366]


def find_violations(page):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(f["id"], [(node["html"], node["failureSummary"]) for node in f["nodes"]]) for f in found]


def test_every_view_is_accessible(open_page, serve, study):
    served = serve("--again-every", "0", study=study)
    page = open_page(served, name="")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert find_violations(page) == []
    for name in ("Bob", "Ann"):
        page = open_page(served, name=name)
        wait_for(page, "p00000_L")
        page.wait_for_selector("#references button")
        press(page, "2", "3" if name == "Ann" else "4", "Enter")
        wait_for(page, "p00000_R")
    views = {
        "hip": (),
        "reasons": ("x",),
        "reference": ("x", "v"),
        "pause": ("Escape", "p"),
        "help": ("Enter", "?"),
        "mine": ("Escape", "#mine-open"),
        "disagreements": ("Escape", "#disagreements-open"),
        "consensus": ("#open-cases button",),
    }
    for view, steps in views.items():
        for step in steps:
            if step.startswith("#"):
                page.click(step)
                page.wait_for_timeout(300)
            else:
                press(page, step)
        assert (view, find_violations(page)) == (view, [])
    press(page, "Escape")
    reader = Script(page, "Ann", [])
    wait_for(page, "p00000_R")
    while not reader.done():
        reader.press("1", "1", "Enter")
    page.wait_for_selector("#done:not([hidden])")
    assert find_violations(page) == []
    assert page.faults == []


class Script:
    """A reader at the keyboard, and what the log must hold of her."""

    def __init__(self, page, name, expected):
        self.page, self.name, self.expected = page, name, expected

    def shown(self):
        return self.page.evaluate("document.body.dataset.shown")

    def done(self):
        return self.page.is_visible("#done")

    def press(self, *keys):
        """Presses keys and waits for another hip, or for the end of the list."""
        was = self.shown()
        press(self.page, *keys)
        end = "|| !document.getElementById('done').hidden"
        self.page.wait_for_function(f"was => document.body.dataset.shown !== was {end}", arg=was)
        self.page.wait_for_timeout(20)

    def expect(self, kind, hip, crowe=None, kl=None, reason="", comment=""):
        self.expected.append((self.name, kind, hip, crowe, kl, reason, comment))

    def grade(self, crowe, kl, keys=None):
        hip = self.shown()
        self.press(*(f"{crowe}{kl}" if keys is None else keys), "Enter")
        self.expect("reading", hip, crowe, kl)
        return hip

    def put_off(self):
        hip = self.shown()
        self.press("d")
        self.expect("later", hip)
        return hip

    def undo(self, hip, kind="undo"):
        self.press("z")
        self.expect(kind, hip)
        assert self.shown() == hip


def sort_out(script):
    """The first hips: put off, undone, corrected, off the table, ungradable, a pause, keys ahead."""
    page, hips = script.page, []
    hips.append(script.put_off())
    hips.append(script.put_off())
    script.undo(hips.pop())
    script.grade(1, 1)
    off = script.grade(2, 3)
    assert "is in no class of this study" in page.inner_text("#notes")
    script.undo(off)
    script.grade(2, 4, keys=("9", "2", "Backspace", "2", "4", "1"))
    script.grade(3, 2)
    assert "Crowe III, KL 2 is in no class" in page.inner_text("#notes")
    hip = script.shown()
    press(page, "x", "5", "Enter", "c")
    page.keyboard.type("plaster cast")
    script.press("Enter", "Enter")
    script.expect("reading", hip, reason="other", comment="plaster cast")
    press(page, "p", "1", "Escape")
    script.grade(1, 2)
    hip = script.shown()
    script.press("1", "3", "Enter", "1", "4")  # the last two are for the next hip
    script.expect("reading", hip, 1, 3)
    script.grade(1, 4, keys=())
    return hips


def settle(script, hip, crowe, kl, leave=False):
    page = script.page
    if not page.is_visible("#disagreements"):
        page.click("#disagreements-open")
        page.wait_for_selector("#disagreements:not([hidden])")
    row = page.locator("#open-cases tr", has_text=f"{hip[:-2]} {hip[-1]}")
    row.locator("button").click()
    page.wait_for_selector("#others:visible")
    assert page.inner_text("#side-words").endswith("consensus")
    assert "Bob: " in page.inner_text("#others")
    if leave:
        script.press("Escape")
        return
    script.press(str(crowe), str(kl), "Enter")
    script.expect("consensus", hip, crowe, kl)


def test_fifty_hips_are_recorded_as_they_were_read(open_page, serve, tmp_path):
    study = make_study(tmp_path / "results" / "fifty", pool=24, views=True)
    served = serve("--again-every", "4", study=study)
    expected = []
    bob = Script(open_page(served, name="Bob"), "Bob", expected)
    wait_for(bob.page, "p00000_L")
    bob_read = [bob.grade(1, 4) for _ in range(6)]
    ann = Script(open_page(served, name="Ann"), "Ann", expected)
    wait_for(ann.page, "p00000_L")
    put_off = sort_out(ann)
    late = []
    while not ann.done():
        shown = ann.shown()
        ann.grade(1 + len(expected) % 3 // 2, 4)
        late.append(shown)
    assert "readings --study" in ann.page.inner_text("#next-command")
    assert put_off[0] in late[-3:]
    # Of the hips that both have read, one that does not come again to Bob, who is not at his end.
    bob.page.click("#disagreements-open")
    bob.page.wait_for_selector("#disagreements:not([hidden])")
    disputed = bob.page.inner_text("#open-cases tbody td >> nth=0").replace(" ", "_")
    assert disputed in bob_read
    settle(ann, disputed, 1, 3, leave=True)
    settle(ann, disputed, 1, 3)
    settle(bob, disputed, 1, 3)
    ann.page.click("#mine-open")
    ann.page.click("#show-model")
    ann.page.wait_for_function("() => document.querySelector('#mine td:nth-child(8)').textContent")

    lines = read_log(study)
    found = [
        (
            line["reader"],
            line["kind"],
            line["hip_id"],
            line["crowe"],
            line["kl"],
            line["reason"],
            line["comment"],
        )
        for line in lines
        if line["kind"] != "shown"
    ]
    assert found == expected
    undone = {line["undoes"] for line in lines if line["kind"] == "undo"}
    anns = [line for line in lines if line["reader"] == "Ann" and line["kind"] == "reading"]
    counted = [line for line in anns if line["id"] not in undone]
    assert len(counted) >= 50
    assert {line["hip_id"] for line in counted} == {f"p{n:05d}_{side}" for n in range(24) for side in "LR"}
    assert sum(line["again"] for line in counted) == len(counted) - 48 > 2
    assert all(line["blind"] for line in lines)  # the model was shown to Ann after her last reading
    assert {line["reader"] for line in lines if line["kind"] == "shown"} == {"Ann"}
    assert all(line["image"] == "view" and line["seconds"] < 60 for line in counted)
    assert len({line["id"] for line in lines}) == len(lines)
    assert ann.page.faults == bob.page.faults == []
