"""The forest plots: they show what the tables say, and say what they do not show."""

import math

import pytest

from hipoa.core.files import read_csv, write_csv
from hipoa.evaluation.comparison.paired import COLUMNS as DIFFERENCE_COLUMNS
from hipoa.evaluation.metrics.subgroups import COLUMNS, HIDDEN
from hipoa.report.figures import style
from hipoa.report.figures.comparisons import (
    choose_scores,
    draw_accuracy,
    draw_differences,
    draw_drop,
    draw_subgroups,
    find_primary,
)
from hipoa.report.figures.forest import Group, Line, Panel, draw_forest, write_numbers

EXPERIMENTS = ["vit", "vgg"]


@pytest.fixture(scope="module")
def tables(fabricated):
    return {
        name: read_csv(fabricated.root / f"{name}.csv") for name in ("metrics", "differences", "subgroups")
    }


def find_panel(figure, title):
    """The axes of the panel whose title begins with a text."""
    (axes,) = (axes for axes in figure.axes if any(text.get_text().startswith(title) for text in axes.texts))
    return axes


def read_points(axes):
    """The values and the ends of the intervals as they were drawn, from the top."""
    points, ends = [], []
    for line in axes.lines:
        x = [float(number) for number in line.get_xdata()]
        if len(x) == 1:
            points.append(x[0])
        elif len({*line.get_ydata()}) == 1:
            ends.append(tuple(x))
    return points, ends


def read_texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [figure.get_suptitle()]


def read_cells(rows, *columns):
    return [tuple(float(row[column] or "nan") for column in columns) for row in rows]


def test_accuracy_is_drawn_as_the_table_has_it(tables):
    figure = draw_accuracy(tables["metrics"], EXPERIMENTS, "ECA")
    points, ends = read_points(find_panel(figure, "ECA (primary score)"))
    names = [*EXPERIMENTS, "reader against reader"]
    rows = [
        row
        for cohort in ("labelled", "external")
        for name in names
        for row in tables["metrics"]
        if (row["experiment"], row["cohort"], row["metric"]) == (name, cohort, "ECA")
    ]
    assert len(rows) >= 5
    assert points == [value for (value,) in read_cells(rows, "value")]
    assert ends == read_cells(rows, "low", "high")
    (constant,) = (
        row
        for row in tables["metrics"]
        if (row["experiment"], row["cohort"], row["metric"]) == ("constant", "labelled", "ECA")
    )
    words = f"dashed: best constant answer, {100 * float(constant['value']):.0f} %"
    assert words in read_texts(figure)


def test_the_drop_is_drawn_as_the_table_has_it(tables):
    figure = draw_drop(tables["differences"], EXPERIMENTS)
    rows = [row for row in tables["differences"] if (row["question"], row["metric"]) == ("drop", "ECA")]
    points, ends = read_points(find_panel(figure, "ECA (primary score)"))
    assert len(points) == len(EXPERIMENTS)
    assert points == [value for (value,) in read_cells(rows, "difference")]
    assert ends == read_cells(rows, "low", "high")
    assert "dashed: no drop" in read_texts(figure)


def test_networks_are_compared_with_each_other_and_with_a_constant(tables):
    texts = read_texts(draw_differences(tables["differences"]))
    assert "vit \N{MINUS SIGN} vgg" in texts
    assert "dashed: no difference" in texts
    alone = [row for row in tables["differences"] if row["question"] == "constant" and row["a"] == "vit"]
    texts = read_texts(draw_differences(alone))
    assert not any("vgg" in text for text in texts)
    assert "vit \N{MINUS SIGN} best constant" in texts


def test_without_an_external_cohort_and_without_comparisons_the_figures_say_so():
    assert "There is no external cohort." in read_texts(draw_drop([], ["vit"]))
    assert "No network is compared." in read_texts(draw_differences([]))
    assert "No graded hip was predicted." in read_texts(draw_accuracy([], ["vit"], ""))


def difference(**cells):
    row = {"question": "drop", "cohort": "external", "metric": "ECA", "unit": "share", "role": "primary"}
    row |= {"a": "vit, labelled", "b": "vit, external", "difference": "0.2", "n_hips": "8", "n_patients": "4"}
    return dict.fromkeys(DIFFERENCE_COLUMNS, "") | row | cells


@pytest.mark.parametrize("low", ["", "0.1"])
def test_a_missing_interval_is_said_and_its_point_hollow(low):
    reason = "too few for an interval: 4 patients"
    row = difference(
        low=low, high=low and "0.3", note=f"labelled less this cohort; {reason if not low else 'x'}"
    )
    figure = draw_drop([row], ["vit"])
    (point,) = (line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 1)
    assert (point.get_markerfacecolor() == "white") == (not low)
    assert (reason in read_texts(figure)) == (not low)
    assert ("+10 to +30" in read_texts(figure)) == bool(low)


def subgroup(name, n_patients=None, **cells):
    row = {"experiment": "vit", "cohort": "labelled", "column": "scanner", "subgroup": name}
    if n_patients is not None:
        row |= {"n_hips": str(2 * n_patients), "n_patients": str(n_patients)}
    return dict.fromkeys(COLUMNS, "") | row | cells


def test_small_subgroups_are_counted_and_smaller_ones_not_named(tables):
    scored = {"metric": "ECA", "unit": "share", "value": "0.6", "low": "0.5", "high": "0.7"}
    rows = [
        subgroup("GE", 12, **scored),
        subgroup("Siemens", 5),
        subgroup(HIDDEN),
    ]
    figure = draw_subgroups(
        rows, [row for row in tables["metrics"] if row["experiment"] != "vgg"], ["vit"], "ECA"
    )
    texts = read_texts(figure)
    assert {"GE", "Siemens", "not scored: fewer than 10 patients"} <= {*texts}
    assert "Not shown: 1 subgroup of fewer than 5 patients." in texts
    assert HIDDEN not in texts
    points, ends = read_points(figure.axes[0])
    assert [point for point in points if not math.isnan(point)] == [0.6]
    assert (0.5, 0.7) in ends
    texts = read_texts(draw_subgroups(rows[:2], tables["metrics"], ["vit"], "ECA"))
    assert not any("Not shown" in text for text in texts)


def test_the_primary_score_comes_first_and_is_not_drawn_twice(tables):
    assert choose_scores("ONCA") == ["ONCA", "ECA", "quadratic weighted kappa"]
    assert choose_scores("MAE") == ["MAE", "ECA", "ONCA"]
    assert choose_scores("") == ["ECA", "ONCA", "quadratic weighted kappa"]
    assert find_primary(tables["differences"]) == "ECA"
    assert find_primary([]) == ""
    assert not any("primary" in text for text in read_texts(draw_accuracy(tables["metrics"], ["vit"], "")))


def test_too_many_rows_are_left_to_the_table(tables):
    few = draw_accuracy(tables["metrics"], EXPERIMENTS[:1], "ECA")
    names = [f"vit {number}" for number in range(9)]
    rows = [row | {"experiment": name} for row in tables["metrics"] for name in names]
    assert len(few.axes) > len(draw_accuracy(rows, names, "ECA").axes) == 1


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.304, 0.07, 0.71, "share", False), ("30 %", "7 to 71")),
        ((0.304, 0.28, 0.33, "share", False), ("30.4 %", "28.0 to 33.0")),
        ((-0.15, -0.66, 0.35, "share", True), ("\N{MINUS SIGN}15", "\N{MINUS SIGN}66 to +35")),
        ((-0.001, -0.6, 0.6, "share", True), ("0", "\N{MINUS SIGN}60 to +60")),
        (
            (-0.31, -0.62, -0.002, "share", True),
            tuple(f"\N{MINUS SIGN}{n}" for n in ("31.0", "62.0 to \N{MINUS SIGN}0.2")),
        ),
        ((0.727, 0.06, 0.945, "kappa", False), ("0.73", "0.06 to 0.94")),
        ((0.5, math.nan, math.nan, "share", False), ("50 %", "")),
    ],
)
def test_shares_are_in_percent_with_no_more_digits_than_they_deserve(numbers, words):
    *values, unit, signed = numbers
    assert write_numbers(*values, unit, signed=signed) == words


def test_no_text_is_cut_however_long_the_names(tables):
    counts, why = "5 hips, 5 patients", "no interval: all patients are alike in one of the two"
    lines = [
        Line("a network with quite a long name of its own", counts, 0.5, 0.1, 0.9, ("50 %", "10 to 90")),
        Line("vit", counts, 0.5, numbers=("50 %", ""), reason=why),
    ]
    groups = [Group("labelled cohort", lines, 0.5, "dashed: best constant answer, 50 %")]
    with style.applied():
        long = draw_forest(
            "Subgroups", [Panel("quadratic weighted kappa (primary score)", "share", groups, "hips, %")], ""
        )
        for figure in (long, draw_differences(tables["differences"])):
            style.mark_synthetic(figure)
            figure.draw_without_rendering()
            for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]:
                box = text.get_window_extent()
                assert not text.get_text() or 0 <= box.x0 < box.x1 <= figure.bbox.width, text.get_text()


def test_the_section_names_no_subgroup_of_fewer_than_five_patients(study):
    path = study.root / "subgroups.csv"
    hidden = subgroup(HIDDEN)
    write_csv(path, COLUMNS, [subgroup("Siemens", 5), hidden, hidden])
    section = study.report().split('<section id="subgroups">')[1].split("</section>")[0]
    assert "<td>Siemens</td>" in section
    assert "Labelled cohort: 2 subgroups hidden." in section
    assert f"<td>{HIDDEN}</td>" not in section
    write_csv(path, COLUMNS, [subgroup("Siemens", 5)])
    assert " hidden." not in study.report().split('<section id="subgroups">')[1].split("</section>")[0]


def test_one_network_is_compared_with_a_constant_alone(study):
    path = study.root / "differences.csv"
    rows = [row for row in read_csv(path) if row["question"] == "constant"]
    write_csv(path, DIFFERENCE_COLUMNS, rows)
    section = study.report().split('<section id="external">')[1].split("</section>")[0]
    assert "Is the network better than the best constant answer?" in section
    assert "There is no external cohort" in section
