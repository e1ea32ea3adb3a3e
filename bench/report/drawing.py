"""How plots look and are kept: readable, safe for the colour-blind, and the same bytes each time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.report.words import rate

#: Okabe and Ito's palette, which people of every colour vision can tell apart; without its yellow, which
#: vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#777777"
_MARKERS = "osD^vPX<>*ph"
_DASHES = ("-", "--", ":")

#: Newer versions type the keys by name, older ones as text.
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.dpi": 110,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.bbox": "tight",
    "savefig.facecolor": "white",
    # Without these an SVG holds new names and its moment of birth each time.
    "svg.hashsalt": "synguard bench",
    "svg.fonttype": "none",
}


class Look(NamedTuple):
    """How one line is told from the others, with and without colour."""

    colour: str
    marker: str
    dashes: str


def style() -> AbstractContextManager[None]:
    """Return a context in which figures are made and saved in the bench's style."""
    return mpl.rc_context(_STYLE)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Give each name a look of its own, in order."""
    return {
        name: Look(
            COLOURS[index % len(COLOURS)],
            _MARKERS[index % len(_MARKERS)],
            _DASHES[index // len(COLOURS) % len(_DASHES)],
        )
        for index, name in enumerate(dict.fromkeys(names))
    }


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Keep a figure as PNG and SVG; return both paths, the PNG first."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], metadata={"Software": None})
    figure.savefig(paths[1], metadata={"Date": None, "Creator": None})
    return paths


def rate_axis(axes: Axes) -> None:
    """Give the horizontal axis rates from 1 SYN/s to millions, in readable steps."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("SYN/s offered")


def plain_numbers(value: float, _: int | None = None) -> str:
    """Return a tick of a logarithmic axis without powers of ten."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def with_gaps(values: Sequence[float | None]) -> list[float]:
    """Return values in which a line has a gap where nothing is known."""
    return [math.nan if value is None else value for value in values]


def legend_beside(axes: Axes, columns: int = 1) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=columns, handlelength=3)
