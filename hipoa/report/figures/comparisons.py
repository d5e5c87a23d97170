"""The forest plots: accuracy, subgroups, the external cohort and differences between networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from matplotlib.figure import Figure

from hipoa.evaluation.comparison.verdicts import PRIMARY
from hipoa.evaluation.metrics.baselines import CONSTANT, MAJORITY
from hipoa.evaluation.metrics.raters import RATERS
from hipoa.evaluation.metrics.subgroups import HIDDEN, LEAST_PATIENTS, LEAST_SHOWN
from hipoa.report.cohort import order_cohorts
from hipoa.report.figures.forest import SHARE, Group, Line, Panel, draw_forest, make_line, write_numbers
from hipoa.report.figures.style import EXPERIMENT_COLOURS, GREY
from hipoa.report.published_results import PUBLISHED
from hipoa.report.scores import COLUMN_NAMES, Row, count_words, find_best, find_row

MAIN_SCORES = ("ECA", "ONCA", "quadratic weighted kappa")
"""Drawn after the primary score."""
_MOST_LINES = 16
"""Scores are left to the table rather than drawn with more rows."""
_AXES = {SHARE: "hips, %", "classes": "classes"}
_DIFFERENCE_AXES = {SHARE: "difference, percentage points", "classes": "difference, classes"}


def find_primary(differences: Sequence[Row]) -> str:
    """The primary score, "" where nothing is compared by it."""
    return next((row["metric"] for row in differences if row["role"] == PRIMARY), "")


def choose_scores(primary: str) -> list[str]:
    """The scores that are drawn: the primary one and two main ones."""
    return list(dict.fromkeys(filter(None, (primary, *MAIN_SCORES))))[:3]


def draw_accuracy(scores: Sequence[Row], experiments: Sequence[str], primary: str) -> Figure:
    """The main scores of every network in every cohort, beside a constant prediction or chance, and readers.

    Args:
        scores: The rows of metrics.csv.
        experiments: In their order.
        primary: The primary score, "" if there is none.
    """
    panels = [_panel_of(metric, scores, experiments, primary) for metric in choose_scores(primary)]
    return draw_forest("Accuracy", _keep(panels), "No graded hip was predicted.")


def _panel_of(metric: str, scores: Sequence[Row], experiments: Sequence[str], primary: str) -> Panel:
    own = [row for row in scores if row["metric"] == metric]
    groups = []
    for cohort in sorted({row["cohort"] for row in own}, key=order_cohorts):
        found = {row["experiment"]: row for row in own if row["cohort"] == cohort}
        lines = [
            make_line(found[name], name, colour)
            for name, colour in _colour(experiments).items()
            if name in found
        ]
        if lines and RATERS in found:
            lines.append(make_line(found[RATERS], RATERS, GREY, "D"))
        groups.append(Group(f"{cohort} cohort", lines, *find_reference(own, cohort)))
    unit = own[0]["unit"] if own else ""
    return Panel(_entitle(metric, primary), unit, groups, _AXES.get(unit, unit))


def find_reference(rows: Sequence[Row], cohort: str) -> tuple[float, str]:
    """What a score is compared with, and in words, from its rows of metrics.csv; NaN and "" without any."""
    unit = rows[0]["unit"] if rows else ""
    if unit == "kappa":
        return 0.0, "dashed: chance, 0"
    for name, words in ((CONSTANT, "best constant answer"), (MAJORITY, "commonest class")):
        row = find_row(rows, experiment=name, cohort=cohort)
        if row:
            value = float(row["value"])
            return (
                value,
                f"dashed: {words}, {write_numbers(value, math.nan, math.nan, unit, signed=False)[0]}",
            )
    return math.nan, ""


def draw_published(scores: Sequence[Row], experiments: Sequence[str], *, synthetic: bool) -> Figure:
    """ECA and ONCA of every network in the labelled cohort, beside the published values.

    Args:
        scores: The rows of metrics.csv.
        experiments: In their order.
        synthetic: Whether patients are synthetic; the published values are of patients.
    """
    others = "real patients, those of this study are not" if synthetic else "other hips"
    panels = []
    for metric in ("ECA", "ONCA"):
        panel = _panel_of(metric, scores, experiments, "")
        published = [
            _show_published(network.network, *(network.eca if metric == "ECA" else network.onca))
            for network in PUBLISHED
        ]
        own = [group for group in panel.groups if group.heading.startswith("labelled")]
        panels.append(panel._replace(groups=[*own, Group(f"published: {others}", published)]))
    return draw_forest("Published values", panels, "")


def _show_published(network: str, value: float, spread: float) -> Line:
    low, high = value - spread, min(1.0, value + spread)
    numbers = (f"{100 * value:.1f} %", f"\N{PLUS-MINUS SIGN} {100 * spread:.1f}")
    return Line(network, "396 hips, 198 patients", value, low, high, numbers, "", GREY, "D", published=True)


def draw_drop(differences: Sequence[Row], experiments: Sequence[str]) -> Figure:
    """The drop of every network's main scores from the labelled to the external cohort.

    Args:
        differences: The rows of differences.csv.
        experiments: In their order.
    """
    rows = [row for row in differences if row["question"] == "drop"]
    colours = _colour(experiments)

    def gather(own: Sequence[Row]) -> Iterator[Group]:
        lines = []
        for row in own:
            name = row["a"].partition(",")[0]
            lines.append(_subtract(row, name, colours.get(name, GREY)))
        yield Group("labelled minus external", lines, 0.0, "dashed: no drop")

    panels = _list_panels(rows, find_primary(differences), gather)
    return draw_forest("External cohort", panels, "There is no external cohort.")


def draw_differences(differences: Sequence[Row]) -> Figure:
    """The differences of the networks from each other and from the best constant prediction.

    Args:
        differences: The rows of differences.csv.
    """
    rows = [row for row in differences if row["question"] in ("experiments", "constant")]

    def gather(own: Sequence[Row]) -> Iterator[Group]:
        for cohort in sorted({row["cohort"] for row in own}, key=order_cohorts):
            lines = [_subtract(row, _name_pair(row), _CONTRASTS[row["question"]])
                     for row in own if row["cohort"] == cohort]  # fmt: skip
            yield Group(f"{cohort} cohort", lines, 0.0, "dashed: no difference")

    panels = _list_panels(rows, find_primary(differences), gather)
    return draw_forest("Differences", panels, "No network is compared.")


_CONTRASTS = {"experiments": EXPERIMENT_COLOURS[0], "constant": GREY}


def _name_pair(row: Row) -> str:
    return f"{row['a']} \N{MINUS SIGN} {'best constant' if row['b'] == CONSTANT else row['b']}"


def _subtract(row: Row, label: str, colour: str) -> Line:
    return make_line(row, label, colour, value="difference")


def _list_panels(
    rows: Sequence[Row], primary: str, gather: Callable[[Sequence[Row]], Iterable[Group]]
) -> list[Panel]:
    panels = []
    for metric in choose_scores(primary):
        own = [row for row in rows if row["metric"] == metric]
        unit = own[0]["unit"] if own else ""
        axis = _DIFFERENCE_AXES.get(unit, f"difference, {unit}")
        panels.append(Panel(_entitle(metric, primary), unit, [*gather(own)], axis, difference=True))
    return _keep(panels)


def draw_subgroups(
    subgroups: Sequence[Row], scores: Sequence[Row], experiments: Sequence[str], primary: str
) -> Figure:
    """One score of the subgroups of one network, each beside that of the whole cohort.

    The network is the one with the best primary score. Subgroups of too few patients for a score are counted,
    those of fewer than `hipoa.evaluation.metrics.subgroups.LEAST_SHOWN` are not named.

    Args:
        subgroups: The rows of subgroups.csv.
        scores: The rows of metrics.csv.
        experiments: In their order.
        primary: The primary score, "" if there is none.
    """
    scored = {row["metric"] for row in subgroups}
    metric = next((name for name in choose_scores(primary) if name in scored), MAIN_SCORES[0])
    best = find_best(scores, primary or metric)
    network = best["experiment"] if best else ""
    colour = _colour(experiments).get(network, GREY)
    panels = []
    for cohort in sorted({row["cohort"] for row in subgroups}, key=order_cohorts):
        own = [row for row in subgroups if (row["experiment"], row["cohort"]) == (network, cohort)]
        whole = find_row(scores, experiment=network, cohort=cohort, metric=metric)
        panel = _panel_subgroups(own, whole, metric, colour)
        axis = f"{_entitle(metric, primary)}: {panel.axis}"
        panels.append(panel._replace(title=f"{network}, {cohort} cohort", axis=axis))
    return draw_forest("Subgroups", panels, "No subgroup has enough patients for a score.")


def _panel_subgroups(rows: Sequence[Row], whole: Row | None, metric: str, colour: str) -> Panel:
    unit = whole["unit"] if whole else SHARE
    value = float(whole["value"]) if whole else math.nan
    text = write_numbers(value, math.nan, math.nan, unit, signed=False)[0]
    groups = []
    for column in dict.fromkeys(row["column"] for row in rows):
        own = [row for row in rows if row["column"] == column and row["subgroup"] != HIDDEN]
        lines = [_show_subgroup(row, colour) for row in own if row["metric"] in (metric, "")]
        # The line is explained once.
        meaning = "" if any(group.lines for group in groups) else f"dashed: the whole cohort, {text}"
        groups.append(Group(str(COLUMN_NAMES.get(column, column)), lines, value, meaning))
    n_hidden = sum(row["subgroup"] == HIDDEN for row in rows)
    note = f"Not shown: {count_words(n_hidden, 'subgroup')} of fewer than {LEAST_SHOWN} patients."
    return Panel("", unit, groups, _AXES.get(unit, unit), note=note if n_hidden else "")


def _show_subgroup(row: Row, colour: str) -> Line:
    line = make_line(row, row["subgroup"], colour)
    return (
        line if row["metric"] else line._replace(reason=f"not scored: fewer than {LEAST_PATIENTS} patients")
    )


def _entitle(metric: str, primary: str) -> str:
    return f"{metric} (primary score)" if metric == primary else metric


def _colour(experiments: Sequence[str]) -> dict[str, str]:
    return {
        name: EXPERIMENT_COLOURS[number % len(EXPERIMENT_COLOURS)] for number, name in enumerate(experiments)
    }


def _keep(panels: Sequence[Panel]) -> list[Panel]:
    """The first panel, and the next ones while there are not too many rows."""
    kept, lines = [], 0
    for panel in panels:
        lines += sum(len(group.lines) for group in panel.groups)
        if not kept or lines <= _MOST_LINES:
            kept.append(panel)
    return kept
