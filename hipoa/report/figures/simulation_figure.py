"""The figure of the simulated reading: what each order of reading would have gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.evaluation.passes import name_measure
from hipoa.report.figures.style import EXPERIMENT_COLOURS, GREY, new_figure, say

_METRICS = {"ECA": "exact class (ECA)", "ONCA": "at most one class off (ONCA)"}
_RANDOM = "random"

Rows = Sequence[Mapping[str, str]]


def draw_simulation(rows: Rows, *, synthetic: bool) -> Figure:
    """Learning curves: one line of panels per learner, one column per score.

    Args:
        rows: Of simulation.csv.
        synthetic: Whether patients are synthetic.
    """
    curves = [row for row in rows if row["quantity"] == "curve"]
    learners = list(dict.fromkeys(row["learner"] for row in curves))
    title = "Accuracy while more hips are read"
    figure = new_figure(10.5, 1.2 + 3.4 * max(1, len(learners)), title, synthetic=synthetic)
    if not curves:
        say(figure.subplots(), "Not simulated.")
        return figure
    grid = figure.subplots(len(learners), len(_METRICS), squeeze=False, sharex="row")
    for line, learner in zip(grid, learners, strict=True):
        for axes, (metric, name) in zip(line, _METRICS.items(), strict=True):
            _draw_panel(axes, [row for row in curves if (row["learner"], row["metric"]) == (learner, metric)])
            axes.set_title(f"{name}\n{learner}")
            axes.set_xlabel("hips read")
        line[0].set_ylabel("share of the test hips")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _draw_panel(axes: Axes, rows: Rows) -> None:
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    colours = iter(EXPERIMENT_COLOURS * len(strategies))
    for strategy in strategies:
        own = [row for row in rows if row["strategy"] == strategy]
        read, value, low, high = (
            [float(row[name] or "nan") for row in own] for name in ("hips_read", "value", "low", "high")
        )
        random = strategy == _RANDOM
        colour = "black" if random else next(colours)
        name = "random, 95 % interval" if random else name_measure(strategy)
        axes.plot(read, value, color=colour, marker=".", linewidth=2 if random else 1.3, label=name)
        # The others' bands would hide each other; their intervals against random stand in the table.
        if random:
            axes.fill_between(read, low, high, color=GREY, alpha=0.2, linewidth=0)
