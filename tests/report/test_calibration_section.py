import re
from html import unescape

import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.report.scores import find_row, write_row
from hipoa.report.sections.calibration import judge


def row(value, low="", high="", note="mean over repeats"):
    return {"value": value, "low": low, "high": high, "note": note}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (row("0.5", "0.1", "0.9"), "0.500 (0.100 to 0.900): more"),
        (row("-0.5", "-0.9", "-0.1"), "-0.500 (-0.900 to -0.100): less"),
        (
            row("0.2", "-0.1", "0.5"),
            "0.200 (-0.100 to 0.500), an interval that includes 0, so that no difference from it is shown",
        ),
        (
            row("0.2", "0", "0.5"),
            "0.200 (0.000 to 0.500), an interval that includes 0, so that no difference from it is shown",
        ),
        (row("0.2", note="mean; no interval: one patient"), "0.200 (no interval: one patient)"),
        (None, "not defined"),
    ],
)
def test_what_is_said_follows_from_the_interval(found, expected):
    assert judge(found, 0, "less", "more") == expected


def read_section(page):
    return unescape(
        re.sub(r"\s+", " ", page.partition('<section id="calibration"')[2].partition("</section>")[0])
    )


def test_the_section_states_calibration_and_decisions_of_the_best_network(study):
    rows = [
        {**cells, "value": "0.3", "low": "0.1", "high": "0.5"}
        if cells["question"] == "error >= 1" and cells["strategy"] == "network less all"
        else cells
        for cells in read_csv(study.root / "decision.csv")
    ]
    write_csv(study.root / "decision.csv", tuple(rows[0]), rows)
    section = read_section(study.report())
    assert (
        "difference from acting on all hips 0.300 (0.100 to 0.500): better than acting on all hips."
        in section
    )
    assert "the measure that triage ranks by." in section
    calibration = read_csv(study.root / "calibration.csv")
    for network in ("vit", "vgg"):
        slope = find_row(calibration, experiment=network, cohort="labelled", scaling="none",
                         metric="class >= k calibration slope")  # fmt: skip
        assert slope
        assert f"{float(slope['low']):.3f} to {float(slope['high']):.3f}" in section
    stated = re.search(
        r"<p>(\w+), labelled cohort, KL >= 2, unscaled: calibration in the large ([^;]*);", section
    )
    assert stated
    large = find_row(calibration, experiment=stated[1], cohort="labelled", scaling="none",
                     metric="KL >= 2 calibration in the large")  # fmt: skip
    assert stated[2].startswith(write_row(large))


def test_another_measure_of_the_triage_is_named(study):
    study.config(triage={"measure": "entropy"})
    section = read_section(study.report())
    assert "triage here ranks by another measure (entropy), which is no probability." in section
