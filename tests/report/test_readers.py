"""Networks beside readers in the report: sentences say what the intervals allow."""

import re
from types import SimpleNamespace

import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.reading.agreement import COLUMNS
from hipoa.report.sections.readers import compare_readers, describe_intra

CELLS = dict.fromkeys(COLUMNS, "") | {"cohort": "labelled", "index": "class", "metric": "ECA", "n_hips": "9"}
CELLS["unit"] = "share"


def row(question, a, b, value, low="", high="", **more):
    return CELLS | {"question": question, "a": a, "b": b, "value": value, "low": low, "high": high} | more


def pair(a="reader 1", b="reader 2"):
    return row("inter-reader", a, b, "0.7", "0.6", "0.8")


def difference(value, low="", high="", hips="reader 1"):
    return row("difference", "vit", "other readers", value, low, high, hips=hips)


def results(*rows):
    return SimpleNamespace(table=lambda name: {"agreement.csv": rows}[name])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            difference("-0.12", "-0.2", "-0.03"),
            "vit agrees less often with reader 1 than reader 2: difference in ECA -12 percentage "
            "points (-20 to -3).",
        ),
        (
            difference("0.12", "0.03", "0.2", hips="reader 2"),
            "vit agrees more often with reader 2 than reader 1: difference in ECA 12 percentage "
            "points (3 to 20).",
        ),
        (
            difference("-0.05", "-0.14", "0.04"),
            "Whether vit or reader 2 agrees more with reader 1 is open: difference in ECA -5 percentage "
            "points (-14 to 4), which includes 0.",
        ),
        (
            difference("-0.05", "-0.1", "0"),
            "Whether vit or reader 2 agrees more with reader 1 is open: difference in ECA -5 percentage "
            "points (-10 to 0), which includes 0.",
        ),
        (
            difference("-0.31", "-0.62", "-0.003"),
            "vit agrees less often with reader 1 than reader 2: difference in ECA -31.0 percentage "
            "points (-62.0 to -0.3).",
        ),
        (
            difference("-0.05"),
            "vit and reader 2 against reader 1: difference in ECA -5 percentage points.",
        ),
    ],
)
def test_a_sentence_follows_from_its_interval(given, sentence):
    (found,) = compare_readers(results(pair(), given))
    assert found.cohort == "labelled"
    assert found.sentences == [sentence]


def test_of_three_readers_two_are_the_others():
    rows = [pair(), pair("reader 1", "reader 3"), pair("reader 2", "reader 3")]
    (found,) = compare_readers(results(*rows, difference("0.1", "0.05", "0.2")))
    assert found.sentences[0].startswith("vit agrees more often with reader 1 than the other readers: ")


def test_the_ceiling_has_its_assumptions_and_its_intervals():
    ends = [
        row("ceiling", "reachable", "one reader", "0.7", "0.6", "0.8"),
        row("ceiling", "limit", "one reader", "0.837", "0.775", "0.894"),
    ]
    (found,) = compare_readers(results(pair(), *ends))
    assert found.sentences == [
        "Ceiling implied by the readers: if they are interchangeable and err independently of each other on "
        "the same hip, the best possible grader has against one reader an ECA of at least "
        "70\N{NO-BREAK SPACE}% (60 to 80) and at most 84\N{NO-BREAK SPACE}% (78 to 89)."
    ]
    (found,) = compare_readers(results(pair(), *(end | {"low": "", "high": ""} for end in ends)))
    assert found.sentences[0].endswith("of at least 70\N{NO-BREAK SPACE}% and at most 84\N{NO-BREAK SPACE}%.")


def test_nothing_is_compared_unless_two_readers_graded_the_same_hips():
    alone = row("network", "vit", "reader 1", "0.6", hips="reader 1")
    others = [pair() | {"cohort": "pool"}, pair() | {"index": "KL"}]
    assert compare_readers(results(alone, *others)) == []


def test_the_agreement_within_readers():
    again = row("intra-reader", "reader 2", "reader 2", "0.9", "0.8", "1")
    assert describe_intra(results(pair(), again)) == (
        "Intra-reader agreement: ECA of reader 2 90\N{NO-BREAK SPACE}% (80 to 100)."
    )
    assert describe_intra(results(pair())) == ""


def read_lines(page):
    """The rows of the table of the labelled cohort, as text."""
    part = page.split("<summary>Tables of networks and readers")[1].split("</table>")[0]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", part, re.DOTALL)
    return [[" ".join(re.sub("<[^>]*>", " ", cell).split()) for cell in re.split("</t[hd]>", line)]
            for line in rows]  # fmt: skip


def test_the_table_shows_readers_networks_and_the_limit(study):
    lines = read_lines(study.report())
    named = [tuple(line[:3]) for line in lines]
    assert named[:3] == [
        ("reader 1", "reader 2", "two readings"),
        ("a grader who errs as a reader does", "one reader", "two readings"),
        ("limit for any grader", "one reader", "two readings"),
    ]
    assert {("vit", "reader 1", "reader 1"), ("vgg", "label", "reader 2")} <= set(named)
    rows = read_csv(study.root / "agreement.csv")
    own = {"question": "network", "cohort": "labelled", "a": "vit", "b": "reader 2", "metric": "ECA"}
    (eca,) = (row for row in rows if own.items() <= row.items())
    line = lines[named.index(("vit", "reader 2", "reader 2"))]
    assert line[3].split()[0] == f"{100 * float(eca['value']):.0f}"
    assert line[7:9] == [eca["n_hips"], eca["n_patients"]]


def test_without_readings_by_two_readers_there_is_no_such_table(study):
    write_csv(study.root / "agreement.csv", COLUMNS, [])
    assert "Networks and readers" not in study.report()
