"""Figures of curves: reliability, decision and risk-coverage curves, and the simulated learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.evaluation.calibration.decision import ALL, NETWORK
from hipoa.evaluation.passes import name_measure
from hipoa.report.cohort import order_cohorts
from hipoa.report.figures.style import EXPERIMENT_COLOURS, GREY, new_grid

_Rows = Sequence[Mapping[str, str]]
_Grid = Mapping[tuple[str, str], Axes]

_SCALINGS = {
    "none": ("uncalibrated", EXPERIMENT_COLOURS[1], "o", "-"),
    "temperature": ("after temperature scaling", EXPERIMENT_COLOURS[0], "^", "--"),
}
_ORDERS = {"random order": ":", "perfect order": "--"}
_STYLES = ("-", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), "-.")
_METRICS = {"ECA": "exact class (ECA)", "ONCA": "at most one class off (ONCA)"}


def _new_grid(rows: _Rows, experiments: Sequence[str], title: str) -> tuple[Figure, _Grid]:
    cohorts = sorted({row["cohort"] for row in rows}, key=order_cohorts)
    return new_grid(title, cohorts, experiments, width_in=(3.2, 0.8), height_in=(3.1, 1.3),
                    empty="No graded hip was predicted.", sharex=True)  # fmt: skip


def _pick(rows: _Rows, **cells: str) -> _Rows:
    return [row for row in rows if all(row[name] == cell for name, cell in cells.items())]


def _plot(axes: Axes, rows: _Rows, x: str, y: str, **look: object) -> None:
    points = [(float(row[x]), float(row[y])) for row in rows if row[y]]
    axes.plot(*zip(*points, strict=True) if points else ([], []), **look)  # pyright: ignore[reportArgumentType]


def _label(figure: Figure, grid: _Grid, x: str, y: str) -> None:
    if not grid:
        return
    last = list(grid)[-1][0]
    for (cohort, _), axes in grid.items():
        axes.set_xlabel(x if cohort == last else "")
    figure.supylabel(y, fontsize=10)
    handles, labels = next(iter(grid.values())).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def draw_reliability(rows: _Rows, experiments: Sequence[str]) -> Figure:
    """Reliability diagrams from reliability.csv: cohorts by experiments."""
    figure, grid = _new_grid(rows, experiments, "Reliability of the predicted probabilities")
    for (cohort, experiment), axes in grid.items():
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        for scaling, (label, colour, marker, line) in _SCALINGS.items():
            own = _pick(rows, cohort=cohort, experiment=experiment, scaling=scaling)
            for row in own:
                if row["low"]:
                    x, ends = float(row["confidence"]), [float(row["low"]), float(row["high"])]
                    axes.plot([x, x], ends, color=colour, linewidth=1, alpha=0.5)
            _plot(axes, own, "confidence", "accuracy", color=colour, marker=marker, linestyle=line,
                  label=label, markersize=4)  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=f"{experiment}, {cohort}")
    _label(figure, grid, "largest probability", "share graded exactly")
    return figure


def draw_risk(rows: _Rows, experiments: Sequence[str]) -> Figure:
    """Risk-coverage curves from risk_coverage.csv: cohorts by experiments."""
    shown = _pick(rows, event="error >= 1", prediction="per repeat")
    figure, grid = _new_grid(shown, experiments, "Risk of an error by coverage")
    measures = list(dict.fromkeys(row["measure"] for row in shown))
    for (cohort, experiment), axes in grid.items():
        for number, measure in enumerate(measures):
            own = _pick(shown, cohort=cohort, experiment=experiment, measure=measure)
            order = _ORDERS.get(measure)
            _plot(axes, own, "coverage", "risk", label=name_measure(measure),
                  color=GREY if order else EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)],
                  linestyle=order or _STYLES[number % len(_STYLES)], linewidth=1.4)  # fmt: skip
        axes.set(xlim=(0, 1), title=f"{experiment}, {cohort}")
        axes.set_ylim(bottom=0)
    _label(
        figure,
        grid,
        "coverage: share of hips kept,\nmost certain first",
        "risk: share of these graded wrongly",
    )
    return figure


def draw_decisions(rows: _Rows, experiments: Sequence[str]) -> Figure:
    """Decision curves from decision.csv: cohorts by questions."""
    cohorts = sorted({row["cohort"] for row in rows}, key=order_cohorts)
    questions = list(dict.fromkeys(row["question"] for row in rows))
    figure, grid = new_grid(
        "Net benefit of acting on a probability",
        cohorts,
        questions,
        width_in=(3.2, 0.8),
        height_in=(3.1, 1.3),
        empty="No graded hip was predicted.",
        sharex=True,
    )
    for (cohort, question), axes in grid.items():
        axes.axhline(0, color=GREY, linewidth=0.8, linestyle=":")
        for number, experiment in enumerate(experiments):
            # Networks differ in the share that is wrong, so that each has its own line of all hips.
            for strategy, line in ((ALL, "--"), (NETWORK, "-")):
                own = _pick(rows, cohort=cohort, question=question, experiment=experiment, strategy=strategy)
                _plot(axes, own, "threshold", "value", linewidth=1.4, linestyle=line,
                      color=EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)],
                      label=experiment if strategy == NETWORK else None)  # fmt: skip
        # Acting on all hips falls without end; what lies far below 0 is of no use to anyone.
        axes.set(xlim=(0, 1), ylim=(-0.1, 1), title=f"{question}, {cohort}")
    _label(figure, grid, "threshold probability", "net benefit, true positives per hip")
    return figure


def draw_simulation(rows: _Rows) -> Figure:
    """Learning curves from simulation.csv: learners by scores."""
    curves = _pick(rows, quantity="curve")
    figure, grid = new_grid(
        "Accuracy by number of hips read",
        list(dict.fromkeys(row["learner"] for row in curves)),
        list(_METRICS),
        width_in=(5.25, 0),
        height_in=(3.4, 1.2),
        empty="Not simulated.",
        sharex="row",
    )
    for (learner, metric), axes in grid.items():
        _draw_learning_curves(axes, _pick(curves, learner=learner, metric=metric))
        axes.set_title(f"{_METRICS[metric]}\n{learner}")
        axes.set_xlabel("hips read")
        axes.set_ylabel("share of the test hips" if metric == "ECA" else "")
    if grid:
        handles, labels = next(iter(grid.values())).get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
    return figure


def _draw_learning_curves(axes: Axes, rows: _Rows) -> None:
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    colours = iter(EXPERIMENT_COLOURS * len(strategies))
    for strategy in strategies:
        read, value, low, high = (
            [float(row[name] or "nan") for row in _pick(rows, strategy=strategy)]
            for name in ("hips_read", "value", "low", "high")
        )
        random = strategy == "random"
        colour = "black" if random else next(colours)
        name = "random, 95 % interval" if random else name_measure(strategy)
        axes.plot(read, value, color=colour, marker=".", linewidth=2 if random else 1.3, label=name)
        # The other bands would overlap; the intervals of the differences from random are in the table.
        if random:
            axes.fill_between(read, low, high, color=GREY, alpha=0.2, linewidth=0)
