import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.reading.worklist import read_worklist


@pytest.mark.parametrize(
    "caveat", ["the order of hips to read is not shown to be better than a random one", ""]
)
def test_the_worklist_says_what_its_order_is_worth(results, caveat):
    listed = results / "triage.csv"
    rows = [row | {"caveat": caveat} for row in read_csv(listed)]
    write_csv(listed, list(rows[0]), [*rows, dict.fromkeys(rows[0], "") | {"hip_id": "l00000_L"}])
    first, *more = read_worklist(results, listed).describe().splitlines()
    assert first == f"{len(rows)} hips to read, 1 set aside, 0 without an image."
    assert more == ([f"Note: {caveat}."] if caveat else [])


def test_a_list_of_ones_own_needs_no_caveat(results):
    listed = results / "own.csv"
    listed.write_text("rank,hip_id\n1,p00000_L\n")
    assert read_worklist(results, listed).describe() == "1 hips to read, 0 set aside, 0 without an image."
