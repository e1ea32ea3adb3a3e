"""Measurements and evidence as cells of a table, whoever draws it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synguard.telling.figures import figure, percent, times

#: A blind alert's evidence, and what it is called.
UNSEEN = {
    "not_seen": "not seen",
    "since": "since",
    "until": "until",
    "times": "times",
    "outcome": "so far",
    "to_do": "to do",
}
#: Evidence that is a share (0..1) ends so.
_SHARES_END = ("_share", "_ratio", "_of_half_open", "sources_once", "ttl_unlike")
_UNITS = {"1/s": "/s", "1/min": "/min", "ms": " ms", "s": " s"}


def measurement_cells(one: Mapping[str, Any], missing: str) -> tuple[str, ...]:
    """Return what a measurement of the reasoning tells; ``missing`` stands where there is no figure.

    In this order: its words, observed, threshold, how many times that, usual, how many times that.
    """
    return (
        one["words"],
        _measured(one["observed"], one["unit"], missing),
        _measured(one["threshold"], one["unit"], missing),
        _factor(one["times_threshold"], missing),
        _measured(one["baseline"], one["unit"], missing),
        _factor(one["times_baseline"], missing),
    )


def evidence_value(one: Mapping[str, Any]) -> str:
    """Return what a piece of evidence found."""
    value = one["value"]
    if isinstance(value, str):
        return value
    return percent(value) if one["name"].endswith(_SHARES_END) else figure(value)


def _measured(value: float | None, unit: str, missing: str) -> str:
    if value is None:
        return missing
    return percent(value) if unit == "ratio" else figure(value, _UNITS.get(unit, ""))


def _factor(value: float | None, missing: str) -> str:
    return missing if value is None else f"{times(value)}×"
