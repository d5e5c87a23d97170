from pathlib import Path

import numpy as np
import pytest

from hipoa.core.errors import CohortError
from hipoa.evaluation.predictions import read_prediction, sort_predictions


def test_a_path_names_experiment_repeat_fold_and_cohort():
    file = sort_predictions([Path("R/predictions/vit-b/r12f3/pool.npz")])[0]
    assert (file.experiment, file.repeat, file.fold, file.cohort) == ("vit-b", 12, 3, "pool")
    assert file.where == "vit-b/r12f3/pool.npz"


def test_repeats_are_sorted_as_numbers():
    files = sort_predictions([Path(f"vit/r{repeat}f0/pool.npz") for repeat in (10, 9, 2)])
    assert [file.repeat for file in files] == [2, 9, 10]


@pytest.mark.parametrize("path", ["vit/r0/pool.npz", "pool.npz", "vit/r0f0/pool.csv"])
def test_a_path_that_names_no_model(path):
    with pytest.raises(CohortError, match="the path names no model"):
        sort_predictions([Path(path)])


def test_a_file_given_twice():
    with pytest.raises(CohortError, match=r"vit/r0f0/pool.npz: the file is given twice"):
        sort_predictions([Path("a/vit/r0f0/pool.npz"), Path("b/vit/r0f0/pool.npz")])


@pytest.mark.parametrize(
    ("names", "probability", "message"),
    [
        (["a", "b"], np.full((2, 3, 5), 0.2), r"shape \(2, 3, 5\)"),
        (["a", "b"], np.full((2, 3, 7), np.nan), "probabilities or features are not finite"),
        (["a", "a"], np.full((2, 3, 7), 1 / 7), "a hip is listed twice"),
    ],
)
def test_what_a_file_must_hold(study, names, probability, message):
    path = study.predict("vit", 0, 0, "pool", names, probability)
    with pytest.raises(CohortError, match=message):
        read_prediction(sort_predictions([path])[0])


def test_features_that_are_not_finite(study):
    path = study.predict("vit", 0, 0, "pool", ["a", "b"], features=np.full((2, 8), np.inf))
    with pytest.raises(CohortError, match="probabilities or features are not finite"):
        read_prediction(sort_predictions([path])[0])
