"""Draws a picture by matplotlib: wide for screens and paper, narrow for telephones."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from synguard.report.asking import Span
from synguard.report.clock import Tick, date_label, ticks
from synguard.report.colours import COLOURS, GRID, INK, MUTED, PAPER, letters_on
from synguard.report.pictures import Lane, Line, Mark, Panel, Picture
from synguard.telling.figures import figure

#: Newer versions type the keys by name, older ones as text.
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    # Without these an SVG holds new names and its moment of birth each time.
    "svg.hashsalt": "synguard report",
    "svg.fonttype": "none",
    "text.color": INK,
    # A dollar is a dollar.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
_DASHES = {"dropped": (0, (5, 2)), "kernel_drops": (0, (5, 2)), "accept_queue": (0, (5, 2))}
_HATCHES = {"unguarded": "///", "dry-run": "///", "impact-unknown": "..."}
#: Makes letters on a hatched band legible.
_UNDER_LETTERS: dict[str, Any] = {"boxstyle": "square,pad=0.05", "edgecolor": "none"}
#: The look of a line that is an area as well.
_FILLED = ("attempts", "busiest", "completed")


class Format(NamedTuple):
    """Sizes of a picture, in pixels of a screen."""

    name: str
    width: int
    font: float
    left: int
    panel: int
    #: Above each panel, for its title and legend.
    heading: int
    lane: int
    ticks: int
    legend_below_title: bool


#: For screens and paper.
WIDE = Format("wide", 960, 12.0, 84, 130, 34, 22, 9, legend_below_title=False)
#: For telephones.
NARROW = Format("narrow", 360, 11.0, 66, 110, 50, 20, 4, legend_below_title=True)
_RIGHT, _BOTTOM, _MARKS = 10, 46, 22
#: Points for each pixel: matplotlib's SVGs have 72 to the inch.
_PER_INCH = 72.0
#: How wide a letter is, as a share of the font's size.
_LETTER = 0.62


def draw(picture: Picture, form: Format, *, local: bool) -> str:
    """Return the picture as an SVG document of matplotlib's; the same picture gives the same text."""
    with mpl.rc_context({**_STYLE, "font.size": form.font}):
        sheet = _Sheet(picture, form)
        for panel in picture.panels:
            _draw_panel(sheet.axes(_heading(panel, form), form.panel), panel, form)
        if picture.lanes:
            _draw_lanes(sheet.axes(12, form.lane * len(picture.lanes)), picture, form)
        sheet.finish(local=local)
        text = io.StringIO()
        sheet.figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


class _Sheet:
    """A figure whose axes are put below each other, in pixels from its upper edge."""

    def __init__(self, picture: Picture, form: Format) -> None:
        self._picture, self._form = picture, form
        self._marked = _MARKS if picture.marks else 4
        lanes = 12 + form.lane * len(picture.lanes) if picture.lanes else 0
        panels = sum(_heading(panel, form) + form.panel for panel in picture.panels)
        self._height = self._marked + panels + lanes + _BOTTOM
        self.figure = Figure(figsize=(form.width / _PER_INCH, self._height / _PER_INCH), dpi=_PER_INCH)
        FigureCanvasSVG(self.figure)
        self._cursor = self._marked
        self._axes: list[Axes] = []

    def axes(self, before: int, height: int) -> Axes:
        """Return axes of this height, so far below the ones before."""
        self._cursor += before + height
        form, shown = self._form, self._picture.shown
        axes = self.figure.add_axes(
            (
                form.left / form.width,
                1 - self._cursor / self._height,
                (form.width - form.left - _RIGHT) / form.width,
                height / self._height,
            )
        )
        axes.set_xlim(0.0, shown.length_s)
        axes.xaxis.set_visible(False)
        self._axes.append(axes)
        return axes

    def finish(self, *, local: bool) -> None:
        """Write the time below the last axes, and the marks' lines and numbers over all."""
        shown = self._picture.shown
        places = list(ticks(shown, self._form.ticks, local=local))
        at = [place.at_s - shown.since_s for place in places]
        for axes in self._axes:
            # Cheaper by far than an axis with ticks of its own for each.
            axes.vlines(at, 0, 1, transform=axes.get_xaxis_transform(), color=GRID, linewidth=0.8, zorder=0.5)
        last = self._axes[-1]
        last.xaxis.set_visible(True)
        last.grid(visible=False, axis="x")
        last.set_xticks(at, [self._tick_label(place) for place in places])
        last.set_xlabel(date_label(shown, local=local))
        self._draw_marks()

    def _tick_label(self, place: Tick) -> str:
        """Return a tick's label, or none where the picture's edge would cut it."""
        shown, form = self._picture.shown, self._form
        room = (shown.until_s - place.at_s) / shown.length_s * (form.width - form.left - _RIGHT) + _RIGHT
        return place.label if room > len(place.label) * form.font * _LETTER / 2 else ""

    def _draw_marks(self) -> None:
        shown = self._picture.shown
        width = self._form.width - self._form.left - _RIGHT
        for number, at_s in _grouped(self._picture.marks, shown, 30 / width):
            share = (at_s - shown.since_s) / shown.length_s
            for axes in self._axes:
                axes.axvline(at_s - shown.since_s, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            self.figure.text(
                (self._form.left + share * width) / self._form.width,
                1 - 12 / self._height,
                number,
                ha="center",
                va="center",
                fontsize=self._form.font - 1,
                color=INK,
                bbox={"boxstyle": "round,pad=0.25", "facecolor": PAPER, "edgecolor": MUTED},
            )


def _draw_panel(axes: Axes, panel: Panel, form: Format) -> None:
    since_s = _first(panel)
    for line in panel.lines:
        _draw_line(axes, line, since_s)
    known = [line.curve.highest for line in panel.lines if line.curve.highest is not None]
    top = 1.0 if panel.as_percent else max([panel.least_top, *known])
    axes.set_ylim(0.0, top * 1.08)
    halves = FixedLocator([0.0, 0.5, 1.0])
    axes.yaxis.set_major_locator(halves if panel.as_percent else MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:.0%}" if panel.as_percent else figure(value))
    )
    axes.tick_params(axis="y", length=0)
    is_high = form.legend_below_title and _has_legend(panel)
    rise = 1 + (form.heading - 16 if is_high else 8) / form.panel
    axes.text(0, rise, panel.title, transform=axes.transAxes, ha="left", va="bottom", weight="bold")
    if _has_legend(panel):
        anchor = (-form.left / (form.width - form.left), 0.98) if form.legend_below_title else (1.0, 0.99)
        axes.legend(
            loc="lower left" if form.legend_below_title else "lower right", bbox_to_anchor=anchor,
            ncols=len(panel.lines), handlelength=2.2, columnspacing=1.2, borderaxespad=0.2,
            fontsize=form.font - 1,
        )  # fmt: skip


def _has_legend(panel: Panel) -> bool:
    """Tell whether the title does not say what the lines are."""
    return len(panel.lines) > 1 or panel.lines[0].label not in panel.title.lower()


def _heading(panel: Panel, form: Format) -> int:
    """Return the room above a panel, in pixels."""
    return form.heading - (16 if form.legend_below_title and not _has_legend(panel) else 0)


def _first(panel: Panel) -> float:
    return min((line.curve.times_s[0] for line in panel.lines if line.curve.times_s), default=0.0)


def _draw_line(axes: Axes, line: Line, since_s: float) -> None:
    colour = COLOURS[line.look]
    times_s = [time_s - since_s for time_s in line.curve.times_s]
    if line.look in _FILLED:
        alpha = 0.12 if line.look == "busiest" else 0.22
        for corners in _areas(times_s, line.curve.values):
            axes.fill(*zip(*corners, strict=True), color=colour, alpha=alpha, linewidth=0)
    axes.plot(
        times_s, line.curve.values, color=colour, linewidth=1.0 if line.look == "busiest" else 1.6,
        linestyle=_DASHES.get(line.look, "-"), label=line.label, solid_joinstyle="round",
    )  # fmt: skip


def _areas(times_s: Sequence[float], values: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Yield the corners of what lies below a line, each time it is known."""
    together = groupby(zip(times_s, values, strict=True), key=lambda corner: math.isnan(corner[1]))
    for is_unknown, corners in together:
        if not is_unknown:
            known = list(corners)
            yield [(known[0][0], 0.0), *known, (known[-1][0], 0.0)]


def _draw_lanes(axes: Axes, picture: Picture, form: Format) -> None:
    rows = len(picture.lanes)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks(range(rows), [lane.label for lane in picture.lanes])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    for row, lane in enumerate(picture.lanes):
        _draw_lane(axes, row, lane, picture.shown, form)


def _draw_lane(axes: Axes, row: int, lane: Lane, shown: Span, form: Format) -> None:
    width = form.width - form.left - _RIGHT
    # What lasts a moment is to be seen as well.
    least_s = 2.5 / width * shown.length_s
    for span, look, text in lane.bands:
        begin_s = min(max(span.since_s - shown.since_s, 0.0), shown.length_s - least_s)
        length_s = max(min(span.until_s, shown.until_s) - shown.since_s - begin_s, least_s)
        axes.broken_barh(
            [(begin_s, length_s)], (row - 0.36, 0.72), facecolor=COLOURS[look], edgecolor=PAPER,
            linewidth=0.6, hatch=_HATCHES.get(look),
        )  # fmt: skip
        room = length_s / shown.length_s * width
        if text and room > (len(text) + 1.5) * form.font * _LETTER:
            axes.text(
                begin_s + length_s / 2, row, text, ha="center", va="center_baseline", color=letters_on(look),
                fontsize=form.font - 1, clip_on=True,
                bbox=_UNDER_LETTERS | {"facecolor": COLOURS[look]} if look in _HATCHES else None,
            )  # fmt: skip


def _grouped(marks: Sequence[Mark], shown: Span, least_share: float) -> Iterator[tuple[str, float]]:
    """Return marks with their labels; those too near to each other become one: ``2–4``."""
    group: list[Mark] = []
    for mark in [*marks, None]:
        if mark is not None and not shown.since_s <= mark.at_s <= shown.until_s:
            continue
        is_near = mark is not None and group and mark.at_s - group[0].at_s < least_share * shown.length_s
        if group and not is_near:
            first, last = group[0], group[-1]
            label = str(first.number) if first is last else f"{first.number}–{last.number}"
            yield label, first.at_s
            group = []
        if mark is not None:
            group.append(mark)
