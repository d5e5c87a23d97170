import numpy as np
import pytest

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.evaluation.settings import UncertaintySettings
from hipoa.evaluation.uncertainty import COLUMNS, run

SETTINGS = UncertaintySettings()


def make(study, *, repeats=2):
    """Eight labelled hips in two folds, four external hips, two of the pool (one of a fold's patient)."""
    labelled = study.hips("labelled", [1, 2, 3, 4, 5, 6, 7, ""])
    external = study.hips("external", [1, 1, 7, ""])
    pool = study.hips("pool", ["", ""], patients=["labelled0000", "stranger"])
    names, files = study.names("labelled", 8), []
    for repeat in range(repeats):
        for fold, part in enumerate((names[:4], names[4:])):
            seen = study.names("pool", 2)[0 if fold == 0 else 1 :]
            files += [
                study.predict("vit", repeat, fold, "labelled", part),
                study.predict("vit", repeat, fold, "external", study.names("external", 4)),
                study.predict("vit", repeat, fold, "pool", seen),
            ]
    return files, [labelled, external, pool]


def uncertainty(study, files, hips, experiment="vit"):
    out = study.folder / "uncertainty" / f"{experiment}.csv"
    run(SETTINGS, experiment=experiment, predictions=files, hips=hips, out=out)
    return out


def test_one_row_per_hip_and_repeat(study):
    path = uncertainty(study, *make(study))
    rows = read_csv(path)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    keys = {(row["cohort"], row["repeat"], row["hip_id"]) for row in rows}
    assert len(rows) == len(keys) == 2 * (8 + 4 + 2)
    for row in rows:
        probabilities = [float(row[f"p{grade}"]) for grade in range(1, 8)]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert int(row["predicted"]) == np.argmax(probabilities) + 1
        assert float(row["max_probability"]) == max(probabilities)


def test_who_predicts_whom(study):
    rows = read_csv(uncertainty(study, *make(study)))
    by_hip = {row["hip_id"]: row for row in rows if row["repeat"] == "1"}
    assert [by_hip[name]["fold"] for name in study.names("labelled", 8)] == ["0"] * 4 + ["1"] * 4
    assert {by_hip[name]["n_models"] for name in study.names("external", 4)} == {"2"}
    assert {by_hip[name]["fold"] for name in study.names("external", 4)} == {""}
    of_fold_0, stranger = (by_hip[name] for name in study.names("pool", 2))
    assert (of_fold_0["n_models"], of_fold_0["fold"], of_fold_0["between_model_variance"]) == ("1", "0", "")
    assert (stranger["n_models"], stranger["fold"]) == ("2", "")
    assert float(stranger["between_model_variance"]) > 0


def test_error_and_group_of_graded_hips_only(study):
    rows = read_csv(uncertainty(study, *make(study)))
    for row in rows:
        if row["grade"]:
            error = abs(int(row["grade"]) - int(row["predicted"]))
            assert row["error"] == str(error)
            assert row["group"] == ["Exact", "1-Neighbor", "Others"][min(error, 2)]
        else:
            assert row["error"] == row["group"] == ""
    assert sum(row["grade"] == "" for row in rows) == 2 * (1 + 1 + 2)


def test_the_order_of_the_arguments_changes_nothing(study):
    files, hips = make(study)
    once = uncertainty(study, files, hips).read_bytes()
    assert uncertainty(study, files[::-1], hips[::-1]).read_bytes() == once


def test_the_order_of_the_hips_in_a_file_changes_nothing(study):
    hips = study.hips("labelled", [1, 2, 3])
    names, passes = study.names("labelled", 3), np.random.default_rng([3]).dirichlet(np.ones(7), size=(3, 4))
    once = uncertainty(study, [study.predict("vit", 0, 0, "labelled", names, passes)], [hips]).read_bytes()
    turned = study.predict("vit", 0, 0, "labelled", names[::-1], passes[::-1])
    assert uncertainty(study, [turned], [hips]).read_bytes() == once


def test_hips_without_a_radiograph_need_no_prediction(study):
    hips = study.hips("pool", ["", ""], status="refused")
    assert read_csv(uncertainty(study, [], [hips])) == []


def test_an_empty_cohort_has_no_rows(study):
    hips = study.hips("pool", [])
    files = [study.predict("vit", 0, 0, "pool", [], np.zeros((0, 5, 7)))]
    assert read_csv(uncertainty(study, files, [hips])) == []


def test_a_hip_that_is_not_in_the_table(study):
    hips = study.hips("pool", ["", ""])
    files = [study.predict("vit", 0, 0, "pool", [*study.names("pool", 2), "other_L"])]
    with pytest.raises(CohortError, match=r'vit/r0f0/pool.npz: hip "other_L" is not in the table of hips'):
        uncertainty(study, files, [hips])


def test_a_hip_without_a_prediction(study):
    hips = study.hips("external", [1, 2, 3])
    files = [study.predict("vit", 0, 0, "external", study.names("external", 2))]
    with pytest.raises(
        CohortError, match=r"repeat 0, external: 1 of 3 hips have no prediction \(first external"
    ):
        uncertainty(study, files, [hips])


def test_a_labelled_hip_that_two_folds_predict_is_a_leak(study):
    hips = study.hips("labelled", [1, 2])
    files = [study.predict("vit", 0, fold, "labelled", study.names("labelled", 2)) for fold in (0, 1)]
    with pytest.raises(CohortError, match="2 hips are predicted by more than one model"):
        uncertainty(study, files, [hips])


def test_different_numbers_of_passes(study):
    hips = study.hips("pool", ["", ""])
    names = study.names("pool", 2)
    files = [study.predict("vit", 0, fold, "pool", names, passes=5 + fold) for fold in (0, 1)]
    with pytest.raises(CohortError, match=r"vit/r0f1/pool.npz: 6 passes, but 5 in vit/r0f0/pool.npz"):
        uncertainty(study, files, [hips])


def test_a_cohort_without_its_table(study):
    files, hips = make(study)
    with pytest.raises(CohortError, match="no table of hips of the cohort external is given"):
        uncertainty(study, files, [hips[0], hips[2]])


def test_another_experiment(study):
    files, hips = make(study)
    with pytest.raises(CohortError, match='not of experiment "vgg"'):
        uncertainty(study, files, hips, "vgg")


def test_hips_but_no_file_of_predictions(study):
    hips = study.hips("pool", ["", ""])
    with pytest.raises(CohortError, match="vit, repeat 0, pool: 2 of 2 hips have no prediction"):
        uncertainty(study, [], [hips])


def test_the_pool_may_be_predicted_in_fewer_repeats(study, tmp_path):
    labelled, pool = study.hips("labelled", [1, 2]), study.hips("pool", ["", ""])
    files = [study.predict("vit", repeat, 0, "labelled", study.names("labelled", 2)) for repeat in (0, 1)]
    files.append(study.predict("vit", 0, 0, "pool", study.names("pool", 2)))
    out = tmp_path / "vit.csv"
    run(UncertaintySettings(), experiment="vit", predictions=files, hips=[labelled, pool], out=out)
    found = [(row["cohort"], row["repeat"]) for row in read_csv(out)]
    assert sorted(set(found)) == [("labelled", "0"), ("labelled", "1"), ("pool", "0")]
