import numpy as np
import pytest

from hipoa.core.errors import CohortError
from hipoa.core.tables.rows import COHORTS
from hipoa.phantom.phantom import scanner_of
from hipoa.phantom.settings import PhantomSettings
from hipoa.report.cohort import describe_classes, is_synthetic, read_hips
from hipoa.report.radiographs import read_radiographs


def test_only_the_wanted_radiographs_are_read(fabricated):
    with np.load(fabricated.root / "hips/pool.npz") as stack:
        names, images = stack["hip_id"].tolist(), stack["radiograph"]
    found = read_radiographs(fabricated.stacks, [names[3], names[0], "l000_R", "nobody"])
    assert sorted(found) == sorted([names[0], names[3], "l000_R"])
    np.testing.assert_array_equal(found[names[3]], images[3])
    np.testing.assert_array_equal(found[names[0]], images[0])


def test_a_stack_that_is_no_stack_of_radiographs(tmp_path):
    path = tmp_path / "pool.npz"
    np.savez(path, hip_id=np.array(["a_L"]), radiograph=np.zeros((1, 2, 2), dtype=np.float32))
    with pytest.raises(CohortError, match=r"pool.npz: radiographs are float32 \(1, 2, 2\)"):
        read_radiographs([path], ["a_L"])


def test_a_class_is_described_by_what_was_graded(fabricated):
    rows = read_hips(fabricated.hips)
    assert describe_classes(rows)[5] == "Crowe II, KL 4"
    healthy = next(hip for hip in rows if hip.grade == "1")
    assert describe_classes([healthy, healthy._replace(kl="0")]) == {1: "Crowe I, KL 0\N{EN DASH}1"}
    assert describe_classes([]) == {}


def test_the_built_in_cohort_is_known_by_its_scanners(fabricated):
    rows = read_hips(fabricated.hips)
    assert not is_synthetic(rows)
    for cohort in COHORTS:
        name = scanner_of(PhantomSettings(), cohort).name
        assert is_synthetic([*rows, rows[0]._replace(scanner=name)])


def test_a_hip_that_stands_twice(fabricated):
    path = fabricated.hips[0]
    with pytest.raises(CohortError, match="hips: 40 hips stand twice"):
        read_hips([path, path])
