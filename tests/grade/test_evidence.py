"""What a study says of its models reaches whoever grades a CT with them."""

import numpy as np
import pytest

from hipoa.core.files import write_csv
from hipoa.grade.evidence import fit_sets, list_caveats, list_classes

QUESTION = ("question", "cohort", "role", "a", "verdict")


def make_study(folder, verdict="vit better", scanner="A"):
    rows = [dict(zip(QUESTION, ("constant", "labelled", "primary", "vit", verdict), strict=True))]
    write_csv(folder / "differences.csv", QUESTION, rows)
    write_csv(folder / "hips/labelled.csv", ("scanner",), [{"scanner": scanner}])
    return folder


def test_of_a_good_model_of_real_patients_nothing_is_said(tmp_path):
    assert list(list_caveats(make_study(tmp_path), {"not_for_results": ""}, "vit")) == []


@pytest.mark.parametrize(
    ("made", "config", "said"),
    [
        ({}, {"not_for_results": "The preset is for demonstration."}, "The preset is for demonstration."),
        ({"verdict": "not shown to differ"}, {}, "vit is not shown to grade better than the same answer"),
        ({"scanner": "phantom A"}, {}, "learned from computer-generated patients"),
    ],
)
def test_each_reason_not_to_rely_on_it_is_said(tmp_path, made, config, said):
    (caveat,) = list_caveats(make_study(tmp_path, **made), config, "vit")
    assert said in caveat


def test_without_comparisons_a_model_is_not_shown_to_be_good(tmp_path):
    make_study(tmp_path)
    (tmp_path / "differences.csv").unlink()
    (caveat,) = list_caveats(tmp_path, {}, "vit")
    assert "not shown" in caveat


def test_a_set_holds_the_predicted_class_and_grows_with_the_threshold():
    probability = np.array([0.05, 0.1, 0.5, 0.2, 0.1, 0.05, 0.0])
    assert list_classes(probability, np.nan, -1.0) == [3]
    assert list_classes(probability, np.nan, -0.4) == [3, 4]
    assert list_classes(probability, np.nan, 0.0) == [1, 2, 3, 4, 5, 6, 7]
    assert list_classes(probability, np.nan, np.inf) is None
    assert list_classes(probability, 4.2, 0.7) == [4, 5]  # of a regression, by the distance from its value


def test_without_predictions_there_is_no_set(tmp_path):
    assert fit_sets(tmp_path, {"conform": {"conformal_levels": [0.9]}}, "vit", 1) is None
