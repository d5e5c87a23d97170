import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from hipoa.report.cohort import read_hips, split_cohorts
from hipoa.report.cohort_tables import tabulate_quality
from hipoa.report.radiographs import read_radiographs, stretch
from hipoa.report.sections import contact_sheets
from hipoa.report.sections.contact_sheets import count_left_out, flag, lay_sheets

LIMIT_MB = 5


@pytest.fixture(scope="module")
def hips(fabricated):
    return read_hips(fabricated.hips)


@pytest.fixture(scope="module")
def sheets(fabricated, hips):
    return lay_sheets(hips, fabricated.stacks[::-1], LIMIT_MB)


def tiles(sheets):
    return [tile for sheet in sheets for pair in sheet.pairs for tile in pair]


def pixels(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))), int)


def test_every_hip_is_shown_once_or_says_why_not(sheets, hips):
    assert sorted(tile.hip.hip_id for tile in tiles(sheets)) == sorted(hip.hip_id for hip in hips)
    assert all(
        bool(tile.url) == (tile.hip.status == "ok" or tile.hip.implant != "") for tile in tiles(sheets)
    )
    assert all(tile.hip.reason for tile in tiles(sheets) if not tile.url)
    assert [sheet.cohort for sheet in sheets] == ["labelled", "external", "pool"]
    assert [(sheet.first, sheet.last, sheet.total) for sheet in sheets] == [
        (1, 40, 40),
        (1, 12, 12),
        (1, 16, 16),
    ]
    assert [sheet.refused for sheet in sheets] == [3, 0, 1]
    assert [sheet.flagged for sheet in sheets] == [1, 0, 4]


def test_the_right_hip_lies_at_image_left_of_the_left_one(sheets):
    for sheet in sheets:
        assert all([tile.hip.side for tile in pair] == ["R", "L"] for pair in sheet.pairs)


def test_a_radiograph_is_shown_as_the_hip_lies_in_the_patient(fabricated, sheets):
    """What was mirrored for the networks is turned back."""
    first = next(pair for pair in sheets[0].pairs if all(tile.url for tile in pair))
    seen = read_radiographs(fabricated.stacks, [tile.hip.hip_id for tile in first])
    for tile in first:
        image = seen[tile.hip.hip_id][:, :: -1 if tile.hip.side == "L" else 1]
        assert tile.hip.mirrored == ("yes" if tile.hip.side == "L" else "")
        assert np.corrcoef(pixels(tile.url).ravel(), image.ravel())[0, 1] > 0.98
        assert np.corrcoef(pixels(tile.url)[:, ::-1].ravel(), image.ravel())[0, 1] < 0.95


def test_the_grey_is_that_of_the_body():
    """Neither metal nor where the CT ends takes contrast from the bone."""
    image = np.zeros((150, 150), np.uint8)
    image[:100] = np.linspace(60, 120, 150)
    image[40:43, 40:43] = 255
    shown = stretch(image)
    assert shown[50, 0] == 0
    assert shown[50, 149] > 250
    assert shown[41, 41] == 255
    assert shown[120:].max() == 0
    assert stretch(np.zeros((4, 4), np.uint8)).max() == 0


def test_the_circle_is_the_head(sheets):
    shown = [tile for tile in tiles(sheets) if tile.url]
    assert {tile.radius_px for tile in shown} == {round(24 / 1.1333, 1)}
    assert {(tile.x_px, tile.y_px) for tile in shown} == {(75, 75)}


def test_a_migrated_head_is_marked_where_it_is(fabricated, hips):
    moved = [hip._replace(head_x_mm="11.333", head_y_mm="-34") for hip in hips if hip.hip_id == "e000_L"]
    ((pair,),) = (sheet.pairs for sheet in lay_sheets(moved, fabricated.stacks, LIMIT_MB))
    assert (pair[0].x_px, pair[0].y_px) == (85, 45)


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        ({}, ()),
        ({"implant": "fixation", "warnings": "metal near the hip: nails, screws or plates"}, ("fixation",)),
        ({"implant": "replacement", "status": "excluded"}, ("replacement, left out",)),
        ({"confidence": "0.512", "cut": "above, below"}, ("confidence 0.512", "cut off above, below")),
        ({"confidence": "0.7", "warnings": "the gantry was tilted"}, ("warning",)),
        ({"tilt_deg": "-12.4", "turn_deg": "10.1"}, ("obliquity -12.4°", "rotation 10.1°")),
        ({"confidence": "", "tilt_deg": "", "turn_deg": ""}, ()),
    ],
)
def test_what_to_check_is_said_in_a_word(hips, cells, flags):
    assert flag(hips[0]._replace(**cells)) == flags


def test_a_cohort_has_as_many_sheets_as_it_needs(monkeypatch, fabricated, hips):
    monkeypatch.setattr(contact_sheets, "CTS_PER_SHEET", 6)
    sheets = lay_sheets(hips, fabricated.stacks, LIMIT_MB)
    assert [(sheet.first, sheet.last, sheet.total) for sheet in sheets] == [
        (1, 12, 40),
        (13, 24, 40),
        (25, 36, 40),
        (37, 40, 40),
        (1, 12, 12),
        (1, 12, 16),
        (13, 16, 16),
    ]


def test_hips_beyond_the_limit_are_counted(fabricated, hips, sheets):
    size_mb = sum(len(tile.url) for tile in tiles(sheets)) / 1e6
    short = lay_sheets(hips, fabricated.stacks, size_mb * 0.7)
    left_out = count_left_out(hips, short)
    assert "labelled" not in left_out  # the pool is the first to go
    assert left_out["pool"] >= 6
    assert sum(len(tile.url) for tile in tiles(short)) <= size_mb * 0.7e6
    assert len(tiles(short)) + sum(left_out.values()) == len(hips)
    assert count_left_out(hips, sheets) == {}


def test_cts_whose_names_begin_alike_are_not_mixed_up(fabricated, hips):
    """The table of hips is in order of hip_id: a_L, a_L_L, a_L_R, a_R."""
    like = [hip for hip in hips if hip.cohort == "external"][:4]
    alike = [
        hip._replace(case_id=name, status="refused")
        for hip, name in zip(like, ("a", "a_L", "a_L", "a"), strict=True)
    ]
    alike = [hip._replace(side=side) for hip, side in zip(alike, "LLRR", strict=True)]
    (sheet,) = lay_sheets(alike, fabricated.stacks, LIMIT_MB)
    assert [[tile.hip.case_id for tile in pair] for pair in sheet.pairs] == [["a"] * 2, ["a_L"] * 2]


def test_the_page_has_every_sheet_and_says_what_is_on_none(fabricated):
    page = fabricated.report("sheets.html", "sheets.json")
    section = page.split('<section id="quality">')[1].split("</section>")[0]
    assert (
        len(re.findall('<details class="contact">', section)) == 2
    )  # of the pool the page holds the hips to read first
    assert "hips 1 to 40 of 40,\n1 to check, 3 without a radiograph" in section
    assert "slices are 0.6-5.0 mm apart" in section
    assert section.count("<b>R, L</b> refused: slices") == 1  # both for one reason
    assert "<b>R</b> excluded: " in section
    assert section.count("are on no sheet") == 1
    assert "16 hips of the pool cohort are on no sheet" in section
    short = fabricated.report("short.html", "short.json", sheets_mb=0)
    for text in ("40 hips of the labelled cohort are on no sheet", "radiographs/pool/png/"):
        assert text in short


def test_the_quality_of_each_cohort(hips):
    rows = {cohort: [*tabulate_quality(own).values()] for cohort, own in split_cohorts(hips).items()}
    assert list(rows) == ["labelled", "external", "pool"]
    found = [
        "14",
        "locator 14",
        "0.51 / 0.93",
        "fixation (1)",
        "1",
        "1.25 / 1.25",
        "1.5 / 1.5",
        "2.0 / 2.0",
        "3",
        "1",
    ]
    assert rows["pool"] == found


def test_a_cohort_without_radiographs_has_a_row(hips):
    none = [hip._replace(status="refused", confidence="", spacing_r_mm="", tilt_deg="") for hip in hips[:2]]
    row = tabulate_quality(none)
    dash = "\N{EN DASH}"
    assert [*row.values()] == ["0", "", dash, "", "0", dash, dash, dash, "0", "2"]
