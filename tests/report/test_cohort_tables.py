"""What the report says of scanners, protocols and patients."""

import re

import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.report.cohort import Hip, split_cohorts
from hipoa.report.cohort_tables import (
    count_unknown,
    describe_acquisition,
    describe_people,
    tabulate_acquisition,
)

NOTHING = Hip(*[""] * len(Hip._fields))
SIEMENS = {"manufacturer": "Siemens", "model": "SOMATOM Force", "kernel_kind": "soft", "kv": "120"}
GE = {"manufacturer": "GE", "model": "LightSpeed VCT", "kernel_kind": "bone", "kv": "140"}


def cts(*told, cohort="labelled", status="ok"):
    """Two hips of each CT, of one patient each."""
    names = [f"{cohort}{number}" for number in range(len(told))]
    return [
        NOTHING._replace(
            hip_id=f"{name}_{side}", case_id=name, patient_id=name, cohort=cohort, status=status, **cells
        )
        for name, cells in zip(names, told, strict=True)
        for side in "LR"
    ]


def test_each_ct_is_counted_once():
    hips = cts(SIEMENS | {"step_mm": "1.0"}, SIEMENS | {"step_mm": "0.625"}, GE | {"step_mm": "3.0"}, {})
    hips += cts({"step_mm": "5.0"}, cohort="external")
    hips += cts(GE, cohort="pool", status="refused")
    rows = {cohort: [*tabulate_acquisition(own).values()] for cohort, own in split_cohorts(hips).items()}
    assert rows == {
        "labelled": [
            *("4", "Siemens (2), GE (1)", "SOMATOM Force (2), LightSpeed VCT (1)"),
            *("120 kV (2), 140 kV (1)", "soft (2), bone (1)", "0.625 / 1 / 3", "1"),
        ],
        "external": ["1", "", "", "", "", "5 / 5 / 5", "1"],
        "pool": ["0", "", "", "", "", "", "0"],
    }
    assert count_unknown(hips) == (2, 5)


def test_the_sentence_says_of_how_many_nothing_is_known():
    said = describe_acquisition(cts(SIEMENS, SIEMENS, {}))
    assert said == (
        "Scanners: Siemens (2); models: SOMATOM Force (2); tube voltage: 120 kV (2); kernels: soft (2) "
        "(numbers of CTs in brackets). This is not known for 1 of 3 CTs."
    )
    assert describe_acquisition(cts({}, {})) == ""


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ([{"sex": "F", "age": "63"}, {"sex": "male", "age": "90+"}, {"sex": "", "age": "41 y"}],
         "1 female, 1 male, age 41 to 90+ years (median 63, n = 3)"),
        ([{"sex": "F", "age": "93"}], "1 female, age 90+ years (median 90+, n = 1)"),
        ([{"sex": "1", "age": "unknown"}], ""),
        ([{}], ""),
    ],
)  # fmt: skip
def test_the_patients_in_a_sentence(people, said):
    assert describe_people(cts(*people)) == said


def test_the_page_fills_what_guidelines_ask_of_the_acquisition(study):
    table = study.root / "hips/labelled.csv"
    rows = [row | SIEMENS | {"step_mm": 1.25, "sex": "F", "age": 70} for row in read_csv(table)]
    write_csv(table, list(rows[0]), rows)
    page = study.report()
    assert re.search(r"Manufacturer, tube voltage and kernel are not known for \d+ of \d+ CTs", page)
    section = page.split('<section id="quality">')[1].split("</section>")[0]
    assert "SOMATOM Force (" in section
    guidelines = page.split('<section id="reporting">')[1].split("</section>")[0]
    assert "tube voltage: 120 kV (" in guidelines
    assert "To be added:</b> tube current, contrast medium and position" in guidelines
    assert "female, age 70 years" in guidelines


def test_without_headers_the_page_leaves_them_to_a_person(fabricated):
    page = fabricated.report("nifti.html", "nifti.json")
    assert "To be added:</b> the scanner&#39;s protocol" in page
    assert "To be added:</b> sex and age" in page
    assert "How the CTs were acquired" not in page
    assert re.search(r"not known for (\d+) of \1 CTs", page)
