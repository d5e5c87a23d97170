import csv

import numpy as np
import pytest

from hipoa.evaluation.graded import read_graded
from hipoa.evaluation.metrics.baselines import (
    GEOMETRY_COLUMNS,
    grade_by_geometry,
    read_geometry,
    score_geometry,
)


def rows_of(cohort, grade, repeat=0):
    return [
        {
            "hip_id": f"{cohort}{row // 2}_{'LR'[row % 2]}",
            "cohort": cohort,
            "repeat": repeat,
            "fold": row // 2 % 3 if cohort == "labelled" else "",
            "grade": int(value),
            "predicted": 1,
        }
        for row, value in enumerate(grade)
    ]


@pytest.fixture
def truth(tmp_path):
    def write(names, height, space):
        path = tmp_path / "phantom0.truth.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("hip_id", *GEOMETRY_COLUMNS), restval="1")
            writer.writeheader()
            for name, high, wide in zip(names, height, space, strict=True):
                writer.writerow({"hip_id": name, "height": high, "joint_space_mm": wide})
        return path

    return write


def test_a_geometry_that_tells_the_class_grades_unseen_hips(write_uncertainty, truth):
    random = np.random.default_rng([1])
    grade = random.integers(1, 8, 240)
    labelled, external = grade[:180], grade[180:]
    rows = rows_of("labelled", labelled) + rows_of("labelled", labelled, 1) + rows_of("external", external)
    table = read_graded(write_uncertainty("vit", rows))
    names = list(dict.fromkeys(row["hip_id"] for row in rows))
    # Crowe rises in classes 5-7, the joint space falls in classes 1-4.
    geometry = read_geometry([truth(names, np.maximum(grade - 4, 0), np.maximum(5 - grade, 0))])
    found = grade_by_geometry(table, geometry)
    assert len(found) == 240
    assert (found.predicted == found.grade).mean() > 0.95
    by_name = dict(zip(table.hip.tolist(), table.grade.tolist(), strict=True))
    assert [by_name[name] for name in found.hip.tolist()] == found.grade.tolist()
    scored = {row["metric"]: row for row in score_geometry(found.of_cohort("labelled"))}
    assert "fitted out of fold" in scored["ECA"]["note"]


def test_a_hip_is_graded_without_its_own_class(write_uncertainty, truth):
    """With noise for a geometry nothing can be learnt: the class of the hip itself would show."""
    random = np.random.default_rng([2])
    rows = rows_of("labelled", random.integers(1, 8, 300))
    table = read_graded(write_uncertainty("vit", rows))
    noise = random.normal(size=(2, 300))
    found = grade_by_geometry(table, read_geometry([truth([row["hip_id"] for row in rows], *noise)]))
    assert (found.predicted == found.grade).mean() < 0.25


def test_without_a_geometry_there_is_no_row(write_uncertainty, truth):
    table = read_graded(write_uncertainty("vit", rows_of("labelled", [1, 2] * 20)))
    assert len(grade_by_geometry(table, {})) == 0
    assert list(score_geometry(grade_by_geometry(table, {}))) == []
    # A replaced joint has no joint space.
    assert read_geometry([truth(["a_L", "b_L"], [1, 1], ["", 2])]).keys() == {"b_L"}
