"""The style of all figures, and files that are the same to the byte for the same content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.core.files import replacing

# Okabe and Ito's palette, distinguishable with colour blindness.
EXPERIMENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GROUP_COLOURS = {"Exact": "#0072B2", "1-Neighbor": "#E69F00", "Others": "#D55E00"}
CLASS_COLOURS = tuple(
    matplotlib.colormaps["viridis"](share) for share in (0, 0.16, 0.33, 0.5, 0.66, 0.82, 0.96)
)
"""Seven steps of a scale of evenly rising lightness, legible in greyscale too."""
GREY = "#6b7280"
PALE = "#d1d5db"

_Row = TypeVar("_Row")
_Column = TypeVar("_Column")

DPI = 150
"""Pixels per inch of the PNG figures; print uses the SVG."""

# Narrower, the title and the notes below would be cut.
_LEAST_WIDTH_IN = 7.5

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "image.interpolation": "antialiased",
    # Letters as outlines: the report looks the same where the font is missing.
    "svg.fonttype": "path",
    # Without a salt the names inside an SVG are random.
    "svg.hashsalt": "hipoa",
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Applies the style, whatever the user's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width_in: float, height_in: float, title: str) -> Figure:
    """An empty figure, at least as wide as its title and notes need."""
    figure = Figure(figsize=(max(width_in, _LEAST_WIDTH_IN), height_in), layout="constrained")
    figure.suptitle(title)
    return figure


def new_grid(
    title: str,
    rows: Sequence[_Row],
    columns: Sequence[_Column],
    *,
    width_in: tuple[float, float],
    height_in: tuple[float, float],
    empty: str,
    **shared: Any,
) -> tuple[Figure, dict[tuple[_Row, _Column], Axes]]:
    """A figure with one panel for each row and column, by their names.

    Args:
        title: The title of the figure.
        rows: Names, such as cohorts.
        columns: Names, such as experiments.
        width_in: Inches per column, and beside them.
        height_in: Inches per row, and beside them.
        empty: What the figure says if there is no row or no column.
        shared: What panels share, as `matplotlib.figure.Figure.subplots` takes it.
    """
    width = width_in[0] * max(1, len(columns)) + width_in[1]
    height = height_in[0] * max(1, len(rows)) + height_in[1]
    figure = new_figure(width, height, title)
    if not rows or not columns:
        say(figure.subplots(), empty)
        return figure, {}
    panels = figure.subplots(len(rows), len(columns), squeeze=False, **shared)
    return figure, dict(zip(product(rows, columns), panels.flat, strict=True))


def say(axes: Axes, text: str) -> None:
    """Writes a text in place of the frame, such as why there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes, wrap=True)


def mark_synthetic(figure: Figure) -> None:
    """Says in the title that patients are synthetic."""
    (title,) = (text for text in figure.texts if text.get_text() == figure.get_suptitle())
    title.set_text(f"{title.get_text()} (synthetic patients)")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure, atomically and without date, as SVG or PNG by its suffix."""
    kind = path.suffix[1:]
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
