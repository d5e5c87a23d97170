"""The flow diagram: patients, CTs and hips of each cohort, who was left out and why."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.report.cohort import Hip, count_units, split_cohorts
from hipoa.report.figures.style import GREY, PALE, new_figure, say
from hipoa.report.flow import count_hips, count_reasons
from hipoa.report.scores import count_words

_COLUMN_IN, _LINE_IN, _GAP_IN, _PAD_IN = 5.3, 0.2, 0.3, 0.18
_MAIN_IN, _ASIDE_IN = 2.3, 2.7
_LETTERS = 38
_REASONS = 6


class _Step(NamedTuple):
    """A box of the diagram, and the box beside it of those left out at this step."""

    text: str
    aside: str = ""


def draw_flow(hips: Sequence[Hip], predicted: Collection[str]) -> Figure:
    """One column per cohort, from the CTs to the hips that are scored or ranked.

    Args:
        hips: Of all cohorts.
        predicted: Names of the graded hips that every experiment predicted.
    """
    columns = [_list_steps(cohort, own, predicted) for cohort, own in split_cohorts(hips).items()]
    height = max((sum(map(_height, steps)) for steps in columns), default=1.0)
    figure = new_figure(_COLUMN_IN * max(1, len(columns)), height + 0.7, "Patients, CTs and hips")
    axes = figure.subplots()
    if not columns:
        say(axes, "There is no case.")
        return figure
    axes.set_axis_off()
    axes.set(xlim=(0, _COLUMN_IN * len(columns)), ylim=(-height, 0.05))
    for number, steps in enumerate(columns):
        _draw_column(axes, number * _COLUMN_IN, steps)
    return figure


def _list_steps(cohort: str, hips: Sequence[Hip], predicted: Collection[str]) -> list[_Step]:
    flow = count_hips(hips, predicted)
    unread = not flow["graded"] and flow["ungraded"]
    if unread:
        last, left_out = f"{flow['ungraded']} hips without a grade,\nto be ranked for reading", {}
    else:
        scored = [hip for hip in hips if hip.hip_id in predicted]
        last = f"{count_units(scored)}\ngraded, and scored"
        left_out = {
            "pair not in the class table": flow["off_table"],
            "Crowe or KL only": flow["partly"],
            "not graded": flow["ungraded"],
            "not predicted by every network": flow["unpredicted"],
        }
    counts = f"{count_words(flow['patients'], 'patient')}, {count_words(flow['cts'], 'CT')}"
    return [
        _Step(
            f"{cohort} cohort\n{counts}\n{flow['hips']} hips",
            _list_reasons("refused or excluded", dict(count_reasons(hips))),
        ),
        _Step(f"{flow['radiographs']} hips\nwith a radiograph", _list_reasons("not scored", left_out)),
        _Step(last),
    ]


def _list_reasons(title: str, counts: dict[str, int]) -> str:
    known = [(reason, number) for reason, number in counts.items() if number]
    if not known:
        return ""
    total = sum(counts.values())
    rest = total - sum(number for _, number in known[:_REASONS])
    lines = [f"{number}: {reason}" for reason, number in known[:_REASONS]]
    lines += [f"{rest} for other reasons"] if rest else []
    wrapped = [
        textwrap.fill(line, _LETTERS, initial_indent="\N{BULLET} ", subsequent_indent="   ") for line in lines
    ]
    return "\n".join([f"{count_words(total, 'hip')} {title}", *wrapped])


def _size(text: str) -> float:
    return _PAD_IN + _LINE_IN * len(text.splitlines())


def _height(step: _Step) -> float:
    return max(_size(step.text), _size(step.aside) if step.aside else 0.0) + _GAP_IN


def _draw_column(axes: Axes, left: float, steps: Sequence[_Step]) -> None:
    top = 0.0
    for number, step in enumerate(steps):
        bottom = top - _size(step.text)
        _draw_box(axes, left, top, _MAIN_IN, step.text)
        if step.aside:
            _draw_aside(axes, left, top, bottom, step.aside)
        top -= _height(step)
        if number < len(steps) - 1:
            _draw_arrow(axes, (left + _MAIN_IN / 2, bottom), (left + _MAIN_IN / 2, top))


def _draw_aside(axes: Axes, left: float, top: float, bottom: float, text: str) -> None:
    middle = max(bottom, top - 0.4) / 2 + top / 2
    _draw_arrow(axes, (left + _MAIN_IN, middle), (left + _MAIN_IN + 0.25, middle))
    _draw_box(axes, left + _MAIN_IN + 0.25, top, _ASIDE_IN - 0.1, text, aside=True)


def _draw_box(axes: Axes, left: float, top: float, width: float, text: str, *, aside: bool = False) -> None:
    size = _size(text)
    across, down = [left, left + width, left + width, left], [top, top, top - size, top - size]
    (box,) = axes.fill(across, down, linestyle=":" if aside else "-", linewidth=1)
    box.set(facecolor="white" if aside else PALE, edgecolor=GREY if aside else "black")
    at, letters = (left + 0.07, 9) if aside else (left + width / 2, 10)
    align = "left" if aside else "center"
    axes.text(
        at, top - size / 2, text, va="center", ha=align, fontsize=letters, linespacing=1.25, color="black"
    )


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "shrinkA": 0, "shrinkB": 0})
