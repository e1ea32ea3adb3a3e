"""Plots over the flood's rate: good clients' success, and the time to the first alert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from bench.report.drawing import Look, legend_beside, plain_numbers, rate_axis
from bench.results.cells import CellTrials, cells_of, name_of
from bench.results.model import ScenarioResult

#: From the first to the last of the lines at one rate; what is swept over lies further apart.
_ASIDE_DECADES = 0.14


class _Point(NamedTuple):
    rate: float
    middle: float
    low: float
    high: float


def success_plot(scenario: ScenarioResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return good clients' success over the flood's rate, a line for each defence; None without rates."""
    lines = _lines(scenario, _success)
    if not _has_rates(lines):
        return None
    figure, axes = _sheet(f"{scenario.scenario}: good clients served within 1.5 s")
    _draw_all(axes, lines, looks)
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel(
        "of all connections begun during the flood\n(bars: 95 % interval, or least to most where wider)"
    )
    legend_beside(axes)
    return figure


def alert_plot(scenario: ScenarioResult, looks: Mapping[str, Look]) -> Figure | None:
    """Return the time to the first right alert over the flood's rate; None without rates.

    Floods that were never told of stand above the line at the top, with how many they were.
    """
    lines = _lines(scenario, _time_to_alert)
    if not _has_rates(lines):
        return None
    figure, axes = _sheet(f"{scenario.scenario}: from the first flood packet to the alert")
    _draw_all(axes, lines, looks)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(plain_numbers))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("ms (bars: least to most)")
    _draw_missed(axes, scenario, looks)
    legend_beside(axes)
    return figure


def _sheet(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4.4))
    axes = figure.subplots()
    axes.set_title(title)
    rate_axis(axes)
    return figure, axes


def _success(cell: CellTrials) -> tuple[float, float, float] | None:
    success = cell.good_success()
    return (success.share, success.reach.low, success.reach.high) if success else None


def _time_to_alert(cell: CellTrials) -> tuple[float, float, float] | None:
    found = cell.spread("time_to_alert_ms")
    return (found.median, found.least, found.most) if found else None


def _lines(
    scenario: ScenarioResult, measure: Callable[[CellTrials], tuple[float, float, float] | None]
) -> dict[str, list[_Point]]:
    """Return a line for each combination of the labels beside the rate, its points by rising rate."""
    lines: dict[str, list[_Point]] = {}
    for cell in cells_of(scenario.trials):
        rate, measured = _rate(cell), measure(cell)
        if rate is not None and measured is not None:
            lines.setdefault(line_of(cell), []).append(_Point(rate, *measured))
    return {name: sorted(points) for name, points in lines.items()}


def line_of(cell: CellTrials) -> str:
    """Return which line a cell belongs to: its labels without the rate, the defence by its name alone."""
    labels = {label: value for label, value in cell.labels.items() if label not in ("syn_per_s", "defence")}
    parts = [str(cell.labels["defence"])] if "defence" in cell.labels else []
    parts += [str(labels.pop("case"))] if "case" in labels else []
    return ", ".join([*parts, *([name_of(labels)] if labels else [])]) or "all"


def _rate(cell: CellTrials) -> float | None:
    """Return the rate that was offered; a logarithm has no place for none at all."""
    if "syn_per_s" not in cell.labels:
        return None
    offered = cell.spread("offered_syn_per_s")
    if offered is not None and offered.median > 0:
        return offered.median
    asked = cell.labels["syn_per_s"]
    return float(asked) if isinstance(asked, int | float) and asked > 0 else None


def _has_rates(lines: Mapping[str, Sequence[_Point]]) -> bool:
    return any(len(points) > 1 for points in lines.values())


def _draw_all(axes: Axes, lines: Mapping[str, Sequence[_Point]], looks: Mapping[str, Look]) -> None:
    """Draw the lines, each a little aside of the others, so that none hides behind one of equal height."""
    for place, (name, points) in enumerate(lines.items()):
        aside = 10 ** (_ASIDE_DECADES * ((place + 0.5) / len(lines) - 0.5))
        moved = [point._replace(rate=point.rate * aside) for point in points]
        _draw(axes, name, moved, looks[name])


def _draw(axes: Axes, name: str, points: Sequence[_Point], look: Look) -> None:
    axes.errorbar(
        [point.rate for point in points],
        [point.middle for point in points],
        yerr=[
            [point.middle - point.low for point in points],
            [point.high - point.middle for point in points],
        ],
        label=name,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markersize=5,
        linewidth=1.5,
        capsize=2.5,
        elinewidth=1,
    )


def _missed(scenario: ScenarioResult) -> Iterator[tuple[str, float, int, int]]:
    for cell in cells_of(scenario.trials):
        rate = _rate(cell)
        missed = sum(value > 0 for value in cell.values("missed"))
        if missed and rate is not None:
            yield line_of(cell), rate, missed, len(cell.valid)


def _draw_missed(axes: Axes, scenario: ScenarioResult, looks: Mapping[str, Look]) -> None:
    rows: list[str] = []
    for name, rate, missed, trials in _missed(scenario):
        rows += [] if name in rows else [name]
        height = 1.04 + 0.055 * rows.index(name)
        axes.annotate(
            f"{name}: {missed} of {trials} missed",
            (rate, height),
            xycoords=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color=looks[name].colour,
            annotation_clip=False,
        )
    if rows:
        axes.set_title(axes.get_title(loc="left"), pad=12 + 13 * len(rows))
