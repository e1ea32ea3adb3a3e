"""The time line of one flood: what came, what was dropped and who was served, with and without response."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.report.drawing import COLOURS, GREY, with_gaps
from bench.report.words import rate
from bench.results.cells import cells_of, name_of, telling_labels
from bench.results.model import ScenarioResult, Trial

#: More panels than these beside one another cannot be read.
_PANELS = 4
_TITLE_COLUMNS = 42
_GOOD, _BAD = COLOURS[2], COLOURS[1]


class _Row(NamedTuple):
    """Columns of a time line that share an axis."""

    unit: str
    columns: Mapping[str, tuple[str, str, str]]


_ROWS = (
    _Row(
        "frames/s",
        {
            "offered_per_s": ("SYNs offered", GREY, ":"),
            "received_per_s": ("all off the ring, good clients' too", COLOURS[6], "-"),
            "counted_per_s": ("SYNs counted", COLOURS[4], "-."),
            "dropped_per_s": ("dropped by the defence", COLOURS[0], "--"),
        },
    ),
    _Row(
        "good connections/s",
        {"good_succeeded_per_s": ("served", _GOOD, "-"), "good_failed_per_s": ("failed", _BAD, "--")},
    ),
)
#: Marked by grey lines.
_EVENTS = {"time_to_alert_ms": "alert", "time_to_act_ms": "block"}


def timeline_plots(scenario: ScenarioResult) -> Iterator[Figure]:
    """Yield time lines of a scenario's cells side by side, each cell's by its first valid trial with one."""
    cells = cells_of(scenario.trials)
    labels = telling_labels(cells)
    shown = [
        (name_of({label: cell.labels.get(label) for label in labels}), trial)
        for cell in cells
        if (trial := next((one for one in cell.valid if one.timeline.get("at_s")), None)) is not None
    ]
    for first in range(0, len(shown), _PANELS):
        yield _sheet(scenario.scenario, shown[first : first + _PANELS])


def _sheet(name: str, shown: Sequence[tuple[str, Trial]]) -> Figure:
    rows = list(_rows([trial for _, trial in shown]))
    figure = Figure(figsize=(1.5 + 4.2 * len(shown), 1 + 1.9 * len(rows)), layout="constrained")
    figure.suptitle(f"{name}: one flood of each, tenths of a second", x=0.02, ha="left", fontsize=12)
    grid = figure.subplots(len(rows), len(shown), sharex=True, sharey="row", squeeze=False)
    for place, row in enumerate(rows):
        for panel, (_, trial) in zip(grid[place], shown, strict=True):
            _draw(panel, trial, row)
        grid[place][0].set_ylabel(row.unit)
        # Only when all is drawn: from then on the axis grows no more.
        grid[place][0].set_ylim(bottom=0)
        _legend(grid[place])
    for panel, (title, trial) in zip(grid[0], shown, strict=True):
        panel.set_title("\n".join((*textwrap.wrap(title, _TITLE_COLUMNS), _events(trial))))
    for panel in grid[-1]:
        panel.set_xlabel("s after the first flood packet")
    return figure


def _rows(trials: Sequence[Trial]) -> Iterator[_Row]:
    """Yield the rows that there is anything for; a column that nobody foresaw has a row of its own."""
    there = dict.fromkeys(
        name
        for trial in trials
        for name, values in trial.timeline.items()
        if name != "at_s" and any(value is not None for value in values)
    )
    for row in _ROWS:
        if columns := {name: how for name, how in row.columns.items() if name in there}:
            yield _Row(row.unit, columns)
    foreseen = {name for row in _ROWS for name in row.columns}
    for name in there:
        if name not in foreseen:
            yield _Row(_words(name), {name: (_words(name), COLOURS[3], "-")})


def _words(column: str) -> str:
    return column.removesuffix("_per_s").replace("_", " ") + ("/s" if column.endswith("_per_s") else "")


def _draw(axes: Axes, trial: Trial, row: _Row) -> None:
    at_s = with_gaps(trial.timeline["at_s"])
    for name, (label, colour, dashes) in row.columns.items():
        if values := trial.timeline.get(name):
            axes.plot(at_s, with_gaps(values), label=label, color=colour, linestyle=dashes, linewidth=1.6)
    for figure in _EVENTS:
        at_ms = trial.figures.get(figure)
        if at_ms is not None:
            axes.axvline(at_ms / 1000, color=GREY, linewidth=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))


def _events(trial: Trial) -> str:
    told = ((label, trial.figures.get(figure)) for figure, label in _EVENTS.items())
    events = ", ".join(f"{label} at {at_ms:,.0f} ms" for label, at_ms in told if at_ms is not None)
    return events or ("no alert" if "time_to_alert_ms" in trial.figures else "")


def _legend(panels: Sequence[Axes]) -> None:
    entries = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    panels[-1].legend(
        entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3
    )
