from hipoa.core.files import read_csv, write_csv
from hipoa.report.scores import find_row


def test_the_page_says_how_large_the_sets_are_and_of_what_use(study):
    rows = read_csv(study.root / "conformal.csv")
    for row in rows:
        if row["hips"] == "all" and row["metric"] == "mean size":
            row |= {"value": "4.25", "low": "3.75", "high": "4.75", "verdict": "uninformative: so it is"}
    write_csv(study.root / "conformal.csv", list(rows[0]), rows)
    page = study.report()
    section = page.split('<section id="sets">')[1].split("</section>")[0]
    tabled = find_row(rows, cohort="labelled", level="0.9", hips="all", metric="coverage")
    assert "uninformative: so it is" in section
    assert tabled["promised"] in section
    assert "near its level or above by construction" in section
    summary = page.split('<section id="summary">')[1].split("</section>")[0]
    assert (
        "true class of 90 % of the hips are of 4.2 (3.8 to 4.8) of the seven classes on average; uni"
        in summary
    )
