"""The section on rounds of annotation."""

import csv
import re

from hipoa.core.files import write_csv

FIRST = "This is the first round"


def row(quantity, value, number="2", experiment="", low="", high=""):
    cells = {"round": number, "experiment": experiment, "quantity": quantity, "value": value}
    return {**cells, "low": low, "high": high, "n_hips": "40" if experiment else "", "note": ""}


ROWS = [
    row("graded hips", "100", number="1"),
    row("graded hips", "120"),
    row("newly graded hips", "20"),
    row("kept among the first 20", "13"),
    row("rank correlation of both lists", "0.71"),
    row("ECA", "0.6", experiment="vit", low="0.5", high="0.7"),
    row("ECA, gain on the round before", "0.05", experiment="vit", low="-0.01", high="0.11"),
]


def read_rows(page):
    """The cells of the rows of the section, as text."""
    section = page.split('<section id="rounds">')[1].split("</section>")[0]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", section, re.DOTALL)
    return [re.sub(r"<[^>]*>|\s+", " ", row.replace("</td>", "|")).split("|") for row in rows], section


def test_a_second_round_is_shown_with_its_gains(study):
    table = study.root / "rounds.csv"
    with table.open() as file:
        columns = next(csv.reader(file))
    write_csv(table, columns, ROWS)
    rows, section = read_rows(study.report())
    first, second, scores = (
        [" ".join(cell.replace("&ndash;", "-").replace("\N{EN DASH}", "-").split()) for cell in row]
        for row in rows
    )
    assert FIRST not in section
    assert first[0] == "Round 1 100"
    assert second == ["Round 2 120", "20", "-", "-", "-", "13 of 20", "0.71", ""]
    assert scores[:3] == ["Round 2 vit", "0.600 0.500 to 0.700", "+0.050 -0.010 to +0.110"]
    assert scores[3:] == ["-", "-", "-", "-", "40", ""]


def test_the_first_round_says_how_the_second_comes_about(fabricated):
    _, section = read_rows(fabricated.report("rounds.html", "rounds.json"))
    assert FIRST in section
    assert "<table" not in section
