import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hipoa.core.files import read_csv
from hipoa.evaluation.detect import AVERAGED, COLUMNS, CURVE_COLUMNS, PER_REPEAT, PERFECT, RANDOM, run


def rows_of(repeats=2, hips=80, cohort="labelled", seed=0, knows=0.6):
    """Hips whose variance says, more or less, how large the error is; entropy says nothing."""
    random = np.random.default_rng([seed])
    rows = []
    for repeat in range(repeats):
        for hip in range(hips):
            grade = 2 + hip % 4
            error = int(random.choice([0, 0, 0, 1, 2]))
            rows.append(
                {
                    "hip_id": f"{cohort}{hip // 2}_{'LR'[hip % 2]}",
                    "cohort": cohort,
                    "repeat": repeat,
                    "fold": hip // 2 % 4,
                    "grade": grade,
                    "predicted": grade + error,
                    "variance": f"{knows * error + random.random():.6f}",
                    "entropy": 0.5,
                    "mutual_information": 0.1,
                    "max_probability": f"{1 / (2 + knows * error + random.random()):.6f}",
                }
            )
    return rows


@pytest.fixture
def detect(tmp_path):
    def make(*tables):
        out, curves = tmp_path / "detection.csv", tmp_path / "risk_coverage.csv"
        run(uncertainty=list(tables), out=out, curves=curves)
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        assert curves.read_text().splitlines()[0] == ",".join(CURVE_COLUMNS)
        return read_csv(out), read_csv(curves)

    return make


def value(rows, measure, metric="AUROC", prediction=PER_REPEAT, event="error >= 1"):
    wanted = {"measure": measure, "metric": metric, "prediction": prediction, "event": event}
    (row,) = [row for row in rows if all(row[key] == text for key, text in wanted.items())]
    return float(row["value"])


def test_the_value_is_the_mean_over_repeats(write_uncertainty, detect):
    rows = rows_of()
    found, _ = detect(write_uncertainty("vit", rows))
    for event, least in (("error >= 1", 1), ("error >= 2", 2)):
        areas = []
        for repeat in (0, 1):
            own = [row for row in rows if row["repeat"] == repeat]
            wrong = [row["predicted"] - row["grade"] >= least for row in own]
            areas.append(roc_auc_score(wrong, [float(row["variance"]) for row in own]))
        assert value(found, "variance", event=event) == pytest.approx(np.mean(areas), rel=1e-5)


def test_a_useless_measure_is_a_coin_and_perfection_finds_all(write_uncertainty, detect):
    found, _ = detect(write_uncertainty("vit", rows_of()))
    assert value(found, "entropy") == value(found, RANDOM) == 0.5
    assert value(found, PERFECT) == 1
    random, perfect = (value(found, name, "AURC") for name in (RANDOM, PERFECT))
    assert perfect < value(found, "variance", "AURC") < random
    shares = [(row["predicted"] != row["grade"]) for row in rows_of()]
    assert random == pytest.approx(np.mean(shares), rel=1e-5)
    assert value(found, RANDOM, "risk at 80 % coverage") == pytest.approx(np.mean(shares), rel=1e-5)


def test_noise_is_about_a_half(write_uncertainty, detect):
    found, _ = detect(write_uncertainty("vit", rows_of(repeats=1, hips=600, knows=0.0)))
    wanted = {"measure": "variance", "metric": "AUROC", "event": "error >= 1"}
    (row,) = [row for row in found if wanted.items() <= row.items()]
    assert float(row["low"]) < 0.5 < float(row["high"])
    assert float(row["value"]) == pytest.approx(0.5, abs=0.07)


def test_a_small_largest_probability_is_uncertain(write_uncertainty, detect):
    found, _ = detect(write_uncertainty("vit", rows_of()))
    assert value(found, "max_probability") > 0.7


def test_variance_between_models_needs_several(write_uncertainty, detect):
    found, _ = detect(write_uncertainty("vit", rows_of()))
    measures = {(row["prediction"], row["measure"]) for row in found}
    assert (PER_REPEAT, "between_model_variance") not in measures
    assert (AVERAGED, "between_model_variance") in measures
    found, _ = detect(write_uncertainty("vit", rows_of(repeats=1)))
    assert {row["prediction"] for row in found} == {PER_REPEAT}


def test_the_seed_ensemble_disagrees_where_repeats_do(write_uncertainty, detect):
    rows = rows_of(repeats=1) + [
        {**row, "repeat": 1, "predicted": row["predicted"] - (row["predicted"] - row["grade"] == 2)}
        for row in rows_of(repeats=1)
    ]
    found, _ = detect(write_uncertainty("vit", rows))
    # Only hips two classes off are graded otherwise the second time; the vote takes the milder class.
    assert value(found, "between_model_variance", prediction=AVERAGED) > 0.7


def test_the_curve_ends_at_the_share_of_errors(write_uncertainty, detect):
    found, curves = detect(write_uncertainty("vit", rows_of()))
    own = {
        (row["measure"], row["coverage"]): row
        for row in curves
        if (row["prediction"], row["event"]) == (PER_REPEAT, "error >= 1")
    }
    share = value(found, RANDOM, "AURC")
    assert {name for name, _ in own} >= {"variance", RANDOM, PERFECT}
    for measure in ("variance", "entropy", RANDOM, PERFECT):
        assert float(own[measure, "1.0"]["risk"]) == pytest.approx(share, rel=1e-5)
    assert float(own["variance", "0.8"]["risk"]) == value(found, "variance", "risk at 80 % coverage")
    assert float(own["variance", "0.8"]["low"]) <= float(own["variance", "0.8"]["high"])
    assert [float(own[PERFECT, f"{n / 10}"]["risk"]) for n in (1, 3, 5)] == [0, 0, 0]


def test_cohorts_and_events_are_counted(write_uncertainty, detect):
    rows = rows_of() + rows_of(hips=20, cohort="external", seed=5)
    found, _ = detect(write_uncertainty("vit", rows))
    counts = {
        (row["cohort"], row["n_hips"], row["n_patients"], row["n_events"])
        for row in found
        if (row["event"], row["prediction"]) == ("error >= 1", PER_REPEAT)
    }
    wrong = sum(row["predicted"] != row["grade"] for row in rows[:160]) / 2
    assert {count[:3] for count in counts} == {("labelled", "80", "40"), ("external", "20", "10")}
    assert f"{wrong:.6g}" in {count[3] for count in counts}


def test_a_network_without_an_error_has_no_area(write_uncertainty, detect):
    rows = [{**row, "predicted": row["grade"]} for row in rows_of(repeats=1)]
    found, _ = detect(write_uncertainty("vit", rows))
    area = next(row for row in found if (row["measure"], row["metric"]) == ("variance", "AUROC"))
    assert (area["value"], area["low"]) == ("", "")
    assert value(found, "variance", "AURC") == 0
    assert detect() == ([], [])
