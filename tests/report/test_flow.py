import pytest

from hipoa.core.errors import CohortError
from hipoa.report.cohort import find_predicted, read_hips, split_cohorts
from hipoa.report.figures.flowchart import draw_flow
from hipoa.report.flow import STEPS, count_hips, count_reasons


@pytest.fixture(scope="module")
def rows(fabricated):
    return read_hips(fabricated.hips)


@pytest.fixture(scope="module")
def predicted(fabricated):
    return find_predicted(fabricated.uncertainty)


@pytest.fixture(scope="module")
def flow(rows, predicted):
    return {name: count_hips(own, predicted) for name, own in split_cohorts(rows).items()}


def test_every_hip_is_counted_once(rows, predicted, flow):
    assert sum(part["hips"] for part in flow.values()) == len(rows)
    for part in [*flow.values(), count_hips(rows, predicted)]:
        assert part["hips"] == 2 * part["cts"]
        assert part["excluded"] == part["listed"] + part["replacement"] + part["fixation"]
        assert part["hips"] == part["excluded"] + part["refused"] + part["radiographs"]
        graded = part["graded"] + part["off_table"] + part["partly"] + part["ungraded"]
        assert part["radiographs"] == graded
        assert part["graded"] == part["predicted"] + part["unpredicted"]


def test_the_cohorts_add_up_to_all(rows, predicted, flow):
    everything = count_hips(rows, predicted)
    assert everything == {name: sum(part[name] for part in flow.values()) for name in STEPS}


def test_a_patient_in_two_cohorts_is_one_patient(rows):
    again = [hip._replace(hip_id=f"again{hip.hip_id}", cohort="pool") for hip in rows[:2]]
    assert count_hips([*rows, *again], ())["patients"] == count_hips(rows, ())["patients"]


def test_where_the_hips_of_the_labelled_cohort_went(flow):
    assert flow["labelled"] == {
        "patients": 20,
        "cts": 20,
        "hips": 40,
        "excluded": 2,
        "listed": 1,
        "replacement": 1,
        "fixation": 0,
        "refused": 2,
        "radiographs": 36,
        "graded": 33,
        "predicted": 33,
        "unpredicted": 0,
        "off_table": 1,
        "partly": 1,
        "ungraded": 1,
        "implants": 0,
    }


def test_a_hip_that_one_experiment_did_not_predict_is_told(study):
    table = study.uncertainty[0]
    lines = [line for line in table.read_text().splitlines() if ",l000_L," not in line]
    table.write_text("\n".join(lines) + "\n")
    labelled = split_cohorts(read_hips(study.hips))["labelled"]
    flow = count_hips(labelled, find_predicted(study.uncertainty))
    assert (flow["graded"], flow["predicted"], flow["unpredicted"]) == (33, 32, 1)


def test_an_unknown_status(rows):
    lost = rows[0]._replace(status="lost")
    with pytest.raises(CohortError, match=r'l000_L: status "lost" is none of ok, excluded, refused'):
        count_hips([lost], ())


def test_no_hips():
    assert set(count_hips([], ()).values()) == {0}


def test_reasons_that_differ_in_numbers_are_one(rows):
    refused = [
        rows[0]._replace(status="refused", reason=reason)
        for reason in ("no hip was found", "slices are 0.6-5.0 mm apart", "slices are 1-2.5 mm apart")
    ]
    assert count_reasons([*refused, rows[0]]) == [
        ("slices are \N{HORIZONTAL ELLIPSIS} mm apart", 2),
        ("no hip was found", 1),
    ]
    assert count_reasons([refused[1], refused[1]]) == [("slices are 0.6-5.0 mm apart", 2)]


def test_the_flow_diagram_tells_all_counts_and_reasons(rows, predicted):
    figure = draw_flow(rows, predicted)
    said = "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)
    for words in (
        "labelled cohort\n20 patients, 20 CTs\n40 hips",
        "4 hips refused or excluded",
        "1: excluded by cases.csv",
        "1: implant (replacement)",
        "1: pair not in the class table",
        "33 hips of 19 patients\ngraded, and scored",
        "14 hips without a grade",
    ):
        assert words in said
