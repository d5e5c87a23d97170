"""One look for all figures, and the same bytes for the same content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hipoa.core.files import replacing

# Okabe and Ito's colours, which colour-blind readers tell apart.
EXPERIMENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GROUP_COLOURS = {"Exact": "#0072B2", "1-Neighbor": "#E69F00", "Others": "#D55E00"}
CLASS_COLOURS = tuple(
    matplotlib.colormaps["viridis"](share) for share in (0, 0.16, 0.33, 0.5, 0.66, 0.82, 0.96)
)
"""Seven steps of a scale that grows lighter evenly, so that it reads in grey too."""
GREY = "#6b7280"
PALE = "#d1d5db"

DPI = 150
"""Pixels per inch of the PNG figures; print wants the SVG."""
# Narrower, the title and the notes below would be cut.
_LEAST_WIDTH_IN = 7.5

_LOOK: dict[Any, Any] = {
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
    """The look of all figures, whatever the user's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


def new_figure(width_in: float, height_in: float, title: str, *, synthetic: bool) -> Figure:
    """An empty figure; where patients are synthetic, its title says so."""
    figure = Figure(figsize=(max(width_in, _LEAST_WIDTH_IN), height_in), layout="constrained")
    figure.suptitle(f"{title} (synthetic patients)" if synthetic else title)
    return figure


def say(axes: Axes, text: str) -> None:
    """Writes why there is nothing to draw in place of an empty frame."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes, wrap=True)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure, atomically and without date, as SVG or PNG by the name's ending."""
    kind = path.suffix[1:]
    nameless = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[kind]
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=DPI, metadata=nameless)
