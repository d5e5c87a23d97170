from hipoa.report.cohort import read_hips
from hipoa.report.flow import COUNTS, count_flow, total


def test_every_hip_is_counted_once(fabricated):
    rows = read_hips(fabricated.hips)
    flow = count_flow(rows)
    assert total(flow, "hips") == len(rows) == 2 * total(flow, "cts")
    for part in flow:
        assert part.hips == part.excluded + part.refused + part.radiographs
        assert part.radiographs == part.graded + part.off_table + part.partly + part.ungraded


def test_where_the_hips_of_the_labelled_cohort_went(fabricated):
    labelled = count_flow(read_hips(fabricated.hips))[0]
    assert {name: getattr(labelled, name) for name in COUNTS} == {
        "patients": 20,
        "cts": 20,
        "hips": 40,
        "excluded": 1,
        "refused": 2,
        "radiographs": 37,
        "graded": 34,
        "off_table": 1,
        "partly": 1,
        "ungraded": 1,
        "implants": 0,
    }


def test_no_hips():
    assert count_flow([]) == []
    assert total([], "hips") == 0
