"""The report in a real browser."""

import csv
import io
import re
from pathlib import Path

import pytest

from hipoa.report.page import SECTIONS

PHONE, DESKTOP = 390, 1280
A4 = 680
"""What 15 mm of margin leave of a sheet, in pixels."""
CUT = """[...document.querySelectorAll('main *')].filter(element =>
  element.clientWidth && element.scrollWidth > element.clientWidth + 1
  && !element.closest('.scroll, figure, svg') && getComputedStyle(element).display !== 'inline'
).map(element => element.outerHTML.slice(0, 80))"""
"""Elements that hide a part of what is in them; tables and figures scroll in boxes of their own."""
BROKEN_NUMBERS = """[...document.querySelectorAll('td')].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = new Set([...range.getClientRects()].map(line => Math.round(line.top)));
  return /^-?[.0-9]+$/.test(cell.textContent.trim()) && lines.size > 1;
}).map(cell => cell.textContent)"""


@pytest.fixture(scope="module")
def opened(fabricated, chromium, playwright):
    """Opens the report at a width; gives the page and what went wrong."""
    text = fabricated.report("page.html", "page.json")
    banners = (
        '<p class="banner" role="note">These patients are synthetic, and what this shows is of software.</p>'
        * 2
    )
    (fabricated.root / "synthetic.html").write_text(
        text.replace("</h1>", f"</h1>{banners}"), encoding="utf-8"
    )
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])

    def open_page(width, name="page.html"):
        page = browser.new_page(viewport={"width": width, "height": 768})
        faults = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(request.url))
        page.on(
            "request",
            lambda r: faults.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(f"file://{fabricated.root / name}")
        return page, faults

    yield open_page
    browser.close()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_every_section_is_seen_and_nothing_goes_wrong(opened, width):
    page, faults = opened(width)
    sections = page.locator("section")
    assert sections.count() == len(SECTIONS)
    for number in range(len(SECTIONS)):
        assert sections.nth(number).is_visible()
        assert sections.nth(number).locator("h2").inner_text()
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_picture_is_there_and_described(opened):
    page, _ = opened(DESKTOP)
    pictures = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert len(pictures) > 20
    assert all(width > 0 and alt for width, alt in pictures)


def test_the_contents_lead_to_their_sections(opened):
    page, _ = opened(DESKTOP)
    page.locator("nav summary").click()
    for link in page.locator("nav a").all():
        link.click()
        target = link.get_attribute("href")
        page.wait_for_function(
            "id => { const y = document.querySelector(id).getBoundingClientRect().top;"
            " return y < innerHeight && y > -5 }",
            arg=target,
        )


def test_the_details_open_by_keyboard(opened):
    page, _ = opened(DESKTOP)
    details = page.locator("main details").first
    details.locator("summary").focus()
    page.keyboard.press("Enter")
    assert details.get_attribute("open") is not None


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_the_contents_are_folded_and_the_result_comes_first(opened, width):
    page, _ = opened(width)
    assert not page.locator("nav a").first.is_visible()
    assert page.locator("#summary h2").bounding_box()["y"] < 700
    page.locator("nav summary").click()
    assert page.locator("nav a").first.is_visible()


@pytest.mark.parametrize("synthetic", [False, True])
def test_the_first_screen_holds_result_picture_caveats_and_steps(opened, synthetic):
    page, _ = opened(1366, "synthetic.html" if synthetic else "page.html")
    assert page.locator(".banner").count() == (3 if synthetic else 1)
    for part in (".result", ".matrix", ".first h3:text('distrust') + ul", ".first h3:text('next') + ul"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] < 768, part
        assert box["x"] + box["width"] <= 1366, part


def test_a_surgeon_reads_twelve_screens(opened):
    page, _ = opened(DESKTOP)
    assert page.locator("#technical").bounding_box()["y"] <= 12 * 800


def count_sheets(page):
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


def test_on_paper_the_surgeons_part_is_short_and_what_it_folds_follows_in_an_appendix(opened):
    page, _ = opened(DESKTOP)
    page.add_style_tag(content="#technical, #appendix { display: none !important }")
    assert count_sheets(page) <= 15
    page, _ = opened(DESKTOP)
    folded = page.locator("#surgeon details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#surgeon details:not([open])").count() == 0
    assert page.locator("#appendix details[open]").count() == folded > 3
    assert page.locator("#surgeon p:text('see appendix')").count() == folded
    assert page.locator("#appendix").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#surgeon details:not([open])").count() == folded
    assert not page.locator("#appendix").is_visible()


def test_what_is_printed_is_the_page_with_its_appendix(opened):
    page, _ = opened(DESKTOP)
    whole = count_sheets(page)
    page.add_style_tag(content="#appendix { display: none !important }")
    assert count_sheets(page) < whole


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_nothing_is_cut_but_tables_that_scroll_and_say_so(opened, width):
    page, _ = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate(CUT) == []
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    wide_or_figure = wide.replace("'.scroll'", "'.scroll, figure'")
    assert page.evaluate(f"{wide_or_figure}.filter(e => !e.classList.contains('cut')).length") == 0
    names = page.evaluate(f"{wide}.map(e => e.getAttribute('aria-label'))")
    assert names if width == PHONE else names == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pointing_at_a_hip_shows_it_and_a_click_keeps_it(opened):
    page, faults = opened(DESKTOP)
    marks, card = page.locator(".panel path"), page.locator(".card")
    names = [marks.nth(place).locator("title").text_content() for place in (0, 5)]
    marks.nth(0).hover(force=True)
    assert names[0] in card.inner_text()
    assert card.locator("img").evaluate("image => image.naturalWidth") == 150
    for word in ("label", "predicted", "largest probability"):
        assert word in card.inner_text()
    marks.nth(0).click(force=True)
    marks.nth(5).hover(force=True)
    assert names[0] in card.inner_text()
    page.locator(".panel svg").first.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert marks.nth(1).locator("title").text_content() in card.inner_text()
    assert faults == []


def test_the_map_is_coloured_by_what_is_chosen(opened):
    page, faults = opened(DESKTOP)
    network, colour = page.locator("#map select").all()
    seen = {}
    for choice in ("class", "error", "uncertainty", "fold", "side"):
        colour.select_option(choice)
        seen[choice] = page.evaluate(
            "[...document.querySelectorAll('.panel path')].map(m => m.getAttribute('fill'))"
        )
        assert page.locator(".legend span").count() >= 2
    assert len({tuple(colours) for colours in seen.values()}) == 5
    assert len(set(seen["side"])) == 2
    network.select_option("vgg")
    assert page.locator(".panel").count() == 2
    assert faults == []


def test_a_table_sorts_by_a_click(opened):
    page, _ = opened(DESKTOP)
    table = page.locator("table", has=page.get_by_text("Mean variance by size of the error"))
    heads = table.locator("thead button")
    column = "rows => rows.map(row => row.cells[2].innerText)"
    heads.nth(2).click()
    rising = [float(text.split()[0]) for text in table.locator("tbody tr").evaluate_all(column)]
    assert rising == sorted(rising)
    assert table.locator("thead th").nth(2).get_attribute("aria-sort") == "ascending"
    heads.nth(2).click()
    falling = [float(text.split()[0]) for text in table.locator("tbody tr").evaluate_all(column)]
    assert falling == rising[::-1]


def save_from(page, button):
    with page.expect_download() as waiting:
        button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_a_table_is_saved_as_csv_and_no_formula_runs(opened):
    page, _ = opened(DESKTOP)
    page.evaluate("""() => {
        document.querySelectorAll('#refused details').forEach(folded => folded.open = true);
        const rows = [...document.querySelectorAll('#refused table')].at(-1).tBodies[0].rows;
        rows[0].cells[3].textContent = '=HYPERLINK("http://x","y")';
        rows[1].cells[3].textContent = '@SUM(1)';
        rows[2].cells[3].textContent = '-1.5';
    }""")
    name, content = save_from(page, page.locator("#refused caption button").last)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert name.endswith(".csv")
    assert rows[0][:3] == ["hip", "cohort", "status"]
    assert [row[3] for row in rows[1:4]] == ['\'=HYPERLINK("http://x","y")', "'@SUM(1)", "-1.5"]


def test_a_figure_is_saved_as_svg_and_png(opened):
    page, faults = opened(DESKTOP)
    for kind, begins in (("SVG", b"<?xml"), ("PNG", b"\x89PNG")):
        name, content = save_from(page, page.locator(f'#published figcaption button:text-is("{kind}")'))
        assert name == f"published.{kind.lower()}"
        assert content.startswith(begins)
    assert faults == []


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_no_forest_plot_and_no_list_is_cut_at_any_width(opened, width):
    page, _ = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    boxes = "#surgeon figure.narrow, #technical figure.narrow, .scroll:has(.cards)"
    assert page.locator(boxes).count() >= 7
    cut = f"[...document.querySelectorAll('{boxes}')].filter(box => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(f"{cut}.map(box => box.ariaLabel || box.dataset.name)") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened(DESKTOP)
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []


def test_on_paper_no_number_is_broken_and_no_table_is_cut(opened):
    page, _ = opened(A4)
    page.emulate_media(media="print")
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    assert page.evaluate("[...document.querySelectorAll('td')].filter(cell => cell.textContent).length") > 500
    assert page.evaluate(BROKEN_NUMBERS) == []
    wide = "[...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > innerWidth)"
    assert page.evaluate(f"{wide}.map(table => table.caption?.innerText)") == []
