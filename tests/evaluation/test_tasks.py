"""Regressions, and Crowe and KL apart: from predictions to uncertainty and metrics."""

import numpy as np
import pytest

from hipoa.core.files import read_csv
from hipoa.evaluation import embed, uncertainty
from hipoa.evaluation.comparison import compare
from hipoa.evaluation.metrics import metrics
from hipoa.evaluation.passes import combine_models, round_value, share_value, summarise_passes
from hipoa.evaluation.settings import (
    CompareSettings,
    EmbedSettings,
    MetricsSettings,
    UncertaintySettings,
)
from hipoa.grading.tasks import CROWE, GRADE, KL


def test_a_value_is_rounded_halves_up_and_stays_on_the_scale():
    assert round_value(np.array([-3, 1.49, 1.5, 2.5, 6.49, 6.5, 9]), GRADE).tolist() == [1, 1, 2, 3, 6, 7, 7]
    assert round_value(np.array([-1, 0.4, 0.5, 4.6]), KL).tolist() == [0, 0, 1, 4]
    assert round_value(np.array([0.0, 5.0]), CROWE).tolist() == [1, 4]


def test_the_variance_of_a_regression_splits_into_within_and_between_models():
    passes = np.random.default_rng([3]).normal(4, 1, (4, 5, 50))
    models = [summarise_passes(model, fold=fold) for fold, model in enumerate(passes)]
    hips = combine_models(models, 5)
    everything = passes.transpose(1, 0, 2).reshape(5, -1)
    assert np.allclose(hips.value, everything.mean(axis=1))
    assert np.allclose(hips.variance, passes.var(axis=2).mean(axis=0))
    assert np.allclose(hips.variance + hips.between_model_variance, everything.var(axis=1))
    assert np.allclose(hips.probability.sum(axis=1), 1)


def test_the_mean_class_of_a_shared_value_is_the_value():
    values = np.array([1.0, 2.25, 6.5, 7.0, 0.2, 9.0])
    shared = share_value(values, GRADE)
    assert np.allclose(shared @ np.arange(1, 8), np.clip(values, 1, 7))
    assert np.allclose(shared.sum(axis=1), 1)
    assert shared[1].tolist() == [0, 0.75, 0.25, 0, 0, 0, 0]


def write(study, experiment, repeat, fold, hip_id, passes):
    path = study.predict(experiment, repeat, fold, "labelled", hip_id)
    arrays = {name: array for name, array in np.load(path).items() if not name.startswith("probability")}
    np.savez(path, **arrays, **passes)
    return path


@pytest.fixture
def told(study):
    """Two repeats of a regression of separate heads: the value is right, and then a class too high."""
    grades = [1, 2, 3, 4, 5, 6, 7, 4]
    table = study.hips("labelled", grades)
    names = study.names("labelled", 8)
    noise = np.random.default_rng([1]).normal(0, 0.1, (8, 10))
    pairs = np.array([[int(row["crowe"]), int(row["kl"])] for row in read_csv(table)])
    paths = []
    for repeat in range(2):
        centred = noise - noise.mean(axis=1, keepdims=True)
        value = {"value_grade": np.array(grades)[:, None] + repeat + centred}
        value |= {"value_crowe": pairs[:, :1] + centred, "value_kl": pairs[:, 1:] - repeat + centred}
        paths.append(write(study, "sep", repeat, 0, names, value))
    out = study.folder / "uncertainty" / "sep.csv"
    uncertainty.run(UncertaintySettings(), experiment="sep", predictions=paths, hips=[table], out=out)
    return {"rows": read_csv(out), "out": out, "hips": table, "predictions": paths}


def test_the_rows_of_a_regression_of_separate_heads(told):
    first, second = told["rows"][:8], told["rows"][8:]
    assert [int(row["predicted"]) for row in first] == [1, 2, 3, 4, 5, 6, 7, 4]
    assert [int(row["predicted"]) for row in second] == [2, 3, 4, 5, 6, 7, 7, 5]
    assert {row["error"] for row in first} == {"0"}
    assert [row["group"] for row in second].count("1-Neighbor") == 7
    assert all(sum(float(row[f"p{k}"]) for k in range(1, 8)) == pytest.approx(1) for row in told["rows"])
    assert all(float(row["variance"]) == pytest.approx(float(row["variance_kl"])) for row in told["rows"])
    assert [row["predicted_kl"] for row in second] == ["0", "1", "2", "3", "3", "3", "3", "3"]


def test_the_metrics_of_a_regression_of_separate_heads(told, tmp_path):
    metrics.run(
        MetricsSettings(),
        uncertainty=[told["out"]],
        hips=[told["hips"]],
        truth=[],
        class_table="[[1, 1], [1, 2], [1, 3], [1, 4], [2, 4], [3, 4], [4, 4]]",
        out=tmp_path / "metrics.csv",
        confusion=tmp_path / "confusion.csv",
        subgroups=tmp_path / "subgroups.csv",
    )
    found = {(row["experiment"], row["metric"]): row for row in read_csv(tmp_path / "metrics.csv")}
    # right in the first repeat, wrong by one in the second but for the severest class
    assert float(found["sep", "ECA"]["value"]) == pytest.approx((1 + 1 / 8) / 2)
    assert float(found["sep", "Crowe accuracy, graded apart"]["value"]) == 1
    assert float(found["sep", "KL accuracy, graded apart"]["value"]) == 0.5
    assert float(found["sep", "KL accuracy within one, graded apart"]["value"]) == 1
    assert found["sep", "mean variance, Exact"]["unit"] == "squared classes"
    # values 1 and 2 average to 1.5, which is class 2
    assert float(found["sep", "ECA, repeats averaged"]["value"]) == pytest.approx(1 / 8)


def test_comparison_and_map_of_a_regression(told, tmp_path):
    compare.run(
        CompareSettings(),
        uncertainty=[told["out"]],
        out=tmp_path / "compare.csv",
        differences=tmp_path / "differences.csv",
    )
    assert any(row["u"] for row in read_csv(tmp_path / "compare.csv"))
    embed.run(
        EmbedSettings(), predictions=told["predictions"], hips=told["hips"], out=tmp_path / "embedding.csv"
    )
    assert [row["predicted"] for row in read_csv(tmp_path / "embedding.csv")] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "4",
    ]
