"""The report in a real browser."""

import pytest

from hipoa.report.page import SECTIONS

PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def opened(fabricated, chromium):
    """Opens the report at a width; gives the page and what went wrong."""
    from playwright.sync_api import sync_playwright

    fabricated.report("page.html", "page.json")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])

        def open_page(width):
            page = browser.new_page(viewport={"width": width, "height": 900})
            faults = []
            page.on(
                "console", lambda message: faults.append(message.text) if message.type == "error" else None
            )
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("requestfailed", lambda request: faults.append(request.url))
            page.on(
                "request",
                lambda r: faults.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
            )
            page.goto(f"file://{fabricated.root / 'page.html'}")
            return page, faults

        yield open_page
        browser.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
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
    page, _ = opened(DESK)
    pictures = page.evaluate("[...document.images].map(i => [i.naturalWidth, i.alt])")
    assert len(pictures) > 20
    assert all(width > 0 and alt for width, alt in pictures)


def test_the_contents_lead_to_their_sections(opened):
    page, _ = opened(DESK)
    for link in page.locator("nav a").all():
        link.click()
        target = link.get_attribute("href")
        page.wait_for_function(
            "id => { const y = document.querySelector(id).getBoundingClientRect().top;"
            " return y < innerHeight && y > -5 }",
            arg=target,
        )


def test_the_details_open_by_keyboard(opened):
    page, _ = opened(DESK)
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.get_attribute("open") is not None
