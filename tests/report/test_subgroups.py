"""What the report says of subgroups."""

import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.evaluation.metrics.subgroups import COLUMNS
from hipoa.report.scores import find_best
from hipoa.report.sections.subgroups import describe_differences

MEN = {"experiment": "vit", "cohort": "labelled", "column": "sex", "subgroup": "M"}
MEN |= {"metric": "ECA", "unit": "share"}
LESS = {"reference": "F", "difference": "-0.2", "difference_low": "-0.35", "difference_high": "-0.05"}


def row(**cells):
    return dict.fromkeys(COLUMNS, "") | MEN | cells


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(**LESS, p="0.01", p_holm="0.02"), row(**LESS, metric="ONCA", p="0.2", p_holm="0.4")],
         "vit, labelled cohort: after adjustment ECA of sex M differs from that of F by -20 "
         "percentage points (-35 to -5), p = 0.02."),
        ([row(**LESS, p="0.03", p_holm="0.06"), row(**LESS, column="age", p="0.9", p_holm="0.9")],
         "vit, labelled cohort: no subgroup differs after adjustment (2 comparisons of each score); "
         "differences within the intervals remain possible."),
        ([row(), row(metric="", note="too few patients: fewer than 10")],
         "vit, labelled cohort: no two subgroups of a column have 10 patients each to be compared."),
    ],
)  # fmt: skip
def test_the_sentence_follows_from_the_adjusted_p(rows, said):
    assert list(describe_differences(rows)) == [said]


def test_the_table_shows_differences_and_counts_of_small_subgroups(study):
    path = study.root / "subgroups.csv"
    own = row(value="0.6", n_hips="20", n_patients="11", **LESS, p="0.01", p_holm="0.02")
    write_csv(path, COLUMNS, [own, row(subgroup="X", metric="", n_hips="3", n_patients="2")])
    section = study.report().split('<section id="subgroups">')[1].split("</section>")[0]
    assert '-0.200<br><span class="quiet">-0.350 to -0.050</span>' in section
    assert section.count("too few patients") == 1


def test_a_subgroup_of_the_best_network_that_differs_is_a_caveat(study):
    best = find_best(read_csv(study.root / "metrics.csv"), "ECA")["experiment"]
    own = row(experiment=best, value="0.6", **LESS, p="0.01", p_holm="0.02")
    write_csv(study.root / "subgroups.csv", COLUMNS, [own])
    summary = study.report().split('<section id="summary">')[1].split("</section>")[0]
    assert "by -20 percentage points (-35 to -5), p = 0.02, adjusted for the number of subgroups." in summary
