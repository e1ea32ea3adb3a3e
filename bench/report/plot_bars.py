"""Plots with a line for each name: the ladder of cost, and defences side by side at one rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from bench.report.drawing import COLOURS, Look, plain_numbers
from bench.report.words import number, percent
from bench.results.cells import CellTrials, cells_of, name_of, telling_labels
from bench.results.model import Label, ScenarioResult

_COLUMNS = 3
#: Hot and cold, by colour and by mark.
_TEMPERATURES = (("hot", COLOURS[1], "o"), ("cold", COLOURS[0], "s"))


def ladder_plot(scenario: ScenarioResult) -> Figure | None:
    """Return nanoseconds per packet of each program, a panel for each packet; None without any."""
    cells = [cell for cell in cells_of(scenario.trials) if cell.values("ns_per_packet")]
    if not cells:
        return None
    titles = {cell.name: _title(cell, telling_labels(cells)) for cell in cells}
    packets = list(dict.fromkeys(titles.values()))
    programs = list(dict.fromkeys(str(cell.labels.get("program", "")) for cell in cells))
    columns = min(_COLUMNS, len(packets))
    rows = -(-len(packets) // columns)
    size = (2.5 + 3.4 * columns, 1.3 + rows * (0.9 + 0.38 * len(programs)))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{scenario.scenario}: ns per packet (median, least to most)", x=0.02, ha="left")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    for panel, packet in zip(panels, packets, strict=False):
        _draw_packet(panel, [cell for cell in cells if titles[cell.name] == packet], programs)
        panel.set_title(packet)
    for spare in list(panels)[len(packets) :]:
        spare.set_visible(False)
    _explain(figure)
    return figure


def _title(cell: CellTrials, telling: Sequence[str]) -> str:
    shown = [label for label in telling if label not in ("program", "packet", "temperature")]
    labels = {label: cell.labels.get(label) for label in shown}
    packet = str(cell.labels.get("packet", "packet"))
    return f"{packet}, {name_of(labels)}" if labels else packet


def _draw_packet(axes: Axes, cells: Sequence[CellTrials], programs: Sequence[str]) -> None:
    for cell in cells:
        found = cell.spread("ns_per_packet")
        assert found is not None  # noqa: S101 - cells without values were left out
        temperature = cell.labels.get("temperature")
        shift, colour, mark = _mark(temperature)
        height = programs.index(str(cell.labels.get("program", ""))) + shift
        reach = [[found.median - found.least], [found.most - found.median]]
        axes.errorbar(found.median, height, xerr=reach, color=colour, marker=mark, capsize=2.5, markersize=5)
        axes.annotate(
            number(found.median),
            (found.most, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    axes.set_yticks(range(len(programs)), programs)
    axes.set_ylim(len(programs) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.margins(x=0.18)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(plain_numbers))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelbottom=True, labelrotation=45)


def _mark(temperature: Label | None) -> tuple[float, str, str]:
    for place, (name, colour, mark) in enumerate(_TEMPERATURES):
        if temperature == name:
            return 0.36 * place - 0.18, colour, mark
    return 0.0, COLOURS[6], "D"


def _explain(figure: Figure) -> None:
    axes = figure.axes[0]
    handles = [
        axes.plot([], [], color=colour, marker=mark, linestyle="")[0] for _, colour, mark in _TEMPERATURES
    ]
    names = ["hot: the same packet again", "cold: another client each time"]
    figure.legend(handles, names, loc="outside lower left", ncols=2)


def defences_plot(scenario: ScenarioResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return good clients' success of each cell, and how sure it is; None for fewer than two."""
    found = [(cell, success) for cell in cells_of(scenario.trials) if (success := cell.good_success())]
    if len(found) < 2:
        return None
    figure = Figure(figsize=(8, 1.2 + 0.34 * len(found)))
    axes = figure.subplots()
    for height, (cell, success) in enumerate(found):
        share, reaches = success.share, success.reach
        look = looks.get(str(cell.labels.get("defence")), Look(COLOURS[6], "o", "-"))
        reach = [[share - reaches.low], [reaches.high - share]]
        axes.errorbar(share, height, xerr=reach, color=look.colour, marker=look.marker, capsize=3)
        axes.annotate(percent(share), (1.04, height), va="center", fontsize=9, annotation_clip=False)
    labels = telling_labels([cell for cell, _ in found])
    axes.set_yticks(range(len(found)), [_name(cell, labels) for cell, _ in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(
        "of all connections begun during the flood (bars: 95 % interval, or least to most where wider)"
    )
    axes.set_title(f"{scenario.scenario}: good clients served within 1.5 s")
    return figure


def _name(cell: CellTrials, labels: Sequence[str]) -> str:
    return ", ".join(str(cell.labels[label]) for label in labels if label in cell.labels) or cell.name
