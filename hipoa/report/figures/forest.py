"""Forest plots: estimates with their 95 % intervals in rows, and a line at what they are compared with.

As narrow as a telephone, so that the letters are legible there and in a column of a page.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hipoa.report.figures.style import GREY, PALE, say
from hipoa.report.scores import Row, count_digits, count_words, find_reason

SHARE = "share"
_WIDTH_IN, _LEFT_IN, _RIGHT_IN = 4.2, 1.5, 1.1
"""Of the figure, of the labels and of the numbers; the points lie between these."""
_LINE_IN, _GAP_IN = 0.145, 0.07
_HEADER_IN, _TITLE_IN, _AXIS_IN, _MARGIN_IN = 0.27, 0.4, 0.5, 0.1
_LABEL_LETTERS, _NOTE_LETTERS = 21, 62
_FINE = 0.1
"""Percentages of a narrower interval have a decimal."""


class Line(NamedTuple):
    """One row: an estimate, its interval, and how it is drawn."""

    label: str
    counts: str = ""  # such as "51 hips, 24 patients"
    value: float = math.nan  # NaN: nothing is drawn
    low: float = math.nan  # NaN: without an interval the marker is hollow, and `reason` says why
    high: float = math.nan
    numbers: tuple[str, str] = ("", "")  # the value and the interval in words
    reason: str = ""  # why there is no value or no interval
    colour: str = GREY
    marker: str = "o"
    published: bool = False  # of other hips: hollow and dotted


class Group(NamedTuple):
    """Rows under one heading, such as a cohort, and what they are compared with."""

    heading: str
    lines: Sequence[Line]
    reference: float = math.nan  # where the dashed line lies; NaN: there is none
    meaning: str = ""  # of the dashed line


class Panel(NamedTuple):
    """Groups on one axis."""

    title: str
    unit: str  # as in the tables; shares are written in percent
    groups: Sequence[Group]
    axis: str  # what the axis shows
    difference: bool = False  # numbers have a sign
    note: str = ""  # below the axis


def make_line(row: Row, label: str, colour: str, marker: str = "o", **columns: str) -> Line:
    """The row of a forest plot from that of a table.

    Args:
        row: Of a table of the evaluation: a value, low, high, n_hips, n_patients, unit and note.
        label: What it is of.
        colour: Of its marker.
        marker: As matplotlib names it.
        columns: The names of other columns for ``value``, ``low`` and ``high``.
    """
    names = {"value": "value", "low": "low", "high": "high"} | columns
    value, low, high = (float(row[names[name]] or "nan") for name in ("value", "low", "high"))
    signed = names["value"] == "difference"
    reason = "" if math.isfinite(low + high) else find_reason(row) or "no interval"
    return Line(
        label,
        f"{count_words(int(row['n_hips']), 'hip')}, {count_words(int(row['n_patients']), 'patient')}",
        value,
        low,
        high,
        write_numbers(value, low, high, row["unit"], signed=signed),
        reason if math.isfinite(value) else "not defined",
        colour,
        marker,
    )


def write_numbers(value: float, low: float, high: float, unit: str, *, signed: bool) -> tuple[str, str]:
    """A value and its interval in words, shares in percent; "" for what is NaN.

    A bound of a difference that is not 0 is not written as 0.
    """
    scale, digits = (100.0, int(high - low < _FINE)) if unit == SHARE else (1.0, 2)
    suffix = " %" if unit == SHARE and not signed else ""
    if signed and math.isfinite(low + high):
        digits = count_digits([scale * low, scale * high], digits)

    def write(number: float) -> str:
        rounded = round(scale * number, digits) + 0.0
        sign = "+" if signed and rounded else ""
        return f"{rounded:{sign}.{digits}f}".replace("-", "\N{MINUS SIGN}")

    interval = f"{write(low)} to {write(high)}" if math.isfinite(low + high) else ""
    return write(value) + suffix if math.isfinite(value) else "", interval


def draw_forest(title: str, panels: Sequence[Panel], empty: str) -> Figure:
    """One forest plot of panels below each other.

    Args:
        title: The title of the figure.
        panels: In order; those without any value are left out.
        empty: What the figure says if there is no value.
    """
    shown = [panel for panel in panels if _list_values(panel)]
    heights = [_measure(panel) for panel in shown]
    height = sum(heights, 0.0) + _TITLE_IN + _MARGIN_IN if shown else 1.5
    figure = Figure(figsize=(_WIDTH_IN, height))
    figure.suptitle(title, y=1 - _MARGIN_IN / height, va="top")
    if not shown:
        say(figure.subplots(), empty)
    top = height - _TITLE_IN
    for panel, used in zip(shown, heights, strict=True):
        body = _measure_body(panel)
        box = (_LEFT_IN / _WIDTH_IN, (top - _HEADER_IN - body) / height,
               1 - (_LEFT_IN + _RIGHT_IN) / _WIDTH_IN, body / height)  # fmt: skip
        _draw_panel(figure.add_axes(box), panel, body)
        top -= used
    return figure


def _measure(panel: Panel) -> float:
    """The height of a panel with title, axis and note, inches."""
    return _HEADER_IN + _measure_body(panel) + _AXIS_IN + _LINE_IN * len(_wrap_note(panel))


def _measure_body(panel: Panel) -> float:
    return sum(_HEADER_IN + sum(map(_measure_line, group.lines)) for group in panel.groups if group.lines)


def _list_values(panel: Panel) -> list[float]:
    values = [line.value for group in panel.groups for line in group.lines]
    return [value for value in values if math.isfinite(value)]


def _wrap_note(panel: Panel) -> list[str]:
    return textwrap.wrap(panel.note, _NOTE_LETTERS)


def _wrap_label(line: Line) -> list[str]:
    return textwrap.wrap(line.label, _LABEL_LETTERS) or [""]


def _measure_line(line: Line) -> float:
    return _LINE_IN * (_count_lines(line) + (math.isfinite(line.value) and bool(line.reason))) + _GAP_IN


def _count_lines(line: Line) -> int:
    """Lines of text of a row, without that of its reason, which stands in place of a point or below it."""
    return max(2, len(_wrap_label(line)) + bool(line.counts))


def _draw_panel(axes: Axes, panel: Panel, height_in: float) -> None:
    # Inches, from the top.
    axes.set(ylim=(height_in, 0), xlim=_find_limits(panel))
    across = axes.get_yaxis_transform()
    left, right = (inches / (_WIDTH_IN - _LEFT_IN - _RIGHT_IN) for inches in (-_LEFT_IN, _RIGHT_IN))
    axes.text(left + 0.02, -0.12, panel.title, weight="bold", fontsize=9, transform=across)
    y = 0.0
    for group in panel.groups:
        if not group.lines:
            continue
        axes.text(left + 0.02, y + 0.17, group.heading, fontsize=8.5, style="italic", transform=across)
        axes.text(1 + right - 0.02, y + 0.17, group.meaning, fontsize=7.5, color=GREY, ha="right",
                  transform=across)  # fmt: skip
        y += _HEADER_IN
        end = y + sum(map(_measure_line, group.lines))
        if math.isfinite(group.reference):
            axes.plot([group.reference] * 2, [y, end], "--", color=GREY, linewidth=1)
        for line in group.lines:
            _draw_line(axes, y, line, left, right)
            y += _measure_line(line)
    _draw_axis(axes, panel)
    for number, text in enumerate(_wrap_note(panel)):
        y = height_in + _AXIS_IN - 0.02 + _LINE_IN * number
        axes.text(left + 0.02, y, text, fontsize=7.5, color=GREY, transform=across)


def _draw_line(axes: Axes, top: float, line: Line, left: float, right: float) -> None:
    across = axes.get_yaxis_transform()
    middle = top + _LINE_IN
    axes.plot([line.low, line.high], [middle] * 2, color=line.colour, linewidth=1.2 if line.published else 2,
              linestyle=":" if line.published else "-", clip_on=False)  # fmt: skip
    hollow = line.published or math.isnan(line.low)
    axes.plot(line.value, middle, line.marker, color=line.colour, markersize=5.5,
              markerfacecolor="white" if hollow else line.colour, clip_on=False)  # fmt: skip

    def write(number: float, text: str, **style: object) -> None:
        axes.text(y=top + _LINE_IN * (number + 0.5), s=text, va="center", transform=across, **style)  # pyright: ignore[reportArgumentType]

    label = _wrap_label(line)
    for number, text in enumerate(label):
        write(number, text, x=left + 0.07, fontsize=8.5)
    write(len(label), line.counts, x=left + 0.07, fontsize=7.5, color=GREY)
    write(0, line.numbers[0], x=1.06, fontsize=8.5, weight="bold")
    write(1, line.numbers[1], x=1.06, fontsize=8)
    # Across the columns, since it may be as long as the figure is wide.
    place = _count_lines(line) if math.isfinite(line.value) else 0.5
    write(place, line.reason, x=1 + right - 0.02, fontsize=7.5, color=GREY, ha="right")


def _list_numbers(panel: Panel) -> list[float]:
    lines = [line for group in panel.groups for line in group.lines]
    numbers = [number for line in lines for number in (line.value, line.low, line.high)]
    references = [group.reference for group in panel.groups if group.lines]
    return [number for number in (*numbers, *references) if math.isfinite(number)]


def _find_limits(panel: Panel) -> tuple[float, float]:
    if panel.unit == SHARE and not panel.difference:
        return 0.0, 1.0
    numbers = [*_list_numbers(panel), 0.0]
    margin = 0.05 * (max(numbers) - min(numbers)) or 1.0
    return min(numbers) - margin, max(numbers) + margin


def _draw_axis(axes: Axes, panel: Panel) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    if panel.unit == SHARE:
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda share, _: f"{100 * share:.0f}".replace("-", "\N{MINUS SIGN}"))
        )
    axes.tick_params(labelsize=7.5)
    axes.set_xlabel(panel.axis, fontsize=8, labelpad=1)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
