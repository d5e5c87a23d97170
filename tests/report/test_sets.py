import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.report.scores import find_row
from hipoa.report.sections.sets import judge_size


def size_of(value, low="", high=""):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (size_of("2.1", "1.9", "2.3"), ""),
        (size_of("3.4", "3.2", "3.6"), "perhaps uninformative: the interval reaches half of the classes"),
        (size_of("3.7", "3.4", "4.1"), "perhaps uninformative: the interval reaches half of the classes"),
        (size_of("4.1", "3.6", "4.5"), "uninformative: more than half of the classes"),
        (size_of("4.1"), "uninformative: more than half of the classes in these hips"),
        (size_of("2.1"), ""),
        (size_of("7", "7", "7"), "uninformative: every set is of all classes"),
    ],
)
def test_of_what_use_sets_are_follows_from_the_interval_of_their_size(size, said):
    assert judge_size(size) == said


def test_the_page_says_how_large_the_sets_are_and_of_what_use(study):
    rows = read_csv(study.root / "conformal.csv")
    for row in rows:
        if row["hips"] == "all" and row["metric"] == "mean size":
            row |= {"value": "4.25", "low": "3.75", "high": "4.75"}
    write_csv(study.root / "conformal.csv", list(rows[0]), rows)
    page = study.report()
    section = page.split('<section id="sets">')[1].split("</section>")[0]
    tabled = find_row(rows, cohort="labelled", level="0.9", hips="all", metric="coverage")
    assert "uninformative: more than half of the classes" in section
    assert tabled["promised"] in section
    assert "near its level or above by construction" in section
    summary = page.split('<section id="summary">')[1].split("</section>")[0]
    assert (
        "true class of 90 % of the hips are of 4.2 (3.8 to 4.8) of the seven classes on average; uni"
        in summary
    )
