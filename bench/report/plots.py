"""Draws every plot that a result has something for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from bench.report.drawing import Look, looks, save, style
from bench.report.plot_bars import defences_plot, ladder_plot
from bench.report.plot_rates import alert_plot, line_of, success_plot
from bench.report.plot_timeline import timeline_plots
from bench.results.cells import cells_of
from bench.results.model import Result, ScenarioResult


def draw_plots(result: Result, folder: Path) -> dict[str, list[Path]]:
    """Draw all plots of a result as PNG and SVG; return for each scenario those that a document shows.

    A defence looks the same in all of them.
    """
    drawn: dict[str, list[Path]] = {}
    with style():
        same = looks(_names(result))
        for scenario in result.scenarios:
            for name, figure in _figures(scenario, same):
                paths = save(figure, folder, f"{scenario.scenario}-{name}")
                drawn.setdefault(scenario.scenario, []).append(paths[0])
    return drawn


def _names(result: Result) -> Iterator[str]:
    """Yield the names of all lines, the defences first."""
    cells = [cell for scenario in result.scenarios for cell in cells_of(scenario.trials)]
    yield from (str(cell.labels["defence"]) for cell in cells if "defence" in cell.labels)
    yield from (line_of(cell) for cell in cells)


def _figures(scenario: ScenarioResult, same: dict[str, Look]) -> Iterator[tuple[str, Figure]]:
    if scenario.kind == "cost":
        found = [("cost", ladder_plot(scenario))]
    else:
        by_rate = success_plot(scenario, same)
        found = [
            ("success", by_rate or defences_plot(scenario, same)),
            ("time-to-alert", alert_plot(scenario, same)),
        ]
    yield from ((name, figure) for name, figure in found if figure is not None)
    for number, figure in enumerate(timeline_plots(scenario), 1):
        yield (f"timeline-{number}", figure)
