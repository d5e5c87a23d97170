"""The section on rounds: what rounds.csv says, in words a reader takes in."""

from hipoa.report.sections.rounds import describe_gains, describe_round


def row(quantity, value, number="2", experiment="", low="", high=""):
    cells = {"round": number, "experiment": experiment, "quantity": quantity, "value": value}
    return {**cells, "low": low, "high": high, "n_hips": "40", "note": ""}


ROWS = [
    row("graded hips", "120"),
    row("newly graded hips", "20"),
    row("kept among the first 20", "13"),
    row("rank correlation of both lists", "0.71"),
    row("ECA", "0.6", experiment="vit", low="0.5", high="0.7"),
    row("ECA, gain on the round before", "0.05", experiment="vit", low="-0.01", high="0.11"),
    row("ONCA", "0.9", experiment="vit", number="1"),
]


def test_the_counts_of_a_round():
    found = describe_round(2, ROWS)
    assert (found["graded"], found["newly"], found["kept"], found["left"]) == ("120", "20", "13 of 20", "")
    assert describe_round(1, ROWS)["graded"] == ""


def test_a_gain_says_its_sign_and_interval():
    (found,) = describe_gains(2, ROWS)
    assert found["cells"][0] == ("0.600 (0.500 to 0.700)", "+0.050 (-0.010 to +0.110)")
    assert found["cells"][1] == ("", "")


def test_the_first_round_says_how_the_second_comes_about(fabricated):
    fabricated.report("rounds.html", "rounds.json")
    page = (fabricated.root / "rounds.html").read_text(encoding="utf-8")
    assert "This is the first round" in page
    assert "Round 1" in page
