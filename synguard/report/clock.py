"""The time axis: round moments, in UTC or in this machine's time zone, and what to call them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from synguard.report.asking import Span

_STEPS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172_800,
    604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000, 315_360_000,
)  # fmt: skip
DAY_S = 86400


class Tick(NamedTuple):
    """A moment on the axis."""

    at_s: float
    label: str


def ticks(shown: Span, most: int, *, local: bool) -> Iterator[Tick]:
    """Yield at most so many round moments, the first with its date where the days change."""
    wanted_s = shown.length_s / max(most, 1)
    step_s = next((step for step in _STEPS_S if step >= wanted_s), _STEPS_S[-1])
    offset_s = _offset_s(shown.since_s, local=local)
    at_s = math.ceil((shown.since_s + offset_s) / step_s) * step_s - offset_s
    while at_s <= shown.until_s:
        yield Tick(at_s, _label(at_s, step_s, local=local))
        at_s += step_s


def date_label(shown: Span, *, local: bool) -> str:
    """Return the day or days of a time, and the zone: ``2026-11-22, UTC``."""
    first, last = (_at(moment_s, local=local) for moment_s in shown)
    days = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    return f"{days}, {zone(shown.since_s, local=local)}"


def zone(at_s: float, *, local: bool) -> str:
    """Return what the times of a page are: ``UTC``, or ``local time, UTC+01:00``."""
    return f"local time, {_at(at_s, local=local):UTC%z}" if local else "UTC"


def _label(at_s: float, step_s: int, *, local: bool) -> str:
    moment = _at(at_s, local=local)
    if step_s >= DAY_S:
        return f"{moment:%Y-%m-%d}" if step_s >= 31_536_000 else f"{moment:%m-%d}"
    if moment.hour == moment.minute == moment.second == 0:
        return f"{moment:%m-%d}"
    return f"{moment:%H:%M:%S}" if step_s < 60 else f"{moment:%H:%M}"


def _offset_s(at_s: float, *, local: bool) -> float:
    offset = _at(at_s, local=local).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def _at(at_s: float, *, local: bool) -> datetime:
    moment = datetime.fromtimestamp(at_s, UTC)
    return moment.astimezone() if local else moment
