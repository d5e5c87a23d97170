import numpy as np
import pytest

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.evaluation.embed import COLUMNS, embed_features, project_to_axes, run
from hipoa.evaluation.settings import EmbedSettings


def two_clouds(n=15):
    random = np.random.default_rng([1])
    return np.concatenate([random.normal(size=(n, 6)), random.normal(size=(n, 6)) + 20])


@pytest.fixture
def embed(tmp_path):
    def make(files, hips, repeats=(0,)):
        out = tmp_path / "embedding.csv"
        run(EmbedSettings(embed_repeats=repeats), predictions=files, hips=hips, out=out)
        assert out.read_text().splitlines()[0] == ",".join(COLUMNS)
        return read_csv(out)

    return make


def test_one_row_per_hip_of_each_model(study, embed):
    hips, names = study.hips("labelled", [1, 2, 3, 4, 5, ""]), study.names("labelled", 6)
    files = [
        study.predict(experiment, 0, fold, "labelled", names[3 * fold : 3 * fold + 3])
        for experiment in ("vit", "vgg")
        for fold in (0, 1)
    ]
    rows = embed(files, hips)
    assert [(row["experiment"], row["fold"], row["hip_id"]) for row in rows] == [
        (experiment, str(fold), name)
        for experiment in ("vgg", "vit")
        for fold in (0, 1)
        for name in names[3 * fold : 3 * fold + 3]
    ]
    for row in rows:
        error = str(abs(int(row["grade"]) - int(row["predicted"]))) if row["grade"] else ""
        assert row["error"] == error
        assert np.isfinite([float(row["x"]), float(row["y"])]).all()
    assert [row["grade"] for row in rows][:6] == ["1", "2", "3", "4", "5", ""]


def test_the_predicted_class_is_that_of_the_mean_over_the_passes(study, embed):
    hips, names = study.hips("labelled", [1, 2]), study.names("labelled", 2)
    probability = np.zeros((2, 2, 7))
    probability[0, :, 4] = probability[1, :, 5] = 1
    rows = embed([study.predict("vit", 0, 0, "labelled", names, probability)], hips)
    assert [(row["predicted"], row["error"]) for row in rows] == [("5", "4"), ("6", "4")]


def test_the_repeats_to_be_mapped(study, embed):
    hips, names = study.hips("labelled", [1, 2]), study.names("labelled", 2)
    files = [study.predict("vit", repeat, 0, "labelled", names) for repeat in range(3)]

    def repeats(*chosen):
        return sorted({int(row["repeat"]) for row in embed(files, hips, chosen)})

    assert repeats(0) == [0]
    assert repeats(2, 1) == [1, 2]
    assert repeats() == [0, 1, 2]
    assert repeats(7) == []


def test_the_same_seed_gives_the_same_bytes(study, tmp_path, embed):
    hips, names = study.hips("labelled", [1, 7] * 15), study.names("labelled", 30)
    files = [study.predict("vit", 0, 0, "labelled", names, features=two_clouds())]
    embed(files, hips)
    once = (tmp_path / "embedding.csv").read_bytes()
    embed(files, hips)
    assert (tmp_path / "embedding.csv").read_bytes() == once


def test_far_groups_stay_apart():
    places = embed_features(two_clouds())
    one, other = places[:15], places[15:]
    within = max(np.linalg.norm(cloud - cloud.mean(axis=0), axis=1).max() for cloud in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 2 * within


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("width", [1, 2, 8])
def test_few_hips_have_places_too(n, width):
    features = np.random.default_rng([2]).normal(size=(n, width)).astype(np.float32)
    places = embed_features(features)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("n", [3, 12])
def test_equal_features_have_equal_places(n):
    assert embed_features(np.ones((n, 5))).tolist() == [[0, 0]] * n


def test_the_principal_axes():
    centred = np.array([[4, 0], [-3, 0], [-1, 0], [0, 2], [0, -1], [0, -1]])
    values = centred + np.array([10, 20])
    places = project_to_axes(values)
    # Each axis points to its largest entry, so that the sign is not left to chance.
    assert places == pytest.approx(centred)
    assert project_to_axes(-values) == pytest.approx(centred)
    assert project_to_axes(values @ np.array([[0.6, 0.8], [-0.8, 0.6]])) == pytest.approx(places)


def test_another_cohort_than_the_table(study, embed):
    hips = study.hips("labelled", [1, 2])
    files = [study.predict("vit", 0, 0, "pool", study.names("pool", 2))]
    with pytest.raises(
        CohortError, match=r'vit/r0f0/pool.npz: the table of hips is of the cohort "labelled"'
    ):
        embed(files, hips)


def test_a_hip_that_is_not_in_the_table(study, embed):
    hips = study.hips("labelled", [1, 2])
    files = [study.predict("vit", 0, 0, "labelled", ["other_L"])]
    with pytest.raises(CohortError, match='hip "other_L" is not in the table of hips'):
        embed(files, hips)


def test_a_fold_without_hips(study, embed):
    hips = study.hips("labelled", [])
    assert embed([study.predict("vit", 0, 0, "labelled", [], np.zeros((0, 5, 7)))], hips) == []
