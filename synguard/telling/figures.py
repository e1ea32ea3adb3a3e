"""Figures, shares, moments and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def figure(value: float | None, unit: str = "") -> str:
    """Return a figure with thousands set apart (``50,000/s``), or ``-`` where it is unknown."""
    if value is None:
        return "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
    return f"{digits}{unit}"


def times(factor: float | None) -> str:
    """Return a factor in two digits or whole (``0.4``, ``9.9``, ``1,016``), or ``-`` where it is unknown."""
    if factor is None:
        return "-"
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def percent(ratio: float | None) -> str:
    """Return a ratio of 0..1 as a percentage, or ``-`` where it is unknown."""
    return "-" if ratio is None else f"{ratio * 100:.1f}%"


def moment(text: str | None, *, local: bool = False) -> str:
    """Return an ISO time without its fractions, in UTC or in this machine's time zone, or ``-``."""
    if text is None:
        return "-"
    whole = datetime.fromisoformat(text).replace(microsecond=0)
    return (whole.astimezone() if local else whole.astimezone(UTC)).isoformat().replace("+00:00", "Z")


def seconds_between(began: str, ended: str) -> float:
    """Return the seconds from one ISO time to another."""
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``1h 12m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{max(seconds, 0):.1f}s" if seconds < 10 else f"{whole}s"
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    named = [f"{count}{unit}" for count, unit in parts]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(named[first : first + 2])
