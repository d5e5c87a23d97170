"""Figures of how far probabilities and uncertainties can be trusted: reliability, risk and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.evaluation.passes import name_measure
from hipoa.report.figures.style import EXPERIMENT_COLOURS, GREY, new_figure, say

_Row = Mapping[str, str]

SCALINGS = {
    "none": ("as the network says", EXPERIMENT_COLOURS[1], "o", "-"),
    "temperature": ("after temperature scaling", EXPERIMENT_COLOURS[0], "^", "--"),
}
_ORDERS = {"random order": ":", "perfect order": "--"}
_STYLES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), "-.")
_EVENT, _PREDICTION = "error >= 1", "per repeat"


def draw_reliability(rows: Sequence[_Row], experiments: Sequence[str], *, synthetic: bool) -> Figure:
    """Confidence against accuracy, before and after temperature scaling: cohorts by experiments.

    Args:
        rows: Of reliability.csv.
        experiments: In their order.
        synthetic: Whether patients are synthetic.
    """
    figure, grid = _lay_grid(rows, experiments, "Do the networks know how often they are right?", synthetic)
    for (cohort, experiment), axes in grid.items():
        own = [row for row in rows if (row["cohort"], row["experiment"]) == (cohort, experiment)]
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for scaling, look in SCALINGS.items():
            _draw_bins(axes, [row for row in own if row["scaling"] == scaling], look)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"{experiment}, {cohort}")
    _finish(figure, grid, "largest probability", "share graded exactly")
    return figure


def _draw_bins(axes: Axes, rows: Sequence[_Row], look: tuple[str, str, str, str]) -> None:
    label, colour, marker, line = look
    places = [(float(row["confidence"]), float(row["accuracy"])) for row in rows]
    for row, (x, _) in zip(rows, places, strict=True):
        if row["low"]:
            axes.plot([x, x], [float(row["low"]), float(row["high"])], color=colour, linewidth=1, alpha=0.5)
    axes.plot(*zip(*places, strict=True) if places else ([], []), color=colour, marker=marker,
              linestyle=line, label=label, markersize=4)  # fmt: skip


def draw_risk(rows: Sequence[_Row], experiments: Sequence[str], *, synthetic: bool) -> Figure:
    """The share of wrong grades among the hips that are kept, the surest first: cohorts by experiments.

    Args:
        rows: Of risk_coverage.csv.
        experiments: In their order.
        synthetic: Whether patients are synthetic.
    """
    shown = [row for row in rows if (row["event"], row["prediction"]) == (_EVENT, _PREDICTION)]
    figure, grid = _lay_grid(shown, experiments, "Does the uncertainty find the errors?", synthetic)
    measures = list(dict.fromkeys(row["measure"] for row in shown))
    for (cohort, experiment), axes in grid.items():
        for place, measure in enumerate(measures):
            own = [
                r
                for r in shown
                if (r["cohort"], r["experiment"], r["measure"]) == (cohort, experiment, measure)
            ]
            _draw_curve(axes, own, measure, place)
        axes.set(xlim=(0, 1), title=f"{experiment}, {cohort}")
        axes.set_ylim(bottom=0)
    _finish(figure, grid, "share of hips kept,\nthe surest first", "share of these graded wrongly")
    return figure


def _draw_curve(axes: Axes, rows: Sequence[_Row], measure: str, place: int) -> None:
    known = [(float(row["coverage"]), float(row["risk"])) for row in rows if row["risk"]]
    order = _ORDERS.get(measure)
    axes.plot(*zip(*known, strict=True) if known else ([], []), label=name_measure(measure),
              color=GREY if order else EXPERIMENT_COLOURS[place % len(EXPERIMENT_COLOURS)],
              linestyle=order or _STYLES[place % len(_STYLES)], linewidth=1.4)  # fmt: skip


def _lay_grid(
    rows: Sequence[_Row], experiments: Sequence[str], title: str, synthetic: bool
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    cohorts = sorted({row["cohort"] for row in rows}, key=lambda cohort: cohort != "labelled")
    size = 3.2 * max(1, len(experiments)) + 0.8, 1.3 + 3.1 * max(1, len(cohorts))
    figure = new_figure(*size, title, synthetic=synthetic)
    if not cohorts:
        say(figure.subplots(), "No graded hip was predicted.")
        return figure, {}
    lines = figure.subplots(len(cohorts), len(experiments), squeeze=False, sharex=True)
    return figure, {
        (cohort, experiment): axes
        for cohort, line in zip(cohorts, lines, strict=True)
        for experiment, axes in zip(experiments, line, strict=True)
    }


def _finish(figure: Figure, grid: Mapping[tuple[str, str], Axes], x: str, y: str) -> None:
    if not grid:
        return
    last = list(grid)[-1][0]
    for (cohort, _), axes in grid.items():
        axes.set_xlabel(x if cohort == last else "")
    figure.supylabel(y, fontsize=10)
    handles, labels = next(iter(grid.values())).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
