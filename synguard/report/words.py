"""Figures, times and evidence as a report writes them: what is not known is called unknown, never 0."""

from __future__ import annotations

from synguard.history.records import time_to_json
from synguard.telling.figures import duration, figure, moment, percent

UNKNOWN = "unknown"
#: From which weight on a piece of evidence is called so.
_WEIGHTS = ((0.5, "decisive"), (0.35, "strong"), (0.2, "clear"), (0.0001, "supporting"))


def known(value: float | None, unit: str = "") -> str:
    """Return a figure, or ``unknown``."""
    return UNKNOWN if value is None else figure(value, unit)


def share(ratio: float | None) -> str:
    """Return a ratio of 0..1 as a percentage, or ``unknown``."""
    return UNKNOWN if ratio is None else percent(ratio)


def when(text: str | None, *, local: bool, missing: str = UNKNOWN) -> str:
    """Return an ISO time as ``2026-11-22 10:00:00 UTC``, or with this machine's offset."""
    if text is None:
        return missing
    return moment(text, local=local).replace("T", " ", 1).replace("Z", " UTC")


def clock(text: str | None, *, local: bool, missing: str = UNKNOWN) -> str:
    """Return an ISO time for a column whose heading says that it is UTC: ``2026-11-22 10:00:00``."""
    return when(text, local=local, missing=missing).removesuffix(" UTC")


def clock_heading(text: str, *, local: bool) -> str:
    """Return the heading of a table's column of such times."""
    return f"@{text}" if local else f"@{text} (UTC)"


def when_s(at_s: float, *, local: bool) -> str:
    """Return seconds since the Unix epoch in the same way."""
    return when(time_to_json(at_s), local=local)


def long(seconds: float) -> str:
    """Return a duration with its units set apart: ``12 s``, ``1 h 12 m``."""
    text = duration(seconds)
    return " ".join(f"{part[:-1]} {part[-1]}" for part in text.split())


def sentence(text: str) -> str:
    """Return a text with a full stop at its end, one only."""
    return f"{text.rstrip('. ')}."


def weight(value: float) -> str:
    """Return a weight in a word and in figures: ``strong (0.40)``."""
    word = next((word for least, word in _WEIGHTS if value >= least), None)
    return "for the record" if word is None else f"{word} ({value:.2f})"
