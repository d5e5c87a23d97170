import numpy as np
import pytest
from PIL import Image

from hipoa.core.files import read_csv, read_json
from hipoa.evaluation.graded import read_graded
from hipoa.report.figures import style
from hipoa.report.figures.charts import draw_learning
from hipoa.report.figures.comparisons import draw_accuracy, draw_published
from hipoa.report.figures.figures import sort_rows
from hipoa.report.figures.predictions import draw_confusion, draw_embedding, draw_variance
from hipoa.report.outputs import DRAWN


def test_all_figures_are_drawn_and_hold_something(fabricated):
    folder = fabricated.root / "figures"
    assert sorted(path.name for path in folder.iterdir()) == sorted(DRAWN)
    for name in DRAWN:
        if name.endswith(".png"):
            assert np.asarray(Image.open(folder / name).convert("L")).std() > 20
        else:
            assert "<path" in (folder / name).read_text("utf-8")


def test_the_same_tables_give_the_same_bytes(fabricated, tmp_path):
    again = fabricated.draw(tmp_path)
    for name in DRAWN:
        assert (again / name).read_bytes() == (fabricated.root / "figures" / name).read_bytes(), name


def test_a_figure_tells_no_date_and_no_program(fabricated):
    for name in DRAWN:
        content = (fabricated.root / "figures" / name).read_bytes()
        assert b"<dc:date>" not in content
        assert b"tEXt" not in content


def test_experiments_stand_in_their_own_order():
    rows = [{"experiment": name} for name in ("b", "unknown", "a", "b")]
    assert [row["experiment"] for row in sort_rows(["b", "a"], rows)] == ["b", "b", "a", "unknown"]


def test_no_title_and_no_note_is_cut_with_one_experiment(fabricated):
    table = read_graded(fabricated.uncertainty[0])
    record = read_json(fabricated.models[0])
    maps = [row for row in read_csv(fabricated.root / "embedding.csv") if row["experiment"] == "vit"]
    scores = read_csv(fabricated.root / "metrics.csv")
    with style.applied():
        for figure in (
            draw_variance([table], []),
            draw_confusion([table]),
            draw_embedding(maps[:5]),
            draw_learning([record]),
            draw_accuracy(scores, ["vit"], "ECA"),
            draw_published(scores, ["vit"], synthetic=True),
        ):
            style.mark_synthetic(figure)
            figure.draw_without_rendering()
            for text in figure.texts:
                box = text.get_window_extent()
                assert 0 <= box.x0 < box.x1 <= figure.bbox.width, text.get_text()


def test_the_loss_on_the_validation_split_has_a_line_of_its_own(fabricated):
    record = read_json(fabricated.models[0])
    plain = draw_learning([record]).axes[0]
    watched = record | {"history": [epoch | {"inner_loss": 1.5} for epoch in record["history"]]}
    axes = draw_learning([record, watched]).axes[0]
    assert len(axes.lines) == len(plain.lines) + 1
    assert set(axes.lines[-1].get_ydata()) == {1.5}


def test_brackets_do_not_meet_the_boxes_of_the_other_panels(fabricated):
    tables = [read_graded(path) for path in fabricated.uncertainty]
    with style.applied():
        figure = draw_variance(tables, read_csv(fabricated.root / "compare.csv"))
    top = max(table.variance.max() for table in tables)
    assert len(figure.axes) == 4
    for axes in figure.axes:
        stars = [text for text in axes.texts if text.get_text() in ("n.s.", "*", "**", "***", "not tested")]
        assert len(stars) == 3
        assert all(text.get_position()[1] > top for text in stars)


@pytest.mark.parametrize("cohort", ["external", "pool"])
def test_a_cohort_may_be_empty(fabricated, study, cohort):
    sizes = {name: cases for name, cases in study.sizes.items() if name != cohort}
    for suffix in (".csv", ".npz"):
        (study.root / "hips" / cohort).with_suffix(suffix).unlink()
    study.sizes = sizes
    if cohort == "pool":
        triage = study.root / "triage.csv"
        triage.write_text(triage.read_text().splitlines()[0] + "\n")
    assert sorted(path.name for path in study.draw(study.root / "again").iterdir()) == sorted(DRAWN)
