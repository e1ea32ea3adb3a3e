"""Writes figures as people read them: with units, rounded to what the eye can use."""

from __future__ import annotations

from bench.measure.statistics import Spread
from bench.results.cells import Served
from bench.results.figures import FIGURES

UNKNOWN = "–"
#: Units of things that are counted, where a total says more than a median.
_COUNTED = frozenset({"alerts", "blocks", "updates"})
_MIB = 1 << 20


def unit_of(figure: str) -> str:
    """Return a figure's unit; nothing for one that this version does not know."""
    known = FIGURES.get(figure)
    return known.unit if known else ""


def number(value: float) -> str:
    """Return a number with three digits that matter, thousands set apart.

    >>> number(0.12345), number(12.34), number(1234567), number(2.0)
    ('0.123', '12.3', '1,234,567', '2')
    """
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def shown(figure: str, value: float, *, unit: bool = True) -> str:
    """Return one value of a figure, with its unit or without."""
    match unit_of(figure):
        case "ratio":
            return percent(value) if unit else percent(value).removesuffix(" %")
        case "bytes":
            return number(value / _MIB) + (" MiB" if unit else "")
        case "1/s":
            return rate(value) + ("/s" if unit else "")
        case name:
            return number(value) + (f" {name}" if unit and name else "")


def percent(share: float) -> str:
    """Return a share of 0..1 in per cent; what is not all or nothing is never rounded to it.

    >>> percent(1), percent(0.99996), percent(0.5), percent(0.0123), percent(0.0001), percent(1.004)
    ('100 %', '>99.9 %', '50 %', '1.2 %', '<0.1 %', '100.4 %')
    """
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def rate(per_s: float) -> str:
    """Return a rate in a few digits.

    >>> rate(60), rate(12345.6), rate(812345), rate(1_500_000)
    ('60', '12.3 k', '812 k', '1.5 M')
    """
    for scale, prefix in ((1e6, " M"), (1e3, " k")):
        if abs(per_s) >= 0.9995 * scale:
            return f"{per_s / scale:.3g}{prefix}"
    return number(per_s)


def shown_spread(figure: str, spread: Spread | None, trials: int) -> str:
    """Return median, least and most without the unit, and in how many of the trials it is known."""
    if spread is None:
        return UNKNOWN
    known = "" if spread.count == trials else f" ({spread.count} of {trials})"
    middle, least, most = (
        shown(figure, value, unit=False) for value in (spread.median, spread.least, spread.most)
    )
    return (middle if least == middle == most else f"{middle} [{least} to {most}]") + known


def shown_total(values: list[float], trials: int) -> str:
    """Return how many there were in all."""
    if not values:
        return UNKNOWN
    known = "" if len(values) == trials else f" ({len(values)} of {trials})"
    return number(sum(values)) + known


def is_counted(figure: str) -> bool:
    """Tell whether a figure's total says more than its median."""
    return unit_of(figure) in _COUNTED


def shown_success(success: Served | None) -> str:
    """Return a share with its 95 % interval, and the repetitions' own shares where there are several."""
    if success is None:
        return UNKNOWN
    pooled = f"{percent(success.share)} [{_range(success.interval.low, success.interval.high)}]"
    each = success.each
    return f"{pooled}, each {_range(each.least, each.most)} %" if each.count > 1 else pooled


def _range(least: float, most: float) -> str:
    low, high = (percent(limit).removesuffix(" %") for limit in (least, most))
    return low if low == high else f"{low} to {high}"


def heading(figure: str, title: str) -> str:
    """Return a column's heading: title and unit."""
    units = {"ratio": "%", "bytes": "MiB", "": ""}
    unit = units.get(unit_of(figure), unit_of(figure))
    return f"{title}, {unit}" if unit and not is_counted(figure) else title
