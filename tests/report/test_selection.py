"""Hips that were left out, compared with those that were kept."""

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu
from statsmodels.stats.multitest import multipletests

from hipoa.report.cohort import Hip
from hipoa.report.selection import compare_hips, find_selections, standardise

NOTHING = Hip(*[""] * len(Hip._fields))


def hips(name, count, sides="LR", cohort="labelled", status="ok", **cells):
    """Patients with these sides; a cell is the same for all, or a list with one for each patient."""
    return [
        NOTHING._replace(
            hip_id=f"{name}{number}_{side}",
            case_id=f"{name}{number}",
            patient_id=f"{name}{number}",
            side=side,
            cohort=cohort,
            status=status,
            **{key: cell[number] if isinstance(cell, list) else cell for key, cell in cells.items()},
        )
        for number in range(count)
        for side in sides
    ]


def test_the_standardised_difference_of_shares_worked_by_hand():
    """40 % against 3 %: 0.37 / sqrt((0.24 + 0.0291) / 2)."""
    a, b = [1.0] * 2 + [0.0] * 3, [1.0] * 3 + [0.0] * 97
    assert standardise(a, b) == pytest.approx(0.37 / np.sqrt((0.24 + 0.0291) / 2))
    assert standardise(b, a) == -standardise(a, b)


def test_the_standardised_difference_of_numbers_is_that_of_the_mean_variance():
    a, b = [70.0, 80.0, 75.0], [60.0, 62.0, 50.0, 55.0]
    expected = (np.mean(a) - np.mean(b)) / np.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2)
    assert standardise(a, b) == pytest.approx(expected)
    assert standardise([1.0, 1.0], [1.0, 1.0]) is None
    assert standardise([1.0], [0.0, 1.0]) is None


def test_tests_are_those_of_scipy_adjusted_by_holm():
    random = np.random.default_rng([4])
    ages = [[f"{age}" for age in random.integers(low, 90, count)] for low, count in ((60, 8), (40, 30))]
    sexes = [[*("F" * women + "M" * men)] for women, men in ((6, 2), (12, 18))]
    out = hips("out", 8, "L", sex=sexes[0], age=ages[0], implant=["yes"] * 3 + [""] * 5, scanner="S")
    kept = hips("kept", 30, sex=sexes[1], age=ages[1], implant=["yes"] + [""] * 29, scanner="S")
    found = {row.name: row for row in compare_hips("refused", out, "scored", kept).differences}
    p = [
        fisher_exact([[6, 2], [12, 18]]).pvalue,
        mannwhitneyu(*[np.array(own, dtype=float) for own in ages]).pvalue,
        fisher_exact([[3, 5], [1, 29]]).pvalue,
    ]
    holm = multipletests(p, method="holm")[1]
    tested = [row.p for row in found.values() if row.p is not None]
    assert tested == pytest.approx(holm)
    assert (found["female sex"].left_out, found["female sex"].kept) == ("6/8 (75 %)", "12/30 (40 %)")
    # One scanner is no characteristic, and no hip was graded.
    assert list(found) == ["female sex", "age, years, median", "implant"]


def test_a_patient_of_whom_a_hip_was_left_out_is_not_among_the_others():
    left, right = hips("a", 3, "L", status="refused", sex="F"), hips("a", 3, "R", sex="F")
    others = hips("b", 4, sex="M")
    found = compare_hips("refused", left, "scored", [*right, *others])
    assert found.sentence.startswith(
        "3 hips of 3 patients refused, against 8 scored hips of 4 other patients"
    )
    (female,) = (row for row in found.differences if row.name == "female sex")
    assert (female.left_out, female.kept) == ("3/3 (100 %)", "0/4 (0 %)")


def test_the_grades_of_a_patient_count_with_their_mean():
    """The maximum would be larger of those who have more hips among the kept."""
    out = hips("out", 3, "L", status="refused", kl=["1", "2", "4"])
    kept = [hip._replace(kl="4") if hip.side == "R" else hip for hip in hips("kept", 3, kl=["1", "2", "3"])]
    kl, _ = compare_hips("refused", out, "scored", kept).differences
    assert (kl.name, kl.left_out, kl.kept) == ("KL, median of patients' means", "2, n = 3", "3, n = 3")


def test_the_sentence_names_what_differs():
    out = hips("out", 10, "L", implant=["yes"] * 4 + [""] * 6)
    kept = hips("kept", 100, "L", implant=["yes"] * 3 + [""] * 97)
    assert compare_hips("set aside", out, "ranked", kept).sentence == (
        "10 hips of 10 patients set aside, against 100 ranked hips of 100 other patients: they differ in "
        "implant: 4/10 (40 %) against 3/100 (3 %) (standardised difference 1.01, p = 0.0011)."
    )


def test_without_an_image_no_implant_is_known():
    out = hips("out", 3, status="refused", sex=["F", "M", "F"], scanner="S")
    found = compare_hips(
        "refused", out, "scored", hips("kept", 5, sex="M", scanner=["S", "T", "T", "T", "T"])
    )
    cells = {row.name: (row.left_out, row.p) for row in found.differences}
    assert cells["implant"] == ("not stated", None)
    # Of two scanners the second is the opposite of the first.
    assert [name for name in cells if name.startswith("scanner")] == ["scanner T"]
    assert found.sentence.endswith(
        "no difference is significant after adjustment, which does not show that there is none."
    )


@pytest.mark.parametrize(
    ("out", "kept", "said"),
    [
        (0, 5, "No hip was refused."),
        (1, 5, "1 hip of 1 patient refused, against 5 scored hips of 5 other patients: "
               "too few patients to compare."),
        (2, 3, "2 hips of 2 patients refused, against 3 scored hips of 3 other patients: "
               "no characteristic is stated of both."),
    ],
)  # fmt: skip
def test_few_hips_left_out(out, kept, said):
    left_out = hips("out", out, "L", status="refused")
    assert compare_hips("refused", left_out, "scored", hips("kept", kept, "L")).sentence == said


def test_every_hip_of_the_graded_cohorts_is_kept_or_left_out_once():
    scored, ungraded = hips("s", 4, cohort="external"), hips("u", 2)
    refused, excluded = hips("r", 3, status="refused"), hips("e", 1, status="excluded")
    pool = [*hips("p", 3, cohort="pool"), *hips("q", 2, cohort="pool", status="refused")]
    metal = hips("m", 1, status="excluded", implant="replacement")
    triage = [{"hip_id": hip.hip_id, "rank": "" if hip.patient_id == "p0" else "1"} for hip in pool]
    found = find_selections(
        [*scored, *ungraded, *refused, *excluded, *metal, *pool], {hip.hip_id for hip in scored}, triage
    )
    assert [selection.sentence.partition(",")[0] for selection in found] == [
        "6 labelled or external hips of 3 patients refused",
        "2 labelled or external hips of 1 patient excluded",
        "2 labelled or external hips of 1 patient left out for an implant",
        "4 labelled or external hips of 2 patients unscored despite a radiograph",
        "2 hips of 1 patient set aside by triage",
    ]


def test_implants_of_the_pool_are_not_denied():
    """They are in no sentence here, which therefore says of whom it speaks."""
    metal = hips("metal", 1, cohort="pool", status="excluded", implant="replacement")
    said = [selection.sentence for selection in find_selections([*hips("a", 3), *metal], set(), [])]
    assert "No labelled or external hip was left out for an implant." in said
    assert "No hip was set aside by triage." in said


def test_those_left_out_for_an_implant_are_not_compared_by_implant():
    out = hips("out", 4, status="excluded", implant="fixation", sex="F")
    kept = hips("kept", 9, sex=[*"FMMMMMMMM"])
    (found,) = (
        one for one in find_selections([*out, *kept], {hip.hip_id for hip in kept}, []) if one.differences
    )
    assert (found.name, [row.name for row in found.differences]) == (
        "left out for an implant",
        ["female sex"],
    )


def test_the_page_says_who_was_left_out(fabricated):
    page = fabricated.report("selection.html", "selection.json")
    section = page.split('<section id="patients">')[1].split("</section>")[0]
    assert "2 labelled or external hips of 1 patient refused, against" in section
    assert "Patients with a hip unscored despite a radiograph, and others" in section
